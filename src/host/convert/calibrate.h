// SPDX-License-Identifier: MIT
// Calibration: weights of 4 and 5 bits fitted to the activations of a text (core/quant/fit.h).
//
// The layers are fitted one after the other, in the order in which the file holds them. Two
// residual streams are kept for all tokens: that of the model, and that of the model with
// everything fitted so far rounded. So each matrix corrects, as far as it can, what the matrices
// before it lost.
#ifndef DT_HOST_CALIBRATE_H
#define DT_HOST_CALIBRATE_H

#include "core/slots.h"
#include "core/stack.h"
#include "host/convert/convert.h"

struct dt_calibration_text {
    const uint32_t *tokens;
    const size_t *begin; // of sequence i: tokens[begin[i]] to tokens[begin[i + 1] - 1]
    size_t count;        // sequences, at least 1; begin has one entry more
};

struct dt_calibration_options {
    struct dt_calibration_text text;
    const struct dt_stack *stack;       // computes activations from f32 matrices
    const struct dt_services *services; // its threads; NULL: one
    dt_progress *progress; // receives work done and total; non-zero cancels; may be NULL
    void *progress_arg;
};

struct dt_calibration;

// Allocates all memory. c and everything that options names outlive *out, which the caller frees
// with dt_calibration_free. DT_UNSUPPORTED: c->form and c->embedding are not forms of 4 or 5 bits.
dt_status dt_calibration_new(struct dt_calibration **out, const struct dt_conversion *c,
                             const struct dt_calibration_options *options, struct dt_error *err);
void dt_calibration_free(struct dt_calibration *calibration);

// Memory in use, in bytes.
size_t dt_calibration_bytes(const struct dt_calibration *calibration);

// The blocks of a matrix in its target form, rows in the order of the model; *blocks is NULL if the
// matrix is not fitted (another form, or copied). Computes the layer when it is first asked for:
// layers in ascending order, and the classifier last. Valid until the next layer is asked for. The
// bytes are the same for any number of threads. DT_CANCELLED; DT_BAD_INPUT: activations are zero or
// not finite.
dt_status dt_calibration_blocks(struct dt_calibration *calibration, enum dt_slot slot,
                                uint32_t layer, const unsigned char **blocks, struct dt_error *err);

#endif
