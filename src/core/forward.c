// SPDX-License-Identifier: MIT
#include "core/forward.h"

#include <math.h>
#include <string.h>

#include "core/structure.h"

// ---- memory ----

static size_t padded(size_t n)
{
    return (n + 15) / 16 * 16;
}

void dt_forward_init(struct dt_forward *f, const struct dt_model *model, uint32_t batch,
                     uint32_t capacity)
{
    const struct dt_hparams *hp = &model->hp;
    f->model = model;
    f->batch = batch;
    f->capacity = capacity;
    f->dim_stride = padded(hp->dim);
    f->attend_stride = padded((size_t)hp->heads * hp->head_size);
    f->kv_stride = padded((size_t)hp->kv_heads * hp->head_size);
    f->hidden_stride = padded(hp->hidden);
    f->half_stride = padded(hp->rotated / 2);
    f->ropes = hp->rope_base_local > 0 ? 2 : 1;
    f->score_stride = padded(capacity);
}

// YaRN (Peng et al., 2023): the channel of a wave that turns `turns` times in the original context.
static double yarn_channel(const struct dt_hparams *hp, float turns)
{
    return hp->rotated * log(hp->rope_original / (turns * 6.283185307179586)) /
           (2 * log((double)hp->rope_base));
}

// Divides the frequencies of slow waves by the factor, of fast ones by 1, of those between in
// proportion to the channel.
static void scale_yarn(const struct dt_hparams *hp, float *frequency)
{
    double low = floor(yarn_channel(hp, hp->rope_beta_fast)),
           high = ceil(yarn_channel(hp, hp->rope_beta_slow));
    low = low < 0 ? 0 : low;
    high = high > hp->rotated - 1 ? hp->rotated - 1 : high;
    for (uint32_t i = 0; i < hp->rotated / 2; i++) {
        double slow = (i - low) / (high - low > 0.001 ? high - low : 0.001);
        slow = slow < 0 ? 0 : slow > 1 ? 1 : slow;
        frequency[i] = (float)(frequency[i] * (slow / (double)hp->rope_factor + (1 - slow)));
    }
}

void dt_forward_set_frequencies(struct dt_forward *f)
{
    const struct dt_hparams *hp = &f->model->hp;
    uint32_t half = hp->rotated / 2;
    // one of the two for the whole session, so that a position's bits do not depend on its length
    const float *factors = hp->rope_scaling != DT_ROPE_LONG  ? hp->rope_factors
                           : f->capacity > hp->rope_original ? hp->rope_long
                                                             : hp->rope_short;
    // as in llama2.c: 1 / powf(base, channel / head_size); GGUF's factors are divisors
    for (uint32_t i = 0; i < half; i++) {
        float exponent = (float)(2 * i) / (float)hp->rotated;
        f->frequency[i] = 1.0f / powf(hp->rope_base, exponent);
        if (factors)
            f->frequency[i] /= factors[i];
        if (f->ropes == 2)
            f->frequency[half + i] = 1.0f / powf(hp->rope_base_local, exponent);
    }
    if (hp->rope_scaling == DT_ROPE_YARN)
        scale_yarn(hp, f->frequency);
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
            if (all[k]->by)
                most = larger(most, dt_linear_act_bytes(all[k], f->batch));
    }
    most = larger(most, dt_linear_act_bytes(&weights->classifier_rows, 1));
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
    t.cosine = dt_arena_alloc(arena, batch * f->ropes, f->half_stride * real);
    t.sine = dt_arena_alloc(arena, batch * f->ropes, f->half_stride * real);
    t.act = dt_arena_alloc(arena, act_bytes, 1);
    return t;
}

// ---- operators ----

// The run that a column belongs to; *first becomes the run's first column.
static const struct dt_forward_run *run_of(const struct dt_forward *f, uint32_t column,
                                           uint32_t *first)
{
    const struct dt_forward_run *run = f->runs;
    for (*first = 0; column - *first >= run->columns; run++)
        *first += run->columns;
    return run;
}

