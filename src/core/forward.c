// SPDX-License-Identifier: MIT
#include "core/forward.h"

#include <math.h>
#include <string.h>

// ---- memory ----

static size_t padded(size_t n)
{
    return (n + 15) / 16 * 16;
}

void dt_forward_init(struct dt_forward *f, const struct dt_model *model, uint32_t batch,
                     uint32_t capacity, uint32_t kv_type)
{
    const struct dt_hparams *hp = &model->hp;
    f->model = model;
    f->batch = batch;
    f->dim_stride = padded(hp->dim);
    f->attend_stride = padded((size_t)hp->heads * hp->head_size);
    f->kv_stride = padded((size_t)hp->kv_heads * hp->head_size);
    f->hidden_stride = padded(hp->hidden);
    f->half_stride = padded(hp->rotated / 2);
    f->score_stride = padded(capacity);
    dt_kv_cache_init(&f->cache, hp, capacity, kv_type);
}

void dt_forward_set_frequencies(struct dt_forward *f)
{
    const struct dt_hparams *hp = &f->model->hp;
    // as in llama2.c: 1 / powf(base, channel / head_size); GGUF's factors are divisors
    for (uint32_t i = 0; i < hp->rotated / 2; i++) {
        f->frequency[i] = 1.0f / powf(hp->rope_base, (float)(2 * i) / (float)hp->rotated);
        if (hp->rope_factors)
            f->frequency[i] /= hp->rope_factors[i];
    }
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t dt_forward_act_bytes(const struct dt_forward *f, const struct dt_weights *weights)
{
    size_t most = 0;
    for (uint32_t i = 0; i < f->model->hp.layers; i++) {
        const struct dt_weights_layer *l = &weights->layers[i];
        const struct dt_linear *const all[] = {&l->query, &l->key, &l->value, &l->output,
                                               &l->gate,  &l->up,  &l->down};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            most = larger(most, dt_linear_act_bytes(all[k], f->batch));
    }
    return larger(most, dt_linear_act_bytes(&weights->classifier, f->batch));
}

size_t dt_forward_act_bytes_most(const struct dt_forward *f)
{
    size_t widest = larger(larger(f->hidden_stride, f->dim_stride), f->attend_stride);
    return f->batch * (widest * 4 + 1024);
}

struct dt_scratch dt_forward_alloc_scratch(const struct dt_forward *f, size_t act_bytes,
                                           struct dt_arena *arena)
{
    size_t batch = f->batch, real = sizeof(float);
    struct dt_scratch t;
    t.x = dt_arena_alloc(arena, batch, f->dim_stride * real);
    t.normed = dt_arena_alloc(arena, batch, f->dim_stride * real);
    t.query = dt_arena_alloc(arena, batch, f->attend_stride * real);
    t.key = dt_arena_alloc(arena, batch, f->kv_stride * real);
    t.value = dt_arena_alloc(arena, batch, f->kv_stride * real);
    t.attended = dt_arena_alloc(arena, batch, f->attend_stride * real);
    t.hidden = dt_arena_alloc(arena, batch, f->hidden_stride * real);
    t.up = dt_arena_alloc(arena, batch, f->hidden_stride * real);
    t.scores = dt_arena_alloc(arena, (size_t)f->compute.workers * f->model->hp.heads,
                              f->score_stride * real);
    t.cosine = dt_arena_alloc(arena, batch, f->half_stride * real);
    t.sine = dt_arena_alloc(arena, batch, f->half_stride * real);
    t.act = dt_arena_alloc(arena, act_bytes, 1);
    return t;
}

// ---- operators ----

struct attention {
    const struct dt_forward *f;
    const struct dt_kv *kv;
    uint32_t columns;
};

// Items are heads of columns: item = column * heads + head.
static void attention_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    const struct attention *a = arg;
    const struct dt_forward *f = a->f;
    const struct dt_hparams *hp = &f->model->hp;
    const struct dt_instance *by = f->stack.attention;
    float *scores = f->scratch.scores + (size_t)worker * hp->heads * f->score_stride;
    float divisor = sqrtf((float)hp->head_size);
    while (begin < end && !dt_compute_cancelled(&f->compute)) {
        uint32_t column = begin / hp->heads, head = begin % hp->heads;
        uint32_t last = end - begin < hp->heads - head ? head + (end - begin) : hp->heads;
        by->table.attention(by->ctx, f->scratch.attended + column * f->attend_stride,
                            f->scratch.query + column * f->attend_stride, a->kv, hp->heads, head,
                            last, f->position + column + 1, divisor, scores, f->score_stride);
        begin += last - head;
    }
}

