// SPDX-License-Identifier: MIT
// Rows of 8-bit matrices in place, side by side, and what the classifier's shortlist asks for
// beside them.
#ifndef DT_RVV07_LISTED_H
#define DT_RVV07_LISTED_H

#include "layout.h"

// Scales of up to 32 rows, group by group.
struct rvv07_scales {
    const struct dt_matrix *w;
    const unsigned char *base;
    const uint32_t *index; // NULL: rows first .. first + rows - 1
    uint32_t first, rows, aligned;
    uint32_t offsets[32];
    float of[32];
};

void rvv07_scales_of_range(struct rvv07_scales *s, const struct dt_matrix *w, uint32_t first,
                           uint32_t rows);
// The scales of group g, valid until the next call.
const float *rvv07_scales_at(struct rvv07_scales *s, uint32_t g);

// As dt_backend.matmul_rows, or, index NULL, of rows first .. first + count - 1; 0 and nothing
// written where the matrix is not one in place of 8 bits and whole groups of 32.
int rvv07_listed(float *out, const struct dt_matrix *w, const uint32_t *index, uint32_t first,
                 uint32_t count, const void *act);

// As in struct dt_backend.
uint32_t rvv07_screen(void *ctx, const uint32_t *bounds, uint32_t n, float along, float across,
                      float threshold, float scale, uint32_t *index, double *rest);
int rvv07_row_products(void *ctx, float *products, const struct dt_matrix *w, uint32_t row_begin,
                       uint32_t row_end, const float *direction);

#endif
