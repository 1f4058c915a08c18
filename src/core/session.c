// SPDX-License-Identifier: MIT
#include "core/session.h"

#include <math.h>
#include <string.h>

#include "core/profile.h"

#define DEFAULT_BATCH  32u
#define MAX_BATCH      512u
#define POLL_BYTES     (1u << 20)  // a stop is looked for at least this often
#define ITEM_BYTES     (32u << 10) // of weights: what workers take a number of at a time
#define STORED_AT_ONCE 8u          // positions of a prompt

// Less work than this, in bytes read, is not worth a second thread. Weights that a core's own cache
// holds come so fast that much more of them is read while two cores talk.
#define SPLIT_BYTES        (48u << 10)
#define SPLIT_BYTES_CACHED (256u << 10)
#define CACHED_BYTES       (1536u << 10)
#define LISTED_ROWS        64u // rows of the classifier's shortlist that a worker takes at a time

// Scratch for one batch; depends on the stack, replaced at a swap. Strides in floats, padded to 16.
struct scratch {
    float *x, *normed, *query, *key, *value, *attended, *hidden, *up;
    float *scores;        // per worker: heads * score_stride
    float *cosine, *sine; // per column: rotated / 2, padded
    void *act;
};

struct dt_session {
    const struct dt_weights *weights;
    const struct dt_model *model;
    struct dt_stack stack; // a copy: resolved pointers, no chase
    const struct dt_services *services;
    const struct dt_profile *profile;
    const atomic_int *cancel;
    dt_session_progress *progress;
    void *progress_arg;

    uint32_t capacity, batch, workers, kv_type;
    bool follow; // workers are as many as the services say, now and after a swap
    uint32_t position;
    bool have_logits;
    bool pending; // of the last position only the candidates were computed; its activations are
                  // still in scratch
    struct dt_shortlist *list;
    float margin, temperature; // what the sampler wishes; reach < 0: everything
    struct dt_candidates candidates;
    size_t dim_stride, attend_stride, kv_stride, hidden_stride, score_stride, half_stride;
    size_t key_slots; // slots of a channel's row of keys, padded

    uint32_t *tokens;
    float *frequency; // rotated / 2
    float *logits;
    unsigned char *keys, *values;
    struct scratch scratch;
};

const char *dt_operator_name(enum dt_operator op)
{
    static const char *const names[] = {
#define DT_X(name, text) text,
        DT_OPERATOR_LIST(DT_X)
#undef DT_X
    };
    return (unsigned)op < DT_OP_COUNT ? names[op] : "unknown";
}

static size_t padded(size_t n)
{
    return (n + 15) / 16 * 16;
}

static size_t kv_element(uint32_t type)
{
    return type == DT_KV_F16 ? 2 : 4;
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
    s->services = services;
    s->capacity = options->context ? options->context : hp->context;
    s->batch = options->batch ? options->batch : DEFAULT_BATCH;
    s->kv_type = options->kv_type ? options->kv_type : DT_KV_F32;
    s->follow = options->threads == 0 && services && services->threads;
    s->workers = s->follow          ? services->threads(services->host)
                 : options->threads ? options->threads
                                    : 1;
    if (s->capacity > DT_MAX_CONTEXT)
        return dt_error_set(err, DT_USAGE, NULL,
                            "a context of %u positions; at most %u can be held", s->capacity,
                            DT_MAX_CONTEXT);
    if (s->batch > MAX_BATCH)
        return dt_error_set(err, DT_USAGE, NULL,
                            "a batch of %u; at most %u columns are evaluated together", s->batch,
                            MAX_BATCH);
    if (s->kv_type != DT_KV_F32 && s->kv_type != DT_KV_F16)
        return dt_error_set(err, DT_USAGE, NULL, "KV cache type %u is unknown", s->kv_type);
    if (s->batch > s->capacity)
        s->batch = s->capacity;
    s->dim_stride = padded(hp->dim);
    s->attend_stride = padded((size_t)hp->heads * hp->head_size);
    s->kv_stride = padded((size_t)hp->kv_heads * hp->head_size);
    s->hidden_stride = padded(hp->hidden);
    s->half_stride = padded(hp->rotated / 2);
    s->score_stride = padded(s->capacity);
    // one line more than a power of two: neighbouring channels must not fall into the same cache
    // set
    s->key_slots = padded(s->capacity) + 16;
    return DT_OK;
}

