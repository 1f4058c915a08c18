// SPDX-License-Identifier: MIT
// Evaluation: passes over the parts of several sessions, and the classifier.
#include <string.h>

#include "base/bits.h"
#include "core/session_state.h"

#define LISTED_ROWS    64u   // rows of the shortlist in one item of a parallel loop
#define CAPPED_AT_ONCE 4096u // logits
#define FINITE_STEP    64u
#define WIDEN_MARGIN   5.0f // temperatures
#define WIDEN_LEAST    1e-3 // relative to the most likely token

static float *row_at(const struct dt_session_group *g, uint32_t row)
{
    return g->logits + row * g->row_stride;
}

// ---- candidates ----

// The rows of a shortlist, for all workers.
struct listed_rows {
    const struct dt_forward *f;
    const struct dt_frequent_rows *frequent;
    const float *x;
    enum { NOTHING, SINGLE_ROWS, FREQUENT_ROWS } prepared; // what act is prepared for
    const void *act;
    float *out;
    const uint32_t *index;
    uint32_t count;
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

static void prepare_single(struct listed_rows *l)
{
    if (l->prepared != SINGLE_ROWS)
        l->act = dt_linear_prepare(&l->f->compute, &l->f->weights->classifier_rows, l->x,
                                   l->f->dim_stride, 1);
    l->prepared = SINGLE_ROWS;
}

static void compute_listed_rows(void *arg, float *out, const uint32_t *index, uint32_t count)
{
    struct listed_rows *l = arg;
    const struct dt_matrix *w = &l->f->weights->classifier_rows.matrix;
    prepare_single(l);
    l->out = out;
    l->index = index;
    l->count = count;
    dt_compute_spread(&l->f->compute, listed_rows_body, l, (count + LISTED_ROWS - 1) / LISTED_ROWS,
                      (size_t)count * (w->bytes / w->rows));
}

static void frequent_rows_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct listed_rows *l = arg;
    const struct dt_instance *by = l->frequent->from->by;
    for (uint32_t b = begin; b < end && !dt_compute_cancelled(&l->f->compute); b++) {
        struct dt_matrix block = dt_frequent_rows_block(l->frequent, b);
        by->table.matmul(by->ctx, l->frequent->out + (size_t)b * DT_FREQUENT_BLOCK, block.rows,
                         &block, 0, block.rows, l->act, l->f->dim_stride, 1);
    }
}

static void prepare_frequent(struct listed_rows *l)
{
    struct dt_linear block = {.matrix = dt_frequent_rows_block(l->frequent, 0),
                              .by = l->frequent->from->by};
    l->act = dt_linear_prepare(&l->f->compute, &block, l->x, l->f->dim_stride, 1);
    l->prepared = FREQUENT_ROWS;
}

static void compute_frequent_rows(void *arg)
{
    struct listed_rows *l = arg;
    uint32_t blocks = dt_frequent_rows_blocks(l->frequent);
    prepare_frequent(l);
    dt_compute_spread(&l->f->compute, frequent_rows_body, l, blocks,
                      blocks * l->frequent->block_bytes);
}

// A bound of the error of both ways to compute rows.
static float error_of_rows(struct listed_rows *l)
{
    const struct dt_linear *c = &l->f->weights->classifier_rows;
    float frequent = 0;
    if (l->frequent->count > 0) {
        struct dt_matrix block = dt_frequent_rows_block(l->frequent, 0);
        prepare_frequent(l);
        frequent = c->by->table.act_error(c->by->ctx, l->act, l->x, &block);
    }
    prepare_single(l);
    float single = c->by->table.act_error(c->by->ctx, l->act, l->x, &c->matrix);
    return frequent > single ? frequent : single;
}

