// SPDX-License-Identifier: MIT
// The rows of the classifier that can still matter. Of a large vocabulary most rows are of tokens
// that a model was never asked for: they all point the same way, far from anything it says, and a
// bound excludes them without their being read.
//
// With d a unit vector and, for every row w, a = w . d and b = |w - a d| (kept as two bfloat16, so
// that a pass over all of them reads 4 bytes a row), Cauchy and Schwarz say for any x = p d + y, y
// at right angles to d:
//     w . x = a p + (w - a d) . y  <=  a p + b |y|.
// d is the direction of the mean of some rows. A few logits computed exactly, those of the latest
// tokens and of the likeliest ones of the last lists, are a lower bound of the largest one; the
// rows whose upper bound is within `reach` of it are computed exactly, the others' exponentials are
// bounded in sum. What the kernel's own arithmetic may lose (dt_backend.act_error) and the rounding
// of the bounds are added to every bound.
//
// The bounds are learned from the weights in slices, one an evaluation, so that nothing waits for
// them at the start.
#ifndef DT_CORE_SHORTLIST_H
#define DT_CORE_SHORTLIST_H

#include "core/linear.h"
#include "core/sampling/sampling.h"

// What came of it, summed up over all evaluations.
struct dt_shortlist_facts {
    uint64_t used; // evaluations for which the list was made
    uint64_t full; // and for which all rows were computed: while learning, when too many were left,
                   // or by request
    uint64_t rows; // rows computed in the `used` ones
    uint32_t learned; // rows whose bound is known
};

struct dt_shortlist {
    const struct dt_linear *classifier;
    uint32_t vocab, learned;
    uint32_t passing, pause; // evaluations still to pass after too long a list; the next pause
    float *direction, *row;  // of cols each
    uint32_t *bounds, *index;
    float *logits;
    double direction_scale;
    uint32_t first[32], firsts; // the likeliest tokens of the last lists
    float norm_most;            // the largest |w|
    float along_error;          // the largest |w . d - a|
    struct dt_shortlist_facts facts;
};

// Whether a list is worth its memory for this classifier of a model whose tokens read weight_bytes:
// it is a large part of them, of a large vocabulary, and the backend has what it takes. The
// reference is never shortened.
bool dt_shortlist_pays(const struct dt_matrix *classifier, const struct dt_instance *by,
                       size_t weight_bytes);

// Bytes of memory for a classifier of vocab rows and dim columns.
size_t dt_shortlist_measure(uint32_t vocab, uint32_t dim);

// memory: DT_ALIGN-aligned, dt_shortlist_measure bytes; it and the classifier outlive the list.
// Reads no weights.
void dt_shortlist_init(struct dt_shortlist *list, const struct dt_linear *classifier, void *memory);

// Reads the next slice of rows, if any are left. Worker thread, as everything here.
void dt_shortlist_learn(struct dt_shortlist *list);

// Computes the logits of rows index[0 .. count) into out, on all threads.
typedef void dt_shortlist_rows(void *arg, float *out, const uint32_t *index, uint32_t count);

struct dt_shortlist_request {
    const float *x;         // dim floats: what the classifier multiplies with
    float error;            // dt_backend.act_error of its preparation
    const uint32_t *recent; // tokens that are likely again, newest last
    uint32_t recent_count;
    struct dt_sampler_bound bound; // partial
    dt_shortlist_rows *rows;
    void *arg;
};

// Asked once an evaluation, before anything is prepared for a list: true where none can be made, as
// not all rows are known yet, or none is tried, as the last one was too long.
bool dt_shortlist_passes(struct dt_shortlist *list);

// The candidates for one x, valid until the next call, screened by this stack. false where the list
// is not made: not all rows are known, or so many are left that the full product is as quick (then
// dt_shortlist_passes says so for a while).
bool dt_shortlist_make(struct dt_shortlist *list, const struct dt_stack *stack,
                       const struct dt_shortlist_request *request, struct dt_candidates *out);

#endif
