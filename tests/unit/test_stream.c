// SPDX-License-Identifier: MIT
// Streamed weights: the plan covers every byte once and keeps to its budget; the logits are those
// of mapped weights for every budget; media that are slow, give little, fail or end.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/formats/open_model.h"
#include "core/quant/k_block.h"
#include "core/session.h"
#include "host/clock.h"
#include "host/engine.h"
#include "host/stream/stream.h"
#include "host/threads.h"
#include "synth.h"

#define BUDGETS 40
#define TOKENS  7u
#define VOCAB   300u

static char path[] = "/tmp/duotale-stream-XXXXXX";
static uint64_t seed = 88172645463325252ull;

static uint32_t pick(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

static const struct kind {
    const char *name;
    uint32_t form, group; // group: llama2.c version 2
    bool shared;
} kinds[] = {
    {"f32", DT_FORM_F32, 0, true},    {"q8_0", DT_FORM_Q8_0, 0, false},
    {"q4_0", DT_FORM_Q4_0, 0, false}, {"i8", DT_FORM_I8, 32, true},
    {"q4_k", DT_FORM_Q4_K, 0, false}, {"q5_k", DT_FORM_Q5_K, 0, false},
    {"q6_k", DT_FORM_Q6_K, 0, true},
};

static void write_model(const struct kind *kind)
{
    struct synth_shape shape = {.dim = 64,
                                .hidden = 160,
                                .layers = 3,
                                .heads = 4,
                                .kv_heads = 2,
                                .vocab = VOCAB,
                                .context = 32,
                                .shared = kind->shared,
                                .group = kind->group,
                                .seed = 7};
    struct synth s = {0};
    struct synth_gguf how = {.form = kind->form};
    if (dt_k_has(kind->form)) {
        shape.dim = shape.hidden = DT_K_VALUES;
        shape.layers = 1;
    }
    if (kind->group)
        synth_llama2c(&s, &shape, 2);
    else
        synth_gguf(&s, &shape, &how);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(s.bytes, 1, s.n, f), s.n);
    fclose(f);
    synth_free(&s);
}

// ---- a model with a session of the reference ----

struct rig {
    struct dt_model_files files;
    struct dt_model model;
    struct dt_stack stack;
    struct dt_weights weights;
    struct dt_account account;
    struct dt_services services;
    struct dt_threads *threads;
    struct dt_stream *stream;
    struct dt_session *session;
    void *blocks[4];
};

static void *block(struct rig *r, int i, size_t bytes)
{
    size_t whole = (bytes + DT_ALIGN - 1) / DT_ALIGN * DT_ALIGN;
    r->blocks[i] = aligned_alloc(DT_ALIGN, whole + DT_ALIGN);
    assert_non_null(r->blocks[i]);
    return memset(r->blocks[i], 0, whole);
}

static void parallel_for(void *host, dt_loop_body *body, void *arg, uint32_t count, uint32_t grain)
{
    struct rig *r = host;
    dt_threads_for(r->threads, body, arg, count, grain);
}

static void open_rig(struct rig *r, uint32_t threads)
{
    struct dt_error err = {0};
    struct dt_model_part parts[DT_MODEL_FILES_MAX];
    memset(r, 0, sizeof *r);
    assert_int_equal(dt_model_files_map(&r->files, path, &err), DT_OK);
    uint32_t count = dt_model_files_parts(&r->files, parts);
    size_t bytes = dt_model_measure_parts(parts, count, NULL, &err);
    struct dt_arena arena = dt_arena_over(block(r, 0, bytes), bytes);
    assert_int_equal(dt_model_open_parts(parts, count, NULL, &arena, &r->model, &err), DT_OK);
    assert_int_equal(dt_stack_make(&r->stack, NULL, 0, &err), DT_OK);
    struct dt_weights_plan plan;
    assert_int_equal(dt_weights_plan(&r->model, &r->stack, DT_PACK_NEVER, &plan, &err), DT_OK);
    if (plan.copied_bytes)
        fail_msg("the reference copies %zu bytes", plan.copied_bytes);
    arena = dt_arena_over(block(r, 1, plan.arena_bytes), plan.arena_bytes);
    assert_int_equal(dt_weights_build(&r->model, &r->stack, DT_PACK_NEVER, &arena, NULL, NULL, NULL,
                                      &r->weights, &err),
                     DT_OK);
    assert_int_equal(dt_threads_new(&r->threads, threads, &err), DT_OK);
    r->services =
        (struct dt_services){.size = sizeof r->services, .host = r, .parallel_for = parallel_for};
    r->model.weight_bytes = 64u << 20; // small work is split too
    struct dt_session_options options = {.threads = threads, .batch = 4};
    struct dt_session_bytes need;
    assert_int_equal(
        dt_session_measure(&r->weights, &r->stack, &options, &r->services, &need, &err), DT_OK);
    arena = dt_arena_over(block(r, 2, need.own), need.own);
    struct dt_arena scratch = dt_arena_over(block(r, 3, need.scratch), need.scratch);
    assert_int_equal(dt_session_init(&r->session, &r->weights, &r->stack, &options, &r->services,
                                     &arena, &scratch, &err),
                     DT_OK);
}

