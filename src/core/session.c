// SPDX-License-Identifier: MIT
#include "core/session.h"

#include <math.h>
#include <string.h>

#include "core/kv/kv_cache.h"
#include "core/profile.h"

#define DEFAULT_BATCH 32u
#define MAX_BATCH     512u
#define LISTED_ROWS   64u // rows of the classifier's shortlist that a worker takes at a time

// Scratch for one batch; depends on the stack, replaced at a swap. Strides in floats, padded to 16.
struct scratch {
    float *x, *normed, *query, *key, *value, *attended, *hidden, *up;
    float *scores;        // per worker: heads * score_stride
    float *cosine, *sine; // per column: rotated / 2, padded
};

struct dt_session {
    const struct dt_weights *weights;
    const struct dt_model *model;
    struct dt_stack stack; // a copy: resolved pointers, no chase
    const struct dt_profile *profile;
    dt_session_progress *progress;
    void *progress_arg;

    struct dt_compute compute;
    uint32_t capacity, batch;
    bool follow; // workers are as many as the services say, now and after a swap
    uint32_t position;
    bool have_logits;
    bool pending; // of the last position only the candidates were computed; its activations are
                  // still in scratch
    struct dt_shortlist *list;
    float margin, temperature; // what the sampler wishes; reach < 0: everything
    struct dt_candidates candidates;
    size_t dim_stride, attend_stride, kv_stride, hidden_stride, score_stride, half_stride;

    uint32_t *tokens;
    float *frequency; // rotated / 2
    float *logits;
    struct dt_kv_cache cache;
    struct scratch scratch;
};

static size_t padded(size_t n)
{
    return (n + 15) / 16 * 16;
}

// ---- making one ----

// Sizes that depend on nothing but the model and the options.
static dt_status resolve_options(struct dt_session *s, const struct dt_model *model,
                                 const struct dt_session_options *options,
                                 const struct dt_services *services, struct dt_error *err)
{
    const struct dt_hparams *hp = &model->hp;
    memset(s, 0, sizeof *s);
    s->model = model;
    s->compute.services = services;
    s->compute.split_bytes = dt_compute_split_bytes(model->weight_bytes);
    s->capacity = options->context ? options->context : hp->context;
    s->batch = options->batch ? options->batch : DEFAULT_BATCH;
    s->follow = options->threads == 0 && services && services->threads;
    s->compute.workers = s->follow          ? services->threads(services->host)
                         : options->threads ? options->threads
                                            : 1;
    uint32_t kv_type = options->kv_type ? options->kv_type : DT_KV_F32;
    if (s->capacity > DT_MAX_CONTEXT)
        return dt_error_set(err, DT_USAGE, NULL,
                            "a context of %u positions; at most %u can be held", s->capacity,
                            DT_MAX_CONTEXT);
    if (s->batch > MAX_BATCH)
        return dt_error_set(err, DT_USAGE, NULL,
                            "a batch of %u; at most %u columns are evaluated together", s->batch,
                            MAX_BATCH);
    if (kv_type != DT_KV_F32 && kv_type != DT_KV_F16)
        return dt_error_set(err, DT_USAGE, NULL, "KV cache type %u is unknown", kv_type);
    if (s->batch > s->capacity)
        s->batch = s->capacity;
    s->dim_stride = padded(hp->dim);
    s->attend_stride = padded((size_t)hp->heads * hp->head_size);
    s->kv_stride = padded((size_t)hp->kv_heads * hp->head_size);
    s->hidden_stride = padded(hp->hidden);
    s->half_stride = padded(hp->rotated / 2);
    s->score_stride = padded(s->capacity);
    dt_kv_cache_init(&s->cache, hp, s->capacity, kv_type);
    return DT_OK;
}

