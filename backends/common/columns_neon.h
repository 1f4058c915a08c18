// SPDX-License-Identifier: MIT
// A matrix times prepared columns with NEON: four columns in tiles of four rows, single columns in
// tiles of eight rows. int8 and int4 include it after their neon_tile_of, which multiplies a tile.
#ifndef DT_BACKENDS_COMMON_COLUMNS_NEON_H
#define DT_BACKENDS_COMMON_COLUMNS_NEON_H

#include "common/activations.h"
#include "common/tile_neon.h"

// Eight rows times one column; stores the first `count` values.
static void neon_column(float *out, const struct dt_matrix *w, const struct neon_rows_at *t,
                        uint32_t count, const struct act_column *x)
{
    float32x4_t value[2];
    neon_tile_of(value, w, t->quants, t->scales, x, 8, 1);
    neon_store(out, value, count);
}

// Eight rows times four columns; stores the first `count` values of each.
static void neon_four_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                              const struct neon_rows_at *t, uint32_t count,
                              const struct act_column *x)
{
    for (uint32_t k = 0; k < count; k += 4) {
        float32x4_t value[4];
        neon_tile_of(value, w, t->quants + k, t->scales + k, x, 4, 4);
        for (uint32_t c = 0; c < 4; c++)
            neon_store(out + c * out_stride + k, value + c, count - k < 4 ? count - k : 4);
    }
}

static void rows_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                               uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    for (uint32_t r = begin; r < end; r += neon_rows) {
        uint32_t count = end - r < neon_rows ? end - r : neon_rows, c = 0;
        struct neon_rows_at t = neon_rows_of(w, NULL, r, count);
        struct act_column x[4];
        for (; c + 4 <= columns; c += 4) {
            for (uint32_t k = 0; k < 4; k++)
                x[k] = act_column_at(act, &layout, c + k);
            neon_four_columns(out + c * out_stride + r, out_stride, w, &t, count, x);
        }
        for (; c < columns; c++) {
            x[0] = act_column_at(act, &layout, c);
            neon_column(out + c * out_stride + r, w, &t, count, x);
        }
    }
}

static void listed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const struct act_column *x)
{
    for (uint32_t k = 0; k < count; k += neon_rows) {
        uint32_t n = count - k < neon_rows ? count - k : neon_rows;
        struct neon_rows_at t = neon_rows_of(w, index, k, n);
        neon_column(out + k, w, &t, n, x);
    }
}

#endif