static dt_status attach(struct rig *r, const struct dt_stream_options *options,
                        struct dt_error *err)
{
    dt_status status = dt_stream_new(&r->stream, &r->model, &r->files, &r->account, options, err);
    return status == DT_OK ? dt_stream_attach(r->stream, &r->weights, err) : status;
}

static void close_rig(struct rig *r)
{
    dt_stream_free(r->stream);
    dt_threads_free(r->threads);
    dt_model_files_unmap(&r->files);
    for (int i = 0; i < 4; i++)
        free(r->blocks[i]);
    assert_int_equal(atomic_load(&r->account.used), 0);
}

// The logits of a prompt of 6 tokens in two batches, and of single tokens after it.
static void logits_of(struct rig *r, float *out)
{
    static const uint32_t prompt[] = {1, 17, 250, 3, 80, 299};
    struct dt_error err = {0};
    dt_session_truncate(r->session, 0);
    assert_int_equal(dt_session_eval(r->session, prompt, 6, NULL, NULL, &err), DT_OK);
    for (uint32_t i = 0; i < TOKENS; i++) {
        memcpy(out + i * VOCAB, dt_session_logits(r->session), VOCAB * sizeof *out);
        uint32_t token = 5 * i + 2;
        assert_int_equal(dt_session_eval(r->session, &token, 1, NULL, NULL, &err), DT_OK);
    }
}

// ---- the plan ----

static void check_plan(const struct rig *r, const struct dt_stream_limits *limits)
{
    struct dt_stream_plan plan;
    struct dt_stream_piece *p;
    struct dt_error err = {0};
    dt_status status = dt_stream_make_plan(&r->model, &r->files, limits, &plan, &p, &err);
    if (status == DT_NO_MEMORY)
        return;
    assert_int_equal(status, DT_OK);
    size_t used = plan.pinned_bytes + plan.buffers * plan.buffer_bytes, bytes = 0, pinned = 0;
    uint32_t at = 0, reads = 0, count = dt_weights_count(&r->model);
    assert_true(used <= limits->budget);
    for (uint32_t i = 0; i < count; i++) {
        const struct dt_matrix *w = dt_weights_matrix(&r->model, i);
        for (uint32_t row = 0; row < w->rows; row = p[at++].end) {
            assert_true(at < plan.pieces);
            assert_int_equal(p[at].index, i);
            assert_int_equal(p[at].begin, row);
            assert_true(row % DT_STREAM_ROWS == 0 && p[at].end > row && p[at].end <= w->rows);
            assert_int_equal(p[at].place, p[at].pinned ? UINT32_MAX : reads);
            reads += !p[at].pinned;
            for (uint32_t k = 0; k < p[at].extents; k++) {
                bytes += p[at].extent[k].bytes;
                pinned += p[at].pinned ? p[at].extent[k].bytes : 0;
                assert_true(p[at].extent[k].at + p[at].extent[k].bytes <= r->files.file[0].size);
            }
        }
    }
    assert_int_equal(at, plan.pieces);
    assert_int_equal(reads, plan.reads);
    assert_int_equal(bytes, plan.weight_bytes);
    assert_int_equal(pinned, plan.pinned_weights);
    assert_int_equal(bytes - pinned, plan.read_bytes);
    free(p);
}

static void plans_cover_all_rows_and_keep_to_the_budget(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct rig r;
        write_model(&kinds[k]);
        open_rig(&r, 1);
        for (int i = 0; i < 200; i++)
            check_plan(&r, &(struct dt_stream_limits){.budget = pick(2000000),
                                                      .piece_bytes = 512 + pick(40000),
                                                      .buffers = 3 + pick(4)});
        close_rig(&r);
    }
}