static void alloc_own(struct dt_session *s, struct dt_arena *arena, struct dt_session_bytes *bytes)
{
    const struct dt_hparams *hp = &s->model->hp;
    size_t begin = arena->used;
    s->tokens = dt_arena_alloc(arena, s->capacity, sizeof *s->tokens);
    s->frequency = dt_arena_alloc(arena, hp->rotated / 2 + 1, sizeof *s->frequency);
    bytes->tables = arena->used - begin;
    begin = arena->used;
    s->logits = dt_arena_alloc(arena, padded(hp->vocab), sizeof *s->logits);
    bytes->logits = arena->used - begin;
    begin = arena->used;
    dt_kv_cache_alloc(&s->cache, arena);
    bytes->kv = arena->used - begin;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

// Prepared activations of the widest matrix, for a full batch.
static size_t act_bytes(const struct dt_session *s, const struct dt_weights *weights)
{
    size_t most = 0;
    for (uint32_t i = 0; i < s->model->hp.layers; i++) {
        const struct dt_weights_layer *l = &weights->layers[i];
        const struct dt_linear *const all[] = {&l->query, &l->key, &l->value, &l->output,
                                               &l->gate,  &l->up,  &l->down};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            most = larger(most, dt_linear_act_bytes(all[k], s->batch));
    }
    return larger(most, dt_linear_act_bytes(&weights->classifier, s->batch));
}

// Returns the memory for prepared activations, the last part of the scratch.
static void *alloc_scratch(const struct dt_session *s, struct scratch *out, size_t act,
                           struct dt_arena *arena)
{
    out->x = dt_arena_alloc(arena, s->batch, s->dim_stride * sizeof(float));
    out->normed = dt_arena_alloc(arena, s->batch, s->dim_stride * sizeof(float));
    out->query = dt_arena_alloc(arena, s->batch, s->attend_stride * sizeof(float));
    out->key = dt_arena_alloc(arena, s->batch, s->kv_stride * sizeof(float));
    out->value = dt_arena_alloc(arena, s->batch, s->kv_stride * sizeof(float));
    out->attended = dt_arena_alloc(arena, s->batch, s->attend_stride * sizeof(float));
    out->hidden = dt_arena_alloc(arena, s->batch, s->hidden_stride * sizeof(float));
    out->up = dt_arena_alloc(arena, s->batch, s->hidden_stride * sizeof(float));
    out->scores = dt_arena_alloc(arena, (size_t)s->compute.workers * s->model->hp.heads,
                                 s->score_stride * sizeof(float));
    out->cosine = dt_arena_alloc(arena, s->batch, s->half_stride * sizeof(float));
    out->sine = dt_arena_alloc(arena, s->batch, s->half_stride * sizeof(float));
    return dt_arena_alloc(arena, act, 1);
}

static dt_status measure(struct dt_session *s, size_t act, struct dt_session_bytes *out,
                         struct dt_error *err)
{
    struct dt_arena own = dt_arena_over(NULL, 0), scratch = dt_arena_over(NULL, 0);
    struct scratch unused;
    dt_arena_alloc(&own, 1, sizeof *s);
    alloc_own(s, &own, out);
    (void)alloc_scratch(s, &unused, act, &scratch);
    out->own = own.used;
    out->scratch = scratch.used;
    if (dt_arena_failed(&own) || dt_arena_failed(&scratch))
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "a context of %u positions needs more memory than can be addressed",
                            s->capacity);
    return DT_OK;
}

dt_status dt_session_measure(const struct dt_weights *weights, const struct dt_stack *stack,
                             const struct dt_session_options *options,
                             const struct dt_services *services, struct dt_session_bytes *out,
                             struct dt_error *err)
{
    (void)stack; // the weights know who computes them
    struct dt_session s;
    memset(out, 0, sizeof *out);
    dt_status status = resolve_options(&s, weights->model, options, services, err);
    return status != DT_OK ? status : measure(&s, act_bytes(&s, weights), out, err);
}

dt_status dt_session_estimate(const struct dt_model *model,
                              const struct dt_session_options *options,
                              const struct dt_services *services, struct dt_session_bytes *out,
                              struct dt_error *err)
{
    struct dt_session s;
    memset(out, 0, sizeof *out);
    dt_status status = resolve_options(&s, model, options, services, err);
    if (status != DT_OK)
        return status;
    size_t widest = larger(larger(s.hidden_stride, s.dim_stride), s.attend_stride);
    return measure(&s, s.batch * (widest * 4 + 1024), out, err);
}

