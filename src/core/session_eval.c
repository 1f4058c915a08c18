// SPDX-License-Identifier: MIT
// Evaluation: passes over the parts of several sessions.
#include <string.h>

#include "base/bits.h"
#include "core/session_state.h"

#define FINITE_STEP 64u
#define MAX_GUESSES 15u

// ---- the logits of a pass ----

static dt_status fail_not_finite(struct dt_session *s, struct dt_error *err)
{
    dt_session_forget_logits(s);
    s->finite.lost = true;
    if (s->finite.lost_in == DT_NO_LAYER)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "the logits are infinite or undefined: the model is damaged, or its "
                            "numbers are too large for 32-bit floats");
    return dt_error_set(err, DT_BAD_INPUT, NULL,
                        "layer %u computes infinite or undefined numbers: the model is damaged, or "
                        "its numbers are too large for 32-bit floats",
                        s->finite.lost_in);
}

static dt_status fail_cancelled(const struct dt_session_part *part)
{
    dt_session_forget_logits(part->session);
    return dt_error_set(part->err, DT_CANCELLED, NULL, "stopped after %u of %u tokens",
                        part->session->done, part->count);
}

// Lists the columns of the pass whose logits are computed: the last ones of parts, or the others.
static uint32_t list_wanted(struct dt_session_group *g, bool last)
{
    uint32_t n = 0, column = 0;
    for (uint32_t r = 0; r < g->forward.run_count; r++) {
        const struct dt_forward_run *run = &g->runs[r];
        struct dt_session_part *part = g->run_parts[r];
        struct dt_session *s = part->session;
        for (uint32_t c = 0; c < run->columns; c++, column++) {
            bool is_last = s->done + c + 1 >= part->count - part->guesses;
            if (is_last == last && (part->sink || (last && !part->no_logits)))
                g->wanted[n++] =
                    (struct dt_session_wanted){.session = s,
                                               .part = part,
                                               .text_at = run->position + c + s->dropped,
                                               .position = run->position + c,
                                               .in_pass = column,
                                               .last = last};
        }
    }
    return n;
}

// The final norm of wanted columns, into scratch.normed.
static void norm_wanted(struct dt_session_group *g, const struct dt_session_wanted *wanted,
                        uint32_t n)
{
    const struct dt_forward *f = &g->forward;
    const struct dt_model *m = f->model;
    uint64_t clock = dt_profile_begin(f->profile);
    for (uint32_t k = 0; k < n; k++) {
        float *out = f->scratch.normed + k * f->dim_stride;
        dt_forward_norm(f, out, f->scratch.x + wanted[k].in_pass * f->dim_stride, m->final_norm,
                        m->final_norm_bias, 1);
        dt_forward_scale(out, m->hp.dim, m->hp.logit_scale);
    }
    dt_profile_end(f->profile, clock, DT_OP_FINAL_NORM, DT_NO_LAYER, n,
                   n * m->hp.dim * sizeof(float));
}

// Whether the logits or candidates of a column, and all that led to them, are finite. All logits
// are examined in the first pass, then, during generation, at every FINITE_STEPth position: from
// finite activations, only damaged weights make others, and those do so at every position.
static bool is_finite(const struct dt_session_wanted *w, const float *normed)
{
    const struct dt_session *s = w->session;
    const struct dt_hparams *hp = &s->group->forward.model->hp;
    if (s->finite.lost || !dt_all_finite(normed, hp->dim))
        return false;
    if (s->group->examined && !w->part->sink && w->part->count - w->part->guesses == 1 &&
        w->position % FINITE_STEP != 0)
        return true;
    return s->pending ? dt_all_finite(s->candidates.logits, s->candidates.count)
                      : dt_all_finite(w->logits, hp->vocab);
}

struct examination {
    struct dt_session_wanted *wanted;
    const struct dt_forward *f;
};

static void examine_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct examination *e = arg;
    for (uint32_t k = begin; k < end; k++) {
        struct dt_session_wanted *w = &e->wanted[k];
        w->finite = is_finite(w, e->f->scratch.normed + k * e->f->dim_stride);
        if (w->finite && w->part->concurrent && w->part->sink)
            w->stop = w->part->sink(w->part->sink_arg, w->text_at, w->logits) != 0;
    }
}

