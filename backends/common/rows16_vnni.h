// SPDX-License-Identifier: MIT
// A packed tile times prepared columns with AVX-512 VNNI: sixteen rows are the lanes of a vector.
// The corrections of the activations subtract the bias of the weights.
#ifndef DT_BACKENDS_COMMON_ROWS16_VNNI_H
#define DT_BACKENDS_COMMON_ROWS16_VNNI_H

#include "common/panel_vnni.h"
#include "common/rows16.h"

enum { rows16_columns_most = 12 }; // columns at a time: 12, 8, 4, 3, 2 or 1

KIT_INLINE __m512 rows16_scales(const unsigned char *p, uint32_t type)
{
    return type == DT_SCALE_F32 ? _mm512_loadu_ps(p)
                                : _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

// `cols` columns that are contiguous in act, from x on. four: weights of four bits.
KIT_INLINE void rows16_tile_columns(float *out, size_t out_stride, uint32_t rows,
                                    const unsigned char *tile, uint32_t groups, uint32_t group,
                                    uint32_t type, bool four, const unsigned char *act,
                                    const struct act_layout *l, int cols)
{
    const size_t stride = l->column;
    const __m512i low = _mm512_set1_epi8(15);
    const unsigned char *scales = act + l->scales, *corrections = act + l->corrections;
    const int8_t *x[3]; // a base address for every four columns
    __m512 value[12];
    KIT_UNROLL
    for (int b = 0; b < 3; b++)
        x[b] = (const int8_t *)act + (size_t)b * 4 * stride;
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        value[c] = _mm512_setzero_ps();
    for (uint32_t g = 0; g < groups; g++, scales += 4, corrections += 4) {
        __m512i sum[12];
        __m512 scale = rows16_scales(tile, type);
        tile += rows16_scale_bytes(type);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            int32_t correction;
            memcpy(&correction, corrections + c * stride, 4);
            sum[c] = _mm512_set1_epi32(correction);
        }
        for (uint32_t k = 0; k < group; k += four ? 8 : 4, tile += 64) {
            __m512i q = _mm512_loadu_si512(tile), high = q;
            if (four) {
                high = _mm512_and_si512(_mm512_srli_epi16(q, 4), low);
                q = _mm512_and_si512(q, low);
            }
            KIT_UNROLL
            for (int c = 0; c < cols; c++) {
                const int8_t *at = x[c / 4] + (size_t)(c % 4) * stride;
                sum[c] = vnni_products(sum[c], q, at);
                if (four)
                    sum[c] = vnni_products(sum[c], high, at + 4);
            }
            KIT_UNROLL
            for (int b = 0; b < (cols + 3) / 4; b++)
                x[b] += four ? 8 : 4;
        }
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

#endif