// What the candidates of s are made from: its `hidden`. columns: so many sessions need logits.
static struct dt_shortlist_request request_of(const struct dt_session *s, struct listed_rows *l,
                                              uint32_t columns)
{
    struct dt_session_group *g = s->group;
    *l = (struct listed_rows){.f = &g->forward, .frequent = &g->list->frequent, .x = s->hidden};
    return (struct dt_shortlist_request){
        .user = (uint32_t)(s - g->sessions),
        .most = g->forward.weights->classifier_rows.matrix.rows / (2 * columns),
        .x = s->hidden,
        .error = error_of_rows(l),
        .recent = s->tokens,
        .bound = s->bound,
        .rows = compute_listed_rows,
        .frequent = compute_frequent_rows,
        .arg = l,
    };
}

// Computes the candidates of s; false where all logits are needed.
static bool make_candidates(struct dt_session *s, uint32_t position, uint32_t columns)
{
    struct dt_session_group *g = s->group;
    const struct dt_forward *f = &g->forward;
    const struct dt_matrix *w = &f->weights->classifier_rows.matrix;
    uint64_t clock = dt_profile_begin(f->profile);
    struct listed_rows l;
    struct dt_shortlist_request request = request_of(s, &l, columns);
    request.recent_count = position + 1;
    s->pending = dt_shortlist_make(g->list, &f->stack, &request, &s->candidates);
    dt_profile_end(f->profile, clock, DT_OP_CLASSIFIER, DT_NO_LAYER, 1,
                   s->candidates.count * (w->bytes / w->rows));
    return s->pending;
}

bool dt_session_widen_candidates(struct dt_session *s, struct dt_candidates *out)
{
    struct dt_session_group *g = s->group;
    struct dt_forward *f = &g->forward;
    struct dt_candidates *c = &s->candidates;
    const atomic_int *cancel = f->compute.cancel;
    // where the others count for little, more of them do not help
    if (!s->pending || !(s->bound.temperature > 0) || c->outside < WIDEN_LEAST ||
        c->bound.margin > s->bound.margin)
        return false;
    uint64_t clock = dt_profile_begin(f->profile);
    f->compute.cancel = NULL; // the caller relies on the logits
    struct listed_rows l;
    struct dt_shortlist_request request = request_of(s, &l, 1);
    uint32_t before = c->count;
    request.bound.margin += WIDEN_MARGIN * s->bound.temperature;
    bool made = dt_shortlist_widen(g->list, &f->stack, &request, c);
    f->compute.cancel = cancel;
    const struct dt_matrix *w = &f->weights->classifier_rows.matrix;
    dt_profile_end(f->profile, clock, DT_OP_CLASSIFIER, DT_NO_LAYER, 1,
                   (c->count - before) * (w->bytes / w->rows));
    *out = *c;
    return made;
}

// ---- all logits ----

struct capping {
    const struct dt_session_group *g;
    float *out;
    uint32_t parts; // of a column
};

static void cap_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct capping *c = arg;
    const struct dt_forward *f = &c->g->forward;
    const struct dt_instance *by = f->stack.softcap;
    for (uint32_t i = begin; i < end; i++) {
        uint32_t first = i % c->parts * CAPPED_AT_ONCE, left = f->model->hp.vocab - first;
        by->table.softcap(by->ctx, c->out + i / c->parts * c->g->row_stride + first,
                          left < CAPPED_AT_ONCE ? left : CAPPED_AT_ONCE, f->model->hp.logit_cap);
    }
}

// Computes the logits of columns of x, dim_stride apart, into rows from `out` on.
static void compute_logits(struct dt_session_group *g, const float *x, float *out, uint32_t columns)
{
    const struct dt_forward *f = &g->forward;
    const struct dt_linear *c = &f->weights->classifier;
    uint32_t vocab = f->model->hp.vocab;
    uint64_t clock = dt_profile_begin(f->profile);
    dt_linear_multiply(&f->compute, &c, &out, &g->row_stride, 1, x, f->dim_stride, columns);
    if (f->model->hp.logit_cap > 0) {
        struct capping capping = {g, out, (vocab + CAPPED_AT_ONCE - 1) / CAPPED_AT_ONCE};
        dt_compute_spread(&f->compute, cap_body, &capping, capping.parts * columns,
                          (size_t)columns * vocab * sizeof(float) * 16);
    }
    dt_profile_end(f->profile, clock, DT_OP_CLASSIFIER, DT_NO_LAYER, columns, c->matrix.bytes);
    if (g->list)
        g->list->facts.full += columns;
}