// What follows from a column's logits, for its part.
static void settle_column(struct dt_session_wanted *w)
{
    struct dt_session_part *part = w->part;
    if (part->status != DT_OK)
        return;
    if (!w->finite) {
        part->status = fail_not_finite(w->session, part->err);
        return;
    }
    if (part->sink && !part->concurrent)
        w->stop = part->sink(part->sink_arg, w->text_at, w->logits) != 0;
    if (w->stop) {
        dt_session_forget_logits(w->session);
        part->status =
            dt_error_set(part->err, DT_CANCELLED, NULL, "stopped by the receiver of the logits");
    }
}

// What follows from the logits of wanted columns, in rows from `rows` on; their norms are in
// scratch.normed.
static void settle(struct dt_session_group *g, struct dt_session_wanted *wanted, uint32_t n,
                   float *rows)
{
    const struct dt_forward *f = &g->forward;
    if (dt_compute_cancelled(&f->compute))
        return;
    for (uint32_t k = 0; k < n; k++) {
        wanted[k].logits = rows + k * g->row_stride;
        if (wanted[k].last) {
            wanted[k].session->logits = wanted[k].logits;
            wanted[k].session->have_logits = true;
        }
    }
    struct examination e = {wanted, f};
    dt_compute_spread(&f->compute, examine_body, &e, n,
                      (size_t)n * f->model->hp.vocab * sizeof(float));
    bool finite = !dt_compute_cancelled(&f->compute);
    for (uint32_t k = 0; k < n && !dt_compute_cancelled(&f->compute); k++) {
        finite = finite && wanted[k].finite;
        settle_column(&wanted[k]);
    }
    g->examined = g->examined || finite;
}

// All logits of wanted columns, whose norms are in scratch.normed, into the first rows.
static void classify(struct dt_session_group *g, struct dt_session_wanted *wanted, uint32_t n)
{
    dt_session_compute_logits(g, g->forward.scratch.normed, g->logits, n);
    settle(g, wanted, n, g->logits);
}

// Makes candidates for those of the last columns whose sampler may need no more. Returns how many
// others there are; they, and their norms, are moved to the front.
static uint32_t list_candidates(struct dt_session_group *g, uint32_t n)
{
    const struct dt_forward *f = &g->forward;
    uint32_t able = 0, left = 0;
    for (uint32_t k = 0; k < n; k++)
        able += !g->wanted[k].part->sink && g->wanted[k].session->bound.partial;
    if (!g->list || able == 0 || !g->examined) // the first pass is over all rows
        return n;
    dt_shortlist_learn(g->list);
    if (dt_shortlist_passes(g->list))
        return n;
    for (uint32_t k = 0; k < n; k++) {
        struct dt_session_wanted *w = &g->wanted[k];
        struct dt_session *s = w->session;
        float *x = f->scratch.normed + k * f->dim_stride;
        if (!w->part->sink && s->bound.partial) {
            memcpy(s->hidden, x, f->model->hp.dim * sizeof *x);
            bool made = dt_session_make_candidates(s, w->position, able);
            if (dt_compute_cancelled(&f->compute))
                return 0;
            if (made) {
                s->have_logits = true;
                w->finite = is_finite(w, x);
                settle_column(w);
                continue;
            }
        }
        memmove(f->scratch.normed + left * f->dim_stride, x, f->model->hp.dim * sizeof *x);
        g->wanted[left++] = *w;
    }
    return left;
}

// ---- guesses ----

// The logits of the first wanted column, whose norm is in scratch.normed, as of a single token.
static void classify_one(struct dt_session_group *g)
{
    if (list_candidates(g, 1) > 0)
        classify(g, g->wanted, 1);
}

