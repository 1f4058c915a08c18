// SPDX-License-Identifier: MIT
// The classifier: candidates by the shortlist, or all logits.
#include <string.h>

#include "core/session_state.h"

#define LISTED_ROWS    64u   // rows of the shortlist in one item of a parallel loop
#define CAPPED_AT_ONCE 4096u // logits
#define WIDEN_MARGIN   5.0f  // temperatures
#define WIDEN_LEAST    1e-3  // relative to the most likely token

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

bool dt_session_make_candidates(struct dt_session *s, uint32_t position, uint32_t columns)
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

void dt_session_compute_logits(struct dt_session_group *g, const float *x, float *out,
                               uint32_t columns)
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

uint32_t dt_session_make_rows_free(struct dt_session_group *g)
{
    uint32_t rows = g->count, to;
    for (uint32_t i = 0; i < g->count; i++)
        rows -= g->sessions[i].logits != NULL;
    to = rows;
    for (uint32_t i = 0; i < g->count; i++) {
        struct dt_session *s = &g->sessions[i];
        if (!s->logits || s->logits >= dt_session_row(g, rows))
            continue;
        while (is_held(g, dt_session_row(g, to)))
            to++;
        s->logits = memcpy(dt_session_row(g, to), s->logits, g->row_stride * sizeof *s->logits);
    }
    return rows;
}

void dt_session_classify_pending(struct dt_session *s)
{
    struct dt_session_group *g = s->group;
    const atomic_int *cancel = g->forward.compute.cancel;
    uint32_t row = 0;
    while (is_held(g, dt_session_row(g, row)))
        row++;
    s->logits = dt_session_row(g, row);
    g->forward.compute.cancel = NULL; // the caller relies on the logits
    dt_session_compute_logits(g, s->hidden, s->logits, 1);
    g->forward.compute.cancel = cancel;
    s->pending = false;
}