static void add_bias(const struct dt_forward *f, float *x, size_t stride, const float *bias,
                     uint32_t n, uint32_t columns)
{
    for (uint32_t c = 0; bias && c < columns; c++)
        f->stack.add->table.add(f->stack.add->ctx, x + c * stride, bias, n);
}

static void add_columns(const struct dt_forward *f, float *x, const float *y, uint32_t columns)
{
    const struct dt_instance *by = f->stack.add;
    for (uint32_t c = 0; c < columns; c++)
        by->table.add(by->ctx, x + c * f->dim_stride, y + c * f->dim_stride, f->model->hp.dim);
}

// Work done column by column. Computing with one float takes as long as reading several.
#define COLUMN_COST 16u

static void spread_columns(const struct dt_forward *f, dt_loop_body *body, void *arg,
                           uint32_t columns, size_t floats)
{
    dt_compute_spread(&f->compute, body, arg, columns, columns * floats * COLUMN_COST);
}

struct norms {
    const struct dt_forward *f;
    float *out;
    const float *x, *weight;
};

static void norm_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct norms *n = arg;
    const struct dt_hparams *hp = &n->f->model->hp;
    const struct dt_instance *by = n->f->stack.rmsnorm;
    size_t stride = n->f->dim_stride;
    by->table.rmsnorm(by->ctx, n->out + begin * stride, stride, n->x + begin * stride, stride,
                      n->weight, hp->dim, end - begin, hp->norm_epsilon);
}

void dt_forward_norm(const struct dt_forward *f, float *out, const float *x, const float *weight,
                     uint32_t columns)
{
    struct norms n = {f, out, x, weight};
    spread_columns(f, norm_body, &n, columns, f->model->hp.dim);
}

// ---- layers ----

static void prepare_rope(const struct dt_forward *f, uint32_t columns)
{
    const struct dt_hparams *hp = &f->model->hp;
    for (uint32_t c = 0; c < columns; c++) {
        float *cosine = f->scratch.cosine + c * f->half_stride,
              *sine = f->scratch.sine + c * f->half_stride;
        float position = (float)(f->position + c) * hp->rope_scale;
        for (uint32_t i = 0; i < hp->rotated / 2; i++) {
            float angle = position * f->frequency[i];
            cosine[i] = cosf(angle);
            sine[i] = sinf(angle);
        }
    }
}

struct rotation {
    const struct dt_forward *f;
    const struct dt_kv *kv;
};

// Rotates queries and keys, and stores keys and values in the cache.
static void rotate_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct rotation *r = arg;
    const struct dt_forward *f = r->f;
    const struct dt_hparams *hp = &f->model->hp;
    const struct dt_scratch *t = &f->scratch;
    const struct dt_instance *by = f->stack.rope;
    for (uint32_t c = begin; c < end; c++) {
        const float *cosine = t->cosine + c * f->half_stride, *sine = t->sine + c * f->half_stride;
        by->table.rope(by->ctx, t->query + c * f->attend_stride, hp->heads, hp->head_size,
                       hp->rotated, cosine, sine, hp->rope_style);
        by->table.rope(by->ctx, t->key + c * f->kv_stride, hp->kv_heads, hp->head_size, hp->rotated,
                       cosine, sine, hp->rope_style);
    }
    dt_kv_cache_store(r->kv, f->position + begin, t->key + begin * f->kv_stride,
                      t->value + begin * f->kv_stride, f->kv_stride, end - begin);
}