dt_status dt_session_init(struct dt_session **out, const struct dt_weights *weights,
                          const struct dt_stack *stack, const struct dt_session_options *options,
                          const struct dt_services *services, struct dt_arena *own,
                          struct dt_arena *scratch, struct dt_error *err)
{
    struct dt_session made;
    struct dt_session_bytes bytes;
    dt_status status = resolve_options(&made, weights->model, options, services, err);
    if (status != DT_OK)
        return status;
    made.weights = weights;
    made.stack = *stack;
    made.margin = -1;
    struct dt_session *s = dt_arena_alloc(own, 1, sizeof *s);
    alloc_own(&made, own, &bytes);
    made.compute.act = alloc_scratch(&made, &made.scratch, act_bytes(&made, weights), scratch);
    if (dt_arena_failed(own) || dt_arena_failed(scratch))
        return dt_error_set(
            err, DT_NO_MEMORY, NULL,
            "a context of %u positions needs %zu bytes and %zu of scratch; %zu and %zu are there",
            made.capacity, own->wanted, scratch->wanted, own->size, scratch->size);
    // llama2.c: 1 / powf(base, channel / head_size); GGUF's factors divide
    const struct dt_hparams *hp = &weights->model->hp;
    for (uint32_t i = 0; i < hp->rotated / 2; i++) {
        made.frequency[i] = 1.0f / powf(hp->rope_base, (float)(2 * i) / (float)hp->rotated);
        if (hp->rope_factors)
            made.frequency[i] /= hp->rope_factors[i];
    }
    *s = made;
    *out = s;
    return DT_OK;
}

// The logits stay, where what they would be computed from does not; candidates go.
static void settle_logits(struct dt_session *s)
{
    (void)dt_session_logits(s);
    s->candidates.count = 0;
}

dt_status dt_session_swap(struct dt_session *s, const struct dt_weights *weights,
                          const struct dt_stack *stack, struct dt_arena *scratch,
                          struct dt_error *err)
{
    if (weights->model != s->model)
        return dt_error_set(err, DT_FAILED, NULL,
                            "a story can only go on with the model it began with");
    struct scratch fresh;
    uint32_t workers = s->compute.workers;
    settle_logits(s);
    if (s->follow)
        s->compute.workers = s->compute.services->threads(s->compute.services->host);
    void *act = alloc_scratch(s, &fresh, act_bytes(s, weights), scratch);
    if (dt_arena_failed(scratch)) {
        s->compute.workers = workers;
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "the new backend needs %zu bytes of scratch, %zu are there",
                            scratch->wanted, scratch->size);
    }
    s->weights = weights;
    s->stack = *stack;
    s->scratch = fresh;
    s->compute.act = act;
    return DT_OK;
}

// ---- small things ----

void dt_session_set_cancel(struct dt_session *s, const atomic_int *cancel)
{
    s->compute.cancel = cancel;
}

void dt_session_set_progress(struct dt_session *s, dt_session_progress *progress, void *arg)
{
    s->progress = progress;
    s->progress_arg = arg;
}

void dt_session_set_profile(struct dt_session *s, const struct dt_profile *profile)
{
    s->profile = profile;
}

void dt_session_set_shortlist(struct dt_session *s, struct dt_shortlist *list)
{
    settle_logits(s);
    s->list = list;
}

void dt_session_set_bound(struct dt_session *s, float margin, float temperature)
{
    s->margin = margin;
    s->temperature = temperature;
}

bool dt_session_candidates(const struct dt_session *s, struct dt_candidates *out)
{
    *out = s->candidates;
    return s->have_logits && s->candidates.count > 0;
}

// What an eval's last position left is not valid any more.
static void forget_logits(struct dt_session *s)
{
    s->have_logits = s->pending = false;
    s->candidates.count = 0;
}

uint32_t dt_session_position(const struct dt_session *s)
{
    return s->position;
}

uint32_t dt_session_capacity(const struct dt_session *s)
{
    return s->capacity;
}

const uint32_t *dt_session_tokens(const struct dt_session *s)
{
    return s->tokens;
}

void dt_session_truncate(struct dt_session *s, uint32_t position)
{
    if (position >= s->position)
        return;
    s->position = position;
    forget_logits(s);
}

uint32_t dt_session_common_prefix(const struct dt_session *s, const uint32_t *tokens,
                                  uint32_t count)
{
    uint32_t n = 0;
    while (n < count && n < s->position && tokens[n] == s->tokens[n])
        n++;
    return n;
}

