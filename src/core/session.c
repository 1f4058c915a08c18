// SPDX-License-Identifier: MIT
#include "core/session.h"

#include <string.h>

#include "core/session_state.h"

#define DEFAULT_BATCH 32u
#define MAX_BATCH     512u

// ---- set-up ----

// Everything that depends on the model and the options only.
static dt_status resolve_options(struct dt_session_group *g, const struct dt_model *model,
                                 const struct dt_session_options *options,
                                 const struct dt_services *services, struct dt_error *err)
{
    uint32_t capacity = options->context ? options->context : model->hp.context;
    uint32_t batch = options->batch ? options->batch : DEFAULT_BATCH;
    memset(g, 0, sizeof *g);
    g->kv_type = options->kv_type ? options->kv_type : DT_KV_F32;
    g->count = options->sessions ? options->sessions : 1;
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
    if (!dt_kv_type_is_known(g->kv_type))
        return dt_error_set(err, DT_USAGE, NULL, "unknown KV cache type %u", g->kv_type);
    if (g->count > DT_SESSIONS_MAX)
        return dt_error_set(err, DT_USAGE, NULL, "at most %u sessions form a group (got %u)",
                            DT_SESSIONS_MAX, g->count);
    uint64_t columns = (uint64_t)capacity * g->count; // that can be evaluated together
    dt_forward_init(&g->forward, model, batch < columns ? batch : (uint32_t)columns, capacity);
    g->row_stride = (model->hp.vocab + 15u) / 16u * (size_t)16;
    g->guessed.most = g->count == 1 && options->guesses < g->forward.batch ? options->guesses : 0;
    g->follow_services = options->threads == 0 && services && services->threads;
    g->forward.compute = (struct dt_compute){
        .services = services,
        .workers = g->follow_services ? services->threads(services->host)
                   : options->threads ? options->threads
                                      : 1,
        .split_bytes = dt_compute_split_bytes(model->weight_bytes),
    };
    return DT_OK;
}

// sessions: g->count of them; NULL: only for counting.
static void alloc_own(struct dt_session_group *g, struct dt_session *sessions,
                      struct dt_arena *arena, struct dt_session_bytes *bytes)
{
    const struct dt_hparams *hp = &g->forward.model->hp;
    struct dt_session unused;
    size_t begin = arena->used;
    for (uint32_t i = 0; i < g->count; i++) {
        struct dt_session *s = sessions ? &sessions[i] : &unused;
        s->tokens = dt_arena_alloc(arena, g->forward.capacity, sizeof *s->tokens);
        s->hidden = dt_arena_alloc(arena, hp->dim, sizeof *s->hidden);
    }
    g->forward.frequency =
        dt_arena_alloc(arena, hp->rotated / 2 * g->forward.ropes + 1, sizeof(float));
    g->runs = dt_arena_alloc(arena, g->count, sizeof *g->runs);
    g->run_parts = dt_arena_alloc(arena, g->count, sizeof *g->run_parts);
    g->wanted = dt_arena_alloc(arena, g->forward.batch, sizeof *g->wanted);
    bytes->tables = arena->used - begin;
    begin = arena->used;
    g->logits = dt_arena_alloc(arena, g->count, g->row_stride * sizeof *g->logits);
    if (g->guessed.most) {
        size_t columns = g->guessed.most + 1;
        g->guessed.normed = dt_arena_alloc(arena, columns, g->forward.dim_stride * sizeof(float));
        g->guessed.logits = dt_arena_alloc(arena, columns, g->row_stride * sizeof(float));
    }
    bytes->logits = arena->used - begin;
    begin = arena->used;
    for (uint32_t i = 0; i < g->count; i++) {
        struct dt_session *s = sessions ? &sessions[i] : &unused;
        dt_kv_cache_init(&s->cache, hp, g->forward.capacity, g->kv_type);
        dt_kv_cache_alloc(&s->cache, arena);
        bytes->kv_first = dt_kv_cache_extent_bytes(&s->cache);
    }
    bytes->kv = arena->used - begin;
}

