// SPDX-License-Identifier: MIT
// A panel: sixteen rows of quants, unpacked so that four columns of all sixteen rows are one vector, and its product
// with many prepared columns. int8 and int4 fill it, each from its own blocks.
#ifndef DT_BACKENDS_INT8_PANEL_VNNI_H
#define DT_BACKENDS_INT8_PANEL_VNNI_H

#include <stdbool.h>

#include "int8/act.h"

enum { vnni_panel_cols = 1024 }; // 16 KB of quants, in the first-level cache

struct vnni_panel {
    unsigned char quants[vnni_panel_cols / 4][64]; // [columns / 4][row][4], unsigned: weight + bias
    float scales[vnni_panel_cols / 4][16];         // [group][row]
} __attribute__((aligned(64)));

// Sixteen vectors of sixteen 32-bit lanes, transposed.
KIT_INLINE void vnni_transpose(__m512i s[16])
{
    __m512i a[16], b[16];
    KIT_UNROLL
    for (int i = 0; i < 8; i++) {
        a[2 * i] = _mm512_unpacklo_epi32(s[2 * i], s[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(s[2 * i], s[2 * i + 1]);
    }
    KIT_UNROLL
    for (int i = 0; i < 4; i++) { // b[4 * i + k]: lane k of each 128-bit part, of rows 4 * i ..
        b[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    KIT_UNROLL
    for (int k = 0; k < 4; k++) {
        __m512i even = _mm512_shuffle_i32x4(b[k], b[4 + k], 0x88), odd = _mm512_shuffle_i32x4(b[k], b[4 + k], 0xdd);
        __m512i even2 = _mm512_shuffle_i32x4(b[8 + k], b[12 + k], 0x88);
        __m512i odd2 = _mm512_shuffle_i32x4(b[8 + k], b[12 + k], 0xdd);
        s[k] = _mm512_shuffle_i32x4(even, even2, 0x88);
        s[4 + k] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
        s[8 + k] = _mm512_shuffle_i32x4(even, even2, 0xdd);
        s[12 + k] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
    }
}

// `cols` columns at once over n groups. A first group begins the values at 0, later panels go on with what is in out.
KIT_INLINE void vnni_panel_columns(float *out, size_t out_stride, uint32_t rows, const struct vnni_panel *p,
                                   uint32_t group, uint32_t first, uint32_t n, const struct act_column *x, int bias,
                                   int cols)
{
    __m512 value[12];
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        value[c] = first ? (__m512)kit_load_n(out + c * out_stride, rows) : _mm512_setzero_ps();
    for (uint32_t g = 0; g < n; g++) {
        const unsigned char(*w)[64] = p->quants + (size_t)g * group / 4;
        size_t at = (size_t)(first + g) * group;
        __m512i sum[12];
        KIT_UNROLL
        for (int c = 0; c < cols; c++)
            sum[c] = _mm512_set1_epi32(-bias * x[c].sums[first + g]);
        for (uint32_t k = 0; k < group / 4; k++) {
            __m512i q = _mm512_load_si512(w[k]);
            KIT_UNROLL
            for (int c = 0; c < cols; c++) {
                int32_t four;
                memcpy(&four, x[c].quants + at + k * 4, 4);
                sum[c] = _mm512_dpbusd_epi32(sum[c], q, _mm512_set1_epi32(four));
            }
        }
        __m512 scale = _mm512_load_ps(p->scales[g]);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            __m512 part = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[c]), scale);
            value[c] = _mm512_add_ps(value[c], _mm512_mul_ps(part, _mm512_set1_ps(x[c].scales[first + g])));
        }
    }
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        kit_store_n(out + c * out_stride, (kit_f)value[c], rows);
}

KIT_INLINE void vnni_panel_sized(float *out, size_t out_stride, uint32_t rows, const struct vnni_panel *p,
                                 uint32_t group, uint32_t first, uint32_t n, const void *act,
                                 const struct act_layout *layout, uint32_t columns, int bias)
{
    struct act_column x[12];
    for (uint32_t c = 0; c < columns;) {
        uint32_t left = columns - c;
        uint32_t now = left >= 12 ? 12 : left >= 8 ? 8 : left >= 4 ? 4 : 1;
        for (uint32_t k = 0; k < now; k++)
            x[k] = act_column_at(act, layout, c + k);
        float *to = out + c * out_stride;
        if (now == 12)
            vnni_panel_columns(to, out_stride, rows, p, group, first, n, x, bias, 12);
        else if (now == 8)
            vnni_panel_columns(to, out_stride, rows, p, group, first, n, x, bias, 8);
        else if (now == 4)
            vnni_panel_columns(to, out_stride, rows, p, group, first, n, x, bias, 4);
        else
            vnni_panel_columns(to, out_stride, rows, p, group, first, n, x, bias, 1);
        c += now;
    }
}

// out: row 0 of the panel in column 0. The panel holds groups [first, first + n) of the rows; bias is what was added to the weights.
KIT_INLINE void vnni_panel_times_columns(float *out, size_t out_stride, uint32_t rows, const struct vnni_panel *p,
                                         uint32_t group, uint32_t first, uint32_t n, const void *act,
                                         const struct act_layout *layout, uint32_t columns, int bias)
{
    if (group == 32)
        vnni_panel_sized(out, out_stride, rows, p, 32, first, n, act, layout, columns, bias);
    else
        vnni_panel_sized(out, out_stride, rows, p, group, first, n, act, layout, columns, bias);
}

#endif
