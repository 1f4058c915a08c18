// SPDX-License-Identifier: MIT
// Sixteen rows of a quantised matrix where they lie: what int8 and int4 go through side by side.
#ifndef DT_BACKENDS_INT8_TILE_VNNI_H
#define DT_BACKENDS_INT8_TILE_VNNI_H

#include "int8/weights.h"

// Sixteen rows; those past the end of a range are the last one again.
struct vnni_tile {
    const unsigned char *rows[16];
    const unsigned char *scales;
    __m512i offsets; // of each row's scales, in bytes
};

KIT_INLINE struct vnni_tile vnni_tile_at(const struct dt_matrix *w, uint32_t row, uint32_t count)
{
    struct vnni_tile t;
    for (uint32_t k = 0; k < 16; k++)
        t.rows[k] = (const unsigned char *)w->quants + (row + (k < count ? k : count - 1)) * w->row_stride;
    t.scales = (const unsigned char *)w->scales + row * w->scale_row_stride;
    __m512i lane = _mm512_min_epi32((__m512i)kit_iota(), _mm512_set1_epi32((int)count - 1));
    t.offsets = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)w->scale_row_stride));
    return t;
}

// The scales of one group. Blocks hold two bytes and more behind a scale of 16 bits, so that 32 can be gathered.
KIT_INLINE __m512 vnni_scales(const struct dt_matrix *w, const struct vnni_tile *t, uint32_t g)
{
    const unsigned char *at = t->scales + g * w->scale_group_stride;
    if (w->scale_type == DT_SCALE_F32)
        return _mm512_i32gather_ps(t->offsets, at, 1);
    if (w->form == DT_FORM_Q8_0 || w->form == DT_FORM_Q4_0)
        return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_i32gather_epi32(t->offsets, at, 1)));
    int32_t offsets[16];
    float s[16];
    _mm512_storeu_si512(offsets, t->offsets);
    for (int k = 0; k < 16; k++)
        s[k] = kit_load_half(at + offsets[k]);
    return _mm512_loadu_ps(s);
}

#endif
