// SPDX-License-Identifier: MIT
// Rows of Q4_0 blocks times prepared columns with AVX2, eight rows at a time. Weights are passed as
// w + 8, unsigned; the correction of the group (activations.h) subtracts eight times the sum of its
// activations. 15 * 127 * 2 fits in the 16-bit sums of the instruction.
#ifndef DT_BACKENDS_INT4_BLOCKS_AVX2_H
#define DT_BACKENDS_INT4_BLOCKS_AVX2_H

#include <stdbool.h>

#include "common/activations.h"
#include "common/rows16_avx2.h"
#include "common/panel_avx2.h"
#include "common/tile_avx2.h"

enum { weight_bias = 8 };

// The 32 values of a block as bytes, 0 to 15.
KIT_INLINE __m256i avx2_nibbles(const unsigned char *q)
{
    __m128i both = _mm_loadu_si128((const void *)q);
    __m256i wide = _mm256_set_m128i(_mm_srli_epi16(both, 4), both);
    return _mm256_and_si256(wide, _mm256_set1_epi8(15));
}

// Eight rows times one column. ahead: prefetch the rows after these.
KIT_INLINE __m256 avx2_tile_of(const struct dt_matrix *w, const unsigned char *const *rows,
                               const unsigned char *const *scales, const struct act_column *x,
                               bool ahead)
{
    __m256 value = _mm256_setzero_ps();
    // two tiles ahead: the next one would arrive too late
    const char *next = (const char *)scales[0] + 16 * w->row_stride;
    for (uint32_t g = 0; g < w->cols / 32; g++, next += 8 * w->group_stride) {
        for (int i = 0; ahead && i < 144; i += 64)
            _mm_prefetch(next + i, _MM_HINT_T0);
        __m256i v = _mm256_loadu_si256((const void *)(x->quants + (size_t)g * 32));
        __m256i s[8];
        uint16_t half[8];
        KIT_UNROLL
        for (int r = 0; r < 8; r++) {
            s[r] = _mm256_maddubs_epi16(avx2_nibbles(rows[r] + g * w->group_stride), v);
            memcpy(half + r, scales[r] + g * w->scale_group_stride, 2);
        }
        const __m256i ones = _mm256_set1_epi16(1);
        KIT_UNROLL
        for (int r = 0; r < 8; r++)
            s[r] = _mm256_madd_epi16(s[r], ones);
        __m256i sum = _mm256_add_epi32(avx2_lane_sums(s), _mm256_set1_epi32(x->corrections[g]));
        __m256 scale = _mm256_cvtph_ps(_mm_loadu_si128((const void *)half));
        __m256 part = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
        value = _mm256_add_ps(value, _mm256_mul_ps(part, _mm256_set1_ps(x->scales[g])));
    }
    return value;
}

// Fills a panel with blocks [g, g + count) of the rows.
KIT_INLINE void avx2_fill(struct avx2_panel *p, const struct dt_matrix *w,
                          const unsigned char *const *rows, const unsigned char *const *scales,
                          uint32_t g, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        __m256i s[8];
        uint16_t half[8];
        KIT_UNROLL
        for (int r = 0; r < 8; r++) {
            s[r] = avx2_nibbles(rows[r] + (g + k) * w->group_stride);
            memcpy(half + r, scales[r] + (g + k) * w->scale_group_stride, 2);
        }
        _mm256_store_ps(p->scales[k], _mm256_cvtph_ps(_mm_loadu_si128((const void *)half)));
        avx2_transpose(s);
        KIT_UNROLL
        for (int i = 0; i < 8; i++)
            _mm256_store_si256((void *)p->quants[k * 8 + (uint32_t)i], s[i]);
    }
}

static void rows_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                               uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    struct avx2_panel panel;
    uint32_t blocks = w->cols / 32, fit = avx2_panel_cols / 32;
    for (uint32_t r = begin; r < end; r += 8) {
        uint32_t count = end - r < 8 ? end - r : 8;
        const unsigned char *rows[8], *scales[8];
        avx2_rows_at(rows, scales, w, NULL, r, count);
        if (columns >= avx2_min_columns) {
            for (uint32_t g = 0; g < blocks; g += fit) {
                uint32_t n = blocks - g < fit ? blocks - g : fit;
                avx2_fill(&panel, w, rows, scales, g, n);
                avx2_panel_times_columns(out + r, out_stride, count, &panel, 32, g, n, act, &layout,
                                         columns, 1);
            }
            continue;
        }
        for (uint32_t c = 0; c < columns; c++) {
            struct act_column x = act_column_at(act, &layout, c);
            kit_store_n(out + c * out_stride + r, (kit_f)avx2_tile_of(w, rows, scales, &x, c == 0),
                        count);
        }
    }
}

#include "common/listed_avx2.h"

#endif
