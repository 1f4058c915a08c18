// SPDX-License-Identifier: MIT
// The length of the context: chosen from what the model, the user and memory allow.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/engine_state.h"
#include "host/log.h"
#include "synth.h"

#define TRAINED 131072u

static char model_path[] = "/tmp/duotale-context-XXXXXX";
static char warning[512];
static int warnings;

static void on_log(void *arg, int level, const char *line)
{
    (void)arg;
    if (level < DT_LOG_WARNING || !strstr(line, "the context has"))
        return;
    warnings++;
    snprintf(warning, sizeof warning, "%s", line);
}

static void the_choice(void **state)
{
    (void)state;
    static const struct {
        struct dt_context_limits limits; // trained, asked, at least, fits
        uint32_t context;
        enum dt_context_reason reason;
    } rows[] = {
        {{256, 0, 0, UINT32_MAX}, 256, DT_CONTEXT_TRAINED},
        {{4096, 0, 0, UINT32_MAX}, 4096, DT_CONTEXT_TRAINED},
        {{4097, 0, 0, UINT32_MAX}, 4096, DT_CONTEXT_USUAL},
        {{131072, 0, 0, UINT32_MAX}, 4096, DT_CONTEXT_USUAL},
        {{131072, 0, 0, 4096}, 4096, DT_CONTEXT_USUAL},
        {{131072, 0, 0, 4032}, 4032, DT_CONTEXT_MEMORY},
        {{131072, 0, 256, UINT32_MAX}, 4096, DT_CONTEXT_USUAL},
        {{131072, 0, 5000, UINT32_MAX}, 5000, DT_CONTEXT_USUAL},
        {{131072, 0, 5000, 4992}, 4992, DT_CONTEXT_MEMORY},
        {{131072, 0, 1u << 30, UINT32_MAX}, 131072, DT_CONTEXT_TRAINED},
        {{8192, 0, 9000, UINT32_MAX}, 8192, DT_CONTEXT_TRAINED},
        {{512, 0, 9000, UINT32_MAX}, 512, DT_CONTEXT_TRAINED},
        {{512, 0, 0, 512}, 512, DT_CONTEXT_TRAINED},
        {{512, 0, 0, 511}, 511, DT_CONTEXT_MEMORY},
        {{512, 0, 0, 64}, 64, DT_CONTEXT_MEMORY},
        {{512, 0, 0, 0}, 64, DT_CONTEXT_MEMORY},
        {{40, 0, 0, 0}, 40, DT_CONTEXT_MEMORY},
        {{40, 0, 0, 40}, 40, DT_CONTEXT_TRAINED},
        // what was asked for is never changed
        {{512, 64, 0, 0}, 64, DT_CONTEXT_ASKED},
        {{512, 512, 0, 0}, 512, DT_CONTEXT_ASKED},
        {{512, 100000, 5, 0}, 100000, DT_CONTEXT_ASKED},
        {{131072, 131072, 0, 64}, 131072, DT_CONTEXT_ASKED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum dt_context_reason reason;
        uint32_t context = dt_context_choose(&rows[i].limits, &reason);
        if (context != rows[i].context || reason != rows[i].reason)
            fail_msg("row %zu: %u positions, reason %d", i, context, (int)reason);
    }
}

static struct dt_engine *engine_of(struct dt_engine_options options)
{
    struct dt_error err = {0};
    struct dt_engine *engine;
    options.stack = "reference";
    options.threads = 1;
    options.batch = 8;
    options.without_vocabulary = true;
    warnings = 0;
    assert_int_equal(dt_engine_new(&engine, &options, &err), DT_OK);
    return engine;
}

// Opens the model and checks its context.
static struct dt_engine *opened(struct dt_engine_options options, uint32_t context,
                                enum dt_context_reason reason)
{
    struct dt_error err = {0};
    struct dt_engine_plan plan, now;
    struct dt_engine *engine = engine_of(options);
    if (dt_engine_prepare(engine, model_path, NULL, &plan, &err) != DT_OK ||
        dt_engine_start(engine, NULL, NULL, &err) != DT_OK)
        fail_msg("%s", err.message);
    dt_engine_memory(engine, &now);
    assert_int_equal(plan.context_reason, reason);
    assert_int_equal(now.context_reason, reason);
    assert_int_equal(plan.context, now.context);
    assert_int_equal(now.context, dt_session_capacity(dt_engine_session(engine)));
    if (context)
        assert_int_equal(now.context, context);
    return engine;
}

static void without_limits(void **state)
{
    (void)state;
    char line[512];
    struct dt_engine *engine = opened((struct dt_engine_options){0}, 4096, DT_CONTEXT_USUAL);
    assert_int_equal(warnings, 0);
    assert_non_null(strstr(dt_engine_context_note(engine, line, sizeof line), "131072"));
    dt_engine_free(engine);
    dt_engine_free(
        opened((struct dt_engine_options){.context_at_least = 5000}, 5000, DT_CONTEXT_USUAL));
    engine = opened((struct dt_engine_options){.context = TRAINED}, TRAINED, DT_CONTEXT_ASKED);
    assert_string_equal(dt_engine_context_note(engine, line, sizeof line), "");
    assert_int_equal(warnings, 0);
    dt_engine_free(engine);
    engine = opened((struct dt_engine_options){.context = 77}, 77, DT_CONTEXT_ASKED);
    assert_string_equal(dt_engine_context_note(engine, line, sizeof line), "");
    dt_engine_free(engine);
    engine =
        opened((struct dt_engine_options){.context = TRAINED + 1}, TRAINED + 1, DT_CONTEXT_ASKED);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warning, "131073"));
    assert_non_null(strstr(warning, "RoPE"));
    dt_engine_free(engine);
}

