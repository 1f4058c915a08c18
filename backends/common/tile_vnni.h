// SPDX-License-Identifier: MIT
// Sixteen rows of a quantised matrix, read in place with AVX-512. Shared by int8 and int4.
#ifndef DT_BACKENDS_COMMON_TILE_VNNI_H
#define DT_BACKENDS_COMMON_TILE_VNNI_H

#include "common/weights.h"

// Sixteen rows; if there are fewer, one of them fills the rest.
struct vnni_tile {
    const unsigned char *rows[16];
    const unsigned char *scales; // of the first row
    __m512i offsets;             // from there to the scales of each row, in bytes
};

// Rows [row, row + count).
KIT_INLINE struct vnni_tile vnni_tile_at(const struct dt_matrix *w, uint32_t row, uint32_t count)
{
    struct vnni_tile t;
    for (uint32_t k = 0; k < 16; k++)
        t.rows[k] =
            (const unsigned char *)w->quants + (row + (k < count ? k : count - 1)) * w->row_stride;
    t.scales = (const unsigned char *)w->scales + row * w->scale_row_stride;
    __m512i lane = _mm512_min_epi32((__m512i)kit_iota(), _mm512_set1_epi32((int)count - 1));
    t.offsets = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)w->scale_row_stride));
    return t;
}

// Rows index[0 .. count), in any order; count is at most vnni_tile_capacity.
KIT_INLINE struct vnni_tile vnni_tile_listed(const struct dt_matrix *w, const uint32_t *index,
                                             uint32_t count)
{
    struct vnni_tile t;
    __m512i lane = _mm512_maskz_loadu_epi32((__mmask16)((1u << count) - 1), index);
    lane = _mm512_sub_epi32(lane, _mm512_set1_epi32((int)index[0]));
    t.offsets = _mm512_maskz_mullo_epi32((__mmask16)((1u << count) - 1), lane,
                                         _mm512_set1_epi32((int)w->scale_row_stride));
    for (uint32_t k = 0; k < 16; k++)
        t.rows[k] = (const unsigned char *)w->quants + index[k < count ? k : 0] * w->row_stride;
    t.scales = (const unsigned char *)w->scales + index[0] * w->scale_row_stride;
    return t;
}

// How many rows of an index fit in a tile: one if the offsets of scales could exceed 32 bits.
KIT_INLINE uint32_t vnni_tile_capacity(const struct dt_matrix *w)
{
    return (uint64_t)w->rows * w->scale_row_stride < 1u << 31 ? 16 : 1;
}

// Prefetches rows index[0 .. count), which the hardware cannot predict.
KIT_INLINE void vnni_prefetch_rows(const struct dt_matrix *w, const uint32_t *index, uint32_t count)
{
    size_t bytes = w->cols / w->group * w->group_stride;
    for (uint32_t k = 0; k < count; k++) {
        const char *row = (const char *)w->quants + index[k] * w->row_stride;
        const char *scales = (const char *)w->scales + index[k] * w->scale_row_stride;
        for (size_t i = 0; i < bytes; i += 64)
            _mm_prefetch(row + i, _MM_HINT_T0);
        if (w->group_stride == w->group) { // else the scales are in the blocks
            for (size_t i = 0; i < w->cols / w->group * w->scale_group_stride; i += 64)
                _mm_prefetch(scales + i, _MM_HINT_T0);
        }
    }
}

// The f16 scales of one block of each row. Gathers 32 bits: at least two more bytes of the block
// follow each scale.
KIT_INLINE __m512 vnni_block_scales(const struct vnni_tile *t, size_t at)
{
    return _mm512_cvtph_ps(
        _mm512_cvtepi32_epi16(_mm512_i32gather_epi32(t->offsets, t->scales + at, 1)));
}

// The scales of group g of each row.
KIT_INLINE __m512 vnni_scales(const struct dt_matrix *w, const struct vnni_tile *t, uint32_t g)
{
    const unsigned char *at = t->scales + g * w->scale_group_stride;
    if (w->scale_type == DT_SCALE_F32)
        return _mm512_i32gather_ps(t->offsets, at, 1);
    if (w->form == DT_FORM_Q8_0 || w->form == DT_FORM_Q4_0)
        return vnni_block_scales(t, g * w->scale_group_stride);
    int32_t offsets[16];
    float s[16];
    _mm512_storeu_si512(offsets, t->offsets);
    for (int k = 0; k < 16; k++)
        s[k] = kit_load_half(at + offsets[k]);
    return _mm512_loadu_ps(s);
}

#endif
