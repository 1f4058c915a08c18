// SPDX-License-Identifier: MIT
// A position's bits depend only on the tokens before it: not on the batch, the threads, or what was
// cached. Checked for synthetic models of random shapes.
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/profile.h"
#include "core/quant/half.h"
#include "core/quant/quantise.h"
#include "core/session_state.h"
#include "core/structure.h"

static uint64_t seed = 88172645463325252ull;

static uint32_t pick(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

static float small(void)
{
    return ((float)pick(20001) - 10000.0f) / 40000.0f;
}

// ---- models ----

static void *blocks[4096];
static size_t block_count;

static void *keep(size_t bytes)
{
    void *block = aligned_alloc(DT_ALIGN, (bytes + DT_ALIGN - 1) / DT_ALIGN * DT_ALIGN);
    assert_non_null(block);
    memset(block, 0, bytes);
    assert_true(block_count < sizeof blocks / sizeof *blocks);
    return blocks[block_count++] = block;
}

static void drop_all(void)
{
    while (block_count)
        free(blocks[--block_count]);
}

static float *floats(uint32_t n, float centre)
{
    float *x = keep(n * sizeof *x);
    for (uint32_t i = 0; i < n; i++)
        x[i] = centre + small();
    return x;
}

static struct dt_matrix matrix(uint32_t form, uint32_t group, uint32_t rows, uint32_t cols)
{
    struct dt_matrix w = dt_quantise_matrix(form, rows, cols, group,
                                            keep(dt_quantise_bytes(form, rows, cols, group)));
    float *row = keep(cols * sizeof *row);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t c = 0; c < cols; c++)
            row[c] = small();
        dt_quantise_row(&w, r, row);
    }
    return w;
}

static struct dt_model model(uint32_t form, uint32_t group)
{
    // more than a core's cache, so that even small work is split
    struct dt_model m = {.format = "test", .architecture = "llama", .weight_bytes = 64u << 20};
    uint32_t temperature = form == DT_FORM_Q8_0 || form == DT_FORM_Q4_0 ? 32 : group ? group : 2;
    m.hp.kv_heads = 1 + pick(3);
    m.hp.heads = m.hp.kv_heads * (1 + pick(3));
    m.hp.head_size = (temperature + 1) / 2 * 2 * (1 + pick(2));
    m.hp.structure = dt_structure_find("llama", 5);
    m.hp.dim = m.hp.heads * m.hp.head_size;
    m.hp.hidden = temperature * (1 + pick(5));
    m.hp.layers = 1 + pick(3);
    m.hp.vocab = 3 + pick(200);
    m.hp.context = 40 + pick(40);
    m.hp.rotated = m.hp.head_size;
    m.hp.rope_style = pick(2);
    m.hp.rope_base = 10000.0f;
    m.hp.rope_scale = 1.0f;
    m.hp.norm_epsilon = 1e-5f;
    m.layers = keep(m.hp.layers * sizeof *m.layers);
    for (uint32_t i = 0; i < m.hp.layers; i++) {
        struct dt_layer *l = &m.layers[i];
        uint32_t kv = m.hp.kv_heads * m.hp.head_size;
        l->attention_norm = floats(m.hp.dim, 1);
        l->ffn_norm = floats(m.hp.dim, 1);
        l->query = matrix(form, group, m.hp.dim, m.hp.dim);
        l->key = matrix(form, group, kv, m.hp.dim);
        l->value = matrix(form, group, kv, m.hp.dim);
        l->output = matrix(form, group, m.hp.dim, m.hp.dim);
        l->gate = matrix(form, group, m.hp.hidden, m.hp.dim);
        l->up = matrix(form, group, m.hp.hidden, m.hp.dim);
        l->down = matrix(form, group, m.hp.dim, m.hp.hidden);
        if (pick(2))
            l->query_bias = floats(m.hp.dim, 0);
    }
    m.final_norm = floats(m.hp.dim, 1);
    m.embedding = m.classifier = matrix(form, group, m.hp.vocab, m.hp.dim);
    m.hp.tied = true;
    return m;
}

// ---- services: one thread for each item ----

struct piece {
    dt_loop_body *body;
    void *arg;
    uint32_t begin, end, worker;
};

static void *run_piece(void *arg)
{
    struct piece *p = arg;
    p->body(p->arg, p->begin, p->end, p->worker);
    return NULL;
}