// Examines the columns of each run, n floats each, as dt_finite_examine.
static void examine(const struct dt_forward *f, const float *x, size_t stride, size_t n,
                    uint32_t exponent)
{
    for (uint32_t r = 0; r < f->run_count; r++) {
        const struct dt_forward_run *run = &f->runs[r];
        dt_finite_examine(run->finite, x, stride, n, run->columns, exponent);
        x += run->columns * stride;
    }
}

struct attention {
    const struct dt_forward *f;
    uint32_t layer;
    uint32_t window;   // entries before this many are not attended to; 0: all are
    uint32_t together; // heads of an item, with one column after the other; 0: column by column
};

// Keys and values of some heads that all columns of a batch read while they are in a core's cache.
#define HEADS_BYTES (512u << 10)

// Attention of some heads of one column.
static void attend_heads(const struct attention *a, uint32_t column, uint32_t head, uint32_t last,
                         float *scores)
{
    const struct dt_forward *f = a->f;
    const struct dt_hparams *hp = &f->model->hp;
    float divisor = hp->attention_divisor > 0 ? hp->attention_divisor : sqrtf((float)hp->head_size);
    float *out = f->scratch.attended + column * f->attend_stride;
    const float *query = f->scratch.query + column * f->attend_stride;
    uint32_t first;
    const struct dt_forward_run *run = run_of(f, column, &first);
    uint32_t entries = run->position + column - first + 1;
    struct dt_kv kv = dt_kv_cache_layer(run->cache, a->layer);
    if (a->window && entries > a->window) {
        kv = dt_kv_cache_from(&kv, entries - a->window);
        entries = a->window;
    }
    if (hp->attention_cap > 0) {
        const struct dt_instance *by =
            kv.type == DT_KV_I8 ? f->stack.attention_capped_i8 : f->stack.attention_capped;
        by->table.attention_capped(by->ctx, out, query, &kv, hp->heads, head, last, entries,
                                   divisor, hp->attention_cap, scores, f->score_stride);
    } else {
        const struct dt_instance *by =
            kv.type == DT_KV_I8 ? f->stack.attention_i8 : f->stack.attention;
        by->table.attention(by->ctx, out, query, &kv, hp->heads, head, last, entries, divisor,
                            scores, f->score_stride);
    }
}

// Items are heads of columns, item = column * heads + head; or columns of `together` heads, item =
// head / together * columns + column.
static void attention_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    const struct attention *a = arg;
    const struct dt_forward *f = a->f;
    const struct dt_hparams *hp = &f->model->hp;
    float *scores = f->scratch.scores + (size_t)worker * hp->heads * f->score_stride;
    while (begin < end && !dt_compute_cancelled(&f->compute)) {
        if (a->together) {
            uint32_t head = begin / f->columns * a->together, last = head + a->together;
            attend_heads(a, begin++ % f->columns, head, last < hp->heads ? last : hp->heads,
                         scores);
            continue;
        }
        uint32_t column = begin / hp->heads, head = begin % hp->heads;
        uint32_t last = end - begin < hp->heads - head ? head + (end - begin) : hp->heads;
        attend_heads(a, column, head, last, scores);
        begin += last - head;
    }
}

static void add_bias(const struct dt_forward *f, float *x, size_t stride, const float *bias,
                     uint32_t n, uint32_t columns)
{
    for (uint32_t c = 0; bias && c < columns; c++)
        f->stack.add->table.add(f->stack.add->ctx, x + c * stride, bias, n);
}

void dt_forward_scale(float *x, size_t n, float by)
{
    for (size_t i = 0; by != 0 && i < n; i++)
        x[i] *= by;
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
    const float *x, *weight, *bias;
};