// A pass with guesses: the logits of its token. Those of the guesses are computed when they are
// needed, by the shortlist; without one together with the token's, because the product reads the
// classifier once for all columns.
static void classify_guesses(struct dt_session_group *g)
{
    struct dt_session_guessed *d = &g->guessed;
    float *normed = g->forward.scratch.normed;
    uint32_t n = list_wanted(g, true);
    norm_wanted(g, g->wanted, n);
    memcpy(d->normed, normed, n * g->forward.dim_stride * sizeof *normed);
    d->at = 0;
    d->classified = !g->list || !g->examined || !g->wanted[0].session->bound.partial ||
                    !dt_shortlist_is_ready(g->list);
    if (!d->classified) {
        classify_one(g);
        return;
    }
    if (g->list && g->examined && g->wanted[0].session->bound.partial) {
        dt_shortlist_learn(g->list);
        (void)dt_shortlist_passes(g->list);
    }
    dt_session_compute_logits(g, normed, d->logits, n);
    settle(g, g->wanted, 1, d->logits);
}

// Appends the first guess, if that is the part's token: its keys and values are stored already.
// False if it is not.
static bool append_guess(struct dt_session_part *part)
{
    struct dt_session *s = part->session;
    struct dt_session_group *g = s->group;
    struct dt_session_guessed *d = &g->guessed;
    uint32_t left = d->left, stride = (uint32_t)g->forward.dim_stride;
    if (left == 0 || part->count != 1 || part->sink || part->guesses ||
        part->tokens[0] != s->tokens[s->position])
        return false;
    s->done = 0;
    part->status = DT_OK;
    dt_session_forget_logits(s);
    g->forward.compute.cancel = s->cancel;
    d->at++;
    if (!part->no_logits) {
        g->wanted[0] = (struct dt_session_wanted){
            .session = s, .part = part, .position = s->position, .last = true};
        memcpy(g->forward.scratch.normed, d->normed + d->at * stride, stride * sizeof(float));
        if (d->classified)
            settle(g, g->wanted, 1, d->logits + d->at * g->row_stride);
        else
            classify_one(g);
    }
    if (dt_compute_cancelled(&g->forward.compute))
        part->status = fail_cancelled(part);
    g->forward.compute.cancel = NULL;
    if (part->status != DT_OK)
        return true;
    d->left = left - 1;
    s->position++;
    s->done = 1;
    if (s->progress)
        s->progress(s->progress_arg, 1, 1);
    return true;
}

static void classify_pass(struct dt_session_group *g)
{
    const struct dt_compute *on = &g->forward.compute;
    if (g->run_parts[0]->guesses) {
        classify_guesses(g);
        return;
    }
    uint32_t rows = dt_session_make_rows_free(g), n = list_wanted(g, false), step;
    for (uint32_t k = 0; k < n && !dt_compute_cancelled(on); k += step) {
        step = n - k < rows ? n - k : rows;
        norm_wanted(g, g->wanted + k, step);
        classify(g, g->wanted + k, step);
    }
    if (dt_compute_cancelled(on) || (n = list_wanted(g, true)) == 0)
        return;
    norm_wanted(g, g->wanted, n);
    n = list_candidates(g, n);
    if (n > 0)
        classify(g, g->wanted, n);
}

// ---- passes ----

static dt_status check(const struct dt_session_part *part)
{
    const struct dt_session *s = part->session;
    uint32_t vocab = s->group->forward.model->hp.vocab;
    if (!s->window.drop && part->count > s->cache.capacity - s->position)
        return dt_error_set(part->err, DT_CONTEXT_FULL, NULL,
                            "%u tokens do not fit: %u of %u positions are in use", part->count,
                            s->position, s->cache.capacity);
    for (uint32_t i = 0; i < part->count; i++) {
        if (part->tokens[i] >= vocab)
            return dt_error_set(part->err, DT_BAD_INPUT, NULL,
                                "token %u is outside the vocabulary of %u tokens", part->tokens[i],
                                vocab);
    }
    return DT_OK;
}

static bool is_stopped(const struct dt_session *s)
{
    return s->cancel && atomic_load_explicit(s->cancel, memory_order_relaxed);
}