// What does not fit is spread over the order of use: no half of it has all that is read.
static void pinned_pieces_are_spread(void **state)
{
    (void)state;
    struct rig r;
    struct dt_stream_plan plan;
    struct dt_stream_piece *p;
    write_model(&kinds[0]);
    open_rig(&r, 1);
    struct dt_stream_limits limits = {.budget = 400000, .piece_bytes = 8192, .buffers = 3};
    assert_int_equal(dt_stream_make_plan(&r.model, &r.files, &limits, &plan, &p, NULL), DT_OK);
    uint32_t first = 0;
    for (uint32_t i = 0; i < plan.pieces / 2; i++)
        first += p[i].pinned;
    uint32_t all = plan.pieces - plan.reads;
    assert_true(all > 10 && first > all / 4 && first < all - all / 4);
    free(p);
    close_rig(&r);
}

// ---- media ----

struct medium {
    int fd;
    pthread_mutex_t lock;
    int64_t at_once;        // the most bytes of a read; 0: all
    uint64_t end;           // the file ends here; 0: where it does
    int fail_from, fail_to; // these reads fail
    int interrupted;        // so many reads are interrupted by a signal
    int reads;
    bool blocks; // reads wait
};

static int64_t read_medium(void *arg, uint32_t file, void *out, size_t n, uint64_t at)
{
    struct medium *m = arg;
    (void)file;
    pthread_mutex_lock(&m->lock);
    bool wait = m->blocks;
    uint64_t end = m->end;
    int number = m->reads++, error = number >= m->fail_from && number < m->fail_to ? EIO : 0;
    if (m->interrupted > 0 && m->interrupted-- > 0)
        error = EINTR;
    pthread_mutex_unlock(&m->lock);
    while (wait) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        pthread_mutex_lock(&m->lock);
        wait = m->blocks;
        pthread_mutex_unlock(&m->lock);
    }
    errno = error;
    if (error)
        return -1;
    if (end && at >= end)
        return 0;
    if (end && at + n > end)
        n = (size_t)(end - at);
    return pread(m->fd, out, m->at_once && n > (size_t)m->at_once ? (size_t)m->at_once : n,
                 (off_t)at);
}

static struct medium open_medium(void)
{
    struct medium m = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    assert_true(m.fd >= 0);
    pthread_mutex_init(&m.lock, NULL);
    return m;
}

// ---- the same logits ----

static void budgets_do_not_change_logits(void **state)
{
    (void)state;
    static float mapped[TOKENS * VOCAB], streamed[TOKENS * VOCAB];
    uint32_t with_reads = 0, with_pins = 0;
    struct medium m;
    const struct dt_stream_medium medium = {read_medium, &m}; // faster than the disk itself
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        write_model(&kinds[k]);
        m = open_medium();
        for (uint32_t threads = 1; threads <= 2; threads++) {
            struct rig r;
            open_rig(&r, threads);
            logits_of(&r, mapped);
            close_rig(&r);
            for (int i = 0; i < BUDGETS; i++) {
                struct dt_error err = {0};
                struct dt_stream_options options = {.limits = {.budget = 50000 + pick(900000),
                                                               .piece_bytes = 512 + pick(20000),
                                                               .buffers = 3 + pick(3)},
                                                    .medium = i % 20 ? &medium : NULL};
                open_rig(&r, threads);
                dt_status status = attach(&r, &options, &err);
                if (status != DT_NO_MEMORY) {
                    assert_int_equal(status, DT_OK);
                    logits_of(&r, streamed);
                    if (memcmp(mapped, streamed, sizeof mapped) != 0)
                        fail_msg("%s, %u threads, budget %llu, pieces of %zu: other logits",
                                 kinds[k].name, threads, (unsigned long long)options.limits.budget,
                                 options.limits.piece_bytes);
                    const struct dt_stream_plan *plan = dt_stream_plan_of(r.stream);
                    with_reads += plan->reads > 0;
                    with_pins += plan->pinned_weights > 0;
                }
                close_rig(&r);
            }
        }
        close(m.fd);
    }
    assert_true(with_reads > 60 && with_pins > 60); // or it tests little
}

static struct dt_engine *open_engine(struct medium *m, uint64_t budget, struct dt_error *err)
{
    static struct dt_stream_medium medium;
    static struct dt_stream_options stream;
    medium = (struct dt_stream_medium){read_medium, m};
    stream = (struct dt_stream_options){
        .limits = {.budget = budget, .piece_bytes = 8192, .buffers = 3}, .medium = &medium};
    struct dt_engine_options options = {.stack = "reference",
                                        .threads = 1,
                                        .weights = DT_WEIGHTS_STREAMED,
                                        .stream = &stream,
                                        .without_vocabulary = true};
    struct dt_engine *engine;
    assert_int_equal(dt_engine_new(&engine, &options, err), DT_OK);
    return engine;
}