static void norm_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct norms *n = arg;
    const struct dt_hparams *hp = &n->f->model->hp;
    const struct dt_instance *by = n->f->stack.rmsnorm;
    size_t stride = n->f->dim_stride;
    if (hp->structure->norm == DT_NORM_LAYER) {
        by = n->f->stack.layernorm;
        by->table.layernorm(by->ctx, n->out + begin * stride, stride, n->x + begin * stride, stride,
                            n->weight, n->bias, hp->dim, end - begin, hp->norm_epsilon);
        return;
    }
    by->table.rmsnorm(by->ctx, n->out + begin * stride, stride, n->x + begin * stride, stride,
                      n->weight, hp->dim, end - begin, hp->norm_epsilon);
}

void dt_forward_norm(const struct dt_forward *f, float *out, const float *x, const float *weight,
                     const float *bias, uint32_t columns)
{
    struct norms n = {f, out, x, weight, bias};
    spread_columns(f, norm_body, &n, columns, f->model->hp.dim);
}

// Adds what a block computed, in scratch.normed, to the residual stream: with the bias of its last
// matrix and its post norm, which may be NULL.
static void add_block(const struct dt_forward *f, const float *bias, const float *post_norm,
                      uint32_t columns)
{
    const struct dt_instance *by = f->stack.add;
    const struct dt_hparams *hp = &f->model->hp;
    float *y = f->scratch.normed;
    add_bias(f, y, f->dim_stride, bias, hp->dim, columns);
    if (post_norm)
        dt_forward_norm(f, y, y, post_norm, NULL, columns);
    for (uint32_t c = 0; c < columns; c++) {
        dt_forward_scale(y + c * f->dim_stride, hp->dim, hp->residual_scale);
        by->table.add(by->ctx, f->scratch.x + c * f->dim_stride, y + c * f->dim_stride, hp->dim);
    }
}

// ---- layers ----

// The squares of DT_MAX_DIM smaller numbers have a finite sum.
#define RESIDUAL_EXPONENT 55

void dt_forward_angles(const struct dt_forward *f, uint32_t position, bool local, float *cosine,
                       float *sine)
{
    uint32_t half = f->model->hp.rotated / 2;
    double at = local ? position : position * (double)f->model->hp.rope_scale;
    for (uint32_t i = 0; i < half; i++) {
        double turns = at * (double)f->frequency[local ? half + i : i] / 6.283185307179586,
               angle = (turns - floor(turns)) * 6.283185307179586;
        cosine[i] = cosf((float)angle);
        sine[i] = sinf((float)angle);
    }
}

// The same in single precision, as llama2.c does.
static void angles_within(const struct dt_forward *f, uint32_t place, bool local, float *cosine,
                          float *sine)
{
    uint32_t half = f->model->hp.rotated / 2;
    float position = (float)place;
    if (!local)
        position *= f->model->hp.rope_scale;
    for (uint32_t i = 0; i < half; i++) {
        float angle = position * f->frequency[local ? half + i : i];
        cosine[i] = cosf(angle);
        sine[i] = sinf(angle);
    }
}

void dt_forward_prepare_rope(const struct dt_forward *f)
{
    const struct dt_hparams *hp = &f->model->hp;
    uint32_t columns = f->columns, half = hp->rotated / 2;
    float attention = hp->rope_attention > 0 ? hp->rope_attention : 1.0f;
    for (uint32_t c = 0; c < columns * f->ropes; c++) {
        float *cosine = f->scratch.cosine + c * f->half_stride,
              *sine = f->scratch.sine + c * f->half_stride;
        bool local = c >= columns;
        uint32_t first, position;
        const struct dt_forward_run *run = run_of(f, c % columns, &first);
        position = run->position + c % columns - first;
        if (run->dropped)
            dt_forward_angles(f, position + run->dropped, local, cosine, sine);
        else
            angles_within(f, position, local, cosine, sine);
        for (uint32_t i = 0; i < half && !local && attention != 1.0f; i++) {
            cosine[i] *= attention;
            sine[i] *= attention;
        }
    }
}

struct rotation {
    const struct dt_forward *f;
    uint32_t layer;
};