static bool is_held(const struct dt_session_group *g, const float *row)
{
    for (uint32_t i = 0; i < g->count; i++) {
        if (g->sessions[i].logits == row)
            return true;
    }
    return false;
}

// Moves the logits of sessions outside the pass to the last rows. Returns how many rows are free
// before them: one for each session of the pass, or more.
static uint32_t make_rows_free(struct dt_session_group *g)
{
    uint32_t rows = g->count, to;
    for (uint32_t i = 0; i < g->count; i++)
        rows -= g->sessions[i].logits != NULL;
    to = rows;
    for (uint32_t i = 0; i < g->count; i++) {
        struct dt_session *s = &g->sessions[i];
        if (!s->logits || s->logits >= row_at(g, rows))
            continue;
        while (is_held(g, row_at(g, to)))
            to++;
        s->logits = memcpy(row_at(g, to), s->logits, g->row_stride * sizeof *s->logits);
    }
    return rows;
}

void dt_session_classify_pending(struct dt_session *s)
{
    struct dt_session_group *g = s->group;
    const atomic_int *cancel = g->forward.compute.cancel;
    uint32_t row = 0;
    while (is_held(g, row_at(g, row)))
        row++;
    s->logits = row_at(g, row);
    g->forward.compute.cancel = NULL; // the caller relies on the logits
    compute_logits(g, s->hidden, s->logits, 1);
    g->forward.compute.cancel = cancel;
    s->pending = false;
}

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
            bool is_last = s->done + c + 1 == part->count;
            if (is_last == last && (part->sink || (last && !part->no_logits)))
                g->wanted[n++] = (struct dt_session_wanted){.session = s,
                                                            .part = part,
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
    if (s->group->examined && !w->part->sink && w->part->count == 1 &&
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
            w->stop = w->part->sink(w->part->sink_arg, w->position, w->logits) != 0;
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
        w->stop = part->sink(part->sink_arg, w->position, w->logits) != 0;
    if (w->stop) {
        dt_session_forget_logits(w->session);
        part->status =
            dt_error_set(part->err, DT_CANCELLED, NULL, "stopped by the receiver of the logits");
    }
}

// All logits of wanted columns, whose norms are in scratch.normed, into the first rows.
static void classify(struct dt_session_group *g, struct dt_session_wanted *wanted, uint32_t n)
{
    const struct dt_forward *f = &g->forward;
    compute_logits(g, f->scratch.normed, g->logits, n);
    if (dt_compute_cancelled(&f->compute))
        return;
    for (uint32_t k = 0; k < n; k++) {
        wanted[k].logits = row_at(g, k);
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
            bool made = make_candidates(s, w->position, able);
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

static void classify_pass(struct dt_session_group *g)
{
    const struct dt_compute *on = &g->forward.compute;
    uint32_t rows = make_rows_free(g), n = list_wanted(g, false), step;
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
    if (part->count > s->cache.capacity - s->position)
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
        s->position += g->runs[r].columns;
        s->done += g->runs[r].columns;
        if (s->progress)
            s->progress(s->progress_arg, s->done, part->count);
    }
}

dt_status dt_session_eval_parts(struct dt_session_part *parts, uint32_t count)
{
    if (count == 0)
        return DT_OK;
    struct dt_session_group *g = parts[0].session->group;
    for (uint32_t i = 0; i < count; i++) {
        struct dt_session *s = parts[i].session;
        s->done = 0;
        parts[i].status = check(&parts[i]);
        if (parts[i].status != DT_OK || parts[i].count == 0)
            continue;
        dt_kv_cache_grow(&s->cache, s->position, s->position + parts[i].count);
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