static void attend(struct dt_forward *f, uint32_t layer, uint32_t columns)
{
    const struct dt_hparams *hp = &f->model->hp;
    const struct dt_layer *m = &f->model->layers[layer];
    const struct dt_weights_layer *w = &f->weights->layers[layer];
    struct dt_scratch *t = &f->scratch;
    uint64_t clock = dt_profile_begin(f->profile);
    dt_forward_norm(f, t->normed, t->x, m->attention_norm, columns);
    clock = dt_profile_end(f->profile, clock, DT_OP_ATTENTION_NORM, layer, columns,
                           hp->dim * sizeof(float));

    dt_linear_multiply(&f->compute,
                       (const struct dt_linear *const[]){&w->query, &w->key, &w->value},
                       (float *const[]){t->query, t->key, t->value},
                       (const size_t[]){f->attend_stride, f->kv_stride, f->kv_stride}, 3, t->normed,
                       f->dim_stride, columns);
    add_bias(f, t->query, f->attend_stride, m->query_bias, hp->heads * hp->head_size, columns);
    add_bias(f, t->key, f->kv_stride, m->key_bias, hp->kv_heads * hp->head_size, columns);
    add_bias(f, t->value, f->kv_stride, m->value_bias, hp->kv_heads * hp->head_size, columns);
    clock = dt_profile_end(f->profile, clock, DT_OP_QKV, layer, columns,
                           w->query.matrix.bytes + w->key.matrix.bytes + w->value.matrix.bytes);
    if (dt_compute_cancelled(&f->compute))
        return;

    struct dt_kv kv = dt_kv_cache_layer(&f->cache, layer);
    struct rotation r = {f, &kv};
    spread_columns(f, rotate_body, &r, columns, (size_t)(hp->heads + hp->kv_heads) * hp->head_size);
    clock = dt_profile_end(f->profile, clock, DT_OP_ROPE, layer, columns, 0);

    struct attention a = {f, &kv, columns};
    size_t bytes = dt_kv_cache_layer_bytes(&f->cache, (size_t)f->position + columns);
    dt_compute_spread(&f->compute, attention_body, &a, hp->heads * columns, bytes * columns);
    clock = dt_profile_end(f->profile, clock, DT_OP_ATTENTION, layer, columns, bytes);

    dt_linear_multiply(&f->compute, (const struct dt_linear *const[]){&w->output},
                       (float *const[]){t->normed}, (const size_t[]){f->dim_stride}, 1, t->attended,
                       f->attend_stride, columns);
    add_columns(f, t->x, t->normed, columns);
    dt_profile_end(f->profile, clock, DT_OP_OUTPUT, layer, columns, w->output.matrix.bytes);
}

static void activate_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct dt_forward *f = arg;
    const struct dt_instance *by = f->stack.silu_mul;
    for (uint32_t c = begin; c < end; c++)
        by->table.silu_mul(by->ctx, f->scratch.hidden + c * f->hidden_stride,
                           f->scratch.up + c * f->hidden_stride, f->model->hp.hidden);
}

static void feed_forward(struct dt_forward *f, uint32_t layer, uint32_t columns)
{
    const struct dt_hparams *hp = &f->model->hp;
    const struct dt_weights_layer *w = &f->weights->layers[layer];
    struct dt_scratch *t = &f->scratch;
    uint64_t clock = dt_profile_begin(f->profile);
    dt_forward_norm(f, t->normed, t->x, f->model->layers[layer].ffn_norm, columns);
    clock =
        dt_profile_end(f->profile, clock, DT_OP_FFN_NORM, layer, columns, hp->dim * sizeof(float));
    dt_linear_multiply(&f->compute, (const struct dt_linear *const[]){&w->gate, &w->up},
                       (float *const[]){t->hidden, t->up},
                       (const size_t[]){f->hidden_stride, f->hidden_stride}, 2, t->normed,
                       f->dim_stride, columns);
    clock = dt_profile_end(f->profile, clock, DT_OP_GATE_UP, layer, columns,
                           w->gate.matrix.bytes + w->up.matrix.bytes);
    spread_columns(f, activate_body, f, columns, hp->hidden);
    clock = dt_profile_end(f->profile, clock, DT_OP_ACTIVATION, layer, columns, 0);
    dt_linear_multiply(&f->compute, (const struct dt_linear *const[]){&w->down},
                       (float *const[]){t->normed}, (const size_t[]){f->dim_stride}, 1, t->hidden,
                       f->hidden_stride, columns);
    add_columns(f, t->x, t->normed, columns);
    dt_profile_end(f->profile, clock, DT_OP_DOWN, layer, columns, w->down.matrix.bytes);
}

void dt_forward_layers(struct dt_forward *f, const uint32_t *tokens, uint32_t columns)
{
    const struct dt_linear *embedding = &f->weights->embedding;
    uint64_t clock = dt_profile_begin(f->profile);
    for (uint32_t c = 0; c < columns; c++)
        embedding->by->table.embed(embedding->by->ctx, f->scratch.x + c * f->dim_stride,
                                   &embedding->matrix, tokens[c]);
    prepare_rope(f, columns);
    dt_profile_end(f->profile, clock, DT_OP_EMBED, DT_NO_LAYER, columns, 0);
    for (uint32_t layer = 0; layer < f->model->hp.layers && !dt_compute_cancelled(&f->compute);
         layer++) {
        attend(f, layer, columns);
        if (!dt_compute_cancelled(&f->compute))
            feed_forward(f, layer, columns);
    }
}