static bool cancelled(const struct dt_session *s)
{
    return dt_compute_cancelled(&s->compute);
}

// ---- operators ----

struct attention {
    const struct dt_session *s;
    const struct dt_kv *kv;
    uint32_t columns;
};

// Items are heads of columns: item = column * heads + head.
static void attention_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    const struct attention *a = arg;
    const struct dt_session *s = a->s;
    const struct dt_hparams *hp = &s->model->hp;
    const struct dt_instance *by = s->stack.attention;
    float *scores = s->scratch.scores + (size_t)worker * hp->heads * s->score_stride;
    float divisor = sqrtf((float)hp->head_size);
    while (begin < end && !cancelled(s)) {
        uint32_t column = begin / hp->heads, head = begin % hp->heads;
        uint32_t last = end - begin < hp->heads - head ? head + (end - begin) : hp->heads;
        by->table.attention(by->ctx, s->scratch.attended + column * s->attend_stride,
                            s->scratch.query + column * s->attend_stride, a->kv, hp->heads, head,
                            last, s->position + column + 1, divisor, scores, s->score_stride);
        begin += last - head;
    }
}

static void add_bias(const struct dt_session *s, float *x, size_t stride, const float *bias,
                     uint32_t n, uint32_t columns)
{
    for (uint32_t c = 0; bias && c < columns; c++)
        s->stack.add->table.add(s->stack.add->ctx, x + c * stride, bias, n);
}

static void add_columns(const struct dt_session *s, float *x, const float *y, uint32_t columns)
{
    const struct dt_instance *by = s->stack.add;
    for (uint32_t c = 0; c < columns; c++)
        by->table.add(by->ctx, x + c * s->dim_stride, y + c * s->dim_stride, s->model->hp.dim);
}

// What is done column by column, on the workers in a prompt. Floats that are computed with one at a
// time: as long as reading many.
#define COLUMN_COST 16u

static void spread_columns(const struct dt_session *s, dt_loop_body *body, void *arg,
                           uint32_t columns, size_t floats)
{
    dt_compute_spread(&s->compute, body, arg, columns, columns * floats * COLUMN_COST);
}

struct norms {
    const struct dt_session *s;
    float *out;
    const float *x, *weight;
};

static void norm_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct norms *n = arg;
    const struct dt_hparams *hp = &n->s->model->hp;
    const struct dt_instance *by = n->s->stack.rmsnorm;
    size_t stride = n->s->dim_stride;
    by->table.rmsnorm(by->ctx, n->out + begin * stride, stride, n->x + begin * stride, stride,
                      n->weight, hp->dim, end - begin, hp->norm_epsilon);
}

static void norm(const struct dt_session *s, float *out, const float *x, const float *weight,
                 uint32_t columns)
{
    struct norms n = {s, out, x, weight};
    spread_columns(s, norm_body, &n, columns, s->model->hp.dim);
}

static uint64_t now(const struct dt_session *s)
{
    return s->profile ? s->profile->now(s->profile->arg) : 0;
}

static uint64_t record(const struct dt_session *s, uint64_t since, enum dt_operator op,
                       uint32_t layer, uint32_t columns, size_t bytes)
{
    if (!s->profile)
        return 0;
    uint64_t at = s->profile->now(s->profile->arg);
    s->profile->record(s->profile->arg, op, layer, columns, at - since, bytes);
    return at;
}

// ---- the transformer ----

static void prepare_rope(const struct dt_session *s, uint32_t columns)
{
    const struct dt_hparams *hp = &s->model->hp;
    for (uint32_t c = 0; c < columns; c++) {
        float *cosine = s->scratch.cosine + c * s->half_stride,
              *sine = s->scratch.sine + c * s->half_stride;
        float position = (float)(s->position + c) * hp->rope_scale;
        for (uint32_t i = 0; i < hp->rotated / 2; i++) {
            float angle = position * s->frequency[i];
            cosine[i] = cosf(angle);
            sine[i] = sinf(angle);
        }
    }
}

struct rotation {
    const struct dt_session *s;
    const struct dt_kv *kv;
};