static void take_own(struct dt_session *s, struct dt_arena *arena, struct dt_session_bytes *bytes)
{
    const struct dt_hparams *hp = &s->model->hp;
    size_t per_layer = (size_t)hp->kv_heads * hp->head_size, begin = arena->used;
    s->tokens = dt_arena_alloc(arena, s->capacity, sizeof *s->tokens);
    s->frequency = dt_arena_alloc(arena, hp->rotated / 2 + 1, sizeof *s->frequency);
    bytes->tables = arena->used - begin;
    begin = arena->used;
    s->logits = dt_arena_alloc(arena, padded(hp->vocab), sizeof *s->logits);
    bytes->logits = arena->used - begin;
    begin = arena->used;
    s->keys = dt_arena_alloc(arena, hp->layers * s->key_slots * kv_element(s->kv_type), per_layer);
    s->values =
        dt_arena_alloc(arena, hp->layers * padded(s->capacity) * kv_element(s->kv_type), per_layer);
    bytes->kv = arena->used - begin;
}

static void largest_act(size_t *most, const struct dt_linear *l, uint32_t columns)
{
    if (!l->by->table.act_bytes)
        return;
    size_t bytes = l->by->table.act_bytes(l->by->ctx, &l->matrix, columns);
    if (bytes > *most)
        *most = bytes;
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
            largest_act(&most, all[k], s->batch);
    }
    largest_act(&most, &weights->classifier, s->batch);
    return most;
}

static void alloc_scratch(const struct dt_session *s, struct scratch *out, size_t act,
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
    out->scores = dt_arena_alloc(arena, (size_t)s->workers * s->model->hp.heads,
                                 s->score_stride * sizeof(float));
    out->cosine = dt_arena_alloc(arena, s->batch, s->half_stride * sizeof(float));
    out->sine = dt_arena_alloc(arena, s->batch, s->half_stride * sizeof(float));
    out->act = dt_arena_alloc(arena, act, 1);
}

static dt_status measure(struct dt_session *s, size_t act, struct dt_session_bytes *out,
                         struct dt_error *err)
{
    struct dt_arena own = dt_arena_over(NULL, 0), scratch = dt_arena_over(NULL, 0);
    struct scratch unused;
    dt_arena_alloc(&own, 1, sizeof *s);
    take_own(s, &own, out);
    alloc_scratch(s, &unused, act, &scratch);
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
    size_t widest = s.hidden_stride > s.dim_stride ? s.hidden_stride : s.dim_stride;
    if (s.attend_stride > widest)
        widest = s.attend_stride;
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
    take_own(&made, own, &bytes);
    alloc_scratch(&made, &made.scratch, act_bytes(&made, weights), scratch);
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
    uint32_t workers = s->workers;
    settle_logits(s);
    if (s->follow)
        s->workers = s->services->threads(s->services->host);
    alloc_scratch(s, &fresh, act_bytes(s, weights), scratch);
    if (dt_arena_failed(scratch)) {
        s->workers = workers;
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "the new backend needs %zu bytes of scratch, %zu are there",
                            scratch->wanted, scratch->size);
    }
    s->weights = weights;
    s->stack = *stack;
    s->scratch = fresh;
    return DT_OK;
}

// ---- small things ----

void dt_session_set_cancel(struct dt_session *s, const atomic_int *cancel)
{
    s->cancel = cancel;
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
    return s->cancel && atomic_load_explicit(s->cancel, memory_order_relaxed);
}

// ---- operators ----

// Runs items on the workers when the work is worth it. Results do not depend on it.
static void spread(const struct dt_session *s, dt_loop_body *body, void *arg, uint32_t items,
                   size_t bytes)
{
    size_t least = s->model->weight_bytes < CACHED_BYTES ? SPLIT_BYTES_CACHED : SPLIT_BYTES;
    if (s->workers > 1 && items > 1 && bytes >= least && s->services && s->services->parallel_for)
        s->services->parallel_for(s->services->host, body, arg, items, 1);
    else
        body(arg, 0, items, 0);
}

