// SPDX-License-Identifier: MIT
// A packed tile times prepared columns with AVX2: two vectors of eight rows. 8 bits: w * x is
// computed as |w| times x with the sign of w, as in int8/rows_avx2.h. 4 bits: weights are unsigned,
// and the products of a group, added in pairs, fit in 16 bits: 8 * 2 * 15 * 127.
#ifndef DT_BACKENDS_COMMON_ROWS16_AVX2_H
#define DT_BACKENDS_COMMON_ROWS16_AVX2_H

#include <stdbool.h>

#include "common/activations.h"
#include "common/rows16.h"

enum { rows16_columns_most = 4 }; // columns at a time: 4, 3, 2 or 1

KIT_INLINE __m256 rows16_scales(const unsigned char *p, uint32_t type, int half)
{
    return type == DT_SCALE_F32 ? _mm256_loadu_ps((const float *)(const void *)(p + half * 32))
                                : _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + half * 16)));
}

KIT_INLINE __m256i rows16_four_of(const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return _mm256_set1_epi32(four);
}

// Adds the products of one group of 8-bit weights to sum[column][half].
KIT_INLINE void rows16_group_bytes(__m256i (*sum)[2], const unsigned char *tile, uint32_t group,
                                   const int8_t *x, size_t stride, int cols)
{
    const __m256i flip = _mm256_set1_epi8(-128), ones = _mm256_set1_epi16(1);
    for (uint32_t k = 0; k < group; k += 4, tile += 64, x += 4) {
        __m256i w[2], magnitude[2];
        KIT_UNROLL
        for (int h = 0; h < 2; h++) {
            w[h] = _mm256_xor_si256(_mm256_loadu_si256((const void *)(tile + h * 32)), flip);
            magnitude[h] = _mm256_abs_epi8(w[h]);
        }
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            __m256i v = rows16_four_of(x + c * stride);
            KIT_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i pairs = _mm256_maddubs_epi16(magnitude[h], _mm256_sign_epi8(v, w[h]));
                sum[c][h] = _mm256_add_epi32(sum[c][h], _mm256_madd_epi16(pairs, ones));
            }
        }
    }
}

// The same for 4-bit weights, which are biased: sum starts at the correction.
KIT_INLINE void rows16_group_nibbles(__m256i (*sum)[2], const unsigned char *tile, const int8_t *x,
                                     size_t stride, int cols)
{
    const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i pairs[4][2];
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        pairs[c][0] = pairs[c][1] = _mm256_setzero_si256();
    for (uint32_t k = 0; k < 32; k += 8, tile += 64, x += 8) {
        __m256i a[2], b[2];
        KIT_UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i both = _mm256_loadu_si256((const void *)(tile + h * 32));
            a[h] = _mm256_and_si256(both, low);
            b[h] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
        }
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            __m256i u = rows16_four_of(x + c * stride), v = rows16_four_of(x + c * stride + 4);
            KIT_UNROLL
            for (int h = 0; h < 2; h++) {
                pairs[c][h] = _mm256_add_epi16(pairs[c][h], _mm256_maddubs_epi16(a[h], u));
                pairs[c][h] = _mm256_add_epi16(pairs[c][h], _mm256_maddubs_epi16(b[h], v));
            }
        }
    }
    KIT_UNROLL
    for (int c = 0; c < cols; c++) {
        KIT_UNROLL
        for (int h = 0; h < 2; h++)
            sum[c][h] = _mm256_add_epi32(sum[c][h], _mm256_madd_epi16(pairs[c][h], ones));
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
    const unsigned char *scales = act + l->scales, *corrections = act + l->corrections;
    __m256 value[4][2];
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        value[c][0] = value[c][1] = _mm256_setzero_ps();
    for (uint32_t g = 0; g < groups; g++, scales += 4, corrections += 4, x += group) {
        __m256i sum[4][2];
        __m256 scale[2] = {rows16_scales(tile, type, 0), rows16_scales(tile, type, 1)};
        tile += rows16_scale_bytes(type);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            int32_t correction;
            memcpy(&correction, corrections + c * stride, 4);
            sum[c][0] = sum[c][1] = four ? _mm256_set1_epi32(correction) : _mm256_setzero_si256();
        }
        if (four)
            rows16_group_nibbles(sum, tile, x, stride, cols);
        else
            rows16_group_bytes(sum, tile, group, x, stride, cols);
        tile += (size_t)group * (four ? 8 : 16);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            __m256 x_scale = _mm256_set1_ps(kit_load_float(scales + c * stride));
            KIT_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256 part = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[c][h]), scale[h]);
                value[c][h] = _mm256_add_ps(value[c][h], _mm256_mul_ps(part, x_scale));
            }
        }
    }
    KIT_UNROLL
    for (int c = 0; c < cols; c++) {
        kit_store_n(out + c * out_stride, (kit_f)value[c][0], rows < 8 ? rows : 8);
        if (rows > 8)
            kit_store_n(out + c * out_stride + 8, (kit_f)value[c][1], rows - 8);
    }
}

#endif