// Opens the model, streamed from a medium of its own.
static struct dt_engine *open_streamed(struct medium *m, uint64_t budget)
{
    struct dt_error err = {0};
    struct dt_engine *engine = open_engine(m, budget, &err);
    if (dt_engine_open(engine, path, NULL, &err) != DT_OK)
        fail_msg("%s", err.message);
    return engine;
}

static void close_streamed(struct dt_engine *engine, struct medium *m)
{
    dt_engine_free(engine);
    close(m->fd);
}

static void set(struct medium *m, int from, int to, bool blocks)
{
    pthread_mutex_lock(&m->lock);
    m->fail_from = from < 0 ? 0 : m->reads + from;
    m->fail_to = from < 0 ? 0 : m->reads + to;
    m->blocks = blocks;
    pthread_mutex_unlock(&m->lock);
}

static void some_tokens(struct dt_engine *engine, uint32_t *out)
{
    struct dt_error err = {0};
    uint32_t token = 1;
    for (uint32_t i = 0; i < TOKENS; i++) {
        if (dt_engine_eval(engine, &token, 1, &err) != DT_OK)
            fail_msg("%s: %s", err.file, err.message);
        out[i] = token = dt_engine_next(engine);
    }
}

// The same from the first position on, and it must be the same.
static void same_tokens_again(struct dt_engine *engine, const uint32_t *right)
{
    static const struct dt_sampling llama2c = {
        .temperature = 1.0f, .top_p = 0.9f, .repeat_penalty = 1.0f};
    uint32_t again[TOKENS];
    dt_session_truncate(dt_engine_session(engine), 0);
    dt_engine_set_sampling(engine, &llama2c, 1);
    some_tokens(engine, again);
    assert_memory_equal(right, again, sizeof again);
}

// Evaluates tokens until one fails, and returns why: what was read ahead is right. The position
// must be as before that token.
static dt_status evaluate_until_one_fails(struct dt_engine *engine, struct dt_error *err)
{
    uint32_t token = 1, before = dt_session_position(dt_engine_session(engine));
    dt_status status = DT_OK;
    for (int i = 0; i < 8 && status == DT_OK; i++) {
        before = dt_session_position(dt_engine_session(engine));
        status = dt_engine_eval(engine, &token, 1, err);
    }
    assert_int_equal(dt_session_position(dt_engine_session(engine)), before);
    return status;
}

static void short_and_interrupted_reads_are_continued(void **state)
{
    (void)state;
    uint32_t whole[TOKENS], parts[TOKENS];
    write_model(&kinds[0]);
    for (int i = 0; i < 2; i++) {
        struct medium m = open_medium();
        m.at_once = i ? 4096 + 100 : 0; // not a whole number of pages
        m.interrupted = i ? 3 : 0;
        struct dt_engine *engine = open_streamed(&m, 300000);
        some_tokens(engine, i ? parts : whole);
        close_streamed(engine, &m);
    }
    assert_memory_equal(whole, parts, sizeof whole);
}

// What fails once is read again.
static void a_read_that_fails_once_is_repeated(void **state)
{
    (void)state;
    uint32_t right[TOKENS], again[TOKENS];
    write_model(&kinds[3]);
    for (int i = 0; i < 2; i++) {
        struct medium m = open_medium();
        struct dt_engine *engine = open_streamed(&m, 120000);
        if (i)
            set(&m, 5, 6, false);
        some_tokens(engine, i ? again : right);
        assert_true(m.reads > 6);
        close_streamed(engine, &m);
    }
    assert_memory_equal(right, again, sizeof right);
}

