// SPDX-License-Identifier: MIT
#include "core/session.h"

#include <string.h>

#include "base/bits.h"
#include "core/forward.h"

#define DEFAULT_BATCH 32u
#define MAX_BATCH     512u
#define LISTED_ROWS   64u // rows of the shortlist in one item of a parallel loop

struct dt_session {
    struct dt_forward forward;
    dt_session_progress *progress;
    void *progress_arg;

    bool follow_services; // the worker count comes from the services, and is read again at a swap
    bool have_logits;     // the last position has logits or candidates
    bool pending;         // it has candidates only; scratch still holds its activations
    struct dt_shortlist *list;
    struct dt_sampler_bound bound;
    struct dt_candidates candidates;
    uint32_t *tokens; // of all positions
    float *logits;
};

// ---- set-up ----

// Everything that depends on the model and the options only.
static dt_status resolve_options(struct dt_session *s, const struct dt_model *model,
                                 const struct dt_session_options *options,
                                 const struct dt_services *services, struct dt_error *err)
{
    uint32_t capacity = options->context ? options->context : model->hp.context;
    uint32_t batch = options->batch ? options->batch : DEFAULT_BATCH;
    uint32_t kv_type = options->kv_type ? options->kv_type : DT_KV_F32;
    memset(s, 0, sizeof *s);
    if (capacity > DT_MAX_CONTEXT)
        return dt_error_set(err, DT_USAGE, NULL, "context must be at most %u positions (got %u)",
                            DT_MAX_CONTEXT, capacity);
    if (model->positions.quants && capacity > model->hp.context)
        return dt_error_set(err, DT_USAGE, NULL,
                            "context must be at most %u positions (got %u): the model has one "
                            "vector for each position",
                            model->hp.context, capacity);
    if (batch > MAX_BATCH)
        return dt_error_set(err, DT_USAGE, NULL, "batch must be at most %u columns (got %u)",
                            MAX_BATCH, batch);
    if (kv_type != DT_KV_F32 && kv_type != DT_KV_F16)
        return dt_error_set(err, DT_USAGE, NULL, "unknown KV cache type %u", kv_type);
    dt_forward_init(&s->forward, model, batch < capacity ? batch : capacity, capacity, kv_type);
    s->follow_services = options->threads == 0 && services && services->threads;
    s->forward.compute = (struct dt_compute){
        .services = services,
        .workers = s->follow_services ? services->threads(services->host)
                   : options->threads ? options->threads
                                      : 1,
        .split_bytes = dt_compute_split_bytes(model->weight_bytes),
    };
    return DT_OK;
}

static void alloc_own(struct dt_session *s, struct dt_arena *arena, struct dt_session_bytes *bytes)
{
    const struct dt_hparams *hp = &s->forward.model->hp;
    size_t begin = arena->used;
    s->tokens = dt_arena_alloc(arena, s->forward.cache.capacity, sizeof *s->tokens);
    s->forward.frequency =
        dt_arena_alloc(arena, hp->rotated / 2 * s->forward.ropes + 1, sizeof *s->forward.frequency);
    bytes->tables = arena->used - begin;
    begin = arena->used;
    s->logits = dt_arena_alloc(arena, hp->vocab, sizeof *s->logits);
    bytes->logits = arena->used - begin;
    begin = arena->used;
    dt_kv_cache_alloc(&s->forward.cache, arena);
    bytes->kv = arena->used - begin;
}

static dt_status measure(struct dt_session *s, size_t act, struct dt_session_bytes *out,
                         struct dt_error *err)
{
    struct dt_arena own = dt_arena_over(NULL, 0), scratch = dt_arena_over(NULL, 0);
    dt_arena_alloc(&own, 1, sizeof *s);
    alloc_own(s, &own, out);
    (void)dt_forward_alloc_scratch(&s->forward, act, &scratch);
    out->own = own.used;
    out->scratch = scratch.used;
    if (dt_arena_failed(&own) || dt_arena_failed(&scratch))
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "a context of %u positions needs more memory than can be addressed",
                            s->forward.cache.capacity);
    return DT_OK;
}

