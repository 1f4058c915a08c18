// SPDX-License-Identifier: MIT
// Between the writers of formats (convert_*.c): one matrix on its way.
#ifndef DT_HOST_CONVERT_MATRIX_H
#define DT_HOST_CONVERT_MATRIX_H

#include "host/convert/convert.h"
#include "host/atomic_file.h"

struct dt_convert_matrix {
    const char *name;
    const struct dt_matrix *source;
    uint32_t form, group; // of the target
    // rows of a head that are put from halves into pairs; 0: rows stay in their order
    uint32_t pairs_of;
};

// The scales of an I8 matrix, until its quants are written.
struct dt_scale_buffer {
    unsigned char *floats;
    size_t bytes, capacity;
};

// Memory for one row in its stages, and how far the whole work is.
struct dt_convert_work {
    float *exact, *back, *row;
    size_t done, total;
};

dt_status dt_convert_begin(struct dt_convert_work *work, const struct dt_model *model, size_t total,
                           struct dt_error *err);
void dt_convert_end(struct dt_convert_work *work);

// The form a matrix gets: the one asked for, or its own; F16 where that does not divide its rows.
uint32_t dt_convert_form(const struct dt_conversion *c, const struct dt_matrix *w, uint32_t *group);
size_t dt_convert_bytes(const struct dt_convert_matrix *m); // of the target, scales included
bool dt_convert_copies(const struct dt_convert_matrix *m);  // target bytes are source bytes
uint32_t dt_convert_row(const struct dt_convert_matrix *m,
                        uint32_t r); // the source's row that becomes row r

// Room for the scales of m; then the quants (or blocks) of m go to out and its scales to scales,
// and the report is made.
dt_status dt_convert_scales(struct dt_scale_buffer *scales, const struct dt_convert_matrix *m,
                            struct dt_error *err);
dt_status dt_convert_write(const struct dt_conversion *c, const struct dt_convert_matrix *m,
                           struct dt_convert_work *work, struct dt_atomic_file *out,
                           struct dt_scale_buffer *scales, struct dt_error *err);

#endif
