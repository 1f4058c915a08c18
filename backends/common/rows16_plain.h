// SPDX-License-Identifier: MIT
// A packed tile times prepared columns: with SSE2 on x86-64, which every such CPU has, else in
// plain C. SSE2 multiplies 16-bit numbers and adds pairs of products: a vector is two rows of four
// columns.
#ifndef DT_BACKENDS_COMMON_ROWS16_PLAIN_H
#define DT_BACKENDS_COMMON_ROWS16_PLAIN_H

#include <stdbool.h>

#include "common/activations.h"
#include "common/rows16.h"

enum { rows16_columns_most = 1 };

KIT_INLINE float rows16_scale(const unsigned char *p, uint32_t type, uint32_t row)
{
    return type == DT_SCALE_F32 ? kit_load_float(p + row * 4) : kit_load_half(p + row * 2);
}

#ifdef __SSE2__
#include <emmintrin.h>

// sum[2 h], sum[2 h + 1]: rows 4 h to 4 h + 3, in two parts. w: 16 bytes for each h.
KIT_INLINE void rows16_add(__m128i sum[8], const __m128i w[4], const int8_t *x)
{
    const __m128i zero = _mm_setzero_si128();
    int32_t four;
    memcpy(&four, x, sizeof four);
    __m128i v = _mm_set1_epi32(four);
    v = _mm_srai_epi16(_mm_unpacklo_epi8(v, v), 8);
    KIT_UNROLL
    for (int h = 0; h < 4; h++) {
        sum[2 * h] = _mm_add_epi32(sum[2 * h], _mm_madd_epi16(_mm_unpacklo_epi8(w[h], zero), v));
        sum[2 * h + 1] =
            _mm_add_epi32(sum[2 * h + 1], _mm_madd_epi16(_mm_unpackhi_epi8(w[h], zero), v));
    }
}

// The exact sums of a group; the correction subtracts the weights' bias.
KIT_INLINE void rows16_group(int32_t out[16], const unsigned char *tile, uint32_t group,
                             const int8_t *x, int32_t correction, bool four)
{
    const __m128i low = _mm_set1_epi8(15);
    __m128i sum[8];
    KIT_UNROLL
    for (int i = 0; i < 8; i++)
        sum[i] = _mm_setzero_si128();
    for (uint32_t k = 0; k < group; k += four ? 8 : 4, tile += 64, x += four ? 8 : 4) {
        __m128i a[4], b[4];
        KIT_UNROLL
        for (int h = 0; h < 4; h++) {
            __m128i q = _mm_loadu_si128((const void *)(tile + h * 16));
            a[h] = four ? _mm_and_si128(q, low) : q;
            b[h] = _mm_and_si128(_mm_srli_epi16(q, 4), low);
        }
        rows16_add(sum, a, x);
        if (four)
            rows16_add(sum, b, x + 4);
    }
    KIT_UNROLL
    for (int h = 0; h < 4; h++) {
        __m128 a = _mm_castsi128_ps(sum[2 * h]), b = _mm_castsi128_ps(sum[2 * h + 1]);
        __m128i even = _mm_castps_si128(_mm_shuffle_ps(a, b, 0x88)),
                odd = _mm_castps_si128(_mm_shuffle_ps(a, b, 0xdd));
        _mm_storeu_si128((void *)(out + 4 * h),
                         _mm_add_epi32(_mm_add_epi32(even, odd), _mm_set1_epi32(correction)));
    }
}

#else

KIT_INLINE void rows16_group(int32_t out[16], const unsigned char *tile, uint32_t group,
                             const int8_t *x, int32_t correction, bool four)
{
    for (int r = 0; r < 16; r++)
        out[r] = correction;
    for (uint32_t k = 0; k < group; k += four ? 8 : 4, tile += 64, x += four ? 8 : 4) {
        for (int r = 0; r < 16; r++) {
            for (int i = 0; i < 4; i++) {
                int w = tile[r * 4 + i];
                out[r] += four ? (w & 15) * x[i] + (w >> 4) * x[i + 4] : w * x[i];
            }
        }
    }
}

#endif

// One column. four: weights of four bits.
KIT_INLINE void rows16_tile_columns(float *out, size_t out_stride, uint32_t rows,
                                    const unsigned char *tile, uint32_t groups, uint32_t group,
                                    uint32_t type, bool four, const unsigned char *act,
                                    const struct act_layout *l, int cols)
{
    (void)out_stride;
    (void)cols;
    struct act_column x = act_column_at(act, l, 0);
    float value[16] = {0};
    for (uint32_t g = 0; g < groups; g++) {
        int32_t sum[16];
        const unsigned char *scales = tile;
        tile += rows16_scale_bytes(type);
        rows16_group(sum, tile, group, x.quants + (size_t)g * group, x.corrections[g], four);
        tile += (size_t)group * (four ? 8 : 16);
        for (uint32_t r = 0; r < 16; r++)
            value[r] += (float)sum[r] * rows16_scale(scales, type, r) * x.scales[g];
    }
    memcpy(out, value, rows * sizeof *out);
}

#endif
