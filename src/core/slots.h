// SPDX-License-Identifier: MIT
// The tensor table: for each tensor its place in struct dt_model and its shape; core/structure.h
// states which ones an architecture has. A format adds its names; its reader finds slots by name,
// or visits them in the file's order. Pure: any thread.
#ifndef DT_CORE_SLOTS_H
#define DT_CORE_SLOTS_H

#include "core/model.h"

enum dt_slot {
    // of each layer, in the order of evaluation
    DT_SLOT_ATTENTION_NORM,
    DT_SLOT_ATTENTION_NORM_BIAS,
    DT_SLOT_QKV,
    DT_SLOT_QKV_BIAS,
    DT_SLOT_QUERY,
    DT_SLOT_KEY,
    DT_SLOT_VALUE,
    DT_SLOT_QUERY_BIAS,
    DT_SLOT_KEY_BIAS,
    DT_SLOT_VALUE_BIAS,
    DT_SLOT_QUERY_NORM,
    DT_SLOT_KEY_NORM,
    DT_SLOT_OUTPUT,
    DT_SLOT_OUTPUT_BIAS,
    DT_SLOT_POST_ATTENTION_NORM,
    DT_SLOT_FFN_NORM,
    DT_SLOT_FFN_NORM_BIAS,
    DT_SLOT_GATE_UP,
    DT_SLOT_GATE,
    DT_SLOT_GATE_BIAS,
    DT_SLOT_UP,
    DT_SLOT_UP_BIAS,
    DT_SLOT_DOWN,
    DT_SLOT_DOWN_BIAS,
    DT_SLOT_POST_FFN_NORM,
    // of the model
    DT_SLOT_EMBEDDING,
    DT_SLOT_POSITIONS,
    DT_SLOT_FINAL_NORM,
    DT_SLOT_FINAL_NORM_BIAS,
    DT_SLOT_CLASSIFIER,
    DT_SLOT_ROPE_FACTORS,
    DT_SLOT_ROPE_LONG,
    DT_SLOT_ROPE_SHORT,
    DT_SLOT_ROPE_TABLES,
    DT_SLOT_COUNT,
    DT_SLOT_LAYER_END = DT_SLOT_EMBEDDING, // slots below this one are a layer's
};

// The names of a format.
struct dt_slot_names {
    const char *layer;               // "blk.": before the layer's number and a dot
    const char *slot[DT_SLOT_COUNT]; // "attn_q.weight"; NULL: the format has no such tensor
};

// The slot of a tensor by its name of n bytes; DT_SLOT_COUNT if the format has no such name. *layer
// is the number in the name, which may exceed the model's layers, or -1 if it has none.
enum dt_slot dt_slot_find(const struct dt_slot_names *names, const char *name, size_t n,
                          int64_t *layer);

// Writes the name of a slot, "blk.3.attn_q.weight", truncated to size bytes including the
// terminator. layer is ignored for a slot of the model.
void dt_slot_name(const struct dt_slot_names *names, enum dt_slot slot, uint32_t layer, char *out,
                  size_t size);

// Whether the slot holds a vector of floats (norms, biases, RoPE's tables); else it is a matrix.
bool dt_slot_is_vector(enum dt_slot slot);

// The shape that follows from the hyperparameters; a vector is one row. ROPE_TABLES that exceed 32
// bits have 0 columns.
void dt_slot_shape(const struct dt_hparams *hp, enum dt_slot slot, uint32_t *rows, uint32_t *cols);

// The place of a slot in m: a struct dt_matrix, or for a vector a const float *. layer is below
// hp.layers; ignored for a slot of the model.
void *dt_slot_place(struct dt_model *m, enum dt_slot slot, uint32_t layer);

// The value of a slot. NULL: the slot is of the other kind, or m does not have the vector.
const struct dt_matrix *dt_slot_matrix(const struct dt_model *m, enum dt_slot slot, uint32_t layer);
const float *dt_slot_vector(const struct dt_model *m, enum dt_slot slot, uint32_t layer);

// Copies the vectors that computing reads (norms, biases) to the arena, and makes m use the copies.
// dt_slot_vector_bytes: the memory for that.
size_t dt_slot_vector_bytes(const struct dt_model *m);
dt_status dt_slot_copy_vectors(struct dt_model *m, struct dt_arena *arena, struct dt_error *err);

// Whether m lacks a required tensor; writes the name of the first one to out. An I8 matrix needs
// both its quants and its scales ("..._scales").
bool dt_slot_missing(const struct dt_model *m, const struct dt_slot_names *names, char *out,
                     size_t size);

#endif