dt_status dt_session_measure(const struct dt_weights *weights, const struct dt_stack *stack,
                             const struct dt_session_options *options,
                             const struct dt_services *services, struct dt_session_bytes *out,
                             struct dt_error *err)
{
    (void)stack; // the weights name the instance of each matrix
    struct dt_session s;
    memset(out, 0, sizeof *out);
    dt_status status = resolve_options(&s, weights->model, options, services, err);
    return status != DT_OK ? status
                           : measure(&s, dt_forward_act_bytes(&s.forward, weights), out, err);
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
    return measure(&s, dt_forward_act_bytes_most(&s.forward), out, err);
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
    made.forward.weights = weights;
    made.forward.stack = *stack;
    struct dt_session *s = dt_arena_alloc(own, 1, sizeof *s);
    alloc_own(&made, own, &bytes);
    size_t act = dt_forward_act_bytes(&made.forward, weights);
    made.forward.scratch = dt_forward_alloc_scratch(&made.forward, act, scratch);
    made.forward.compute.act = made.forward.scratch.act;
    if (dt_arena_failed(own) || dt_arena_failed(scratch))
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "a context of %u positions needs %zu bytes and %zu bytes of scratch; "
                            "available: %zu and "
                            "%zu",
                            made.forward.cache.capacity, own->wanted, scratch->wanted, own->size,
                            scratch->size);
    dt_forward_set_frequencies(&made.forward);
    *s = made;
    s->forward.compute.finite = &s->forward.finite;
    *out = s;
    return DT_OK;
}

// Computes pending logits and drops the candidates, before the weights or the shortlist change.
static void settle_logits(struct dt_session *s)
{
    (void)dt_session_logits(s);
    s->candidates.count = 0;
}

dt_status dt_session_swap(struct dt_session *s, const struct dt_weights *weights,
                          const struct dt_stack *stack, struct dt_arena *scratch,
                          struct dt_error *err)
{
    struct dt_forward *f = &s->forward;
    const struct dt_services *services = f->compute.services;
    uint32_t workers = f->compute.workers;
    if (weights->model != f->model)
        return dt_error_set(err, DT_FAILED, NULL, "cannot swap to the weights of another model");
    settle_logits(s);
    if (s->follow_services)
        f->compute.workers = services->threads(services->host);
    struct dt_scratch fresh =
        dt_forward_alloc_scratch(f, dt_forward_act_bytes(f, weights), scratch);
    if (dt_arena_failed(scratch)) {
        f->compute.workers = workers;
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "the new backend needs %zu bytes of scratch memory; %zu are available",
                            scratch->wanted, scratch->size);
    }
    f->weights = weights;
    f->stack = *stack;
    f->scratch = fresh;
    f->compute.act = fresh.act;
    return DT_OK;
}

// ---- properties ----

void dt_session_set_cancel(struct dt_session *s, const atomic_int *cancel)
{
    s->forward.compute.cancel = cancel;
}

void dt_session_set_progress(struct dt_session *s, dt_session_progress *progress, void *arg)
{
    s->progress = progress;
    s->progress_arg = arg;
}

void dt_session_set_profile(struct dt_session *s, const struct dt_profile *profile)
{
    s->forward.profile = profile;
}

void dt_session_set_shortlist(struct dt_session *s, struct dt_shortlist *list)
{
    settle_logits(s);
    s->list = list;
}

void dt_session_set_bound(struct dt_session *s, struct dt_sampler_bound bound)
{
    s->bound = bound;
}

bool dt_session_candidates(const struct dt_session *s, struct dt_candidates *out)
{
    *out = s->candidates;
    return s->have_logits && s->candidates.count > 0;
}

static void forget_logits(struct dt_session *s)
{
    s->have_logits = s->pending = false;
    s->candidates.count = 0;
}

uint32_t dt_session_position(const struct dt_session *s)
{
    return s->forward.position;
}

uint32_t dt_session_capacity(const struct dt_session *s)
{
    return s->forward.cache.capacity;
}

const uint32_t *dt_session_tokens(const struct dt_session *s)
{
    return s->tokens;
}

void dt_session_truncate(struct dt_session *s, uint32_t position)
{
    if (position >= s->forward.position)
        return;
    s->forward.position = position;
    forget_logits(s);
}

uint32_t dt_session_common_prefix(const struct dt_session *s, const uint32_t *tokens,
                                  uint32_t count)
{
    uint32_t n = 0;
    while (n < count && n < s->forward.position && tokens[n] == s->tokens[n])
        n++;
    return n;
}

static bool cancelled(const struct dt_session *s)
{
    return dt_compute_cancelled(&s->forward.compute);
}

// ---- the classifier ----

// The rows of a shortlist, for all workers.
struct listed_rows {
    const struct dt_forward *f;
    float *out;
    const uint32_t *index;
    uint32_t count;
    const void *act;
};

static void listed_rows_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct listed_rows *l = arg;
    const struct dt_linear *c = &l->f->weights->classifier_rows;
    uint32_t first = begin * LISTED_ROWS,
             last = end * LISTED_ROWS < l->count ? end * LISTED_ROWS : l->count;
    if (!dt_compute_cancelled(&l->f->compute))
        c->by->table.matmul_rows(c->by->ctx, l->out + first, &c->matrix, l->index + first,
                                 last - first, l->act);
}