// Makes the runs of the next pass. False if nothing is left.
static bool gather(struct dt_session_group *g, struct dt_session_part *parts, uint32_t count)
{
    struct dt_forward *f = &g->forward;
    f->run_count = f->columns = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct dt_session_part *part = &parts[i];
        struct dt_session *s = part->session;
        uint32_t n = part->count - s->done, space = f->batch - f->columns;
        if (part->status != DT_OK || n == 0 || space == 0)
            continue;
        if (is_stopped(s)) {
            part->status = fail_cancelled(part);
            continue;
        }
        n = n < space ? n : space;
        space = dt_session_space(s);
        n = n < space ? n : space;
        dt_session_forget_logits(s);
        memcpy(s->tokens + s->position, part->tokens + s->done, n * sizeof *s->tokens);
        bool same = f->run_count == 0 || f->compute.cancel == s->cancel;
        f->compute.cancel = same ? s->cancel : NULL;
        g->run_parts[f->run_count] = part;
        g->runs[f->run_count++] = (struct dt_forward_run){
            .cache = &s->cache,
            .finite = &s->finite,
            .tokens = s->tokens + s->position,
            .position = s->position,
            .columns = n,
            .dropped = s->dropped,
        };
        f->columns += n;
    }
    return f->run_count > 0;
}

static void finish_pass(struct dt_session_group *g)
{
    const struct dt_forward *f = &g->forward;
    bool cancelled = dt_compute_cancelled(&f->compute);
    for (uint32_t r = 0; r < f->run_count; r++) {
        struct dt_session_part *part = g->run_parts[r];
        struct dt_session *s = part->session;
        if (part->status != DT_OK)
            continue;
        if (cancelled)
            part->status = fail_cancelled(part);
        else if (s->finite.lost)
            part->status = fail_not_finite(s, part->err);
        if (part->status != DT_OK)
            continue;
        s->position += g->runs[r].columns - part->guesses;
        s->done += g->runs[r].columns;
        g->guessed.left = part->guesses;
        if (s->progress)
            s->progress(s->progress_arg, s->done - part->guesses, part->count - part->guesses);
    }
}

dt_status dt_session_eval_parts(struct dt_session_part *parts, uint32_t count)
{
    if (count == 0)
        return DT_OK;
    struct dt_session_group *g = parts[0].session->group;
    if (count == 1 && append_guess(&parts[0]))
        return parts[0].status;
    for (uint32_t i = 0; i < count; i++) {
        struct dt_session *s = parts[i].session;
        s->done = 0;
        parts[i].status = check(&parts[i]);
        if (parts[i].status != DT_OK || parts[i].count == 0)
            continue;
        uint32_t space = s->cache.capacity - s->position;
        dt_kv_cache_grow(&s->cache, s->position,
                         s->position + (parts[i].count < space ? parts[i].count : space));
        s->finite = (struct dt_finite){.layer = DT_NO_LAYER, .lost_in = DT_NO_LAYER};
    }
    while (gather(g, parts, count)) {
        dt_forward_layers(&g->forward);
        if (!dt_compute_cancelled(&g->forward.compute))
            classify_pass(g);
        finish_pass(g);
    }
    g->forward.compute.cancel = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].status != DT_OK)
            return parts[i].status;
    }
    return DT_OK;
}

dt_status dt_session_eval(struct dt_session *s, const uint32_t *tokens, uint32_t count,
                          dt_session_logits_sink *sink, void *sink_arg, struct dt_error *err)
{
    struct dt_session_part part = {
        .session = s,
        .tokens = tokens,
        .count = count,
        .sink = sink,
        .sink_arg = sink_arg,
        .err = err,
    };
    return dt_session_eval_parts(&part, 1);
}

dt_status dt_session_eval_guessing(struct dt_session *s, uint32_t token, const uint32_t *guesses,
                                   uint32_t count, struct dt_error *err)
{
    const struct dt_forward *f = &s->group->forward;
    uint32_t most = s->group->guessed.most, free = s->cache.capacity - s->position, n = 0;
    uint32_t tokens[MAX_GUESSES + 1] = {token};
    most = most < MAX_GUESSES ? most : MAX_GUESSES;
    while (n < count && n < most && n + 1 < free && guesses[n] < f->model->hp.vocab) {
        tokens[n + 1] = guesses[n];
        n++;
    }
    struct dt_session_part part = {
        .session = s, .tokens = tokens, .count = n + 1, .guesses = n, .err = err};
    dt_status status = dt_session_eval_parts(&part, 1);
    if (n == 0 || status != DT_BAD_INPUT || !s->finite.lost)
        return status;
    part.count = 1; // perhaps only a guess has such numbers
    part.guesses = 0;
    return dt_session_eval_parts(&part, 1);
}