// Norm and RoPE of the queries or keys of one column.
static void rotate(const struct rotation *r, float *x, uint32_t heads, const float *norm,
                   uint32_t column)
{
    const struct dt_forward *f = r->f;
    const struct dt_hparams *hp = &f->model->hp;
    uint32_t rope_of = f->model->layers[r->layer].rope;
    uint32_t kind = norm ? hp->structure->qk_norm : DT_QK_NORM_NONE;
    const struct dt_instance *by = f->stack.rmsnorm;
    if (kind == DT_QK_NORM_HEADS)
        by->table.rmsnorm(by->ctx, x, hp->head_size, x, hp->head_size, norm, hp->head_size, heads,
                          hp->norm_epsilon);
    if (kind == DT_QK_NORM_WHOLE)
        by->table.rmsnorm(by->ctx, x, f->attend_stride, x, f->attend_stride, norm,
                          heads * hp->head_size, 1, hp->norm_epsilon);
    if (rope_of != DT_LAYER_ROPE_NONE) {
        size_t at = (rope_of == DT_LAYER_ROPE_LOCAL ? f->columns : 0) + column;
        const struct dt_instance *rope = f->stack.rope;
        rope->table.rope(rope->ctx, x, heads, hp->head_size, hp->rotated,
                         f->scratch.cosine + at * f->half_stride,
                         f->scratch.sine + at * f->half_stride, hp->rope_style);
    }
    if (kind == DT_QK_NORM_HEADS_AFTER)
        by->table.rmsnorm(by->ctx, x, hp->head_size, x, hp->head_size, norm, hp->head_size, heads,
                          hp->norm_epsilon);
}

// Rotates queries and keys, and stores keys and values in the cache.
static void rotate_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct rotation *r = arg;
    const struct dt_forward *f = r->f;
    const struct dt_hparams *hp = &f->model->hp;
    const struct dt_layer *m = &f->model->layers[r->layer];
    const struct dt_scratch *t = &f->scratch;
    for (uint32_t c = begin; c < end; c++) {
        rotate(r, t->query + c * f->attend_stride, hp->heads, m->query_norm, c);
        rotate(r, t->key + c * f->kv_stride, hp->kv_heads, m->key_norm, c);
    }
    for (uint32_t n; begin < end; begin += n) { // the part of each run
        uint32_t first;
        const struct dt_forward_run *run = run_of(f, begin, &first);
        n = first + run->columns - begin;
        n = n < end - begin ? n : end - begin;
        struct dt_kv kv = dt_kv_cache_layer(run->cache, r->layer);
        dt_kv_cache_store(&kv, run->position + begin - first, t->key + begin * f->kv_stride,
                          t->value + begin * f->kv_stride, f->kv_stride, n);
    }
}

// What a block reads: the residual stream, normed if the structure has a norm before the block.
static const float *pre_norm(const struct dt_forward *f, const float *weight, const float *bias,
                             uint32_t columns)
{
    if (!weight)
        return f->scratch.x;
    dt_forward_norm(f, f->scratch.normed, f->scratch.x, weight, bias, columns);
    return f->scratch.normed;
}

static void project(struct dt_forward *f, uint32_t layer, const float *x)
{
    const struct dt_hparams *hp = &f->model->hp;
    uint32_t columns = f->columns;
    const struct dt_layer *m = &f->model->layers[layer];
    const struct dt_weights_layer *w = &f->weights->layers[layer];
    struct dt_scratch *t = &f->scratch;
    dt_linear_multiply(&f->compute,
                       (const struct dt_linear *const[]){&w->query, &w->key, &w->value},
                       (float *const[]){t->query, t->key, t->value},
                       (const size_t[]){f->attend_stride, f->kv_stride, f->kv_stride}, 3, x,
                       f->dim_stride, columns);
    add_bias(f, t->query, f->attend_stride, m->query_bias, hp->heads * hp->head_size, columns);
    add_bias(f, t->key, f->kv_stride, m->key_bias, hp->kv_heads * hp->head_size, columns);
    add_bias(f, t->value, f->kv_stride, m->value_bias, hp->kv_heads * hp->head_size, columns);
}

