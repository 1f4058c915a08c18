// SPDX-License-Identifier: MIT
// The transformer: from tokens to the residual stream behind the last layer. A pass evaluates runs
// of columns, each of one sequence: matrix products read the weights once for all columns.
#ifndef DT_CORE_FORWARD_H
#define DT_CORE_FORWARD_H

#include "core/kv/kv_cache.h"
#include "core/profile.h"
#include "core/weights.h"

// Scratch for one batch. Its size depends on the backends; it holds nothing between evaluations
// but the last batch's activations.
struct dt_scratch {
    float *x;                // residual stream: dim_stride for each column
    float *normed;           // dim_stride
    float *query, *attended; // attend_stride
    float *key, *value;      // kv_stride
    float *hidden, *up;      // hidden_stride
    float *cosine, *sine;    // half_stride for each RoPE: as scaled, then local
    float *scores;           // heads * score_stride for each worker
    void *act;               // prepared activations
};

// Adjacent columns of a pass: tokens of one sequence, at adjacent positions.
struct dt_forward_run {
    const struct dt_kv_cache *cache; // of the sequence; written to
    struct dt_finite *finite;        // of the sequence
    const uint32_t *tokens;
    uint32_t position, columns; // of the first column, in the cache; how many
    uint32_t dropped;           // entries that were dropped: RoPE is that of position + dropped
};

// Plain data, shared by the sessions of a group. Strides are in floats, padded to 16.
struct dt_forward {
    const struct dt_model *model;
    const struct dt_weights *weights;
    struct dt_stack stack; // a copy
    struct dt_compute compute;
    const struct dt_profile *profile; // NULL: off
    uint32_t batch;                   // columns evaluated together, at most
    uint32_t capacity;                // positions of each sequence's cache
    size_t dim_stride, attend_stride, kv_stride, hidden_stride, score_stride, half_stride;
    float *frequency; // rotated / 2; then as many of the local RoPE, if the model has one
    uint32_t ropes;   // 1, or 2 with a local one
    const struct dt_forward_run *runs; // of the pass
    uint32_t run_count, columns;       // columns: of all runs, at most batch
    struct dt_scratch scratch;
};

// Sets the model, the batch and the layout of scratch; allocates nothing. compute, weights and
// stack are left to the caller.
void dt_forward_init(struct dt_forward *f, const struct dt_model *model, uint32_t batch,
                     uint32_t capacity);

// The RoPE frequencies of the model into f->frequency.
void dt_forward_set_frequencies(struct dt_forward *f);

// Bytes to prepare a full batch for the matrix of these weights that needs most.
size_t dt_forward_act_bytes(const struct dt_forward *f, const struct dt_weights *weights);

// The same for weights that do not exist yet: an upper bound.
size_t dt_forward_act_bytes_most(const struct dt_forward *f);

// Allocates scratch from the arena, act_bytes of it for prepared activations. dt_arena_failed says
// whether it was large enough.
struct dt_scratch dt_forward_alloc_scratch(const struct dt_forward *f, size_t act_bytes,
                                           struct dt_arena *arena);

// Evaluates the layers for the tokens of f->runs, and stores their keys and values. Leaves the
// residual stream of all columns in scratch.x, in the order of the runs. When cancelled it returns
// early, with scratch and the slots from each run's position on undefined. The bits of a column do
// not depend on the other columns.
void dt_forward_layers(struct dt_forward *f);

// The parts of dt_forward_layers, for a caller that keeps the residual stream of many tokens and
// evaluates f->runs layer by layer. embed: the embedding of each token, scaled, and the vector of
// its position where positions are learned, to scratch.x. prepare_rope: before the layers of a
// batch. layer: from scratch.x to scratch.x.
void dt_forward_embed(const struct dt_forward *f);
void dt_forward_prepare_rope(const struct dt_forward *f);
void dt_forward_layer(struct dt_forward *f, uint32_t layer);

// The model's norm of columns, dim_stride apart in out and x; out may be x. bias: NULL for RMS.
void dt_forward_norm(const struct dt_forward *f, float *out, const float *x, const float *weight,
                     const float *bias, uint32_t columns);

// Cosine and sine of the angles of a position, or between positions that are as far apart, for
// texts longer than the context: in double precision, so that angles stay exact. rotated / 2 values
// each. local: of the local RoPE.
void dt_forward_angles(const struct dt_forward *f, uint32_t position, bool local, float *cosine,
                       float *sine);

// x[0 .. n) times `by`, if that is not 0.
void dt_forward_scale(float *x, size_t n, float by);

#endif