static uint32_t thread_count;

static void parallel_for(void *host, dt_loop_body *body, void *arg, uint32_t count, uint32_t grain)
{
    (void)host;
    (void)grain;
    pthread_t thread[8];
    struct piece piece[8];
    for (uint32_t w = 0; w < thread_count; w++) {
        piece[w] =
            (struct piece){body, arg, count * w / thread_count, count * (w + 1) / thread_count, w};
        assert_int_equal(pthread_create(&thread[w], NULL, run_piece, &piece[w]), 0);
    }
    for (uint32_t w = 0; w < thread_count; w++)
        pthread_join(thread[w], NULL);
}

static uint32_t threads(void *host)
{
    (void)host;
    return thread_count;
}

static const struct dt_services services = {
    .size = sizeof services,
    .parallel_for = parallel_for,
    .threads = threads,
};

// ---- sessions ----

struct made {
    struct dt_stack stack;
    struct dt_weights weights;
    struct dt_session *session;
};

static void make(struct made *out, const struct dt_model *m, uint32_t batch, uint32_t workers,
                 uint32_t kv_type)
{
    struct dt_error err = {0};
    struct dt_weights_plan plan;
    assert_int_equal(dt_stack_make(&out->stack, NULL, 0, &err), DT_OK);
    assert_int_equal(dt_weights_plan(m, &out->stack, DT_PACK_NEVER, &plan, &err), DT_OK);
    assert_int_equal(plan.copied_bytes, 0);
    struct dt_arena tables = dt_arena_over(keep(plan.arena_bytes), plan.arena_bytes);
    assert_int_equal(dt_weights_build(m, &out->stack, DT_PACK_NEVER, &tables, NULL, NULL, NULL,
                                      &out->weights, &err),
                     DT_OK);
    struct dt_session_options options = {.batch = batch, .kv_type = kv_type};
    struct dt_session_bytes bytes, bound;
    thread_count = workers;
    const struct dt_services *with = workers > 1 ? &services : NULL;
    assert_int_equal(dt_session_measure(&out->weights, &out->stack, &options, with, &bytes, &err),
                     DT_OK);
    assert_int_equal(dt_session_estimate(m, &options, with, &bound, &err), DT_OK);
    assert_int_equal(bytes.own, bound.own);
    assert_true(bytes.scratch <= bound.scratch);
    struct dt_arena own = dt_arena_over(keep(bytes.own), bytes.own);
    struct dt_arena scratch = dt_arena_over(keep(bytes.scratch), bytes.scratch);
    assert_int_equal(dt_session_init(&out->session, &out->weights, &out->stack, &options, with,
                                     &own, &scratch, &err),
                     DT_OK);
    assert_int_equal(own.used, bytes.own);
    assert_int_equal(scratch.used, bytes.scratch);
}

struct trace {
    float *logits; // positions x vocab
    uint32_t vocab;
};

static int note(void *arg, uint32_t position, const float *logits)
{
    struct trace *t = arg;
    memcpy(t->logits + (size_t)position * t->vocab, logits, t->vocab * sizeof *logits);
    return 0;
}

