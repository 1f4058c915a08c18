// SPDX-License-Identifier: MIT
// Matrix products with the kernels of a stack, on the workers of the host.
#ifndef DT_CORE_LINEAR_H
#define DT_CORE_LINEAR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/stack.h"
#include "core/supply.h"

// A matrix and the instance that computes it.
struct dt_linear {
    struct dt_matrix matrix;
    const struct dt_instance *by;
    const struct dt_supply *supply; // of its rows; NULL: they are where the matrix says
    uint32_t index;                 // of the matrix, for the supply
};

// Where numbers became infinite or undefined. Quantising and norms can hide that from the logits,
// so the results of attention and activation and the residual stream are examined.
struct dt_finite {
    uint32_t layer; // that is computed now; DT_NO_LAYER: the classifier
    bool lost;
    uint32_t lost_in; // the first layer with such a number
};

struct dt_observer;

// What computations run on. Plain data, owned by the session.
struct dt_compute {
    const struct dt_services *services; // NULL: one thread
    const atomic_int *cancel;           // polled; NULL: never cancelled
    uint32_t workers;                   // at least 1
    size_t split_bytes;                 // work that reads less than this runs on the calling thread
    const struct dt_observer *observer; // of every product; NULL: none
    void *act; // scratch for prepared activations: dt_linear_act_bytes of every matrix
};

// Sees the activations of products, for calibration: on the calling thread, before matrices that
// share them are multiplied. x: columns of first->matrix.cols floats, stride apart.
struct dt_observer {
    void (*product)(void *arg, const struct dt_linear *first, const float *x, size_t stride,
                    uint32_t columns);
    void *arg;
};

// Notes in *finite (may be NULL) if one of n floats of a column is 2^exponent or more, or
// undefined.
void dt_finite_examine(struct dt_finite *finite, const float *x, size_t stride, size_t n,
                       uint32_t columns, uint32_t exponent);

// The split_bytes that suit a model whose tokens read weight_bytes.
size_t dt_compute_split_bytes(size_t weight_bytes);

static inline bool dt_compute_cancelled(const struct dt_compute *on)
{
    return on->cancel && atomic_load_explicit(on->cancel, memory_order_relaxed);
}

// Runs body over items 0 .. items - 1, which read `bytes` together, on all workers if that pays.
// Results must not depend on how the items are divided. Returns when all are done.
void dt_compute_spread(const struct dt_compute *on, dt_loop_body *body, void *arg, uint32_t items,
                       size_t bytes);

// Bytes that l's backend needs to prepare this many columns; 0 if it reads the floats themselves.
size_t dt_linear_act_bytes(const struct dt_linear *l, uint32_t columns);

// Prepares columns of x (x_stride floats apart) for l's backend. Returns on->act, or x where the
// backend reads the floats themselves; valid until the next preparation.
const void *dt_linear_prepare(const struct dt_compute *on, const struct dt_linear *l,
                              const float *x, size_t x_stride, uint32_t columns);

// out[m] = linear[m] * x for count matrices and all columns; column c of out[m] begins at
// out[m] + c * out_stride[m], its rows are contiguous. Matrices that share a preparation and follow
// each other are computed in one parallel loop; those with a supply are computed by its ranges of
// rows. Returns early, with out undefined, when cancelled: the flag is polled at least every 1 MB
// of weights, and while a supply waits.
void dt_linear_multiply(const struct dt_compute *on, const struct dt_linear *const *linear,
                        float *const *out, const size_t *out_stride, int count, const float *x,
                        size_t x_stride, uint32_t columns);

#endif
