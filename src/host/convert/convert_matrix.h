// SPDX-License-Identifier: MIT
// One matrix of a conversion, shared by convert*.c only.
#ifndef DT_HOST_CONVERT_MATRIX_H
#define DT_HOST_CONVERT_MATRIX_H

#include "core/slots.h"
#include "host/atomic_file.h"
#include "host/convert/convert.h"

// `source` with a layout is one that dt_convert_unpacked describes.
struct dt_convert_matrix {
    const char *name;
    const struct dt_matrix *source;
    uint32_t form, group; // of the target
    uint32_t pairs_of;    // head size, if the rows of each head are reordered from halves to pairs;
                          // 0: the order stays
    const unsigned char *blocks; // the rows of the source in the target's form; NULL: rounded here
};

// The scales of an I8 matrix, which follow its quants in the file. The caller frees floats.
struct dt_scale_buffer {
    unsigned char *floats;
    size_t bytes, capacity;
};

// Buffers for one row (of the source, of the target, and read back) and the progress in bytes.
struct dt_convert_work {
    float *exact, *back, *row;
    size_t done, total;
};

dt_status dt_convert_begin(struct dt_convert_work *work, const struct dt_model *model, size_t total,
                           struct dt_error *err);
void dt_convert_end(struct dt_convert_work *work);

// A model whose matrices are not packed: model, or a copy of it that describes each packed matrix
// as the one it was packed from, with the packed bytes as its quants and their layout; `layers` is
// the memory of the copy, which the caller frees. DT_UNSUPPORTED: a layout that is not known.
dt_status dt_convert_unpacked(const struct dt_model *model, struct dt_model *out,
                              struct dt_layer **layers, struct dt_error *err);

// Describes the source in *out: itself, or an unpacked copy in *memory, which the caller frees.
dt_status dt_convert_source(const struct dt_convert_matrix *m, struct dt_matrix *out, void **memory,
                            struct dt_error *err);

// The target's form of the matrix in a slot: c->form (or c->embedding), else the form of w. If its
// blocks do not divide the rows: Q4_1 in place of Q4_K, else F16.
uint32_t dt_convert_form(const struct dt_conversion *c, enum dt_slot slot,
                         const struct dt_matrix *w, uint32_t *group);

// Bytes of the target, including scales.
size_t dt_convert_bytes(const struct dt_convert_matrix *m);

// Whether the target's rows are the bytes of the source's rows.
bool dt_convert_copies(const struct dt_convert_matrix *m);

// Reads a row of w to exact if it is of floats; DT_BAD_INPUT, with the name, if a value is
// infinite or undefined.
dt_status dt_convert_check_finite(const char *name, const struct dt_matrix *w, uint32_t row,
                                  float *exact, struct dt_error *err);

// The row of the source that becomes row r.
uint32_t dt_convert_row(const struct dt_convert_matrix *m, uint32_t r);

// Makes capacity for the scales of m. Call it before dt_convert_write, which writes the quants or
// blocks of m to out and its scales to `scales`, and then calls c->report.
dt_status dt_convert_scales(struct dt_scale_buffer *scales, const struct dt_convert_matrix *m,
                            struct dt_error *err);
dt_status dt_convert_write(const struct dt_conversion *c, const struct dt_convert_matrix *m,
                           struct dt_convert_work *work, struct dt_atomic_file *out,
                           struct dt_scale_buffer *scales, struct dt_error *err);

// dt_atomic_file_commit, unless a mapped file was truncated while it was read (DT_BAD_INPUT).
dt_status dt_convert_commit(struct dt_atomic_file *out, struct dt_error *err);

#endif