static void bits_of(struct dt_model m, uint32_t kv_type)
{
    struct dt_error err = {0};
    uint32_t n = m.hp.context, tokens[150];
    assert_true(n <= 150);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = pick(m.hp.vocab);
    size_t bytes = (size_t)n * m.hp.vocab * sizeof(float);
    struct trace one = {keep(bytes), m.hp.vocab}, other = {keep(bytes), m.hp.vocab};

    struct made a;
    make(&a, &m, 1, 1, kv_type);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(dt_session_eval(a.session, tokens + i, 1, note, &one, &err), DT_OK);
    assert_int_equal(dt_session_position(a.session), n);
    assert_int_equal(dt_session_eval(a.session, tokens, 1, NULL, NULL, &err), DT_CONTEXT_FULL);

    // any batch, any division into calls, any number of threads
    for (int round = 0; round < 3; round++) {
        struct made b;
        make(&b, &m, 1 + pick(40), 1 + pick(4), kv_type);
        memset(other.logits, 0, bytes);
        for (uint32_t i = 0; i < n;) {
            uint32_t count = 1 + pick(n - i);
            assert_int_equal(dt_session_eval(b.session, tokens + i, count, note, &other, &err),
                             DT_OK);
            i += count;
        }
        assert_memory_equal(one.logits, other.logits, bytes);

        // rolled back and evaluated again, with the prefix from the cache
        uint32_t back = pick(n);
        dt_session_truncate(b.session, back);
        assert_null(dt_session_logits(b.session));
        assert_int_equal(dt_session_common_prefix(b.session, tokens, n), back);
        memset(other.logits + (size_t)back * m.hp.vocab, 0,
               bytes - (size_t)back * m.hp.vocab * sizeof(float));
        assert_int_equal(dt_session_eval(b.session, tokens + back, n - back, note, &other, &err),
                         DT_OK);
        assert_memory_equal(one.logits, other.logits, bytes);

        // without a sink only the last position has logits, with the same bits
        dt_session_truncate(b.session, back);
        assert_int_equal(dt_session_eval(b.session, tokens + back, n - back, NULL, NULL, &err),
                         DT_OK);
        assert_memory_equal(dt_session_logits(b.session), one.logits + (size_t)(n - 1) * m.hp.vocab,
                            m.hp.vocab * sizeof(float));
    }
    drop_all();
}

static void bits_do_not_depend(uint32_t form, uint32_t group, uint32_t kv_type)
{
    bits_of(model(form, group), kv_type);
}

// A layer of so many channels that the KV cache is laid out anew several times.
static struct dt_model wide_model(void)
{
    struct dt_model m = model(DT_FORM_F32, 0);
    struct dt_layer *l = &m.layers[0];
    m.hp.layers = 1;
    m.hp.heads = m.hp.kv_heads = 16;
    m.hp.head_size = m.hp.rotated = 192;
    m.hp.context = 150;
    uint32_t channels = m.hp.heads * m.hp.head_size;
    l->query = matrix(DT_FORM_F32, 0, channels, m.hp.dim);
    l->key = matrix(DT_FORM_F32, 0, channels, m.hp.dim);
    l->value = matrix(DT_FORM_F32, 0, channels, m.hp.dim);
    l->output = matrix(DT_FORM_F32, 0, m.hp.dim, channels);
    l->query_bias = NULL;
    return m;
}

// ---- texts that are longer than the context ----

static uint32_t text_of(const struct dt_model *m, uint32_t *tokens, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = pick(m->hp.vocab);
    return n;
}

// The logits of a long text in a window are the same in any batches, calls and threads, and there
// is one row for each token of the text.
static void window_bits_of(struct dt_model m, uint32_t kv_type)
{
    struct dt_error err = {0};
    uint32_t tokens[400], capacity = m.hp.context, n = text_of(&m, tokens, 2 * capacity + pick(90));
    struct dt_session_window window = {pick(5), 1 + pick(capacity / 2)};
    size_t bytes = (size_t)n * m.hp.vocab * sizeof(float);
    struct trace one = {keep(bytes), m.hp.vocab}, other = {keep(bytes), m.hp.vocab};
    struct made a;
    make(&a, &m, 1, 1, kv_type);
    dt_session_set_window(a.session, &window);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(dt_session_eval(a.session, tokens + i, 1, note, &one, &err), DT_OK);
    uint32_t position = dt_session_position(a.session);
    assert_int_equal(position + dt_session_dropped(a.session), n);
    assert_int_equal(dt_session_dropped(a.session) % window.drop, 0);
    // the entries that are left: the first ones, and those behind the gap
    assert_memory_equal(dt_session_tokens(a.session), tokens, window.pinned * sizeof *tokens);
    assert_memory_equal(dt_session_tokens(a.session) + window.pinned,
                        tokens + n - position + window.pinned,
                        (position - window.pinned) * sizeof *tokens);
    for (int round = 0; round < 2; round++) {
        struct made b;
        make(&b, &m, 1 + pick(40), 1 + pick(4), kv_type);
        dt_session_set_window(b.session, &window);
        memset(other.logits, 0, bytes);
        for (uint32_t i = 0, count; i < n; i += count) {
            count = 1 + pick(n - i);
            assert_int_equal(dt_session_eval(b.session, tokens + i, count, note, &other, &err),
                             DT_OK);
        }
        assert_memory_equal(one.logits, other.logits, bytes);
        assert_int_equal(dt_session_position(b.session), position);
    }
    drop_all();
}