static void compute_listed_rows(void *arg, float *out, const uint32_t *index, uint32_t count)
{
    struct listed_rows *l = arg;
    const struct dt_matrix *w = &l->f->weights->classifier_rows.matrix;
    l->out = out;
    l->index = index;
    l->count = count;
    dt_compute_spread(&l->f->compute, listed_rows_body, l, (count + LISTED_ROWS - 1) / LISTED_ROWS,
                      (size_t)count * (w->bytes / w->rows));
}

// Computes the candidates of scratch.normed; false where all logits are needed.
static bool classify_listed(struct dt_session *s, uint32_t position)
{
    const struct dt_forward *f = &s->forward;
    const struct dt_linear *c = &f->weights->classifier_rows;
    const float *x = f->scratch.normed;
    struct listed_rows l = {.f = f, .act = dt_linear_prepare(&f->compute, c, x, f->dim_stride, 1)};
    struct dt_shortlist_request request = {
        .x = x,
        .error = c->by->table.act_error(c->by->ctx, l.act, x, &c->matrix),
        .recent = s->tokens,
        .recent_count = position,
        .bound = s->bound,
        .rows = compute_listed_rows,
        .arg = &l,
    };
    return dt_shortlist_make(s->list, &f->stack, &request, &s->candidates);
}

#define CAPPED_AT_ONCE 4096u // logits

static void cap_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct dt_session *s = arg;
    const struct dt_hparams *hp = &s->forward.model->hp;
    const struct dt_instance *by = s->forward.stack.softcap;
    for (uint32_t i = begin; i < end; i++) {
        uint32_t first = i * CAPPED_AT_ONCE, left = hp->vocab - first;
        by->table.softcap(by->ctx, s->logits + first, left < CAPPED_AT_ONCE ? left : CAPPED_AT_ONCE,
                          hp->logit_cap);
    }
}

// Computes all logits of scratch.normed.
static void classify_all(struct dt_session *s)
{
    const struct dt_forward *f = &s->forward;
    const struct dt_linear *c = &f->weights->classifier;
    uint64_t clock = dt_profile_begin(f->profile);
    dt_linear_multiply(&f->compute, &c, &s->logits, (const size_t[]){f->model->hp.vocab}, 1,
                       f->scratch.normed, f->dim_stride, 1);
    if (f->model->hp.logit_cap > 0)
        dt_compute_spread(&f->compute, cap_body, s,
                          (f->model->hp.vocab + CAPPED_AT_ONCE - 1) / CAPPED_AT_ONCE,
                          f->model->hp.vocab * sizeof(float) * 16);
    dt_profile_end(f->profile, clock, DT_OP_CLASSIFIER, DT_NO_LAYER, 1, c->matrix.bytes);
    if (s->list)
        s->list->facts.full++;
}

// Final norm and classifier of one column: the candidates if they are enough and `all` is false,
// else all logits. position: tokens up to and including this one.
static void classify(struct dt_session *s, uint32_t column, uint32_t position, bool all)
{
    const struct dt_forward *f = &s->forward;
    uint64_t clock = dt_profile_begin(f->profile);
    dt_forward_norm(f, f->scratch.normed, f->scratch.x + column * f->dim_stride,
                    f->model->final_norm, f->model->final_norm_bias, 1);
    dt_forward_scale(f->scratch.normed, f->model->hp.dim, f->model->hp.logit_scale);
    clock = dt_profile_end(f->profile, clock, DT_OP_FINAL_NORM, DT_NO_LAYER, 1,
                           f->model->hp.dim * sizeof(float));
    s->have_logits = true;
    if (s->list && !all && s->bound.partial) {
        const struct dt_matrix *w = &f->weights->classifier_rows.matrix;
        dt_shortlist_learn(s->list);
        s->pending = !dt_shortlist_passes(s->list) && classify_listed(s, position);
        dt_profile_end(f->profile, clock, DT_OP_CLASSIFIER, DT_NO_LAYER, 1,
                       s->candidates.count * (w->bytes / w->rows));
    }
    if (!s->pending)
        classify_all(s);
}

float *dt_session_logits(struct dt_session *s)
{
    if (s->pending) {
        const atomic_int *cancel = s->forward.compute.cancel;
        s->forward.compute.cancel = NULL; // the caller relies on the logits
        classify_all(s);
        s->forward.compute.cancel = cancel;
        s->pending = false;
    }
    return s->have_logits ? s->logits : NULL;
}

// ---- evaluation ----

#define FINITE_STEP 64u