// Up to three matrices over the same activations: one preparation, one parallel loop.
struct product {
    const struct dt_session *s;
    const struct dt_linear *linear[3];
    float *out[3];
    size_t out_stride[3];
    uint32_t rows_per_item[3],
        first_item[4];         // items of matrix m: first_item[m] .. first_item[m + 1] - 1
    uint32_t items_at_once[3]; // no more than POLL_BYTES
    const void *act;
    size_t x_stride;
    uint32_t columns;
};

static void product_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct product *p = arg;
    while (begin < end && !cancelled(p->s)) {
        int m = begin >= p->first_item[2] ? 2 : begin >= p->first_item[1] ? 1 : 0;
        const struct dt_linear *l = p->linear[m];
        // as many at once as lie in one matrix, but for a look at the flag now and then
        uint32_t last = end < p->first_item[m + 1] ? end : p->first_item[m + 1];
        if (last - begin > p->items_at_once[m])
            last = begin + p->items_at_once[m];
        uint32_t row = (begin - p->first_item[m]) * p->rows_per_item[m];
        uint32_t row_end = (last - p->first_item[m]) * p->rows_per_item[m];
        l->by->table.matmul(l->by->ctx, p->out[m], p->out_stride[m], &l->matrix, row,
                            row_end < l->matrix.rows ? row_end : l->matrix.rows, p->act,
                            p->x_stride, p->columns);
        begin = last;
    }
}

static bool same_preparation(const struct dt_linear *a, const struct dt_linear *b)
{
    return a->by == b->by && a->matrix.form == b->matrix.form && a->matrix.cols == b->matrix.cols &&
           a->matrix.group == b->matrix.group;
}

// The columns as l's backend wants them: prepared in scratch, or the floats themselves.
static const void *prepare(struct dt_session *s, const struct dt_linear *l, const float *x,
                           size_t x_stride, uint32_t columns)
{
    const struct dt_backend *b = &l->by->table;
    if (!b->act_prepare || !b->act_bytes || b->act_bytes(l->by->ctx, &l->matrix, columns) == 0)
        return x;
    b->act_prepare(l->by->ctx, s->scratch.act, x, x_stride, columns, &l->matrix);
    return s->scratch.act;
}

// out[m] = linear[m] times the columns of x, for count matrices.
static void multiply(struct dt_session *s, const struct dt_linear *const *linear, float *const *out,
                     const size_t *out_stride, int count, const float *x, size_t x_stride,
                     uint32_t columns)
{
    for (int first = 0; first < count;) {
        struct product p = {.s = s, .x_stride = x_stride, .columns = columns};
        p.act = prepare(s, linear[first], x, x_stride, columns);
        size_t bytes = 0;
        uint32_t items = 0;
        int m = 0;
        for (; first + m < count && m < 3 && same_preparation(linear[first], linear[first + m]);
             m++) {
            const struct dt_matrix *w = &linear[first + m]->matrix;
            uint32_t tile = linear[first + m]->by->table.row_tile;
            size_t row_bytes = w->bytes / w->rows + 1;
            size_t item_rows = s->workers > 1 ? ITEM_BYTES / row_bytes + 1 : w->rows;
            if (item_rows * row_bytes > POLL_BYTES)
                item_rows = POLL_BYTES / row_bytes + 1;
            p.linear[m] = linear[first + m];
            p.out[m] = out[first + m];
            p.out_stride[m] = out_stride[first + m];
            p.rows_per_item[m] = (uint32_t)(item_rows + tile - 1) / tile * tile;
            p.items_at_once[m] = (uint32_t)(POLL_BYTES / (p.rows_per_item[m] * row_bytes));
            p.items_at_once[m] += p.items_at_once[m] == 0;
            p.first_item[m] = items;
            items += (w->rows + p.rows_per_item[m] - 1) / p.rows_per_item[m];
            bytes += w->bytes * columns;
        }
        for (int rest = m; rest < 4; rest++)
            p.first_item[rest] = items;
        spread(s, product_body, &p, items, bytes);
        first += m;
    }
}

