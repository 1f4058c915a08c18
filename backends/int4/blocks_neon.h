// SPDX-License-Identifier: MIT
// Rows of Q4_0 blocks times prepared columns with NEON; weights are read in place and used as w
// + 8. The correction of the group (activations.h) subtracts eight times the sum of its
// activations.
#ifndef DT_BACKENDS_INT4_BLOCKS_NEON_H
#define DT_BACKENDS_INT4_BLOCKS_NEON_H

#include "common/activations.h"
#include "common/rows16_neon.h"
#include "common/tile_neon.h"
#include "common/weights.h"

enum { weight_bias = 8 };

// neon_block: the 32 products of a block, summed in lanes. neon_part_sums: the sums of the lanes of
// four rows.
#ifdef __ARM_FEATURE_DOTPROD
typedef int32x4_t neon_part;

KIT_INLINE neon_part neon_block(const int8x16_t q[2], const int8x16_t x[2])
{
    return vdotq_s32(vdotq_s32(vdupq_n_s32(0), q[0], x[0]), q[1], x[1]);
}

KIT_INLINE int32x4_t neon_part_sums(const neon_part p[4])
{
    return neon_lane_sums(p);
}
#else
// a lane is four products of at most 15 * 127; the sum of sixteen still fits in 16 bits
typedef int16x8_t neon_part;

KIT_INLINE neon_part neon_block(const int8x16_t q[2], const int8x16_t x[2])
{
    neon_part p = vmull_s8(vget_low_s8(q[0]), vget_low_s8(x[0]));
    p = vmlal_high_s8(p, q[0], x[0]);
    p = vmlal_s8(p, vget_low_s8(q[1]), vget_low_s8(x[1]));
    return vmlal_high_s8(p, q[1], x[1]);
}

KIT_INLINE int32x4_t neon_part_sums(const neon_part p[4])
{
    return vpaddlq_s16(vpaddq_s16(vpaddq_s16(p[0], p[1]), vpaddq_s16(p[2], p[3])));
}
#endif

// `rows` rows (4 or 8) times `cols` columns (1 to 4): value[c * rows / 4 + r / 4] is rows r to r +
// 3 of column c.
KIT_INLINE void neon_tile_of(float32x4_t *value, const struct dt_matrix *w,
                             const unsigned char *const *quants, const unsigned char *const *scales,
                             const struct act_column *x, int rows, int cols)
{
    KIT_UNROLL
    for (int i = 0; i < rows * cols / 4; i++)
        value[i] = vdupq_n_f32(0.0f);
    for (uint32_t g = 0; g < w->cols / 32; g++) {
        neon_part part[16];
        int8x16_t v[4][2];
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            v[c][0] = vld1q_s8(x[c].quants + (size_t)g * 32);
            v[c][1] = vld1q_s8(x[c].quants + (size_t)g * 32 + 16);
        }
        KIT_UNROLL
        for (int r = 0; r < rows; r++) {
            uint8x16_t both = vld1q_u8(quants[r] + g * w->group_stride);
            int8x16_t q[2] = {vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))),
                              vreinterpretq_s8_u8(vshrq_n_u8(both, 4))};
            KIT_UNROLL
            for (int c = 0; c < cols; c++)
                part[c * rows + r] = neon_block(q, v[c]);
        }
        KIT_UNROLL
        for (int r = 0; r < rows; r += 4) {
            float32x4_t scale = neon_scales(scales + r, g * w->scale_group_stride, DT_SCALE_F16);
            KIT_UNROLL
            for (int c = 0; c < cols; c++) {
                int k = (c * rows + r) / 4;
                int32x4_t sum =
                    vaddq_s32(neon_part_sums(part + 4 * k), vdupq_n_s32(x[c].corrections[g]));
                value[k] = neon_add_group(value[k], sum, scale, x[c].scales[g]);
            }
        }
    }
}

#include "common/columns_neon.h"

#endif