static dt_status measure(struct dt_session_group *g, size_t act, struct dt_session_bytes *out,
                         struct dt_error *err)
{
    struct dt_arena own = dt_arena_over(NULL, 0), scratch = dt_arena_over(NULL, 0);
    dt_arena_alloc(&own, 1, sizeof *g);
    dt_arena_alloc(&own, g->count, sizeof *g->sessions);
    alloc_own(g, NULL, &own, out);
    (void)dt_forward_alloc_scratch(&g->forward, act, &scratch);
    out->own = own.used;
    out->scratch = scratch.used;
    if (dt_arena_failed(&own) || dt_arena_failed(&scratch))
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "a context of %u positions needs more memory than can be addressed",
                            g->forward.capacity);
    return DT_OK;
}

dt_status dt_session_measure(const struct dt_weights *weights, const struct dt_stack *stack,
                             const struct dt_session_options *options,
                             const struct dt_services *services, struct dt_session_bytes *out,
                             struct dt_error *err)
{
    (void)stack; // the weights name the instance of each matrix
    struct dt_session_group g;
    memset(out, 0, sizeof *out);
    dt_status status = resolve_options(&g, weights->model, options, services, err);
    return status != DT_OK ? status
                           : measure(&g, dt_forward_act_bytes(&g.forward, weights), out, err);
}

dt_status dt_session_estimate(const struct dt_model *model,
                              const struct dt_session_options *options,
                              const struct dt_services *services, struct dt_session_bytes *out,
                              struct dt_error *err)
{
    struct dt_session_group g;
    memset(out, 0, sizeof *out);
    dt_status status = resolve_options(&g, model, options, services, err);
    if (status != DT_OK)
        return status;
    return measure(&g, dt_forward_act_bytes_most(&g.forward), out, err);
}

dt_status dt_session_init(struct dt_session **out, const struct dt_weights *weights,
                          const struct dt_stack *stack, const struct dt_session_options *options,
                          const struct dt_services *services, struct dt_arena *own,
                          struct dt_arena *scratch, struct dt_error *err)
{
    struct dt_session_group made;
    struct dt_session_bytes bytes;
    dt_status status = resolve_options(&made, weights->model, options, services, err);
    if (status != DT_OK)
        return status;
    struct dt_session_group *g = dt_arena_alloc(own, 1, sizeof *g);
    made.sessions = dt_arena_alloc(own, made.count, sizeof *made.sessions);
    if (made.sessions)
        memset(made.sessions, 0, made.count * sizeof *made.sessions);
    made.forward.weights = weights;
    made.forward.stack = *stack;
    alloc_own(&made, made.sessions, own, &bytes);
    size_t act = dt_forward_act_bytes(&made.forward, weights);
    made.forward.scratch = dt_forward_alloc_scratch(&made.forward, act, scratch);
    made.forward.compute.act = made.forward.scratch.act;
    if (dt_arena_failed(own) || dt_arena_failed(scratch))
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "a context of %u positions needs %zu bytes and %zu bytes of scratch; "
                            "available: %zu and %zu",
                            made.forward.capacity, own->wanted, scratch->wanted, own->size,
                            scratch->size);
    dt_forward_set_frequencies(&made.forward);
    *g = made;
    g->forward.runs = g->runs;
    for (uint32_t i = 0; i < g->count; i++)
        g->sessions[i].group = g;
    *out = g->sessions;
    return DT_OK;
}

struct dt_session *dt_session_in_group(struct dt_session *s, uint32_t index)
{
    return index < s->group->count ? &s->group->sessions[index] : NULL;
}

// Computes pending logits and drops the candidates and guesses, before the weights or the shortlist
// change.
static void settle_logits(struct dt_session_group *g)
{
    g->guessed.left = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        (void)dt_session_logits(&g->sessions[i]);
        g->sessions[i].candidates.count = 0;
    }
}

dt_status dt_session_swap(struct dt_session *s, const struct dt_weights *weights,
                          const struct dt_stack *stack, struct dt_arena *scratch,
                          struct dt_error *err)
{
    struct dt_forward *f = &s->group->forward;
    const struct dt_services *services = f->compute.services;
    uint32_t workers = f->compute.workers;
    if (weights->model != f->model)
        return dt_error_set(err, DT_FAILED, NULL, "cannot swap to the weights of another model");
    settle_logits(s->group);
    if (s->group->follow_services)
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
    s->group->examined = false;
    f->stack = *stack;
    f->scratch = fresh;
    f->compute.act = fresh.act;
    return DT_OK;
}