static struct dt_kv layer_kv(const struct dt_session *s, uint32_t layer)
{
    const struct dt_hparams *hp = &s->model->hp;
    size_t element = kv_element(s->kv_type), channels = (size_t)hp->kv_heads * hp->head_size;
    size_t value_slots = padded(s->capacity);
    return (struct dt_kv){
        .type = s->kv_type,
        .heads = hp->kv_heads,
        .head_size = hp->head_size,
        .capacity = s->capacity,
        .keys = s->keys + layer * channels * s->key_slots * element,
        .values = s->values + layer * channels * value_slots * element,
        .key_head = hp->head_size * s->key_slots,
        .key_slot = 1,
        .key_channel = s->key_slots,
        .value_head = hp->head_size * value_slots,
        .value_slot = hp->head_size,
        .value_channel = 1,
    };
}

// Keys and values of n neighbouring positions, a stride apart as they were computed, into as many
// slots of the cache: a channel's keys lie side by side there. Inlined for one position and for
// several.
static inline __attribute__((always_inline)) void store_run(const struct dt_kv *kv, uint32_t slot,
                                                            const float *key, const float *value,
                                                            size_t stride, uint32_t n)
{
    for (uint32_t h = 0; h < kv->heads; h++, key += kv->head_size, value += kv->head_size) {
        size_t key_at = h * kv->key_head + slot * kv->key_slot;
        size_t value_at = h * kv->value_head + slot * kv->value_slot;
        if (kv->type == DT_KV_F32) {
            float *keys = (float *)(uintptr_t)kv->keys + key_at,
                  *values = (float *)(uintptr_t)kv->values + value_at;
            for (uint32_t i = 0; i < kv->head_size; i++) {
                for (uint32_t k = 0; k < n; k++)
                    keys[i * kv->key_channel + k * kv->key_slot] = key[k * stride + i];
            }
            for (uint32_t k = 0; k < n; k++)
                memcpy(values + k * kv->value_slot, value + k * stride,
                       kv->head_size * sizeof *value);
            continue;
        }
        uint16_t *keys = (uint16_t *)(uintptr_t)kv->keys + key_at;
        uint16_t *values = (uint16_t *)(uintptr_t)kv->values + value_at;
        for (uint32_t i = 0; i < kv->head_size; i++) {
            for (uint32_t k = 0; k < n; k++) {
                keys[i * kv->key_channel + k * kv->key_slot] =
                    dt_float_to_half(key[k * stride + i]);
                values[k * kv->value_slot + i] = dt_float_to_half(value[k * stride + i]);
            }
        }
    }
}

