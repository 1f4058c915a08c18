// SPDX-License-Identifier: MIT
// The engine: swaps in the middle of a story, errors that change nothing, threads, released memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/engine.h"
#include "host/modules/modules.h"
#include "synth.h"

#define TOKENS 48u

static char model_path[] = "/tmp/duotale-engine-XXXXXX";

static struct dt_engine *open_engine(const char *stack, size_t limit)
{
    struct dt_error err = {0};
    struct dt_engine *engine;
    struct dt_engine_options options = {.stack = stack,
                                        .threads = 2,
                                        .context = 128,
                                        .memory_limit = limit,
                                        .without_vocabulary = true};
    assert_int_equal(dt_engine_new(&engine, &options, &err), DT_OK);
    if (dt_engine_open(engine, model_path, NULL, &err) != DT_OK)
        fail_msg("%s: %s", err.file, err.message);
    return engine;
}

// Evaluates the last token (BOS at first) and samples the next one.
static uint32_t step(struct dt_engine *engine, uint32_t token)
{
    struct dt_error err = {0};
    assert_int_equal(dt_engine_eval(engine, &token, 1, &err), DT_OK);
    return dt_engine_next(engine);
}

static void begin(struct dt_engine *engine)
{
    static const struct dt_sampling sampling = {
        .temperature = 0.9f, .top_p = 0.9f, .repeat_penalty = 1};
    dt_session_truncate(dt_engine_session(engine), 0);
    dt_engine_set_sampling(engine, &sampling, 17);
}

static void story(struct dt_engine *engine, uint32_t *out)
{
    begin(engine);
    uint32_t token = 1;
    for (uint32_t i = 0; i < TOKENS; i++)
        out[i] = token = step(engine, token);
}

// Writes the names of all usable stacks, reference first, at most `capacity`.
static size_t all_stacks(struct dt_engine *engine, char (*out)[64], size_t capacity)
{
    size_t n = 0;
    struct dt_registry *registry = dt_engine_registry(engine);
    for (size_t i = 0; i < dt_registry_count(registry) && n + 1 < capacity; i++) {
        const struct dt_backend_info *b = dt_registry_at(registry, i);
        if (b->reason)
            continue;
        bool alone = b->table->form_count > 0;
        snprintf(out[n++], 64, "%s%s%s%s", alone ? "" : "reference+", b->name,
                 *b->variant ? "@" : "", b->variant);
        if (alone && strcmp(b->name, "reference") != 0 && n + 1 < capacity)
            snprintf(out[n++], 64, "%s%s%s+fastexp", b->name, *b->variant ? "@" : "", b->variant);
    }
    return n;
}

static void swapping_exact_stacks_keeps_the_text(void **state)
{
    (void)state;
    uint32_t plain[TOKENS], token = 1;
    struct dt_error err = {0};
    struct dt_engine *engine = open_engine("reference", 0);
    story(engine, plain);
    if (dt_engine_swap(engine, "int8", NULL, NULL, &err) != DT_OK) {
        print_message("skipped: no int8 module here: %s\n", err.message);
        dt_engine_free(engine);
        return;
    }
    begin(engine);
    for (uint32_t i = 0; i < TOKENS; i++) {
        token = step(engine, token);
        assert_int_equal(token, plain[i]);
        const struct dt_session *before = dt_engine_session(engine);
        assert_int_equal(dt_engine_swap(engine, i % 2 ? "int8" : "reference", NULL, NULL, &err),
                         DT_OK);
        assert_ptr_equal(before, dt_engine_session(engine));
        assert_int_equal(dt_session_position(dt_engine_session(engine)), i + 1);
    }
    dt_engine_free(engine);
}

static void a_thousand_swaps_leak_nothing(void **state)
{
    (void)state;
    static char stacks[40][64];
    struct dt_error err = {0};
    struct dt_engine *engine = open_engine("reference", 0);
    size_t n = all_stacks(engine, stacks, 40),
           before = atomic_load(&dt_engine_account(engine)->used);
    uint32_t token = 1;
    assert_true(n > 0);
    begin(engine);
    for (int i = 0; i < 1000; i++) {
        if (dt_engine_swap(engine, stacks[(size_t)i * 7 % n], NULL, NULL, &err) != DT_OK &&
            strcmp(stacks[(size_t)i * 7 % n], "reference+fastexp") != 0 &&
            !strstr(err.message, "fastexp"))
            fail_msg("%s: %s", stacks[(size_t)i * 7 % n], err.message);
        if (i % 25 == 0) {
            if (dt_session_position(dt_engine_session(engine)) ==
                dt_session_capacity(dt_engine_session(engine)))
                begin(engine);
            token = step(engine, token);
        }
    }
    assert_int_equal(dt_engine_swap(engine, "reference", NULL, NULL, &err), DT_OK);
    assert_int_equal(atomic_load(&dt_engine_account(engine)->used), before);
    dt_engine_close(engine);
    assert_int_equal(atomic_load(&dt_engine_account(engine)->used), 0);
    dt_engine_free(engine);
}