// Rotates queries and keys, and puts keys and values into the cache.
static void rotate_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct rotation *r = arg;
    const struct dt_session *s = r->s;
    const struct dt_hparams *hp = &s->model->hp;
    const struct scratch *t = &s->scratch;
    const struct dt_instance *by = s->stack.rope;
    for (uint32_t c = begin; c < end; c++) {
        const float *cosine = t->cosine + c * s->half_stride, *sine = t->sine + c * s->half_stride;
        by->table.rope(by->ctx, t->query + c * s->attend_stride, hp->heads, hp->head_size,
                       hp->rotated, cosine, sine, hp->rope_style);
        by->table.rope(by->ctx, t->key + c * s->kv_stride, hp->kv_heads, hp->head_size, hp->rotated,
                       cosine, sine, hp->rope_style);
    }
    dt_kv_cache_store(r->kv, s->position + begin, t->key + begin * s->kv_stride,
                      t->value + begin * s->kv_stride, s->kv_stride, end - begin);
}

static void attend(struct dt_session *s, uint32_t layer, uint32_t columns)
{
    const struct dt_hparams *hp = &s->model->hp;
    const struct dt_layer *m = &s->model->layers[layer];
    const struct dt_weights_layer *w = &s->weights->layers[layer];
    struct scratch *t = &s->scratch;
    uint64_t clock = now(s);
    norm(s, t->normed, t->x, m->attention_norm, columns);
    clock = record(s, clock, DT_OP_ATTENTION_NORM, layer, columns, hp->dim * sizeof(float));

    dt_linear_multiply(&s->compute,
                       (const struct dt_linear *const[]){&w->query, &w->key, &w->value},
                       (float *const[]){t->query, t->key, t->value},
                       (const size_t[]){s->attend_stride, s->kv_stride, s->kv_stride}, 3, t->normed,
                       s->dim_stride, columns);
    add_bias(s, t->query, s->attend_stride, m->query_bias, hp->heads * hp->head_size, columns);
    add_bias(s, t->key, s->kv_stride, m->key_bias, hp->kv_heads * hp->head_size, columns);
    add_bias(s, t->value, s->kv_stride, m->value_bias, hp->kv_heads * hp->head_size, columns);
    clock = record(s, clock, DT_OP_QKV, layer, columns,
                   w->query.matrix.bytes + w->key.matrix.bytes + w->value.matrix.bytes);
    if (cancelled(s))
        return;

    struct dt_kv kv = dt_kv_cache_layer(&s->cache, layer);
    struct rotation r = {s, &kv};
    spread_columns(s, rotate_body, &r, columns, (size_t)(hp->heads + hp->kv_heads) * hp->head_size);
    clock = record(s, clock, DT_OP_ROPE, layer, columns, 0);

    struct attention a = {s, &kv, columns};
    size_t bytes = dt_kv_cache_layer_bytes(&s->cache, (size_t)s->position + columns);
    dt_compute_spread(&s->compute, attention_body, &a, hp->heads * columns, bytes * columns);
    clock = record(s, clock, DT_OP_ATTENTION, layer, columns, bytes);

    dt_linear_multiply(&s->compute, (const struct dt_linear *const[]){&w->output},
                       (float *const[]){t->normed}, (const size_t[]){s->dim_stride}, 1, t->attended,
                       s->attend_stride, columns);
    add_columns(s, t->x, t->normed, columns);
    record(s, clock, DT_OP_OUTPUT, layer, columns, w->output.matrix.bytes);
}

static void activate_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct dt_session *s = arg;
    const struct dt_instance *by = s->stack.silu_mul;
    for (uint32_t c = begin; c < end; c++)
        by->table.silu_mul(by->ctx, s->scratch.hidden + c * s->hidden_stride,
                           s->scratch.up + c * s->hidden_stride, s->model->hp.hidden);
}

