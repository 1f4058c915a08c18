// SPDX-License-Identifier: MIT
// A panel for AVX2, and its product with many prepared columns. A panel is eight rows of quants,
// unpacked so that a vector holds four columns of all eight rows. Weights are unsigned and in
// planes of four bits, so that the products of 32 columns, added in pairs, fit in 16 bits: 8 * 2 *
// 15 * 127. int4 has one plane; int8 has two: w + 128 = 16 * high + low.
#ifndef DT_BACKENDS_COMMON_PANEL_AVX2_H
#define DT_BACKENDS_COMMON_PANEL_AVX2_H

#include "common/activations.h"
#include "common/transpose.h"

enum {
    avx2_panel_cols = 1024,
    avx2_min_columns = 4, // a panel is not faster for fewer columns
};

struct avx2_panel {
    unsigned char quants[2 * avx2_panel_cols / 4]
                        [32];             // [columns / 4][plane, the low one first][row][4]
    float scales[avx2_panel_cols / 4][8]; // [group][row]
} __attribute__((aligned(64)));

// Multiplies the panel, groups [first, first + n), with `cols` columns (1 to 4) that are contiguous
// in act. Sums start at 0 for the first group, else at the values in out.
KIT_INLINE void avx2_panel_columns(float *out, size_t out_stride, uint32_t rows,
                                   const struct avx2_panel *p, uint32_t group, uint32_t first,
                                   uint32_t n, const unsigned char *act, const struct act_layout *l,
                                   int planes, int cols)
{
    const size_t stride = l->column;
    const __m256i ones = _mm256_set1_epi16(1), sixteens = _mm256_set1_epi16(16);
    const int8_t *x = (const int8_t *)act + (size_t)first * group;
    const unsigned char *scales = act + l->scales + first * 4,
                        *corrections = act + l->corrections + first * 4;
    const unsigned char(*w)[32] = p->quants;
    __m256 value[4];
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        value[c] = first ? (__m256)kit_load_n(out + c * out_stride, rows) : _mm256_setzero_ps();
    for (uint32_t g = 0; g < n; g++, scales += 4, corrections += 4) {
        __m256i sum[4];
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            int32_t correction;
            memcpy(&correction, corrections + c * stride, 4);
            sum[c] = _mm256_set1_epi32(correction);
        }
        for (uint32_t k = 0; k < group; k += 32) {
            __m256i low[4], high[4];
            KIT_UNROLL
            for (int c = 0; c < cols; c++)
                low[c] = high[c] = _mm256_setzero_si256();
            for (uint32_t end = group - k < 32 ? group - k : 32, i = 0; i < end;
                 i += 4, w += planes, x += 4) {
                __m256i wl = _mm256_load_si256((const void *)w[0]);
                __m256i wh = planes > 1 ? _mm256_load_si256((const void *)w[1]) : wl;
                KIT_UNROLL
                for (int c = 0; c < cols; c++) {
                    int32_t four;
                    memcpy(&four, x + c * stride, 4);
                    __m256i v = _mm256_set1_epi32(four);
                    low[c] = _mm256_add_epi16(low[c], _mm256_maddubs_epi16(wl, v));
                    if (planes > 1)
                        high[c] = _mm256_add_epi16(high[c], _mm256_maddubs_epi16(wh, v));
                }
            }
            KIT_UNROLL
            for (int c = 0; c < cols; c++) {
                sum[c] = _mm256_add_epi32(sum[c], _mm256_madd_epi16(low[c], ones));
                if (planes > 1)
                    sum[c] = _mm256_add_epi32(sum[c], _mm256_madd_epi16(high[c], sixteens));
            }
        }
        __m256 scale = _mm256_load_ps(p->scales[g]);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            __m256 part = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[c]), scale);
            value[c] = _mm256_add_ps(
                value[c], _mm256_mul_ps(part, _mm256_set1_ps(kit_load_float(scales + c * stride))));
        }
    }
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        kit_store_n(out + c * out_stride, (kit_f)value[c], rows);
}

// As avx2_panel_columns, for any number of columns. out: row 0 of the panel, column 0.
KIT_INLINE void avx2_panel_times_columns(float *out, size_t out_stride, uint32_t rows,
                                         const struct avx2_panel *p, uint32_t group, uint32_t first,
                                         uint32_t n, const void *act, const struct act_layout *l,
                                         uint32_t columns, int planes)
{
    uint32_t c = 0;
    const unsigned char *at = act;
    for (; c + 4 <= columns; c += 4)
        avx2_panel_columns(out + c * out_stride, out_stride, rows, p, group, first, n,
                           at + c * l->column, l, planes, 4);
    for (; c < columns; c++)
        avx2_panel_columns(out + c * out_stride, out_stride, rows, p, group, first, n,
                           at + c * l->column, l, planes, 1);
}

#endif
