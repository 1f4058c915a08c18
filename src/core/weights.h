// SPDX-License-Identifier: MIT
// A model's matrices in the forms that a stack of backends computes from: in place where it can,
// converted or packed where it must. The plan tells the cost before anything is done.
#ifndef DT_CORE_WEIGHTS_H
#define DT_CORE_WEIGHTS_H

#include "core/linear.h"
#include "core/model.h"

struct dt_weights_layer {
    struct dt_linear query, key, value, output, gate, down, up;
};

struct dt_weights {
    const struct dt_model *model;
    struct dt_linear embedding; // the model's own matrix, or converted where no backend reads it
    struct dt_linear classifier;
    struct dt_weights_layer *layers; // model->hp.layers, in the arena
    size_t in_place_bytes;           // weights used where they lie in the file
    size_t copied_bytes;             // converted and packed copies
};

struct dt_weights_plan {
    size_t in_place_bytes; // as above
    size_t copied_bytes;
    size_t arena_bytes; // what dt_weights_build takes: copies and tables
    uint32_t from_form; // of the first matrix that is converted; DT_FORM_NONE where none is
    uint32_t to_form;   // what it becomes
    bool packed;        // some matrices are packed into a backend's own layout
};

// How matrices that could be used in place, but for which the backend has a faster layout, are
// treated.
enum dt_pack_policy {
    DT_PACK_NEVER = 0, // in place whenever any backend of the stack can
    DT_PACK_ALWAYS,    // packed whenever the top backend offers it
};

// What building would take; reads no weights. DT_UNSUPPORTED as below. Pure.
dt_status dt_weights_plan(const struct dt_model *model, const struct dt_stack *stack,
                          enum dt_pack_policy pack, struct dt_weights_plan *out,
                          struct dt_error *err);

// Called between pieces of the work with bytes done and in all; non-zero stops it (DT_CANCELLED).
typedef int dt_progress(void *arg, size_t done, size_t total);

// Builds the view, which model, stack and the arena's memory outlive. Converted matrices take the
// best form of the topmost backend that has a matmul. services may be NULL; with them small
// matrices are packed by all workers, the rest is the calling thread's work. progress may be NULL.
// DT_UNSUPPORTED names a matrix that nobody computes; DT_NO_MEMORY; DT_CANCELLED.
dt_status dt_weights_build(const struct dt_model *model, const struct dt_stack *stack,
                           enum dt_pack_policy pack, struct dt_arena *arena,
                           const struct dt_services *services, dt_progress *progress,
                           void *progress_arg, struct dt_weights *out, struct dt_error *err);

#endif
