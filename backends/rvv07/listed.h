// SPDX-License-Identifier: MIT
// Unpacked rows of 8-bit and 4-bit matrices, up to 32 at a time, and the other entries of the
// shortlist.
#ifndef DT_RVV07_LISTED_H
#define DT_RVV07_LISTED_H

#include "layout.h"

// Reads the scales of up to 32 rows, group by group.
struct rvv07_scales {
    const struct dt_matrix *w;
    const unsigned char *base;
    const uint32_t *index; // NULL: rows first .. first + rows - 1
    uint32_t first, rows, aligned;
    uint32_t offsets[32];
    float of[32];
};

// Starts reading the scales of rows [first, first + rows); w outlives s.
void rvv07_scales_of_range(struct rvv07_scales *s, const struct dt_matrix *w, uint32_t first,
                           uint32_t rows);
// The scales of group g; valid until the next call.
const float *rvv07_scales_at(struct rvv07_scales *s, uint32_t g);

// dt_backend.matmul_rows, or for rows [first, first + count) if index is NULL. Returns 1; or 0 with
// nothing written, unless w is an unpacked 8-bit or 4-bit matrix whose groups are multiples of 32.
int rvv07_listed(float *out, const struct dt_matrix *w, const uint32_t *index, uint32_t first,
                 uint32_t count, const void *act);

// Entries of struct dt_backend.
uint32_t rvv07_screen(void *ctx, const uint32_t *bounds, uint32_t n, float along, float across,
                      float threshold, float scale, uint32_t *index, double *rest);
int rvv07_row_products(void *ctx, float *products, const struct dt_matrix *w, uint32_t row_begin,
                       uint32_t row_end, const float *direction);

#endif