// The context that an error names.
static uint32_t named(const struct dt_error *err)
{
    const char *at = strstr(err->message, "; -c ");
    unsigned context = 0;
    if (!at || sscanf(at, "; -c %u fits", &context) != 1)
        fail_msg("no context is named: %s", err->message);
    return context;
}

static void what_memory_allows(void **state)
{
    (void)state;
    static const size_t limits[] = {400000, 600000, 800000, 1000000};
    uint32_t before = 0;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct dt_error err = {0};
        struct dt_engine *engine =
            opened((struct dt_engine_options){.memory_limit = limits[i]}, 0, DT_CONTEXT_MEMORY);
        uint32_t context = dt_session_capacity(dt_engine_session(engine));
        assert_int_equal(context % 64, 0);
        assert_true(context > before && context < 4096);
        assert_true(atomic_load(&dt_engine_account(engine)->used) <= limits[i]);
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(warning, "131072"));
        before = context;

        // a longer one is refused, and the one that is named is made; nothing changes in between
        assert_int_equal(dt_engine_set_context(engine, 100000, &err), DT_NO_MEMORY);
        assert_int_equal(dt_session_capacity(dt_engine_session(engine)), context);
        dt_engine_free(engine);

        engine =
            engine_of((struct dt_engine_options){.context = 100000, .memory_limit = limits[i]});
        assert_int_equal(dt_engine_prepare(engine, model_path, NULL, NULL, &err), DT_OK);
        assert_int_equal(dt_engine_start(engine, NULL, NULL, &err), DT_NO_MEMORY);
        assert_non_null(strstr(err.message, "--mem-limit"));
        dt_engine_free(engine);
        uint32_t fits = named(&err);
        assert_true(fits >= context && fits < 2 * context + 256);
        engine = opened((struct dt_engine_options){.context = fits, .memory_limit = limits[i]},
                        fits, DT_CONTEXT_ASKED);
        dt_engine_free(engine);
        engine =
            engine_of((struct dt_engine_options){.context = 2 * fits, .memory_limit = limits[i]});
        assert_int_equal(dt_engine_open(engine, model_path, NULL, &err), DT_NO_MEMORY);
        dt_engine_free(engine);
    }
}

static void changed_while_open(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_engine_plan now;
    struct dt_engine *engine = opened(
        (struct dt_engine_options){.context = 256, .memory_limit = 1000000}, 256, DT_CONTEXT_ASKED);
    assert_int_equal(dt_engine_set_context(engine, 50000, &err), DT_NO_MEMORY);
    uint32_t fits = named(&err), token = 1;
    assert_true(fits > 256 && fits < 50000);
    assert_int_equal(dt_session_capacity(dt_engine_session(engine)), 256);
    assert_int_equal(dt_engine_eval(engine, &token, 1, &err), DT_OK);
    assert_int_equal(dt_engine_set_context(engine, fits, &err), DT_OK);
    assert_int_equal(dt_session_capacity(dt_engine_session(engine)), fits);
    assert_int_equal(dt_engine_eval(engine, &token, 1, &err), DT_OK);
    // back to the default, with the memory of before
    assert_int_equal(dt_engine_set_context(engine, 64, &err), DT_OK);
    assert_int_equal(dt_engine_set_context(engine, 0, &err), DT_OK);
    dt_engine_memory(engine, &now);
    assert_int_equal(now.context_reason, DT_CONTEXT_MEMORY);
    assert_true(now.context >= 64 && now.context < 4096);
    dt_engine_free(engine);
    // a limit that not even the shortest context meets is an error about that
    engine = engine_of((struct dt_engine_options){.memory_limit = 50000});
    assert_int_equal(dt_engine_open(engine, model_path, NULL, &err), DT_NO_MEMORY);
    assert_null(strstr(err.message, "; -c "));
    dt_engine_free(engine);
}

// A small model whose context is long.
static int make_model(void **state)
{
    (void)state;
    const struct synth_shape shape = {.dim = 32,
                                      .hidden = 48,
                                      .layers = 2,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .vocab = 300,
                                      .context = TRAINED,
                                      .shared = true,
                                      .seed = 3};
    const struct synth_gguf plain = {0};
    struct synth model = {0};
    synth_gguf(&model, &shape, &plain);
    int fd = mkstemp(model_path);
    bool good = fd >= 0 && write(fd, model.bytes, model.n) == (ssize_t)model.n && close(fd) == 0;
    synth_free(&model);
    dt_log_set(on_log, NULL, DT_LOG_WARNING);
    return good ? 0 : -1;
}

static int remove_model(void **state)
{
    (void)state;
    return unlink(model_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_choice),
        cmocka_unit_test(without_limits),
        cmocka_unit_test(what_memory_allows),
        cmocka_unit_test(changed_while_open),
    };
    return cmocka_run_group_tests_name("context", tests, make_model, remove_model);
}