static void store(const struct dt_kv *kv, uint32_t slot, const float *key, const float *value,
                  size_t stride, uint32_t n)
{
    uint32_t k = 0;
    for (; k + STORED_AT_ONCE <= n; k += STORED_AT_ONCE)
        store_run(kv, slot + k, key + k * stride, value + k * stride, stride, STORED_AT_ONCE);
    for (; k < n; k++)
        store_run(kv, slot + k, key + k * stride, value + k * stride, 0, 1);
}

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
    spread(s, body, arg, columns, columns * floats * COLUMN_COST);
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
    store(r->kv, s->position + begin, t->key + begin * s->kv_stride,
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

    multiply(s, (const struct dt_linear *const[]){&w->query, &w->key, &w->value},
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

    struct dt_kv kv = layer_kv(s, layer);
    struct rotation r = {s, &kv};
    spread_columns(s, rotate_body, &r, columns, (size_t)(hp->heads + hp->kv_heads) * hp->head_size);
    clock = record(s, clock, DT_OP_ROPE, layer, columns, 0);

    struct attention a = {s, &kv, columns};
    size_t entries = (size_t)s->position + columns;
    size_t bytes = entries * 2 * hp->kv_heads * hp->head_size * kv_element(s->kv_type);
    spread(s, attention_body, &a, hp->heads * columns, bytes * columns);
    clock = record(s, clock, DT_OP_ATTENTION, layer, columns, bytes);

    multiply(s, (const struct dt_linear *const[]){&w->output}, (float *const[]){t->normed},
             (const size_t[]){s->dim_stride}, 1, t->attended, s->attend_stride, columns);
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
    multiply(
        s, (const struct dt_linear *const[]){&w->gate, &w->up}, (float *const[]){t->hidden, t->up},
        (const size_t[]){s->hidden_stride, s->hidden_stride}, 2, t->normed, s->dim_stride, columns);
    clock =
        record(s, clock, DT_OP_GATE_UP, layer, columns, w->gate.matrix.bytes + w->up.matrix.bytes);
    spread_columns(s, activate_body, s, columns, hp->hidden);
    clock = record(s, clock, DT_OP_ACTIVATION, layer, columns, 0);
    multiply(s, (const struct dt_linear *const[]){&w->down}, (float *const[]){t->normed},
             (const size_t[]){s->dim_stride}, 1, t->hidden, s->hidden_stride, columns);
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
    spread(l->s, listed_body, l, (count + LISTED_ROWS - 1) / LISTED_ROWS,
           (size_t)count * (w->bytes / w->rows));
}

// The candidates among the logits of scratch.normed; false where all are to be computed.
static bool classify_listed(struct dt_session *s, uint32_t position)
{
    const struct dt_linear *c = &s->weights->classifier;
    const float *x = s->scratch.normed;
    struct listed l = {.s = s, .act = prepare(s, c, x, s->dim_stride, 1)};
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
    multiply(s, (const struct dt_linear *const[]){&s->weights->classifier},
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
        const atomic_int *cancel = s->cancel;
        s->cancel = NULL; // who asks has them
        classify_all(s);
        s->cancel = cancel;
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

// ---- setting a story aside ----

size_t dt_session_saved_bytes(const struct dt_session *s, uint32_t position)
{
    const struct dt_hparams *hp = &s->model->hp;
    size_t channels = (size_t)hp->layers * hp->kv_heads * hp->head_size;
    return position * (sizeof *s->tokens + 2 * channels * kv_element(s->kv_type));
}

static void copy(unsigned char *cache, unsigned char **saved, size_t bytes, bool out)
{
    memcpy(out ? *saved : cache, out ? cache : *saved, bytes);
    *saved += bytes;
}

// The cache's first positions to `saved`, or back: keys a channel at a time, values a head at a
// time, as they lie.
static void copy_cache(const struct dt_session *s, uint32_t position, unsigned char *saved,
                       bool out)
{
    size_t element = kv_element(s->kv_type);
    for (uint32_t layer = 0; layer < s->model->hp.layers; layer++) {
        struct dt_kv kv = layer_kv(s, layer);
        unsigned char *keys = (unsigned char *)(uintptr_t)kv.keys,
                      *values = (unsigned char *)(uintptr_t)kv.values;
        for (uint32_t head = 0; head < kv.heads; head++) {
            for (uint32_t i = 0; i < kv.head_size; i++)
                copy(keys + (head * kv.key_head + i * kv.key_channel) * element, &saved,
                     position * element, out);
            copy(values + head * kv.value_head * element, &saved,
                 position * kv.value_slot * element, out);
        }
    }
}

void dt_session_save(const struct dt_session *s, uint32_t position, void *out)
{
    memcpy(out, s->tokens, position * sizeof *s->tokens);
    copy_cache(s, position, (unsigned char *)out + position * sizeof *s->tokens, true);
}

void dt_session_restore(struct dt_session *s, uint32_t position, const void *saved)
{
    memcpy(s->tokens, saved, position * sizeof *s->tokens);
    copy_cache(s, position, (unsigned char *)(uintptr_t)saved + position * sizeof *s->tokens,
               false);
    s->position = position;
    forget_logits(s);
}

void dt_session_fill(struct dt_session *s, uint32_t position)
{
    const struct dt_hparams *hp = &s->model->hp;
    if (position > s->capacity)
        position = s->capacity;
    float *key = s->scratch.key, *value = s->scratch.value;
    for (uint32_t layer = 0; layer < hp->layers; layer++) {
        struct dt_kv kv = layer_kv(s, layer);
        for (uint32_t slot = 0; slot < position; slot++) {
            for (uint32_t i = 0; i < hp->kv_heads * hp->head_size; i++) {
                // small, different in every place, the same on every machine
                uint32_t mixed = (layer * 2654435761u + slot * 40503u + i * 2246822519u) >> 16;
                key[i] = (float)(mixed & 255) / 256.0f - 0.5f;
                value[i] = (float)(mixed >> 8) / 256.0f - 0.5f;
            }
            store(&kv, slot, key, value, 0, 1);
        }
    }
    memset(s->tokens, 0, position * sizeof *s->tokens);
    s->position = position;
    forget_logits(s);
}
