// SPDX-License-Identifier: MIT
// The shortlist: computes only those logits that can affect the next token. In a large vocabulary
// most rows of the classifier belong to tokens the model was hardly trained on. These rows have
// nearly the same direction, so a bound excludes them without reading them.
//
// Let d be a vector of length 1 and, for each row w, a = w . d and b = |w - a d|. For any x = p d +
// y with y orthogonal to d, the Cauchy-Schwarz inequality gives
//     w . x = a p + (w - a d) . y  <=  a p + b |y|.
// a and b are stored as two bfloat16, so that a pass over all bounds reads 4 bytes for each row. d
// is the direction of the mean of some rows. The exact logits of a few tokens (the recent ones, and
// the most likely ones of the last lists) give a lower bound of the largest logit. Rows whose upper
// bound is within the margin of it are computed exactly; for the others the sum of exponentials is
// bounded. Every bound allows for the error of the kernel (dt_backend.act_error) and for rounding.
//
// Where the backend computes from packed weights, rows that are listed at nearly every token are
// also kept in a packed copy (frequent_rows.h).
//
// The bounds are computed from the weights in slices, one in each evaluation, so that the start is
// not delayed.
#ifndef DT_CORE_SHORTLIST_H
#define DT_CORE_SHORTLIST_H

#include "core/linear.h"
#include "core/sampling/frequent_rows.h"
#include "core/sampling/sampling.h"

// Statistics over all evaluations.
struct dt_shortlist_facts {
    uint64_t used; // evaluations with a list
    uint64_t full; // evaluations with all logits: not all bounds are known, the list was too long,
                   // or all were requested
    uint64_t rows; // rows in these lists, in all
    uint32_t learned;  // rows with a known bound
    uint32_t frequent; // rows of the copy of those that are listed most
};

struct dt_shortlist {
    const struct dt_linear *classifier;
    uint32_t vocab, learned;
    uint32_t passing, pause; // evaluations to skip after a list that was too long; the next pause
    float *direction, *row;  // cols floats each
    uint32_t *bounds;
    uint32_t capacity; // of one user's list
    uint32_t *index;   // capacity for each user
    float *logits;     // likewise
    double direction_scale;
    uint32_t first[32], firsts; // the most likely token of each of the last lists
    float norm_most;            // the largest |w|
    float along_error;          // the largest |w . d - a|
    struct dt_shortlist_facts facts;
    struct dt_frequent_rows frequent; // most is 0: none
    uint32_t missed;                  // listed rows that were read one by one since it was made
    uint32_t *missing, *missing_at;   // scratch: rows of a list that it lacks, and where they are
    float *missing_logits;
};

// Whether a list is useful for this classifier of a model whose tokens read weight_bytes: the
// vocabulary is large, the classifier is a large part of the weights, and the backend has the
// operations. False for the reference, which always computes everything.
bool dt_shortlist_pays(const struct dt_matrix *classifier, const struct dt_instance *by,
                       size_t weight_bytes);

// Bytes of memory for a classifier, computed by this backend. users: how many sessions may have
// candidates at the same time; they share the bounds. packed: the backend computes from packed
// weights, so the rows that are listed most are copied too (core/sampling/frequent_rows.h).
size_t dt_shortlist_measure(const struct dt_linear *classifier, bool packed, uint32_t users);

// Makes a list. memory (DT_ALIGN-aligned, dt_shortlist_measure bytes) and the classifier outlive
// it. Reads no weights.
void dt_shortlist_init(struct dt_shortlist *list, const struct dt_linear *classifier, bool packed,
                       uint32_t users, void *memory);

// Computes the bounds of the next slice of rows, if any are left; once in each pass. Worker thread,
// as all functions here.
void dt_shortlist_learn(struct dt_shortlist *list);

// Computes the logits of rows index[0 .. count) into out, on all threads.
typedef void dt_shortlist_rows(void *arg, float *out, const uint32_t *index, uint32_t count);

// Computes the products of all rows of list->frequent into its `out`.
typedef void dt_shortlist_frequent(void *arg);

struct dt_shortlist_request {
    uint32_t user;          // whose candidates these are, below `users`
    uint32_t most;          // a longer list is not made
    const float *x;         // dim floats, the classifier's input
    float error;            // dt_backend.act_error of its preparations, the larger one
    const uint32_t *recent; // recent tokens, newest last
    uint32_t recent_count;
    struct dt_sampler_bound bound; // partial
    dt_shortlist_rows *rows;
    dt_shortlist_frequent *frequent;
    void *arg;
};

// True if this pass should make no list: not all bounds are known, or a list was too long a short
// time ago. Call it once in each pass, before preparing anything for the list.
bool dt_shortlist_passes(struct dt_shortlist *list);

// Whether dt_shortlist_passes would be false, without the evaluation that it counts.
static inline bool dt_shortlist_is_ready(const struct dt_shortlist *list)
{
    return list->learned == list->vocab && list->passing == 0;
}

// Computes the candidates for one x, valid until the user's next call; the stack screens the
// bounds. False if no list was made: not all bounds are known, or the list is so long that the full
// product is as fast (then dt_shortlist_passes is true for some evaluations).
bool dt_shortlist_make(struct dt_shortlist *list, const struct dt_stack *stack,
                       const struct dt_shortlist_request *request, struct dt_candidates *out);

// Adds to the candidates of the user's last request those that a larger margin of the request's
// bound asks for; their temperature is above 0. Only rows that are not among them are computed,
// and follow them. recent is not used. False, with nothing changed, if there would be too many.
bool dt_shortlist_widen(struct dt_shortlist *list, const struct dt_stack *stack,
                        const struct dt_shortlist_request *request,
                        struct dt_candidates *candidates);

#endif