static void a_refused_swap_changes_nothing(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_engine *probe = open_engine("reference", 0);
    size_t just_enough = atomic_load(&dt_engine_account(probe)->used) + 4096;
    uint32_t plain[TOKENS], token = 1;
    story(probe, plain);
    dt_engine_free(probe);

    struct dt_engine *engine = open_engine("reference", just_enough);
    begin(engine);
    for (uint32_t i = 0; i < TOKENS; i++) {
        size_t used = atomic_load(&dt_engine_account(engine)->used);
        assert_int_equal(dt_engine_swap(engine, "nonsense", NULL, NULL, &err), DT_USAGE);
        assert_int_equal(dt_engine_swap(engine, "int8+", NULL, NULL, &err), DT_USAGE);
        dt_status status = dt_engine_swap(engine, "fp32", NULL, NULL,
                                          &err); // needs a copy of the weights in floats
        assert_true(status == DT_NO_MEMORY || status == DT_USAGE);
        assert_int_equal(atomic_load(&dt_engine_account(engine)->used), used);
        assert_string_equal(dt_engine_stack_name(engine), "reference");
        token = step(engine, token);
        assert_int_equal(token, plain[i]);
    }
    dt_engine_free(engine);
}

static void threads_change_in_mid_story(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 3, 2, 5, 1, 4};
    struct dt_error err = {0};
    struct dt_engine *engine = open_engine("auto", 0);
    uint32_t plain[TOKENS], token = 1;
    story(engine, plain);
    begin(engine);
    for (uint32_t i = 0; i < TOKENS; i++) {
        assert_int_equal(dt_engine_set_threads(engine, counts[i % 6], &err), DT_OK);
        assert_int_equal(dt_engine_threads(engine), counts[i % 6]);
        token = step(engine, token);
        assert_int_equal(token, plain[i]);
    }
    assert_int_not_equal(dt_engine_set_threads(engine, 1000, &err), DT_OK);
    assert_int_equal(dt_engine_threads(engine), counts[(TOKENS - 1) % 6]);
    dt_engine_free(engine);
}

static void another_context_makes_another_session(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_engine *engine = open_engine("auto", 0);
    uint32_t plain[TOKENS], again[TOKENS];
    story(engine, plain);
    assert_int_equal(dt_engine_set_context(engine, 64, &err), DT_OK);
    assert_int_equal(dt_session_capacity(dt_engine_session(engine)), 64);
    assert_int_equal(dt_session_position(dt_engine_session(engine)), 0);
    story(engine, again);
    assert_memory_equal(plain, again, sizeof plain);
    dt_engine_account(engine)->limit = atomic_load(&dt_engine_account(engine)->used) + 1000;
    assert_int_equal(dt_engine_set_context(engine, 100000, &err), DT_NO_MEMORY);
    assert_int_equal(dt_session_capacity(dt_engine_session(engine)), 64);
    dt_engine_free(engine);
}

static void cancelled_evaluation_goes_on_afterwards(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_engine *engine = open_engine("auto", 0);
    uint32_t token = 1, prompt[40] = {1};
    begin(engine);
    token = step(engine, token);
    dt_engine_cancel(engine);
    assert_true(dt_engine_cancelled(engine));
    assert_int_equal(dt_engine_eval(engine, prompt, 40, &err), DT_CANCELLED);
    dt_engine_uncancel(engine);
    assert_int_equal(dt_session_position(dt_engine_session(engine)), 1);
    assert_int_equal(dt_engine_eval(engine, prompt, 40, &err), DT_OK);
    assert_int_equal(dt_session_position(dt_engine_session(engine)), 41);
    dt_engine_free(engine);
}

static void plans_hold(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_engine *engine;
    struct dt_engine_plan plan, now;
    struct dt_engine_options options = {.threads = 1, .context = 128, .without_vocabulary = true};
    assert_int_equal(dt_engine_new(&engine, &options, &err), DT_OK);
    assert_int_equal(dt_engine_prepare(engine, model_path, NULL, &plan, &err), DT_OK);
    assert_false(dt_engine_is_open(engine));
    assert_int_equal(dt_engine_start(engine, NULL, NULL, &err), DT_OK);
    dt_engine_memory(engine, &now);
    assert_true(now.total <= plan.total);             // the plan is an upper bound
    assert_true(now.total + (1u << 20) > plan.total); // and a close one
    assert_int_equal(now.session.own, plan.session.own);
    assert_int_equal(dt_engine_swap_plan(engine, "reference", &plan, &err), DT_OK);
    assert_int_equal(plan.weights.copied_bytes, 0);
    dt_engine_free(engine);
}

// A small synthetic int8 model.
static int make_home(void **state)
{
    (void)state;
    const char *build = getenv("DT_BUILD_ROOT");
    const struct synth_shape shape = {.dim = 64,
                                      .hidden = 96,
                                      .layers = 2,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .vocab = 512,
                                      .context = 128,
                                      .shared = true,
                                      .group = 32,
                                      .seed = 3};
    struct synth model = {0};
    dt_modules_set_home(build ? build : ".");
    synth_llama2c(&model, &shape, 2);
    int fd = mkstemp(model_path);
    bool good = fd >= 0 && write(fd, model.bytes, model.n) == (ssize_t)model.n && close(fd) == 0;
    synth_free(&model);
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
        cmocka_unit_test(swapping_exact_stacks_keeps_the_text),
        cmocka_unit_test(a_thousand_swaps_leak_nothing),
        cmocka_unit_test(a_refused_swap_changes_nothing),
        cmocka_unit_test(threads_change_in_mid_story),
        cmocka_unit_test(another_context_makes_another_session),
        cmocka_unit_test(cancelled_evaluation_goes_on_afterwards),
        cmocka_unit_test(plans_hold),
    };
    return cmocka_run_group_tests_name("engine", tests, make_home, remove_model);
}
