// SPDX-License-Identifier: MIT
// Rows of an 8-bit matrix times prepared columns with AVX2, eight rows at a time. The instruction
// multiplies unsigned with signed bytes, so that w * x is computed as |w| times x with the sign of
// w; 128 * 127 * 2 fits in its 16-bit sums.
#ifndef DT_BACKENDS_INT8_ROWS_AVX2_H
#define DT_BACKENDS_INT8_ROWS_AVX2_H

#include <stdbool.h>

#include "common/activations.h"
#include "common/rows16_avx2.h"
#include "common/panel_avx2.h"
#include "common/tile_avx2.h"

enum { weight_bias = 128 };

// Eight 32-bit sums of 32 products.
KIT_INLINE __m256i avx2_products(__m256i w, __m256i x)
{
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// The sums of one group of eight rows. Adds 32 quants at a time; one by one if 32 does not divide
// the group.
KIT_INLINE __m256i avx2_group(const unsigned char *const *rows, size_t at, const int8_t *x,
                              uint32_t group)
{
    __m256i s[8];
    if (group % 32 == 0) {
        KIT_UNROLL
        for (int r = 0; r < 8; r++)
            s[r] = _mm256_setzero_si256();
        for (uint32_t i = 0; i < group; i += 32) {
            __m256i v = _mm256_loadu_si256((const void *)(x + i));
            KIT_UNROLL
            for (int r = 0; r < 8; r++) {
                __m256i q = _mm256_loadu_si256((const void *)(rows[r] + at + i));
                s[r] = _mm256_add_epi32(s[r], avx2_products(q, v));
            }
        }
        return avx2_lane_sums(s);
    }
    int32_t sums[8] = {0};
    for (int r = 0; r < 8; r++) {
        const int8_t *q = (const int8_t *)rows[r] + at;
        for (uint32_t i = 0; i < group; i++)
            sums[r] += (int16_t)(q[i] * x[i]);
    }
    return _mm256_loadu_si256((const void *)sums);
}

// The scales of eight rows, `at` bytes from the row's first.
KIT_INLINE __m256 avx2_scales(const unsigned char *const *scales, size_t at, uint32_t type)
{
    float s[8];
    KIT_UNROLL
    for (int r = 0; r < 8; r++)
        s[r] =
            type == DT_SCALE_F32 ? kit_load_float(scales[r] + at) : kit_load_half(scales[r] + at);
    return _mm256_loadu_ps(s);
}

// Eight rows times one column. ahead: prefetch the rows after these.
KIT_INLINE __m256 avx2_tile(const struct dt_matrix *w, const unsigned char *const *rows,
                            const unsigned char *const *scales, const struct act_column *x,
                            uint32_t group, bool ahead)
{
    __m256 value = _mm256_setzero_ps();
    // two tiles ahead: the next one would arrive too late
    const char *next = (const char *)rows[0] + 16 * w->row_stride;
    for (uint32_t g = 0; g < w->cols / group; g++, next += 8 * w->group_stride) {
        for (uint32_t i = 0; ahead && i < 8 * group; i += 64)
            _mm_prefetch(next + i, _MM_HINT_T0);
        __m256 sum = _mm256_cvtepi32_ps(
            avx2_group(rows, g * w->group_stride, x->quants + (size_t)g * group, group));
        __m256 scale = avx2_scales(scales, g * w->scale_group_stride, w->scale_type);
        __m256 part = _mm256_mul_ps(_mm256_mul_ps(sum, scale), _mm256_set1_ps(x->scales[g]));
        value = _mm256_add_ps(value, part);
    }
    return value;
}

KIT_ONCE __m256 avx2_tile_of(const struct dt_matrix *w, const unsigned char *const *rows,
                             const unsigned char *const *scales, const struct act_column *x,
                             bool ahead)
{
    return w->group == 32   ? avx2_tile(w, rows, scales, x, 32, ahead)
           : w->group == 64 ? avx2_tile(w, rows, scales, x, 64, ahead)
                            : avx2_tile(w, rows, scales, x, w->group, ahead);
}

// ---- many columns: eight rows are unpacked into a panel, which every column is multiplied with
// ----

// Fills a panel with groups [g, g + count) of the rows.
KIT_INLINE void avx2_fill(struct avx2_panel *p, const struct dt_matrix *w,
                          const unsigned char *const *rows, const unsigned char *const *scales,
                          uint32_t g, uint32_t count)
{
    const __m256i four = _mm256_set1_epi8(15), flip = _mm256_set1_epi8(8);
    for (uint32_t k = 0; k < count; k++)
        _mm256_store_ps(p->scales[k],
                        avx2_scales(scales, (g + k) * w->scale_group_stride, w->scale_type));
    size_t bytes = (size_t)count * w->group;
    bool contiguous = w->group_stride == w->group;
    for (size_t i = 0; i < bytes; i += 32) {
        size_t left = bytes - i < 32 ? bytes - i : 32;
        size_t at = contiguous ? (size_t)g * w->group + i
                               : (g + i / 32) * w->group_stride; // else blocks of 32
        __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)left / 4), (__m256i)kit_iota());
        __m256i s[8];
        KIT_UNROLL
        for (int r = 0; r < 8; r++)
            s[r] = _mm256_maskload_epi32((const int *)(const void *)(rows[r] + at), lanes);
        avx2_transpose(s);
        for (size_t k = 0; k < left / 4; k++) {
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(s[k], 4), four);
            _mm256_store_si256((void *)p->quants[(i / 4 + k) * 2], _mm256_and_si256(s[k], four));
            _mm256_store_si256((void *)p->quants[(i / 4 + k) * 2 + 1],
                               _mm256_xor_si256(high, flip));
        }
    }
}

KIT_INLINE void avx2_many_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                                  uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    struct avx2_panel panel;
    uint32_t groups = w->cols / w->group, fit = avx2_panel_cols / w->group;
    for (uint32_t r = begin; r < end; r += 8) {
        uint32_t count = end - r < 8 ? end - r : 8;
        const unsigned char *rows[8], *scales[8];
        avx2_rows_at(rows, scales, w, NULL, r, count);
        for (uint32_t g = 0; g < groups; g += fit) {
            uint32_t n = groups - g < fit ? groups - g : fit;
            avx2_fill(&panel, w, rows, scales, g, n);
            if (w->group == 32)
                avx2_panel_times_columns(out + r, out_stride, count, &panel, 32, g, n, act, &layout,
                                         columns, 2);
            else
                avx2_panel_times_columns(out + r, out_stride, count, &panel, w->group, g, n, act,
                                         &layout, columns, 2);
        }
    }
}

static void rows_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                               uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    bool contiguous =
        w->group_stride == w->group && w->group % 4 == 0 && w->group <= avx2_panel_cols;
    if (columns >= avx2_min_columns && (contiguous || w->group == 32)) {
        avx2_many_columns(out, out_stride, w, begin, end, act, columns);
        return;
    }
    for (uint32_t r = begin; r < end; r += 8) {
        uint32_t count = end - r < 8 ? end - r : 8;
        const unsigned char *rows[8], *scales[8];
        avx2_rows_at(rows, scales, w, NULL, r, count);
        for (uint32_t c = 0; c < columns; c++) {
            struct act_column x = act_column_at(act, &layout, c);
            kit_store_n(out + c * out_stride + r, (kit_f)avx2_tile_of(w, rows, scales, &x, c == 0),
                        count);
        }
    }
}

#include "common/listed_avx2.h"

#endif
