// SPDX-License-Identifier: MIT
// A model's matrices in the forms that a stack of backends computes from: used in place, converted
// or packed. The plan gives the cost before anything is allocated.
#ifndef DT_CORE_WEIGHTS_H
#define DT_CORE_WEIGHTS_H

#include "core/linear.h"
#include "core/model.h"

struct dt_weights_layer {
    struct dt_linear query, key, value, output, gate, down, up;
};

struct dt_weights_plan {
    size_t in_place_bytes; // weights used where they are in the file
    size_t copied_bytes;   // converted and packed copies
    size_t arena_bytes;    // that dt_weights_build allocates: copies and tables
    uint32_t from_form;    // of the first matrix that is converted; DT_FORM_NONE: none is
    uint32_t to_form;      // the form it is converted to
    size_t packed_bytes;   // the part of copied_bytes that is packed although it could be used in
                           // place; 0: nothing is packed
    size_t converted_packed_bytes; // the part that is converted, then packed
    size_t building_bytes;         // needed besides, only while the copies are made
    size_t mapped_packed_bytes;    // the part of in_place_bytes that is packed in the file
};

struct dt_weights {
    const struct dt_model *model;
    struct dt_linear embedding; // the model's matrix
    struct dt_linear classifier;
    struct dt_linear classifier_rows; // the same matrix, for reading only some of its rows
    struct dt_weights_layer *layers;  // model->hp.layers, in the arena
    struct dt_weights_plan plan;
};

// Whether matrices are packed that could also be used in place.
enum dt_pack_policy {
    DT_PACK_AUTO = 0, // the host decides by the memory available; for core the same as NEVER
    DT_PACK_NEVER,    // used in place if any backend of the stack can
    DT_PACK_ALWAYS,   // packed if the top backend has a packed layout
};

// The policy of a name: "auto", "never" or "always"; AUTO for any other.
enum dt_pack_policy dt_pack_policy_of(const char *name);

// The classifier's matrix in the file whose rows can be listed: the embedding if a packed
// classifier is a copy of it.
const struct dt_matrix *dt_weights_listed(const struct dt_model *model);

// Computes the memory plan only: reads no weights and allocates nothing. DT_UNSUPPORTED as below.
// Pure.
dt_status dt_weights_plan(const struct dt_model *model, const struct dt_stack *stack,
                          enum dt_pack_policy pack, struct dt_weights_plan *out,
                          struct dt_error *err);

// Called between parts of the work with the bytes done and the total. Returns non-zero to stop
// (DT_CANCELLED).
typedef int dt_progress(void *arg, size_t done, size_t total);

// Follows dt_weights_build. Each function may be NULL.
struct dt_weights_watch {
    dt_progress *progress;
    // The bytes of this matrix of the model were copied, and computing does not read them again.
    void (*copied)(void *arg, const struct dt_matrix *from);
    void *arg; // of both
};

// Builds *out. The model, the stack's instances and the memory of arena outlive it; that of
// `building` (NULL if the plan has no building_bytes) is used only until this returns. A matrix is
// converted to the best form of the topmost backend that has a matmul, and packed then if `pack`
// says so. services may be NULL; with them, all workers convert and pack. watch may be NULL.
// DT_UNSUPPORTED: no backend computes a matrix, which the message describes. DT_NO_MEMORY,
// DT_CANCELLED: the memory may be reused.
dt_status dt_weights_build(const struct dt_model *model, const struct dt_stack *stack,
                           enum dt_pack_policy pack, struct dt_arena *arena,
                           struct dt_arena *building, const struct dt_services *services,
                           const struct dt_weights_watch *watch, struct dt_weights *out,
                           struct dt_error *err);

// The matrices of products are numbered in the order in which a pass uses them: 7 of each layer,
// then the classifier. Some have no rows. dt_weights_matrix gives the model's, dt_weights_linear
// what is computed with.
uint32_t dt_weights_count(const struct dt_model *model);
const struct dt_matrix *dt_weights_matrix(const struct dt_model *model, uint32_t index);
struct dt_linear *dt_weights_linear(struct dt_weights *weights, uint32_t index);

// Calls visit for every matrix of the model that was copied and that computing does not read.
typedef void dt_weights_visit(void *arg, const struct dt_matrix *from);
void dt_weights_each_copied(struct dt_weights *weights, dt_weights_visit *visit, void *arg);

#endif