static void feed_forward(struct dt_session *s, uint32_t layer, uint32_t columns)
{
    const struct dt_hparams *hp = &s->model->hp;
    const struct dt_weights_layer *w = &s->weights->layers[layer];
    struct scratch *t = &s->scratch;
    uint64_t clock = now(s);
    norm(s, t->normed, t->x, s->model->layers[layer].ffn_norm, columns);
    clock = record(s, clock, DT_OP_FFN_NORM, layer, columns, hp->dim * sizeof(float));
    dt_linear_multiply(&s->compute, (const struct dt_linear *const[]){&w->gate, &w->up},
                       (float *const[]){t->hidden, t->up},
                       (const size_t[]){s->hidden_stride, s->hidden_stride}, 2, t->normed,
                       s->dim_stride, columns);
    clock =
        record(s, clock, DT_OP_GATE_UP, layer, columns, w->gate.matrix.bytes + w->up.matrix.bytes);
    spread_columns(s, activate_body, s, columns, hp->hidden);
    clock = record(s, clock, DT_OP_ACTIVATION, layer, columns, 0);
    dt_linear_multiply(&s->compute, (const struct dt_linear *const[]){&w->down},
                       (float *const[]){t->normed}, (const size_t[]){s->dim_stride}, 1, t->hidden,
                       s->hidden_stride, columns);
    add_columns(s, t->x, t->normed, columns);
    record(s, clock, DT_OP_DOWN, layer, columns, w->down.matrix.bytes);
}

// ---- the classifier ----

struct listed {
    const struct dt_session *s;
    float *out;
    const uint32_t *index;
    uint32_t count;
    const void *act;
};

static void listed_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct listed *l = arg;
    const struct dt_linear *c = &l->s->weights->classifier;
    uint32_t first = begin * LISTED_ROWS,
             last = end * LISTED_ROWS < l->count ? end * LISTED_ROWS : l->count;
    if (!cancelled(l->s))
        c->by->table.matmul_rows(c->by->ctx, l->out + first, &c->matrix, l->index + first,
                                 last - first, l->act);
}

static void listed_rows(void *arg, float *out, const uint32_t *index, uint32_t count)
{
    struct listed *l = arg;
    const struct dt_matrix *w = &l->s->weights->classifier.matrix;
    l->out = out;
    l->index = index;
    l->count = count;
    dt_compute_spread(&l->s->compute, listed_body, l, (count + LISTED_ROWS - 1) / LISTED_ROWS,
                      (size_t)count * (w->bytes / w->rows));
}

// The candidates among the logits of scratch.normed; false where all are to be computed.
static bool classify_listed(struct dt_session *s, uint32_t position)
{
    const struct dt_linear *c = &s->weights->classifier;
    const float *x = s->scratch.normed;
    struct listed l = {.s = s, .act = dt_linear_prepare(&s->compute, c, x, s->dim_stride, 1)};
    struct dt_shortlist_request request = {
        .x = x,
        .error = c->by->table.act_error(c->by->ctx, l.act, x, &c->matrix),
        .recent = s->tokens,
        .recent_count = position,
        .margin = s->margin,
        .temperature = s->temperature,
        .rows = listed_rows,
        .arg = &l,
    };
    return dt_shortlist_make(s->list, &s->stack, &request, &s->candidates);
}

// All logits of scratch.normed.
static void classify_all(struct dt_session *s)
{
    uint64_t clock = now(s);
    dt_linear_multiply(&s->compute, (const struct dt_linear *const[]){&s->weights->classifier},
                       (float *const[]){s->logits}, (const size_t[]){padded(s->model->hp.vocab)}, 1,
                       s->scratch.normed, s->dim_stride, 1);
    record(s, clock, DT_OP_CLASSIFIER, DT_NO_LAYER, 1, s->weights->classifier.matrix.bytes);
    if (s->list)
        s->list->facts.full++;
}

// Final norm and classifier of one column: the candidates if that will do, or the session's logits.
// position: tokens up to this one.
static void classify(struct dt_session *s, uint32_t column, uint32_t position, bool all)
{
    uint64_t clock = now(s);
    norm(s, s->scratch.normed, s->scratch.x + column * s->dim_stride, s->model->final_norm, 1);
    clock = record(s, clock, DT_OP_FINAL_NORM, DT_NO_LAYER, 1, s->model->hp.dim * sizeof(float));
    s->have_logits = true;
    if (s->list && !all && s->margin >= 0) {
        const struct dt_matrix *w = &s->weights->classifier.matrix;
        dt_shortlist_learn(s->list);
        s->pending = !dt_shortlist_passes(s->list) && classify_listed(s, position);
        record(s, clock, DT_OP_CLASSIFIER, DT_NO_LAYER, 1,
               s->candidates.count * (w->bytes / w->rows));
    }
    if (!s->pending)
        classify_all(s);
}

