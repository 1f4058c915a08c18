// SPDX-License-Identifier: MIT
// A panel for AVX-512 VNNI, and its product with many prepared columns. A panel is sixteen rows of
// quants, unpacked so that a vector holds four columns of all sixteen rows. int8 and int4 fill it
// from their own blocks.
#ifndef DT_BACKENDS_COMMON_PANEL_VNNI_H
#define DT_BACKENDS_COMMON_PANEL_VNNI_H

#include <stdbool.h>

#include "common/activations.h"
#include "common/transpose.h"

enum { vnni_panel_cols = 1024 }; // 16 KiB of quants: fits in the first-level cache

struct vnni_panel {
    unsigned char quants[vnni_panel_cols / 4]
                        [64]; // [columns / 4][row][4], unsigned: weights with their bias
    float scales[vnni_panel_cols / 4][16]; // [group][row]
} __attribute__((aligned(64)));

// The source of the next panel, prefetched while this one is multiplied: `step` bytes from quants
// on for every four columns of weights, and a cache line from scales on for every group.
struct vnni_prefetch {
    const unsigned char *quants, *scales;
    size_t step;
};

// sum += the products of q and the four bytes at x, in every lane. With inline asm, because
// compilers load x into a register and copy the sums if they see the intrinsic.
KIT_INLINE __m512i vnni_products(__m512i sum, __m512i q, const int8_t *x)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(q), "m"(*(const int8_t(*)[4])x));
    return sum;
}

// Multiplies the panel, groups [first, first + n), with `cols` columns (1 to 12) that are
// contiguous in act. Sums start at 0 for the first group, else at the values in out.
KIT_INLINE void vnni_panel_columns(float *out, size_t out_stride, uint32_t rows,
                                   const struct vnni_panel *p, uint32_t group, uint32_t first,
                                   uint32_t n, const unsigned char *act, const struct act_layout *l,
                                   const struct vnni_prefetch *next, int cols)
{
    const size_t stride = l->column;
    __m512 value[12];
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        value[c] = first ? (__m512)kit_load_n(out + c * out_stride, rows) : _mm512_setzero_ps();
    const unsigned char(*w)[64] = p->quants;
    // three base addresses, one for every four columns
    const int8_t *x[3];
    for (int b = 0; b < 3; b++)
        x[b] = (const int8_t *)act + (size_t)first * group + (size_t)b * 4 * stride;
    const unsigned char *scales = act + l->scales + first * 4,
                        *corrections = act + l->corrections + first * 4;
    const unsigned char *ahead = next->quants;
    for (uint32_t g = 0; g < n; g++, scales += 4, corrections += 4) {
        __m512i sum[12];
        if (next->step)
            _mm_prefetch((const char *)next->scales + (size_t)g * 64, _MM_HINT_T1);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            int32_t correction;
            memcpy(&correction, corrections + c * stride, 4);
            sum[c] = _mm512_set1_epi32(correction);
        }
        for (uint32_t k = 0; k < group; k += 4, w++) {
            __m512i q = _mm512_load_si512(*w);
            _mm_prefetch((const char *)ahead, _MM_HINT_T1);
            ahead += next->step;
            KIT_UNROLL
            for (int c = 0; c < cols; c++)
                sum[c] = vnni_products(sum[c], q, x[c / 4] + (size_t)(c % 4) * stride);
            KIT_UNROLL
            for (int b = 0; b < (cols + 3) / 4; b++)
                x[b] += 4;
        }
        __m512 scale = _mm512_load_ps(p->scales[g]);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            __m512 part = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[c]), scale);
            value[c] = _mm512_add_ps(
                value[c], _mm512_mul_ps(part, _mm512_set1_ps(kit_load_float(scales + c * stride))));
        }
    }
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        kit_store_n(out + c * out_stride, (kit_f)value[c], rows);
}

// As vnni_panel_columns, for any number of columns; group is a constant where that is faster.
KIT_INLINE void vnni_panel_sized(float *out, size_t out_stride, uint32_t rows,
                                 const struct vnni_panel *p, uint32_t group, uint32_t first,
                                 uint32_t n, const void *act, const struct act_layout *layout,
                                 struct vnni_prefetch next, uint32_t columns)
{
    for (uint32_t c = 0; c < columns;) {
        uint32_t left = columns - c;
        const unsigned char *at = (const unsigned char *)act + c * layout->column;
        float *to = out + c * out_stride;
        if (left >= 12) {
            vnni_panel_columns(to, out_stride, rows, p, group, first, n, at, layout, &next, 12);
            c += 12;
        } else if (left >= 8) {
            vnni_panel_columns(to, out_stride, rows, p, group, first, n, at, layout, &next, 8);
            c += 8;
        } else if (left >= 4) {
            vnni_panel_columns(to, out_stride, rows, p, group, first, n, at, layout, &next, 4);
            c += 4;
        } else {
            vnni_panel_columns(to, out_stride, rows, p, group, first, n, at, layout, &next, 1);
            c += 1;
        }
        next = (struct vnni_prefetch){.quants = p->quants[0]}; // prefetched by the first call only
    }
}

// out: row 0 of the panel, column 0. The panel holds groups [first, first + n) of the rows.
KIT_INLINE void vnni_panel_times_columns(float *out, size_t out_stride, uint32_t rows,
                                         const struct vnni_panel *p, uint32_t group, uint32_t first,
                                         uint32_t n, const void *act,
                                         const struct act_layout *layout, struct vnni_prefetch next,
                                         uint32_t columns)
{
    if (group == 32)
        vnni_panel_sized(out, out_stride, rows, p, 32, first, n, act, layout, next, columns);
    else
        vnni_panel_sized(out, out_stride, rows, p, group, first, n, act, layout, next, columns);
}

#endif
