// SPDX-License-Identifier: MIT
// Several sessions evaluated together: each has the bits that it has alone, whatever the others do.
// Checked for random models, stacks, packing, threads, batches, lengths and orders.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
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

#define SESSIONS 6u
#define ROUNDS   24u

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t pick(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

static char model_path[] = "/tmp/duotale-together-XXXXXX";

static struct dt_engine *open_engine(const struct dt_engine_options *options)
{
    struct dt_error err = {0};
    struct dt_engine *engine;
    assert_int_equal(dt_engine_new(&engine, options, &err), DT_OK);
    if (dt_engine_open(engine, model_path, NULL, &err) != DT_OK)
        fail_msg("%s: %s: %s", options->stack, err.file, err.message);
    return engine;
}

static void write_model(const struct synth *model)
{
    FILE *f = fopen(model_path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(model->bytes, 1, model->n, f), model->n);
    assert_int_equal(fclose(f), 0);
}

// The names of the stacks that run here.
static size_t all_stacks(char (*out)[64], size_t capacity)
{
    struct dt_engine *engine;
    size_t n = 0;
    assert_int_equal(dt_engine_new(&engine, NULL, NULL), DT_OK);
    struct dt_registry *registry = dt_engine_registry(engine);
    for (size_t i = 0; i < dt_registry_count(registry) && n < capacity; i++) {
        const struct dt_backend_info *b = dt_registry_at(registry, i);
        if (!b->reason && b->table->form_count > 0)
            snprintf(out[n++], 64, "%s%s%s", b->name, *b->variant ? "@" : "", b->variant);
    }
    dt_engine_free(engine);
    return n;
}

// ---- one text and what it must be ----

struct text {
    uint32_t tokens[100], count;
    float *expected;  // of every position, evaluated alone
    atomic_int stop;  // its cancel flag
    uint32_t checked; // positions compared
    uint32_t vocab;
    int differ;     // set by a sink on any thread
    uint32_t shown; // calls of the sink in this pass
};

static int compare(void *arg, uint32_t position, const float *logits)
{
    struct text *t = arg;
    if (memcmp(logits, t->expected + (size_t)position * t->vocab, t->vocab * sizeof *logits) != 0)
        __atomic_store_n(&t->differ, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&t->shown, 1, __ATOMIC_RELAXED);
    return 0;
}

static int note(void *arg, uint32_t position, const float *logits)
{
    struct text *t = arg;
    memcpy(t->expected + (size_t)position * t->vocab, logits, t->vocab * sizeof *logits);
    return 0;
}

static void evaluate_alone(struct dt_engine *alone, struct text *t, uint32_t vocab,
                           uint32_t context)
{
    struct dt_error err = {0};
    uint32_t most = context < t->count ? context : t->count;
    t->vocab = vocab;
    t->expected = malloc((size_t)most * vocab * sizeof *t->expected);
    assert_non_null(t->expected);
    dt_session_truncate(dt_engine_session(alone), 0);
    assert_int_equal(dt_session_eval(dt_engine_session(alone), t->tokens, most, note, t, &err),
                     DT_OK);
}

static void check_last(struct dt_engine *together, struct text *t, uint32_t index)
{
    struct dt_session *s = dt_engine_session_at(together, index);
    uint32_t position = dt_session_position(s);
    const float *logits = dt_session_logits(s);
    if (!logits)
        return;
    assert_true(position > 0);
    assert_memory_equal(logits, t->expected + (size_t)(position - 1) * t->vocab,
                        t->vocab * sizeof *logits);
    t->checked++;
}

// ---- a pass of some of them ----

struct pass {
    struct dt_session_part part[SESSIONS];
    struct dt_error err[SESSIONS];
    uint32_t index[SESSIONS], before[SESSIONS], count;
    dt_status expected[SESSIONS];
};

static void add_part(struct pass *p, struct dt_engine *together, struct text *texts, uint32_t i)
{
    struct text *t = &texts[i];
    struct dt_session *s = dt_engine_session_at(together, i);
    uint32_t at = dt_session_position(s), left = t->count - at, n = p->count++;
    uint32_t count = left == 0 ? 0 : pick(3) ? 1 : 1 + pick(left);
    bool sink = pick(3) == 0, full = count > dt_session_capacity(s) - at;
    p->index[n] = i;
    p->before[n] = at;
    p->expected[n] = full ? DT_CONTEXT_FULL : DT_OK;
    t->shown = 0;
    atomic_store(&t->stop, 0);
    if (!full && count > 0 && pick(12) == 0) {
        atomic_store(&t->stop, 1);
        p->expected[n] = DT_CANCELLED;
    }
    p->part[n] = (struct dt_session_part){
        .session = s,
        .tokens = t->tokens + at,
        .count = count,
        .sink = sink ? compare : NULL,
        .sink_arg = t,
        .concurrent = pick(2),
        .no_logits = !sink && pick(4) == 0,
        .err = &p->err[n],
    };
}

static void run_pass(struct pass *p, struct dt_engine *together, struct text *texts)
{
    struct dt_error err = {0};
    dt_status first = DT_OK;
    for (uint32_t n = 0; n < p->count && first == DT_OK; n++)
        first = p->expected[n];
    assert_int_equal(dt_engine_eval_parts(together, p->part, p->count, &err), first);
    assert_int_equal(err.status, first);
    for (uint32_t n = 0; n < p->count; n++) {
        struct text *t = &texts[p->index[n]];
        const struct dt_session_part *part = &p->part[n];
        bool good = p->expected[n] == DT_OK;
        assert_int_equal(part->status, p->expected[n]);
        assert_int_equal(dt_session_position(part->session),
                         p->before[n] + (good ? part->count : 0));
        assert_int_equal(t->differ, 0);
        assert_int_equal(t->shown, good && part->sink ? part->count : 0);
        t->checked += t->shown;
        if (good && part->count > 0)
            assert_int_equal(dt_session_logits(part->session) != NULL, !part->no_logits);
    }
}

static void round_of(const char *stack, uint32_t form)
{
    const struct synth_shape shape = {.dim = 64 + 64 * pick(2),
                                      .hidden = 96 + 32 * pick(3),
                                      .layers = 1 + pick(2),
                                      .heads = 4,
                                      .kv_heads = 1u << pick(3),
                                      .vocab = 300 + pick(90),
                                      .context = 24 + pick(40),
                                      .shared = pick(2),
                                      .seed = 1 + pick(1000)};
    const struct synth_gguf how = {.form = form};
    struct synth model = {0};
    synth_gguf(&model, &shape, &how);
    write_model(&model);
    synth_free(&model);
    struct dt_engine_options options = {.stack = stack,
                                        .threads = 1,
                                        .batch = 1,
                                        .kv_type = DT_KV_F32 + pick(3),
                                        .pack = DT_PACK_NEVER,
                                        .without_vocabulary = true};
    struct dt_engine *alone = open_engine(&options);
    options.threads = 1 + pick(3);
    options.batch = 1 + pick(40);
    options.pack = pick(2) ? DT_PACK_ALWAYS : DT_PACK_NEVER;
    options.sessions = 1 + pick(SESSIONS);
    struct dt_engine *together = open_engine(&options);
    assert_int_equal(dt_engine_sessions(together), options.sessions);
    assert_null(dt_engine_session_at(together, options.sessions));

    static struct text texts[SESSIONS];
    memset(texts, 0, sizeof texts);
    for (uint32_t i = 0; i < options.sessions; i++) {
        struct text *t = &texts[i];
        t->count = 4 + pick(shape.context); // some exceed the context
        for (uint32_t k = 0; k < t->count; k++)
            t->tokens[k] = pick(shape.vocab);
        evaluate_alone(alone, t, shape.vocab, shape.context);
        dt_session_set_cancel(dt_engine_session_at(together, i), &t->stop);
    }
    for (int step = 0; step < 60; step++) {
        struct pass p = {0};
        for (uint32_t i = 0; i < options.sessions; i++) {
            if (pick(4) != 0)
                add_part(&p, together, texts, i);
        }
        run_pass(&p, together, texts);
        for (uint32_t i = 0; i < options.sessions; i++) {
            if (pick(2))
                check_last(together, &texts[i], i);
            if (pick(20) == 0)
                dt_session_truncate(dt_engine_session_at(together, i), pick(texts[i].count));
        }
    }
    for (uint32_t i = 0; i < options.sessions; i++) {
        assert_true(texts[i].checked > 0);
        free(texts[i].expected);
    }
    dt_engine_free(together);
    dt_engine_free(alone);
}

static void each_has_the_bits_it_has_alone(void **state)
{
    (void)state;
    static const uint32_t forms[] = {DT_FORM_F32, DT_FORM_Q8_0, DT_FORM_Q4_0, DT_FORM_F16};
    static char stacks[40][64];
    size_t n = all_stacks(stacks, 40);
    assert_true(n > 0);
    for (uint32_t i = 0; i < ROUNDS; i++)
        round_of(stacks[i % n], forms[i / n % 4]);
}

// ---- samplers ----

#define STEPS 40u

// Sampled texts with a seed each, of a large vocabulary, with and without the shortlist.
static void each_samples_the_text_it_samples_alone(void **state)
{
    (void)state;
    const struct synth_shape shape = {.dim = 32,
                                      .hidden = 64,
                                      .layers = 2,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .vocab = 5000,
                                      .context = 64,
                                      .shared = true,
                                      .seed = 9};
    const struct synth_gguf how = {.form = DT_FORM_Q8_0};
    struct dt_error err = {0};
    struct synth model = {0};
    synth_gguf(&model, &shape, &how);
    write_model(&model);
    synth_free(&model);
    uint32_t alone[SESSIONS][STEPS];
    for (int round = 0; round < 4; round++) {
        struct dt_engine_options options = {.without_vocabulary = true,
                                            .threads = 1 + (uint32_t)round % 2,
                                            .without_shortlist = round / 2};
        struct dt_sampling sampling = {.temperature = 0.9f, .top_p = 0.9f, .repeat_penalty = 1};
        struct dt_engine *engine = open_engine(&options);
        for (uint32_t i = 0; i < SESSIONS; i++) {
            dt_session_truncate(dt_engine_session(engine), 0);
            sampling.temperature = i == 0 ? 0 : 0.9f; // one is greedy
            dt_engine_set_sampling(engine, &sampling, 100 + i);
            for (uint32_t k = 0, token = 1; k < STEPS; k++) {
                assert_int_equal(dt_engine_eval(engine, &token, 1, &err), DT_OK);
                alone[i][k] = token = dt_engine_next(engine);
            }
        }
        dt_engine_free(engine);
        options.sessions = SESSIONS;
        engine = open_engine(&options);
        uint32_t token[SESSIONS];
        for (uint32_t i = 0; i < SESSIONS; i++) {
            sampling.temperature = i == 0 ? 0 : 0.9f;
            dt_engine_set_sampling_at(engine, i, &sampling, 100 + i);
            token[i] = 1;
        }
        for (uint32_t k = 0; k < STEPS; k++) {
            struct dt_session_part part[SESSIONS] = {0};
            uint32_t n = 0;
            for (uint32_t i = 0; i < SESSIONS; i++) {
                if (k < STEPS - 5 * i) // they end at different times
                    part[n++] = (struct dt_session_part){.session = dt_engine_session_at(engine, i),
                                                         .tokens = &token[i],
                                                         .count = 1};
            }
            assert_int_equal(dt_engine_eval_parts(engine, part, n, &err), DT_OK);
            for (uint32_t i = 0; i < n; i++) {
                token[i] = dt_engine_next_at(engine, i);
                assert_int_equal(token[i], alone[i][k]);
            }
        }
        dt_engine_free(engine);
    }
}

// ---- copies, swaps and memory ----

static void a_copied_prefix_goes_on_as_if_evaluated(void **state)
{
    (void)state;
    static const uint32_t tokens[12] = {1, 20, 300, 4, 50, 6, 7, 80, 9, 10, 11, 12};
    struct dt_error err = {0};
    for (uint32_t kv = DT_KV_F32; kv <= DT_KV_I8; kv++) {
        struct dt_engine_options options = {
            .without_vocabulary = true, .sessions = 3, .threads = 1, .kv_type = kv};
        struct dt_engine *engine = open_engine(&options);
        struct dt_session *a = dt_engine_session_at(engine, 0),
                          *b = dt_engine_session_at(engine, 1),
                          *c = dt_engine_session_at(engine, 2);
        uint32_t vocab = dt_engine_model(engine)->hp.vocab;
        float *expected = malloc(vocab * sizeof *expected);
        assert_non_null(expected);
        assert_int_equal(dt_session_eval(a, tokens, 12, NULL, NULL, &err), DT_OK);
        memcpy(expected, dt_session_logits(a), vocab * sizeof *expected);
        assert_int_equal(dt_session_eval(b, tokens + 3, 7, NULL, NULL, &err), DT_OK);
        dt_session_copy(b, a, 8);
        dt_session_copy(c, a, 5);
        assert_int_equal(dt_session_position(b), 8);
        assert_int_equal(dt_session_common_prefix(c, tokens, 12), 5);
        assert_null(dt_session_logits(b));
        assert_memory_equal(dt_session_logits(a), expected, vocab * sizeof *expected);
        struct dt_session_part parts[2] = {
            {.session = c, .tokens = tokens + 5, .count = 7},
            {.session = b, .tokens = tokens + 8, .count = 4},
        };
        assert_int_equal(dt_session_eval_parts(parts, 2), DT_OK);
        for (uint32_t i = 0; i < 3; i++)
            assert_memory_equal(dt_session_logits(dt_engine_session_at(engine, i)), expected,
                                vocab * sizeof *expected);
        assert_int_equal(dt_engine_swap(engine, "reference", NULL, NULL, &err), DT_OK);
        for (uint32_t i = 0; i < 3; i++) // a swap keeps the logits of all
            assert_memory_equal(dt_session_logits(dt_engine_session_at(engine, i)), expected,
                                vocab * sizeof *expected);
        free(expected);
        dt_engine_free(engine);
    }
}

static atomic_int stop_b;

static int stop_other(void *arg, uint32_t position, const float *logits)
{
    (void)arg;
    (void)logits;
    if (position == 4)
        atomic_store(&stop_b, 1);
    return position == 20;
}

// A flag of one session stops it between passes, and a sink its own; the others go on.
static void one_that_is_stopped_stops_alone(void **state)
{
    (void)state;
    uint32_t tokens[40] = {0};
    struct dt_error err[3] = {0};
    struct dt_engine_options options = {
        .without_vocabulary = true, .sessions = 3, .threads = 1, .batch = 12};
    struct dt_engine *engine = open_engine(&options);
    struct dt_session_part parts[3];
    static const uint32_t counts[3] = {8, 30, 28};
    for (uint32_t i = 0; i < 3; i++)
        parts[i] = (struct dt_session_part){.session = dt_engine_session_at(engine, i),
                                            .tokens = tokens,
                                            .count = counts[i],
                                            .sink = i == 1 ? NULL : stop_other,
                                            .err = &err[i]};
    dt_session_set_cancel(parts[1].session, &stop_b);
    assert_int_equal(dt_session_eval_parts(parts, 3), DT_CANCELLED);
    assert_int_equal(parts[0].status, DT_OK);
    assert_int_equal(dt_session_position(parts[0].session), 8);
    assert_non_null(dt_session_logits(parts[0].session));
    // the first pass was 8 columns of 0 and 4 of 1, which was stopped then
    assert_int_equal(parts[1].status, DT_CANCELLED);
    assert_int_equal(dt_session_position(parts[1].session), 4);
    assert_string_equal(err[1].message, "stopped after 4 of 30 tokens");
    assert_null(dt_session_logits(parts[1].session));
    // 12 columns, then those up to the sink's refusal, which do not count
    assert_int_equal(parts[2].status, DT_CANCELLED);
    assert_int_equal(dt_session_position(parts[2].session), 12);
    assert_null(dt_session_logits(parts[2].session));
    dt_engine_free(engine);
}

static void more_sessions_are_in_the_plan(void **state)
{
    (void)state;
    struct dt_error err = {0};
    size_t kv = 0;
    for (uint32_t n = 1; n <= 64; n *= 8) {
        struct dt_engine_options options = {.without_vocabulary = true, .sessions = n};
        struct dt_engine *engine;
        struct dt_engine_plan plan, now;
        assert_int_equal(dt_engine_new(&engine, &options, &err), DT_OK);
        assert_int_equal(dt_engine_prepare(engine, model_path, NULL, &plan, &err), DT_OK);
        assert_int_equal(dt_engine_start(engine, NULL, NULL, &err), DT_OK);
        dt_engine_memory(engine, &now);
        kv = n == 1 ? plan.session.kv : kv;
        assert_int_equal(plan.session.kv, n * kv);
        assert_int_equal(now.session.own, plan.session.own);
        assert_true(now.total <= plan.total);
        dt_engine_free(engine);
    }
    struct dt_engine_options options = {.without_vocabulary = true, .sessions = 65};
    struct dt_engine *engine;
    assert_int_equal(dt_engine_new(&engine, &options, &err), DT_OK);
    assert_int_equal(dt_engine_open(engine, model_path, NULL, &err), DT_USAGE);
    dt_engine_free(engine);
}

static int make_home(void **state)
{
    (void)state;
    const char *build = getenv("DT_BUILD_ROOT");
    dt_modules_set_home(build ? build : ".");
    int fd = mkstemp(model_path);
    return fd >= 0 && close(fd) == 0 ? 0 : -1;
}

static int remove_model(void **state)
{
    (void)state;
    return unlink(model_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_the_bits_it_has_alone),
        cmocka_unit_test(each_samples_the_text_it_samples_alone),
        cmocka_unit_test(a_copied_prefix_goes_on_as_if_evaluated),
        cmocka_unit_test(one_that_is_stopped_stops_alone),
        cmocka_unit_test(more_sessions_are_in_the_plan),
    };
    return cmocka_run_group_tests_name("together", tests, make_home, remove_model);
}
