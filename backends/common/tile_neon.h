// SPDX-License-Identifier: MIT
// Eight rows of a quantised matrix, read in place with NEON, and the arithmetic after the sums of a
// group. Shared by int8 and int4.
#ifndef DT_BACKENDS_COMMON_TILE_NEON_H
#define DT_BACKENDS_COMMON_TILE_NEON_H

#include "common/weights.h"

enum { neon_rows = 8 };

struct neon_rows_at {
    const unsigned char *quants[neon_rows], *scales[neon_rows];
};

// Finds the quants and scales of `count` rows: first, first + 1, ..., or index[first],
// index[first + 1], ... if index is not NULL. Fills up to eight with the last one.
KIT_INLINE struct neon_rows_at neon_rows_of(const struct dt_matrix *w, const uint32_t *index,
                                            uint32_t first, uint32_t count)
{
    struct neon_rows_at t;
    for (uint32_t k = 0; k < neon_rows; k++) {
        uint32_t row = first + (k < count ? k : count - 1);
        row = index ? index[row] : row;
        t.quants[k] = (const unsigned char *)w->quants + row * w->row_stride;
        t.scales[k] = (const unsigned char *)w->scales + row * w->scale_row_stride;
    }
    return t;
}

// The scales of one group of four rows.
KIT_INLINE float32x4_t neon_scales(const unsigned char *const *scales, size_t at, uint32_t type)
{
    if (type == DT_SCALE_F32)
        return (float32x4_t){kit_load_float(scales[0] + at), kit_load_float(scales[1] + at),
                             kit_load_float(scales[2] + at), kit_load_float(scales[3] + at)};
    uint16_t half[4];
    KIT_UNROLL
    for (int r = 0; r < 4; r++)
        memcpy(half + r, scales[r] + at, 2);
    return vcvt_f32_f16(vreinterpret_f16_u16((uint16x4_t){half[0], half[1], half[2], half[3]}));
}

// The sum of the lanes of each of four vectors.
KIT_INLINE int32x4_t neon_lane_sums(const int32x4_t s[4])
{
    return vpaddq_s32(vpaddq_s32(s[0], s[1]), vpaddq_s32(s[2], s[3]));
}

// Adds the next group to the values of four rows, with the reference's rounding.
KIT_INLINE float32x4_t neon_add_group(float32x4_t value, int32x4_t sum, float32x4_t scale,
                                      float x_scale)
{
    float32x4_t part = vmulq_f32(vcvtq_f32_s32(sum), scale);
    return vaddq_f32(value, vmulq_n_f32(part, x_scale));
}

// Stores the first `count` values: up to four of value[0], the rest of value[1].
KIT_INLINE void neon_store(float *out, const float32x4_t *value, uint32_t count)
{
    if (count == 8) {
        vst1q_f32(out, value[0]);
        vst1q_f32(out + 4, value[1]);
    } else if (count == 4) {
        vst1q_f32(out, value[0]);
    } else {
        memcpy(out, value, count * sizeof *out);
    }
}

#endif