float *dt_session_logits(struct dt_session *s)
{
    if (s->pending) {
        const atomic_int *cancel = s->compute.cancel;
        s->compute.cancel = NULL; // who asks has them
        classify_all(s);
        s->compute.cancel = cancel;
        s->pending = false;
    }
    return s->have_logits ? s->logits : NULL;
}

// The layers for one batch at the session's position. The residual stream is left in scratch.x.
static void forward(struct dt_session *s, const uint32_t *tokens, uint32_t columns)
{
    const struct dt_linear *embedding = &s->weights->embedding;
    uint64_t clock = now(s);
    for (uint32_t c = 0; c < columns; c++)
        embedding->by->table.embed(embedding->by->ctx, s->scratch.x + c * s->dim_stride,
                                   &embedding->matrix, tokens[c]);
    prepare_rope(s, columns);
    record(s, clock, DT_OP_EMBED, DT_NO_LAYER, columns, 0);
    for (uint32_t layer = 0; layer < s->model->hp.layers && !cancelled(s); layer++) {
        attend(s, layer, columns);
        if (!cancelled(s))
            feed_forward(s, layer, columns);
    }
}

dt_status dt_session_eval(struct dt_session *s, const uint32_t *tokens, uint32_t count,
                          dt_session_logits_sink *sink, void *sink_arg, struct dt_error *err)
{
    if (count == 0)
        return DT_OK;
    if (count > s->capacity - s->position)
        return dt_error_set(err, DT_CONTEXT_FULL, NULL,
                            "%u tokens do not fit: %u of %u positions are taken", count,
                            s->position, s->capacity);
    for (uint32_t i = 0; i < count; i++) {
        if (tokens[i] >= s->model->hp.vocab)
            return dt_error_set(err, DT_BAD_INPUT, NULL, "token %u is outside the vocabulary of %u",
                                tokens[i], s->model->hp.vocab);
    }
    for (uint32_t done = 0; done < count;) {
        uint32_t columns = count - done < s->batch ? count - done : s->batch;
        forget_logits(s);
        memcpy(s->tokens + s->position, tokens + done, columns * sizeof *tokens);
        forward(s, tokens + done, columns);
        for (uint32_t c = 0; sink && c < columns && !cancelled(s); c++) {
            classify(s, c, s->position + c + 1, true);
            if (!cancelled(s) && sink(sink_arg, s->position + c, s->logits))
                return dt_error_set(err, DT_CANCELLED, NULL, "stopped by the reader of the logits");
        }
        if (!sink && done + columns == count && !cancelled(s))
            classify(s, columns - 1, s->position + columns, false);
        if (cancelled(s)) {
            forget_logits(s);
            return dt_error_set(err, DT_CANCELLED, NULL, "stopped after %u of %u tokens", done,
                                count);
        }
        s->position += columns;
        done += columns;
        if (s->progress)
            s->progress(s->progress_arg, done, count);
    }
    return DT_OK;
}

// ---- saving, restoring and filling ----

size_t dt_session_saved_bytes(const struct dt_session *s, uint32_t position)
{
    return position * sizeof *s->tokens + dt_kv_cache_saved_bytes(&s->cache, position);
}

void dt_session_save(const struct dt_session *s, uint32_t position, void *out)
{
    size_t tokens = position * sizeof *s->tokens;
    memcpy(out, s->tokens, tokens);
    dt_kv_cache_save(&s->cache, position, (unsigned char *)out + tokens);
}

void dt_session_restore(struct dt_session *s, uint32_t position, const void *saved)
{
    size_t tokens = position * sizeof *s->tokens;
    memcpy(s->tokens, saved, tokens);
    dt_kv_cache_restore(&s->cache, position, (const unsigned char *)saved + tokens);
    s->position = position;
    forget_logits(s);
}

void dt_session_fill(struct dt_session *s, uint32_t position)
{
    if (position > s->capacity)
        position = s->capacity;
    dt_kv_cache_fill(&s->cache, position, s->scratch.key, s->scratch.value);
    memset(s->tokens, 0, position * sizeof *s->tokens);
    s->position = position;
    forget_logits(s);
}