// The token is not evaluated, the ones before it stay, and another attempt goes on.
static void a_failed_read_ends_the_token_only(void **state)
{
    (void)state;
    uint32_t right[TOKENS], token = 1;
    struct dt_error err = {0};
    struct dt_stream_facts facts;
    write_model(&kinds[3]);
    struct medium m = open_medium();
    struct dt_engine *engine = open_streamed(&m, 120000);
    some_tokens(engine, right);
    assert_int_equal(dt_session_position(dt_engine_session(engine)), TOKENS);
    set(&m, 2, 1000000, false);
    assert_int_equal(evaluate_until_one_fails(engine, &err), DT_BAD_INPUT);
    assert_non_null(strstr(err.message, "cannot be read at byte"));
    assert_non_null(strstr(err.message, strerror(EIO)));
    assert_string_equal(err.file, path);
    assert_int_equal(dt_engine_eval(engine, &token, 1, &err), DT_BAD_INPUT); // it still fails
    set(&m, -1, 0, false);
    assert_int_equal(dt_engine_eval(engine, &token, 1, &err), DT_OK);
    same_tokens_again(engine, right);
    assert_true(dt_engine_stream(engine, NULL, &facts));
    assert_true(facts.passes >= 2 * TOKENS && facts.read_bytes > 0);
    close_streamed(engine, &m);
}

static void a_file_that_ends_early_is_refused(void **state)
{
    (void)state;
    struct dt_error err = {0};
    write_model(&kinds[1]);
    for (int pinned = 0; pinned < 2; pinned++) {
        struct medium m = open_medium();
        m.end = pinned ? 20480 : 0;
        struct dt_engine *engine = open_engine(&m, pinned ? 1u << 30 : 120000, &err);
        dt_status status = dt_engine_open(engine, path, NULL, &err);
        if (!pinned) {
            assert_int_equal(status, DT_OK);
            pthread_mutex_lock(&m.lock);
            m.end = 20480;
            pthread_mutex_unlock(&m.lock);
            status = evaluate_until_one_fails(engine, &err);
        }
        assert_int_equal(status, DT_BAD_INPUT);
        assert_non_null(strstr(err.message, "truncated"));
        close_streamed(engine, &m);
    }
}

static void *cancel_soon(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    dt_engine_cancel(arg);
    return NULL;
}

// The medium answers nothing, and the evaluation ends nevertheless.
static void waiting_for_the_medium_can_be_cancelled(void **state)
{
    (void)state;
    uint32_t right[TOKENS];
    struct dt_error err = {0};
    pthread_t thread;
    write_model(&kinds[0]);
    struct medium m = open_medium();
    struct dt_engine *engine = open_streamed(&m, 200000);
    some_tokens(engine, right);
    set(&m, -1, 0, true);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, engine), 0);
    uint64_t begun = dt_clock_ns();
    dt_status status = evaluate_until_one_fails(engine, &err);
    print_message("cancelled after %.1f ms\n", (double)(dt_clock_ns() - begun) / 1e6);
    assert_int_equal(status, DT_CANCELLED);
    pthread_join(thread, NULL);
    dt_engine_uncancel(engine);
    set(&m, -1, 0, false);
    same_tokens_again(engine, right);
    close_streamed(engine, &m);
}

// ---- engines ----

// Every backend that computes this form in place, with the files read by the system.
static void backends_compute_streamed_weights(void **state)
{
    (void)state;
    static const char *const stacks[] = {"reference", "int8", "fp32", "int4", "int8+fastexp"};
    struct medium m;
    const struct dt_stream_medium medium = {read_medium, &m};
    struct dt_stream_options stream = {
        .limits = {.budget = 200000, .piece_bytes = 9000, .buffers = 3}};
    uint32_t streamed = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        write_model(&kinds[k]);
        m = open_medium();
        for (size_t i = 0; i < sizeof stacks / sizeof *stacks; i++) {
            stream.medium = i ? &medium : NULL;
            uint32_t tokens[2][TOKENS];
            dt_status status = DT_OK;
            struct dt_error err = {0};
            for (int s = 0; s < 2 && status == DT_OK; s++) {
                struct dt_engine_options options = {.stack = stacks[i],
                                                    .threads = 1 + (uint32_t)(i & 1),
                                                    .weights =
                                                        s ? DT_WEIGHTS_STREAMED : DT_WEIGHTS_MAPPED,
                                                    .pack = DT_PACK_NEVER,
                                                    .stream = s ? &stream : NULL,
                                                    .without_vocabulary = true};
                struct dt_engine *engine;
                assert_int_equal(dt_engine_new(&engine, &options, &err), DT_OK);
                status = dt_engine_open(engine, path, NULL, &err);
                if (status == DT_OK)
                    some_tokens(engine, tokens[s]);
                dt_engine_free(engine);
            }
            if (status != DT_OK) { // not built here, or it converts
                assert_true(status == DT_UNSUPPORTED || status == DT_USAGE);
                continue;
            }
            assert_memory_equal(tokens[0], tokens[1], sizeof tokens[0]);
            streamed++;
        }
        close(m.fd);
    }
    assert_true(streamed >= 4);
}

