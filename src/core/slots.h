// SPDX-License-Identifier: MIT
// The tensors of a llama: where each lies in struct dt_model, its shape, and whether a model can do
// without it. A format adds its names for them, and its reader finds a place by name or walks the
// slots in the file's order. Nothing is kept here: any thread.
#ifndef DT_CORE_SLOTS_H
#define DT_CORE_SLOTS_H

#include "core/model.h"

enum dt_slot {
    // of every layer, in the order of evaluation
    DT_SLOT_ATTENTION_NORM,
    DT_SLOT_QUERY,
    DT_SLOT_KEY,
    DT_SLOT_VALUE,
    DT_SLOT_QUERY_BIAS,
    DT_SLOT_KEY_BIAS,
    DT_SLOT_VALUE_BIAS,
    DT_SLOT_OUTPUT,
    DT_SLOT_FFN_NORM,
    DT_SLOT_GATE,
    DT_SLOT_UP,
    DT_SLOT_DOWN,
    // of the model
    DT_SLOT_EMBEDDING,
    DT_SLOT_FINAL_NORM,
    DT_SLOT_CLASSIFIER,
    DT_SLOT_ROPE_FACTORS,
    DT_SLOT_ROPE_TABLES,
    DT_SLOT_COUNT,
    DT_SLOT_LAYER_END = DT_SLOT_EMBEDDING, // a layer's slots are those below
};

// What a format calls them.
struct dt_slot_names {
    const char *layer;               // "blk.": a layer's tensor is this, its number, a dot, and
    const char *slot[DT_SLOT_COUNT]; // "attn_q.weight"; NULL where the format has no such tensor
};

// The slot that a tensor of this name (n bytes) fills; DT_SLOT_COUNT if the format knows none.
// *layer gets the number in the name, which may be past the model's layers, or -1 if it is no
// layer's name.
enum dt_slot dt_slot_find(const struct dt_slot_names *names, const char *name, size_t n,
                          int64_t *layer);

// The name of a slot in a format, "blk.3.attn_q.weight", cut to size bytes with its end; layer is
// not looked at for a slot of the model.
void dt_slot_name(const struct dt_slot_names *names, enum dt_slot slot, uint32_t layer, char *out,
                  size_t size);

// Whether its value is a vector of floats or NULL (norms, biases, RoPE's); else it is a matrix.
bool dt_slot_is_vector(enum dt_slot slot);

// The shape that these hyperparameters want, a vector as one row. ROPE_TABLES past 32 bits have 0
// columns.
void dt_slot_shape(const struct dt_hparams *hp, enum dt_slot slot, uint32_t *rows, uint32_t *cols);

// Where the value of a slot lies in m: struct dt_matrix, or for a vector const float *. layer is
// below hp.layers; it is not looked at for a slot of the model.
void *dt_slot_place(struct dt_model *m, enum dt_slot slot, uint32_t layer);

// The value itself: NULL for a slot of the other kind, and for a vector that m does not have.
const struct dt_matrix *dt_slot_matrix(const struct dt_model *m, enum dt_slot slot, uint32_t layer);
const float *dt_slot_vector(const struct dt_model *m, enum dt_slot slot, uint32_t layer);

// Whether m lacks a tensor it cannot do without; the name of the first such one goes to out. Of an
// I8 matrix, whose scales are a tensor of their own, either half counts ("..._scales").
bool dt_slot_missing(const struct dt_model *m, const struct dt_slot_names *names, char *out,
                     size_t size);

#endif