// Whether the logits or candidates of the last position, and all that led to them, are finite.
// During generation all logits are examined at every FINITE_STEPth position: from finite
// activations, only damaged weights make others, and those do so at every position.
static bool is_finite(const struct dt_session *s, bool generating)
{
    const struct dt_forward *f = &s->forward;
    if (f->finite.lost || !dt_all_finite(f->scratch.normed, f->model->hp.dim))
        return false;
    if (generating && f->position % FINITE_STEP != 0)
        return true;
    return s->pending ? dt_all_finite(s->candidates.logits, s->candidates.count)
                      : dt_all_finite(s->logits, s->forward.model->hp.vocab);
}

static dt_status fail_not_finite(struct dt_session *s, struct dt_error *err)
{
    const struct dt_finite *finite = &s->forward.finite;
    forget_logits(s);
    s->forward.finite.lost = true;
    if (finite->lost_in == DT_NO_LAYER)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "the logits are infinite or undefined: the model is damaged, or its "
                            "numbers are too large for 32-bit floats");
    return dt_error_set(err, DT_BAD_INPUT, NULL,
                        "layer %u computes infinite or undefined numbers: the model is damaged, or "
                        "its numbers are too large for 32-bit floats",
                        finite->lost_in);
}

bool dt_session_is_finite(const struct dt_session *s)
{
    return !s->forward.finite.lost;
}

dt_status dt_session_eval(struct dt_session *s, const uint32_t *tokens, uint32_t count,
                          dt_session_logits_sink *sink, void *sink_arg, struct dt_error *err)
{
    struct dt_forward *f = &s->forward;
    if (count == 0)
        return DT_OK;
    if (count > f->cache.capacity - f->position)
        return dt_error_set(err, DT_CONTEXT_FULL, NULL,
                            "%u tokens do not fit: %u of %u positions are in use", count,
                            f->position, f->cache.capacity);
    for (uint32_t i = 0; i < count; i++) {
        if (tokens[i] >= f->model->hp.vocab)
            return dt_error_set(err, DT_BAD_INPUT, NULL,
                                "token %u is outside the vocabulary of %u tokens", tokens[i],
                                f->model->hp.vocab);
    }
    f->finite = (struct dt_finite){.lost_in = DT_NO_LAYER};
    for (uint32_t done = 0; done < count;) {
        uint32_t columns = count - done < f->batch ? count - done : f->batch;
        forget_logits(s);
        memcpy(s->tokens + f->position, tokens + done, columns * sizeof *tokens);
        dt_forward_layers(f, tokens + done, columns);
        for (uint32_t c = 0; sink && c < columns && !cancelled(s); c++) {
            classify(s, c, f->position + c + 1, true);
            if (!cancelled(s) && !is_finite(s, false))
                return fail_not_finite(s, err);
            if (!cancelled(s) && sink(sink_arg, f->position + c, s->logits))
                return dt_error_set(err, DT_CANCELLED, NULL,
                                    "stopped by the receiver of the logits");
        }
        if (!sink && done + columns == count && !cancelled(s))
            classify(s, columns - 1, f->position + columns, false);
        if (cancelled(s)) {
            forget_logits(s);
            return dt_error_set(err, DT_CANCELLED, NULL, "stopped after %u of %u tokens", done,
                                count);
        }
        if (f->finite.lost || (s->have_logits && !sink && !is_finite(s, count == 1)))
            return fail_not_finite(s, err);
        f->position += columns;
        done += columns;
        if (s->progress)
            s->progress(s->progress_arg, done, count);
    }
    return DT_OK;
}

// ---- saving, restoring and filling ----

size_t dt_session_saved_bytes(const struct dt_session *s, uint32_t position)
{
    return position * sizeof *s->tokens + dt_kv_cache_saved_bytes(&s->forward.cache, position);
}

void dt_session_save(const struct dt_session *s, uint32_t position, void *out)
{
    size_t tokens = position * sizeof *s->tokens;
    memcpy(out, s->tokens, tokens);
    dt_kv_cache_save(&s->forward.cache, position, (unsigned char *)out + tokens);
}

void dt_session_restore(struct dt_session *s, uint32_t position, const void *saved)
{
    size_t tokens = position * sizeof *s->tokens;
    memcpy(s->tokens, saved, tokens);
    dt_kv_cache_restore(&s->forward.cache, position, (const unsigned char *)saved + tokens);
    s->forward.position = position;
    forget_logits(s);
}

void dt_session_fill(struct dt_session *s, uint32_t position)
{
    if (position > s->forward.cache.capacity)
        position = s->forward.cache.capacity;
    dt_kv_cache_fill(&s->forward.cache, position, s->forward.scratch.key, s->forward.scratch.value);
    memset(s->tokens, 0, position * sizeof *s->tokens);
    s->forward.position = position;
    forget_logits(s);
}