// The plan for a memory limit, and whether the engine that follows it streams.
static struct dt_stream_plan place(struct dt_engine_options options, size_t limit, bool *streams)
{
    struct dt_engine_plan plan;
    struct dt_stream_facts facts;
    struct dt_error err = {0};
    struct dt_engine *engine;
    options.memory_limit = limit;
    assert_int_equal(dt_engine_new(&engine, &options, &err), DT_OK);
    assert_int_equal(dt_engine_prepare(engine, path, NULL, &plan, &err), DT_OK);
    if (dt_engine_start(engine, NULL, NULL, &err) != DT_OK)
        fail_msg("%s", err.message);
    uint32_t token = 1;
    assert_int_equal(dt_engine_eval(engine, &token, 1, &err), DT_OK);
    *streams = dt_engine_stream(engine, NULL, &facts);
    if (limit)
        assert_true(atomic_load(&dt_engine_account(engine)->peak) <= limit);
    dt_engine_free(engine);
    return plan.stream;
}

static void the_place_is_chosen_by_memory(void **state)
{
    (void)state;
    struct synth_shape shape = {.dim = 256,
                                .hidden = 1024,
                                .layers = 2,
                                .heads = 4,
                                .kv_heads = 4,
                                .vocab = VOCAB,
                                .context = 32,
                                .shared = true,
                                .seed = 7};
    struct synth file = {0};
    synth_llama2c(&file, &shape, 0);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(file.bytes, 1, file.n, f), file.n);
    fclose(f);
    bool streams;
    struct dt_engine_options options = {
        .stack = "reference", .threads = 1, .without_vocabulary = true};
    struct dt_stream_plan all = place(options, 0, &streams);
    assert_false(all.streamed || streams); // it fits
    size_t rest = 4u << 20;                // more than all but the weights
    all = place(options, file.n + rest, &streams);
    assert_false(all.streamed || streams);
    all = place(options, file.n, &streams);
    assert_true(all.streamed && streams);
    assert_true(all.pinned_weights > 0 && all.read_bytes > 0);
    struct dt_stream_plan less = place(options, file.n - (1u << 20), &streams);
    assert_true(less.streamed && streams && less.pinned_weights < all.pinned_weights);
    options.weights = DT_WEIGHTS_MAPPED;
    all = place(options, file.n, &streams);
    assert_false(all.streamed || streams);
    options.weights = DT_WEIGHTS_STREAMED;
    all = place(options, 0, &streams);
    assert_true(all.streamed && streams && all.reads == 0); // and all of it stays
    synth_free(&file);
}

// What was chosen for one model is chosen again for the next.
static void batches_are_chosen_for_each_model(void **state)
{
    (void)state;
    struct dt_engine *engine;
    struct dt_engine_plan small, large;
    struct dt_error err = {0};
    struct dt_engine_options options = {.stack = "reference",
                                        .threads = 1,
                                        .context = 512,
                                        .memory_limit = 200u << 20,
                                        .without_vocabulary = true};
    write_model(&kinds[0]);
    assert_int_equal(dt_engine_new(&engine, &options, &err), DT_OK);
    assert_int_equal(dt_engine_prepare(engine, path, NULL, &small, &err), DT_OK);
    dt_engine_close(engine);
    dt_engine_set_memory_limit(engine, 300u << 20);
    assert_int_equal(dt_engine_prepare(engine, path, NULL, &large, &err), DT_OK);
    dt_engine_free(engine);
    uint64_t total, available = dt_memory_available(&total);
    assert_true(available < 256u << 20 || small.session.scratch < large.session.scratch);
}

static int make(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static int drop(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_cover_all_rows_and_keep_to_the_budget),
        cmocka_unit_test(pinned_pieces_are_spread),
        cmocka_unit_test(budgets_do_not_change_logits),
        cmocka_unit_test(short_and_interrupted_reads_are_continued),
        cmocka_unit_test(a_read_that_fails_once_is_repeated),
        cmocka_unit_test(a_failed_read_ends_the_token_only),
        cmocka_unit_test(a_file_that_ends_early_is_refused),
        cmocka_unit_test(waiting_for_the_medium_can_be_cancelled),
        cmocka_unit_test(backends_compute_streamed_weights),
        cmocka_unit_test(the_place_is_chosen_by_memory),
        cmocka_unit_test(batches_are_chosen_for_each_model),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