// ---- properties ----

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
    s->group->forward.profile = profile;
}

void dt_session_set_shortlist(struct dt_session *s, struct dt_shortlist *list)
{
    settle_logits(s->group);
    s->group->list = list;
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

void dt_session_forget_logits(struct dt_session *s)
{
    s->have_logits = s->pending = false;
    s->candidates.count = 0;
    s->logits = NULL;
    s->group->guessed.left = 0;
}

uint32_t dt_session_guesses(const struct dt_session *s)
{
    return s->group->guessed.left;
}

const float *dt_session_guess_logits(const struct dt_session *s, uint32_t index)
{
    const struct dt_session_guessed *d = &s->group->guessed;
    return d->classified && index < d->left ? d->logits + (d->at + 1 + index) * s->group->row_stride
                                            : NULL;
}

float *dt_session_logits(struct dt_session *s)
{
    if (s->pending)
        dt_session_classify_pending(s);
    return s->have_logits ? s->logits : NULL;
}

bool dt_session_is_finite(const struct dt_session *s)
{
    return !s->finite.lost;
}

uint32_t dt_session_position(const struct dt_session *s)
{
    return s->position;
}

uint32_t dt_session_capacity(const struct dt_session *s)
{
    return s->cache.capacity;
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
    if (position == 0)
        s->dropped = s->dropped_at = 0;
    dt_session_forget_logits(s);
}

uint32_t dt_session_common_prefix(const struct dt_session *s, const uint32_t *tokens,
                                  uint32_t count)
{
    uint32_t n = 0;
    while (n < count && n < s->position && tokens[n] == s->tokens[n])
        n++;
    return s->dropped && n <= s->dropped_at ? 0 : n;
}

// ---- saving, restoring and filling ----

// What is saved before the tokens.
struct saved {
    uint32_t dropped, dropped_at;
};

size_t dt_session_saved_bytes(const struct dt_session *s, uint32_t position)
{
    return sizeof(struct saved) + position * sizeof *s->tokens +
           dt_kv_cache_saved_bytes(&s->cache, position);
}

void dt_session_save(const struct dt_session *s, uint32_t position, void *out)
{
    const struct saved saved = {s->dropped, s->dropped_at};
    size_t tokens = position * sizeof *s->tokens;
    unsigned char *to = out;
    memcpy(to, &saved, sizeof saved);
    memcpy(to + sizeof saved, s->tokens, tokens);
    dt_kv_cache_save(&s->cache, position, to + sizeof saved + tokens);
}

void dt_session_restore(struct dt_session *s, uint32_t position, const void *saved)
{
    const unsigned char *from = saved;
    struct saved begin;
    size_t tokens = position * sizeof *s->tokens;
    memcpy(&begin, from, sizeof begin);
    memcpy(s->tokens, from + sizeof begin, tokens);
    dt_kv_cache_restore(&s->cache, position, from + sizeof begin + tokens);
    s->position = position;
    s->dropped = position ? begin.dropped : 0;
    s->dropped_at = position ? begin.dropped_at : 0;
    dt_session_forget_logits(s);
}

void dt_session_copy(struct dt_session *to, const struct dt_session *from, uint32_t position)
{
    if (to == from) {
        dt_session_truncate(to, position);
        return;
    }
    memcpy(to->tokens, from->tokens, position * sizeof *to->tokens);
    dt_kv_cache_copy(&to->cache, &from->cache, position);
    to->position = position;
    to->dropped = position ? from->dropped : 0;
    to->dropped_at = position ? from->dropped_at : 0;
    dt_session_forget_logits(to);
}

void dt_session_fill(struct dt_session *s, uint32_t position)
{
    if (position > s->cache.capacity)
        position = s->cache.capacity;
    dt_kv_cache_fill(&s->cache, position, s->group->forward.scratch.key,
                     s->group->forward.scratch.value);
    memset(s->tokens, 0, position * sizeof *s->tokens);
    s->position = position;
    s->dropped = s->dropped_at = 0;
    dt_session_forget_logits(s);
}