static void window_bits(void **state)
{
    (void)state;
    for (uint32_t kv = DT_KV_F32; kv <= DT_KV_I8; kv++) {
        window_bits_of(model(DT_FORM_I8, 16), kv);
        window_bits_of(model(DT_FORM_F32, 0), kv);
    }
    window_bits_of(wide_model(), DT_KV_F32);
}

// Element of the cache of one type, as a float.
static float cached(const struct dt_kv *kv, const void *from, const float *scales, size_t head,
                    uint32_t slot, size_t at)
{
    return kv->type == DT_KV_F32 ? ((const float *)from)[at]
           : kv->type == DT_KV_F16
               ? dt_half_to_float(((const uint16_t *)from)[at])
               : (float)((const int8_t *)from)[at] * scales[head * kv->scale_head + slot];
}

// Keys and values of the first layer depend on their token and their position alone: after a drop
// they are those of the shorter text.
static void dropped_entries_of(struct dt_model m, uint32_t kv_type)
{
    struct dt_error err = {0};
    uint32_t tokens[150], n = text_of(&m, tokens, m.hp.context), first = pick(n), count, kept[150];
    struct made a, b;
    count = 1 + pick(n - first);
    make(&a, &m, 8, 1, kv_type);
    make(&b, &m, 8, 1, kv_type);
    assert_true(dt_session_can_drop(a.session));
    assert_int_equal(dt_session_eval(a.session, tokens, n, NULL, NULL, &err), DT_OK);
    dt_session_drop(a.session, first, count);
    memcpy(kept, tokens, first * sizeof *kept);
    memcpy(kept + first, tokens + first + count, (n - first - count) * sizeof *kept);
    n -= count;
    assert_int_equal(dt_session_position(a.session), n);
    assert_int_equal(dt_session_dropped(a.session), n ? count : 0);
    assert_non_null(dt_session_logits(a.session));
    assert_int_equal(dt_session_common_prefix(a.session, kept, n), first < n ? n : 0);
    b.session->dropped = n ? count : 0; // the positions of RoPE
    if (n)
        assert_int_equal(dt_session_eval(b.session, kept, n, NULL, NULL, &err), DT_OK);
    struct dt_kv x = dt_kv_cache_layer(&a.session->cache, 0),
                 y = dt_kv_cache_layer(&b.session->cache, 0);
    float close = kv_type == DT_KV_F32 ? 1e-5f : kv_type == DT_KV_F16 ? 2e-3f : 2e-2f;
    for (uint32_t h = 0; h < x.heads; h++) {
        for (uint32_t e = 0; e < n; e++) {
            for (uint32_t i = 0; i < x.head_size; i++) {
                size_t key = h * x.key_head + e + i * x.key_channel,
                       value = h * x.value_head + e * x.value_slot + i;
                float was = cached(&y, y.keys, y.key_scales, h, e, key),
                      is = cached(&x, x.keys, x.key_scales, h, e, key);
                if (!(fabsf(is - was) <= close * (1 + fabsf(was))))
                    fail_msg("type %u, head %u, entry %u, channel %u: %g, not %g", kv_type, h, e, i,
                             (double)is, (double)was);
                assert_true(cached(&x, x.values, x.value_scales, h, e, value) ==
                            cached(&y, y.values, y.value_scales, h, e, value));
            }
        }
    }
    // saved and restored, it goes on the same way
    uint32_t next = pick(m.hp.vocab);
    char *saved = keep(dt_session_saved_bytes(a.session, n));
    dt_session_save(a.session, n, saved);
    assert_int_equal(dt_session_eval(a.session, &next, 1, NULL, NULL, &err), DT_OK);
    float *logits = keep(m.hp.vocab * sizeof *logits);
    memcpy(logits, dt_session_logits(a.session), m.hp.vocab * sizeof *logits);
    dt_session_truncate(b.session, 0);
    dt_session_restore(b.session, n, saved);
    assert_int_equal(dt_session_eval(b.session, &next, 1, NULL, NULL, &err), DT_OK);
    assert_memory_equal(logits, dt_session_logits(b.session), m.hp.vocab * sizeof *logits);
    // a text that has only the beginning in common is evaluated as a whole
    if (first < n)
        assert_int_equal(dt_session_common_prefix(a.session, kept, first), 0);
    dt_session_truncate(a.session, 0);
    assert_int_equal(dt_session_dropped(a.session), 0);
    drop_all();
}