// Attention of all columns, and its bytes of keys and values: of the cache, each entry once.
static size_t attend_all(struct dt_forward *f, uint32_t layer)
{
    const struct dt_hparams *hp = &f->model->hp;
    struct attention a = {f, layer, f->model->layers[layer].window, 0};
    uint32_t items = hp->heads * f->columns;
    size_t read = 0, work = 0;
    for (uint32_t r = 0; r < f->run_count; r++) {
        const struct dt_forward_run *run = &f->runs[r];
        size_t entries = (size_t)run->position + run->columns;
        if (a.window && entries > a.window)
            entries = a.window;
        size_t bytes = dt_kv_cache_layer_bytes(run->cache, entries);
        read += bytes;
        work += bytes * run->columns;
    }
    if (f->run_count == 1 && f->columns > 1) {
        size_t fit = HEADS_BYTES / (read / hp->kv_heads + 1);
        a.together = fit < 2 ? 2 : fit < 8 ? (uint32_t)fit / 2 * 2 : 8;
        items = (hp->heads + a.together - 1) / a.together * f->columns;
    }
    dt_compute_spread(&f->compute, attention_body, &a, items, work);
    return read;
}

static void attend(struct dt_forward *f, uint32_t layer)
{
    const struct dt_hparams *hp = &f->model->hp;
    uint32_t columns = f->columns;
    const struct dt_layer *m = &f->model->layers[layer];
    const struct dt_weights_layer *w = &f->weights->layers[layer];
    struct dt_scratch *t = &f->scratch;
    uint64_t clock = dt_profile_begin(f->profile);
    const float *x = pre_norm(f, m->attention_norm, m->attention_norm_bias, columns);
    clock = dt_profile_end(f->profile, clock, DT_OP_ATTENTION_NORM, layer, columns,
                           hp->dim * sizeof(float));

    project(f, layer, x);
    clock = dt_profile_end(f->profile, clock, DT_OP_QKV, layer, columns,
                           w->query.matrix.bytes + w->key.matrix.bytes + w->value.matrix.bytes);
    if (dt_compute_cancelled(&f->compute))
        return;

    struct rotation r = {f, layer};
    spread_columns(f, rotate_body, &r, columns, (size_t)(hp->heads + hp->kv_heads) * hp->head_size);
    clock = dt_profile_end(f->profile, clock, DT_OP_ROPE, layer, columns, 0);

    size_t bytes = attend_all(f, layer);
    clock = dt_profile_end(f->profile, clock, DT_OP_ATTENTION, layer, columns, bytes);

    examine(f, t->attended, f->attend_stride, (size_t)hp->heads * hp->head_size, 128);
    dt_linear_multiply(&f->compute, (const struct dt_linear *const[]){&w->output},
                       (float *const[]){t->normed}, (const size_t[]){f->dim_stride}, 1, t->attended,
                       f->attend_stride, columns);
    add_block(f, m->output_bias, m->post_attention_norm, columns);
    dt_profile_end(f->profile, clock, DT_OP_OUTPUT, layer, columns, w->output.matrix.bytes);
}

static void activate_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct dt_forward *f = arg;
    const struct dt_hparams *hp = &f->model->hp;
    const struct dt_stack *by = &f->stack;
    bool silu = hp->structure->activation == DT_ACTIVATION_SILU, plain = hp->structure->plain_ffn;
    for (uint32_t c = begin; c < end; c++) {
        float *hidden = f->scratch.hidden + c * f->hidden_stride;
        const float *up = f->scratch.up + c * f->hidden_stride;
        if (silu)
            by->silu_mul->table.silu_mul(by->silu_mul->ctx, hidden, up, hp->hidden);
        else if (plain)
            by->gelu->table.gelu(by->gelu->ctx, hidden, hp->hidden);
        else
            by->gelu_mul->table.gelu_mul(by->gelu_mul->ctx, hidden, up, hp->hidden);
    }
}

