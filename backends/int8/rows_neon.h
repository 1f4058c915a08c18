// SPDX-License-Identifier: MIT
// Rows of an 8-bit matrix times prepared columns with NEON; weights are read in place. With DotProd
// (Armv8.2), one instruction computes sixteen products. Without it, two products of at most
// 128 * 127 are added, which fit in 16 bits.
#ifndef DT_BACKENDS_INT8_ROWS_NEON_H
#define DT_BACKENDS_INT8_ROWS_NEON_H

#include "common/activations.h"
#include "common/rows16_neon.h"
#include "common/tile_neon.h"
#include "common/weights.h"

enum { weight_bias = 128 };

// sum += sixteen products, four in each lane.
KIT_INLINE int32x4_t neon_products(int32x4_t sum, int8x16_t w, int8x16_t x)
{
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(sum, w, x);
#else
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(w), vget_low_s8(x)), w, x));
#endif
}

// Loads n < 16 quants, followed by zeros. The usual sizes of small groups are one load.
KIT_INLINE int8x16_t neon_load_n(const void *p, uint32_t n)
{
    int8x16_t v = vdupq_n_s8(0);
    if (n == 8)
        memcpy(&v, p, 8);
    else if (n == 4)
        memcpy(&v, p, 4);
    else
        memcpy(&v, p, n);
    return v;
}

// `rows` rows (4 or 8) times `cols` columns (1 to 4): value[c * rows / 4 + r / 4] is rows r to r +
// 3 of column c.
KIT_INLINE void neon_tile(float32x4_t *value, const struct dt_matrix *w,
                          const unsigned char *const *quants, const unsigned char *const *scales,
                          const struct act_column *x, uint32_t group, uint32_t type, int rows,
                          int cols)
{
    KIT_UNROLL
    for (int i = 0; i < rows * cols / 4; i++)
        value[i] = vdupq_n_f32(0.0f);
    for (uint32_t g = 0; g < w->cols / group; g++) {
        size_t at = g * w->group_stride, from = (size_t)g * group;
        int32x4_t sum[16];
        int8x16_t v[4];
        uint32_t i = 0;
        KIT_UNROLL
        for (int k = 0; k < rows * cols; k++)
            sum[k] = vdupq_n_s32(0);
        for (; i + 16 <= group; i += 16) {
            KIT_UNROLL
            for (int c = 0; c < cols; c++)
                v[c] = vld1q_s8(x[c].quants + from + i);
            KIT_UNROLL
            for (int r = 0; r < rows; r++) {
                int8x16_t q = vld1q_s8((const int8_t *)quants[r] + at + i);
                KIT_UNROLL
                for (int c = 0; c < cols; c++)
                    sum[c * rows + r] = neon_products(sum[c * rows + r], q, v[c]);
            }
        }
        if (i < group) {
            for (int c = 0; c < cols; c++)
                v[c] = neon_load_n(x[c].quants + from + i, group - i);
            KIT_UNROLL
            for (int r = 0; r < rows; r++) {
                int8x16_t q = neon_load_n(quants[r] + at + i, group - i);
                KIT_UNROLL
                for (int c = 0; c < cols; c++)
                    sum[c * rows + r] = neon_products(sum[c * rows + r], q, v[c]);
            }
        }
        KIT_UNROLL
        for (int r = 0; r < rows; r += 4) {
            float32x4_t scale = neon_scales(scales + r, g * w->scale_group_stride, type);
            KIT_UNROLL
            for (int c = 0; c < cols; c++) {
                int k = (c * rows + r) / 4;
                value[k] =
                    neon_add_group(value[k], neon_lane_sums(sum + 4 * k), scale, x[c].scales[g]);
            }
        }
    }
}

KIT_INLINE void neon_tile_of(float32x4_t *value, const struct dt_matrix *w,
                             const unsigned char *const *quants, const unsigned char *const *scales,
                             const struct act_column *x, int rows, int cols)
{
    if (w->group == 32 && w->scale_type == DT_SCALE_F32)
        neon_tile(value, w, quants, scales, x, 32, DT_SCALE_F32, rows, cols);
    else if (w->group == 32)
        neon_tile(value, w, quants, scales, x, 32, DT_SCALE_F16, rows, cols);
    else if (w->group == 64 && w->scale_type == DT_SCALE_F32)
        neon_tile(value, w, quants, scales, x, 64, DT_SCALE_F32, rows, cols);
    else
        neon_tile(value, w, quants, scales, x, w->group, w->scale_type, rows, cols);
}

#include "common/columns_neon.h"

#endif