static void dropped_entries(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        for (uint32_t kv = DT_KV_F32; kv <= DT_KV_I8; kv++)
            dropped_entries_of(model(DT_FORM_F32, 0), kv);
    }
    dropped_entries_of(wide_model(), DT_KV_I8);
}

// A window that is not possible is none.
static void no_window(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_model m = model(DT_FORM_F32, 0);
    uint32_t tokens[400], n = text_of(&m, tokens, m.hp.context + 1);
    struct made a;
    make(&a, &m, 8, 1, DT_KV_F32);
    dt_session_set_window(a.session, &(struct dt_session_window){4, m.hp.context - 4});
    assert_int_equal(dt_session_eval(a.session, tokens, n, NULL, NULL, &err), DT_CONTEXT_FULL);
    dt_session_set_window(a.session, &(struct dt_session_window){4, m.hp.context - 5});
    assert_int_equal(dt_session_eval(a.session, tokens, n, NULL, NULL, &err), DT_OK);
    drop_all();
    m = model(DT_FORM_F32, 0);
    m.positions = matrix(DT_FORM_F32, 0, m.hp.context, m.hp.dim); // learned positions
    make(&a, &m, 8, 1, DT_KV_F32);
    assert_false(dt_session_can_drop(a.session));
    dt_session_set_window(a.session, &(struct dt_session_window){4, 4});
    assert_int_equal(dt_session_eval(a.session, tokens, m.hp.context + 1, NULL, NULL, &err),
                     DT_CONTEXT_FULL);
    drop_all();
}

static void a_cache_that_grows(void **state)
{
    (void)state;
    bits_of(wide_model(), DT_KV_F32);
    bits_of(wide_model(), DT_KV_F16);
    bits_of(wide_model(), DT_KV_I8);
}

// With a shortlist, the candidates give the same token as all logits, and all logits can still be
// computed, also after a swap of the stack.
static void candidates_decide(uint32_t form, uint32_t group)
{
    struct dt_error err = {0};
    struct dt_model m = model(form, group);
    m.hp.vocab = 2000;
    m.embedding = m.classifier = matrix(form, group, m.hp.vocab, m.hp.dim);
    float *row = keep(m.hp.dim * sizeof *row);
    for (uint32_t r = 200; r < m.hp.vocab; r++) { // tokens that are never likely
        for (uint32_t i = 0; i < m.hp.dim; i++)
            row[i] = 0.01f * small();
        dt_quantise_row(&m.classifier, r, row);
    }
    struct made a, b;
    make(&a, &m, 8, 1, DT_KV_F32);
    make(&b, &m, 8, 1 + pick(3), DT_KV_F32);
    struct dt_shortlist list;
    dt_shortlist_init(&list, &b.weights.classifier_rows, false, 1,
                      keep(dt_shortlist_measure(&b.weights.classifier_rows, false, 1)));
    dt_session_set_shortlist(b.session, &list);
    struct dt_candidates c;
    uint32_t token = 1, decided = 0;
    for (uint32_t i = 0; i < m.hp.context; i++) {
        if (i == 20) { // rolled back and evaluated again
            dt_session_truncate(a.session, 12);
            dt_session_truncate(b.session, 12);
            assert_false(dt_session_candidates(b.session, &c));
            assert_null(dt_session_logits(b.session));
        }
        if (dt_session_position(a.session) == dt_session_capacity(a.session))
            break;
        dt_session_set_bound(b.session, (struct dt_sampler_bound){.partial = pick(4) != 0});
        assert_int_equal(dt_session_eval(a.session, &token, 1, NULL, NULL, &err), DT_OK);
        assert_int_equal(dt_session_eval(b.session, &token, 1, NULL, NULL, &err), DT_OK);
        const float *logits = dt_session_logits(a.session);
        token = a.stack.argmax->table.argmax(a.stack.argmax->ctx, logits, m.hp.vocab);
        if (dt_session_candidates(b.session, &c)) {
            uint32_t best = 0;
            for (uint32_t k = 0; k < c.count; k++) {
                assert_memory_equal(&c.logits[k], &logits[c.index[k]], sizeof *logits);
                best = c.logits[k] > c.logits[best] ? k : best;
            }
            assert_int_equal(c.index[best], token);
            decided++;
        }
        if (i % 5 == 3) {
            struct dt_session_bytes bytes;
            struct dt_session_options options = {.batch = 8};
            const struct dt_services *with = thread_count > 1 ? &services : NULL;
            assert_int_equal(dt_session_measure(&b.weights, &b.stack, &options, with, &bytes, &err),
                             DT_OK);
            struct dt_arena scratch = dt_arena_over(keep(bytes.scratch), bytes.scratch);
            assert_int_equal(dt_session_swap(b.session, &b.weights, &b.stack, &scratch, &err),
                             DT_OK);
            assert_false(dt_session_candidates(b.session, &c));
        }
        if (pick(2) || i % 5 == 3)
            assert_memory_equal(dt_session_logits(b.session), logits, m.hp.vocab * sizeof *logits);
    }
    assert_true(decided >= 5);
    drop_all();
}

