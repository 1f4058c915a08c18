// SPDX-License-Identifier: MIT
// Copies of matrices: converted, packed, or converted and packed, by all workers. Used by weights.c
// only.
#ifndef DT_CORE_WEIGHTS_COPY_H
#define DT_CORE_WEIGHTS_COPY_H

#include "core/weights.h"

// How one matrix is used.
struct dt_copy_plan {
    const struct dt_instance *by;
    enum { DT_COPY_NONE, DT_COPY_CONVERT, DT_COPY_PACK, DT_COPY_CONVERT_PACK } kind;
    uint32_t form, group; // what it is converted to
    size_t bytes;         // of the copy
    size_t plain_bytes;   // CONVERT_PACK: of the converted matrix before it is packed
};

// The state of making copies.
struct dt_copy {
    const struct dt_services *services;
    const struct dt_weights_watch *watch;
    uint32_t longest_row; // floats
    float *rows;          // dt_copy_rows_bytes, for conversions
    void *plain;          // the most plain_bytes of any matrix
    size_t done, total;   // bytes of copies
};

// Bytes of the rows of floats that are converted at the same time.
size_t dt_copy_rows_bytes(uint32_t longest_row);

// Makes the copy of `from` in memory of plan->bytes and describes it in *to. Works in parts,
// between which it calls watch->progress. DT_BAD_INPUT: a value that is converted is infinite or
// undefined.
dt_status dt_copy_matrix(struct dt_copy *copy, const struct dt_matrix *from,
                         const struct dt_copy_plan *plan, void *memory, struct dt_matrix *to,
                         struct dt_error *err);

#endif
