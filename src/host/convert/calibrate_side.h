// SPDX-License-Identifier: MIT
// Evaluates one layer of a model for all tokens of a text, shared by calibrate*.c only.
#ifndef DT_HOST_CALIBRATE_SIDE_H
#define DT_HOST_CALIBRATE_SIDE_H

#include <stdatomic.h>

#include "core/forward.h"
#include "host/convert/calibrate.h"
#include "host/memory.h"

#define DT_CALIBRATE_BATCH 64u

// The matrices of a layer, in the order of evaluation; those of a pair that a file may have in one
// follow each other.
enum dt_calibrate_matrix {
    DT_CALIBRATE_QUERY,
    DT_CALIBRATE_KEY,
    DT_CALIBRATE_VALUE,
    DT_CALIBRATE_OUTPUT,
    DT_CALIBRATE_GATE,
    DT_CALIBRATE_UP,
    DT_CALIBRATE_DOWN,
    DT_CALIBRATE_MATRICES
};

const struct dt_matrix *dt_calibrate_matrix(const struct dt_layer *layer,
                                            enum dt_calibrate_matrix which);

// A model of one layer with f32 matrices, and the residual stream of every token.
struct dt_calibrate_side {
    const struct dt_model *whole;
    const struct dt_calibration_options *options;
    struct dt_account *account;
    struct dt_model model; // one layer of it, without a classifier
    struct dt_layer layer;
    float *matrix[DT_CALIBRATE_MATRICES]; // may be changed; then call dt_calibrate_side_build
    float *stream;                        // dim floats for each token
    struct dt_forward forward;
    struct dt_kv_cache cache;
    struct dt_forward_run run;
    struct dt_finite finite;
    struct dt_weights weights;
    struct dt_block matrices, streams, packed, work;
    struct dt_observer observer;
    atomic_int stop;
    const struct dt_linear *wanted; // the product whose activations are wanted; NULL: none
    const float *seen;              // they
    size_t seen_stride;
};

// Zero *side first, and free it with dt_calibrate_side_free also after an error. It must not move.
dt_status dt_calibrate_side_init(struct dt_calibrate_side *side, const struct dt_model *model,
                                 const struct dt_calibration_options *options,
                                 struct dt_account *account, struct dt_error *err);
void dt_calibrate_side_free(struct dt_calibrate_side *side);

// Reads the matrices of a layer of the whole model, as floats.
void dt_calibrate_side_layer(struct dt_calibrate_side *side, uint32_t layer);

// Builds the weights from the matrices.
dt_status dt_calibrate_side_build(struct dt_calibrate_side *side, struct dt_error *err);

// Evaluates the layer for columns tokens, the first of which is token `first` of the text, at
// `position` of its sequence. wanted is a matrix: stops there, and `seen` are the activations it is
// multiplied with, for each column. DT_CALIBRATE_MATRICES: changes the stream.
void dt_calibrate_side_run(struct dt_calibrate_side *side, size_t first, uint32_t position,
                           uint32_t columns, enum dt_calibrate_matrix wanted);

// Sets the stream of tokens in the same way to their embedding.
void dt_calibrate_side_embed(struct dt_calibrate_side *side, size_t first, uint32_t position,
                             uint32_t columns);

// Sets `seen` to the final norm of the streams of some tokens, which the classifier reads.
void dt_calibrate_side_final(struct dt_calibrate_side *side, size_t first, uint32_t columns);

#endif