static void shortlists(void **state)
{
    (void)state;
    candidates_decide(DT_FORM_F32, 0);
    candidates_decide(DT_FORM_I8, 16);
    candidates_decide(DT_FORM_Q8_0, 0);
}

static void f32_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        bits_do_not_depend(DT_FORM_F32, 0, DT_KV_F32);
}

static void i8_bits(void **state)
{
    (void)state;
    static const uint32_t groups[] = {4, 16, 24, 32, 48, 64};
    for (int i = 0; i < 6; i++)
        bits_do_not_depend(DT_FORM_I8, groups[i], DT_KV_F32);
}

static void block_bits(void **state)
{
    (void)state;
    bits_do_not_depend(DT_FORM_Q8_0, 0, DT_KV_F32);
    bits_do_not_depend(DT_FORM_Q4_0, 0, DT_KV_F32);
    bits_do_not_depend(DT_FORM_F16, 0, DT_KV_F16);
    bits_do_not_depend(DT_FORM_Q8_0, 0, DT_KV_I8);
}

static void not_to_be_called(void *ctx, float *out, const float *q, const struct dt_kv *kv,
                             uint32_t heads, uint32_t head_begin, uint32_t head_end,
                             uint32_t entries, float divisor, float *scores, size_t score_stride)
{
    (void)ctx, (void)out, (void)q, (void)kv, (void)heads, (void)head_begin, (void)head_end;
    (void)entries, (void)divisor, (void)scores, (void)score_stride;
}

// A backend that does not say that it reads an int8 cache, as one built before there was one, does
// not get it.
static void attention_by_type_of_cache(void **state)
{
    (void)state;
    struct dt_backend table = {
        .abi = DT_BACKEND_ABI, .size = sizeof table, .name = "old", .attention = not_to_be_called};
    struct dt_instance old, present;
    struct dt_stack stack;
    dt_instance_init(&old, &table, NULL);
    table.kv_types = 1u << DT_KV_I8;
    dt_instance_init(&present, &table, NULL);
    assert_int_equal(dt_stack_make(&stack, (const struct dt_instance *[]){&present, &old}, 2, NULL),
                     DT_OK);
    assert_ptr_equal(stack.attention, &old);
    assert_ptr_equal(stack.attention_i8, &present);
    assert_ptr_equal(stack.attention_capped_i8, &dt_instance_reference);
}

