// SPDX-License-Identifier: MIT
// A packed tile times prepared columns with NEON: four vectors of four rows. With DotProd one
// instruction multiplies four rows with four columns. Without it, products are added in pairs.
#ifndef DT_BACKENDS_COMMON_ROWS16_NEON_H
#define DT_BACKENDS_COMMON_ROWS16_NEON_H

#include <stdbool.h>

#include "common/activations.h"
#include "common/rows16.h"

enum { rows16_columns_most = 4 }; // columns at a time: 4, 3, 2 or 1

// The sums of four rows.
struct rows16_sum {
#ifdef __ARM_FEATURE_DOTPROD
    int32x4_t all;
#else
    int32x4_t low, high; // of two rows each, in two parts
#endif
};

KIT_INLINE void rows16_add(struct rows16_sum *s, int8x16_t w, const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    int8x16_t v = vreinterpretq_s8_s32(vdupq_n_s32(four));
#ifdef __ARM_FEATURE_DOTPROD
    s->all = vdotq_s32(s->all, w, v);
#else
    s->low = vpadalq_s16(s->low, vmull_s8(vget_low_s8(w), vget_low_s8(v)));
    s->high = vpadalq_s16(s->high, vmull_high_s8(w, v));
#endif
}

KIT_INLINE int32x4_t rows16_total(const struct rows16_sum *s)
{
#ifdef __ARM_FEATURE_DOTPROD
    return s->all;
#else
    return vpaddq_s32(s->low, s->high);
#endif
}

KIT_INLINE float32x4_t rows16_scales(const unsigned char *p, uint32_t type, int part)
{
    return type == DT_SCALE_F32 ? vld1q_f32((const float *)(const void *)(p + part * 16))
                                : vcvt_f32_f16(vreinterpret_f16_u16(
                                      vld1_u16((const uint16_t *)(const void *)(p + part * 8))));
}

// One group. Weights lose their bias, so the corrections are not used.
KIT_INLINE void rows16_group(struct rows16_sum (*sum)[4], const unsigned char *tile, uint32_t group,
                             const int8_t *x, size_t stride, bool four, int cols)
{
    const uint8x16_t flip = vdupq_n_u8(128), low = vdupq_n_u8(15);
    const int8x16_t eight = vdupq_n_s8(8);
    for (uint32_t k = 0; k < group; k += four ? 8 : 4, tile += 64, x += four ? 8 : 4) {
        KIT_UNROLL
        for (int h = 0; h < 4; h++) {
            uint8x16_t q = vld1q_u8(tile + h * 16);
            int8x16_t a, b;
            if (four) {
                a = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(q, low)), eight);
                b = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(q, 4)), eight);
            } else {
                a = b = vreinterpretq_s8_u8(veorq_u8(q, flip));
            }
            KIT_UNROLL
            for (int c = 0; c < cols; c++) {
                rows16_add(&sum[c][h], a, x + c * stride);
                if (four)
                    rows16_add(&sum[c][h], b, x + c * stride + 4);
            }
        }
    }
}

// `cols` columns that are contiguous in act. four: weights of four bits.
KIT_INLINE void rows16_tile_columns(float *out, size_t out_stride, uint32_t rows,
                                    const unsigned char *tile, uint32_t groups, uint32_t group,
                                    uint32_t type, bool four, const unsigned char *act,
                                    const struct act_layout *l, int cols)
{
    const size_t stride = l->column;
    const int8_t *x = (const int8_t *)act;
    const unsigned char *scales = act + l->scales;
    float32x4_t value[4][4];
    KIT_UNROLL
    for (int i = 0; i < cols * 4; i++)
        value[i / 4][i % 4] = vdupq_n_f32(0.0f);
    for (uint32_t g = 0; g < groups; g++, scales += 4, x += group) {
        struct rows16_sum sum[4][4];
        float32x4_t scale[4];
        memset(sum, 0, sizeof sum);
        KIT_UNROLL
        for (int h = 0; h < 4; h++)
            scale[h] = rows16_scales(tile, type, h);
        tile += rows16_scale_bytes(type);
        rows16_group(sum, tile, group, x, stride, four, cols);
        tile += (size_t)group * (four ? 8 : 16);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            float x_scale = kit_load_float(scales + c * stride);
            KIT_UNROLL
            for (int h = 0; h < 4; h++) {
                float32x4_t part = vmulq_f32(vcvtq_f32_s32(rows16_total(&sum[c][h])), scale[h]);
                value[c][h] = vaddq_f32(value[c][h], vmulq_n_f32(part, x_scale));
            }
        }
    }
    for (int c = 0; c < cols; c++)
        memcpy(out + c * out_stride, value[c], rows * sizeof *out);
}

#endif