static void feed_forward(struct dt_forward *f, uint32_t layer)
{
    const struct dt_hparams *hp = &f->model->hp;
    uint32_t columns = f->columns;
    const struct dt_layer *m = &f->model->layers[layer];
    const struct dt_weights_layer *w = &f->weights->layers[layer];
    struct dt_scratch *t = &f->scratch;
    bool plain = hp->structure->plain_ffn; // without a gate: up is the only matrix
    uint64_t clock = dt_profile_begin(f->profile);
    const float *x = pre_norm(f, m->ffn_norm, m->ffn_norm_bias, columns);
    clock =
        dt_profile_end(f->profile, clock, DT_OP_FFN_NORM, layer, columns, hp->dim * sizeof(float));
    dt_linear_multiply(
        &f->compute, (const struct dt_linear *const[]){plain ? &w->up : &w->gate, &w->up},
        (float *const[]){t->hidden, t->up}, (const size_t[]){f->hidden_stride, f->hidden_stride},
        plain ? 1 : 2, x, f->dim_stride, columns);
    add_bias(f, t->hidden, f->hidden_stride, plain ? m->up_bias : m->gate_bias, hp->hidden,
             columns);
    if (!plain)
        add_bias(f, t->up, f->hidden_stride, m->up_bias, hp->hidden, columns);
    clock = dt_profile_end(f->profile, clock, DT_OP_GATE_UP, layer, columns,
                           w->gate.matrix.bytes + w->up.matrix.bytes);
    if (dt_compute_cancelled(&f->compute))
        return;
    spread_columns(f, activate_body, f, columns, hp->hidden);
    clock = dt_profile_end(f->profile, clock, DT_OP_ACTIVATION, layer, columns, 0);
    examine(f, t->hidden, f->hidden_stride, hp->hidden, 128);
    dt_linear_multiply(&f->compute, (const struct dt_linear *const[]){&w->down},
                       (float *const[]){t->normed}, (const size_t[]){f->dim_stride}, 1, t->hidden,
                       f->hidden_stride, columns);
    add_block(f, m->down_bias, m->post_ffn_norm, columns);
    dt_profile_end(f->profile, clock, DT_OP_DOWN, layer, columns, w->down.matrix.bytes);
}

void dt_forward_embed(const struct dt_forward *f)
{
    const struct dt_model *m = f->model;
    const struct dt_linear *embedding = &f->weights->embedding;
    const struct dt_instance *add = f->stack.add;
    for (uint32_t c = 0; c < f->columns; c++) {
        uint32_t first;
        const struct dt_forward_run *run = run_of(f, c, &first);
        float *x = f->scratch.x + c * f->dim_stride;
        embedding->by->table.embed(embedding->by->ctx, x, &embedding->matrix,
                                   run->tokens[c - first]);
        dt_forward_scale(x, m->hp.dim, m->hp.embedding_scale);
        if (m->positions.quants) {
            dt_matrix_row(&m->positions, run->position + c - first, f->scratch.normed);
            add->table.add(add->ctx, x, f->scratch.normed, m->hp.dim);
        }
    }
}

void dt_forward_layer(struct dt_forward *f, uint32_t layer)
{
    attend(f, layer);
    if (!dt_compute_cancelled(&f->compute))
        feed_forward(f, layer);
    if (!dt_compute_cancelled(&f->compute))
        examine(f, f->scratch.x, f->dim_stride, f->model->hp.dim, RESIDUAL_EXPONENT);
}

static void enter_layer(const struct dt_forward *f, uint32_t layer)
{
    for (uint32_t r = 0; r < f->run_count; r++)
        f->runs[r].finite->layer = layer;
}

void dt_forward_layers(struct dt_forward *f)
{
    uint64_t clock = dt_profile_begin(f->profile);
    dt_forward_embed(f);
    dt_forward_prepare_rope(f);
    dt_profile_end(f->profile, clock, DT_OP_EMBED, DT_NO_LAYER, f->columns, 0);
    for (uint32_t layer = 0; layer < f->model->hp.layers && !dt_compute_cancelled(&f->compute);
         layer++) {
        enter_layer(f, layer);
        dt_forward_layer(f, layer);
    }
    enter_layer(f, DT_NO_LAYER);
}