static void a_swap_keeps_the_story(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_model m = model(DT_FORM_I8, 16);
    uint32_t tokens[100];
    for (uint32_t i = 0; i < m.hp.context; i++)
        tokens[i] = pick(m.hp.vocab);
    struct made a, b;
    make(&a, &m, 8, 1, DT_KV_F32);
    make(&b, &m, 8, 1, DT_KV_F32);
    assert_int_equal(dt_session_eval(a.session, tokens, m.hp.context, NULL, NULL, &err), DT_OK);
    assert_int_equal(dt_session_eval(b.session, tokens, 7, NULL, NULL, &err), DT_OK);

    static const char poison[64] = {0};
    struct dt_arena none =
        dt_arena_over((void *)(uintptr_t)poison, 0); // too small: refused, nothing changed
    assert_int_equal(dt_session_swap(b.session, &a.weights, &a.stack, &none, &err), DT_NO_MEMORY);
    assert_int_equal(dt_session_eval(b.session, tokens + 7, 9, NULL, NULL, &err), DT_OK);

    struct dt_session_bytes bytes;
    struct dt_session_options options = {.batch = 8};
    assert_int_equal(dt_session_measure(&a.weights, &a.stack, &options, NULL, &bytes, &err), DT_OK);
    struct dt_arena scratch = dt_arena_over(keep(bytes.scratch), bytes.scratch);
    memset(&b.weights, 0xff, sizeof b.weights); // the old weights are no longer used
    assert_int_equal(dt_session_swap(b.session, &a.weights, &a.stack, &scratch, &err), DT_OK);
    assert_int_equal(dt_session_eval(b.session, tokens + 16, m.hp.context - 16, NULL, NULL, &err),
                     DT_OK);
    assert_memory_equal(dt_session_logits(a.session), dt_session_logits(b.session),
                        m.hp.vocab * sizeof(float));

    struct dt_model stranger = model(DT_FORM_F32, 0);
    struct made c;
    make(&c, &stranger, 8, 1, DT_KV_F32);
    assert_int_equal(dt_session_swap(b.session, &c.weights, &c.stack, &scratch, &err), DT_FAILED);
    drop_all();
}

// New weights may have a damaged row in the classifier: their first logits are examined as a whole,
// at whichever position that is.
static void a_damaged_row_is_found_at_once(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_model m = model(DT_FORM_F32, 0);
    const uint32_t tokens[4] = {0, 1, 0, 1};
    struct made a;
    make(&a, &m, 8, 1, DT_KV_F32);
    assert_int_equal(dt_session_eval(a.session, tokens, 2, NULL, NULL, &err), DT_OK);
    float *row = (float *)(uintptr_t)m.classifier.quants + (m.hp.vocab - 1) * m.hp.dim;
    row[m.hp.dim / 2] = (float)NAN;
    struct dt_session_bytes bytes;
    struct dt_session_options options = {.batch = 8};
    assert_int_equal(dt_session_measure(&a.weights, &a.stack, &options, NULL, &bytes, &err), DT_OK);
    struct dt_arena scratch = dt_arena_over(keep(bytes.scratch), bytes.scratch);
    assert_int_equal(dt_session_swap(a.session, &a.weights, &a.stack, &scratch, &err), DT_OK);
    assert_int_equal(dt_session_eval(a.session, tokens + 2, 1, NULL, NULL, &err), DT_BAD_INPUT);
    drop_all();
}

// A story is saved, another one overwrites it, and after a restore it continues unchanged.
static void a_story_set_aside(void **state)
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        struct dt_error err = {0};
        struct dt_model m = round < 6 ? model(DT_FORM_I8, 16) : wide_model();
        uint32_t tokens[150], n = m.hp.context, begun = 1 + pick(n - 1), kept = pick(begun + 1),
                              others[150];
        for (uint32_t i = 0; i < n; i++) {
            tokens[i] = pick(m.hp.vocab);
            others[i] = pick(m.hp.vocab);
        }
        struct made a, b;
        uint32_t kv_type = DT_KV_F32 + (uint32_t)round % 3;
        make(&a, &m, 8, 1, kv_type);
        make(&b, &m, 8, 1, kv_type);
        assert_int_equal(dt_session_eval(a.session, tokens, n, NULL, NULL, &err), DT_OK);
        assert_int_equal(dt_session_eval(b.session, tokens, begun, NULL, NULL, &err), DT_OK);
        size_t bytes = dt_session_saved_bytes(b.session, kept);
        char *saved = malloc(bytes + 1); // exactly this size, so that sanitizers detect overruns
        assert_non_null(saved);
        saved[bytes] = 42;
        dt_session_save(b.session, kept, saved);
        assert_int_equal(saved[bytes], 42);
        dt_session_truncate(b.session, 0);
        assert_int_equal(dt_session_eval(b.session, others, 1 + pick(n), NULL, NULL, &err), DT_OK);
        dt_session_restore(b.session, kept, saved);
        free(saved);
        assert_int_equal(dt_session_position(b.session), kept);
        assert_int_equal(dt_session_common_prefix(b.session, tokens, n), kept);
        assert_null(dt_session_logits(b.session));
        if (kept < n) {
            assert_int_equal(dt_session_eval(b.session, tokens + kept, n - kept, NULL, NULL, &err),
                             DT_OK);
            assert_memory_equal(dt_session_logits(a.session), dt_session_logits(b.session),
                                m.hp.vocab * sizeof(float));
        }
        drop_all();
    }
}

static atomic_int stop;

static void stop_after_two(void *arg, uint32_t done, uint32_t total)
{
    (void)total;
    uint32_t *batches = arg;
    if (done && ++*batches == 2)
        atomic_store(&stop, 1);
}

static void a_stop_keeps_whole_batches(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_model m = model(DT_FORM_F32, 0);
    uint32_t tokens[100] = {0}, batches = 0;
    struct made a;
    make(&a, &m, 5, 1, DT_KV_F32);
    dt_session_set_cancel(a.session, &stop);
    dt_session_set_progress(a.session, stop_after_two, &batches);
    atomic_store(&stop, 0);
    assert_int_equal(dt_session_eval(a.session, tokens, 30, NULL, NULL, &err), DT_CANCELLED);
    assert_int_equal(dt_session_position(a.session), 10);
    assert_null(dt_session_logits(a.session));
    atomic_store(&stop, 0);
    assert_int_equal(dt_session_eval(a.session, tokens, 3, NULL, NULL, &err), DT_OK);
    assert_int_equal(dt_session_position(a.session), 13);
    tokens[1] = m.hp.vocab;
    assert_int_equal(dt_session_eval(a.session, tokens, 2, NULL, NULL, &err), DT_BAD_INPUT);
    assert_int_equal(dt_session_position(a.session), 13);
    drop_all();
}

static uint64_t ticks;

static uint64_t tick(void *arg)
{
    (void)arg;
    return ticks += 10;
}

static uint64_t recorded[DT_OP_COUNT];

static void record(void *arg, enum dt_operator op, uint32_t layer, uint32_t columns, uint64_t ns,
                   size_t bytes)
{
    (void)arg;
    (void)layer;
    (void)bytes;
    assert_int_equal(columns, op == DT_OP_CLASSIFIER || op == DT_OP_FINAL_NORM ? 1 : 3);
    recorded[op] += ns;
}

static void a_profile_sees_every_operator(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_model m = model(DT_FORM_F32, 0);
    const uint32_t tokens[3] = {0, 1, 2};
    const struct dt_profile profile = {.now = tick, .record = record};
    struct made a;
    make(&a, &m, 8, 1, DT_KV_F32);
    dt_session_set_profile(a.session, &profile);
    assert_int_equal(dt_session_eval(a.session, tokens, 3, NULL, NULL, &err), DT_OK);
    for (int op = 0; op < DT_OP_COUNT; op++) {
        assert_true(recorded[op] > 0);
        assert_true(strlen(dt_operator_name((enum dt_operator)op)) > 2);
    }
    drop_all();
}

static void refuses_what_it_cannot_hold(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_session_bytes bytes;
    struct dt_model m = model(DT_FORM_F32, 0);
    struct dt_session_options options = {.context = DT_MAX_CONTEXT + 1};
    assert_int_equal(dt_session_estimate(&m, &options, NULL, &bytes, &err), DT_USAGE);
    options = (struct dt_session_options){.batch = 100000};
    assert_int_equal(dt_session_estimate(&m, &options, NULL, &bytes, &err), DT_USAGE);
    options = (struct dt_session_options){.kv_type = 9};
    assert_int_equal(dt_session_estimate(&m, &options, NULL, &bytes, &err), DT_USAGE);
    drop_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shortlists),
        cmocka_unit_test(f32_bits),
        cmocka_unit_test(i8_bits),
        cmocka_unit_test(block_bits),
        cmocka_unit_test(a_cache_that_grows),
        cmocka_unit_test(attention_by_type_of_cache),
        cmocka_unit_test(window_bits),
        cmocka_unit_test(dropped_entries),
        cmocka_unit_test(no_window),
        cmocka_unit_test(a_swap_keeps_the_story),
        cmocka_unit_test(a_damaged_row_is_found_at_once),
        cmocka_unit_test(a_story_set_aside),
        cmocka_unit_test(a_stop_keeps_whole_batches),
        cmocka_unit_test(a_profile_sees_every_operator),
        cmocka_unit_test(refuses_what_it_cannot_hold),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
