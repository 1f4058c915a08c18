// SPDX-License-Identifier: MIT
// Packed 8-bit and 4-bit matrices times prepared columns. A module defines rows16_four (whether its
// weights have four bits) and includes the header of its CPU, which has rows16_tile_columns, first.
#ifndef DT_BACKENDS_COMMON_ROWS16_QUANTISED_H
#define DT_BACKENDS_COMMON_ROWS16_QUANTISED_H

#include "common/activations.h"
#include "common/rows16.h"

// The header of a packed matrix that this module computes; NULL if it is another one's.
static const struct rows16_header *rows16_own(const struct dt_matrix *w)
{
    const struct rows16_header *h = rows16_header_of(w);
    return h && h->kind == (rows16_four ? ROWS16_Q4 : ROWS16_I8) ? h : NULL;
}

#define ROWS16_BLOCK(n)                                                                            \
    if (left >= (n) && (n) <= rows16_columns_most) {                                               \
        rows16_tile_columns(to, out_stride, rows, tile, groups, group, type, rows16_four, at,      \
                            layout, (n) <= rows16_columns_most ? (n) : 1);                         \
        c += (n);                                                                                  \
        continue;                                                                                  \
    }

// One tile times all columns; group and type are constants where that is faster.
KIT_INLINE void rows16_all_columns(float *out, size_t out_stride, uint32_t rows,
                                   const unsigned char *tile, uint32_t groups, uint32_t group,
                                   uint32_t type, const void *act, const struct act_layout *layout,
                                   uint32_t columns)
{
    for (uint32_t c = 0; c < columns;) {
        uint32_t left = columns - c;
        const unsigned char *at = (const unsigned char *)act + c * layout->column;
        float *to = out + c * out_stride;
        ROWS16_BLOCK(12)
        ROWS16_BLOCK(8)
        ROWS16_BLOCK(4)
        ROWS16_BLOCK(3)
        ROWS16_BLOCK(2)
        ROWS16_BLOCK(1)
    }
}

#undef ROWS16_BLOCK

// Rows [begin, end); out is row begin of column 0.
static void rows16_range(float *out, size_t out_stride, const struct dt_matrix *w, uint32_t begin,
                         uint32_t end, const void *act, uint32_t columns)
{
    const struct rows16_header *h = w->quants; // checked by can_matmul
    struct act_layout layout = act_layout_of(w);
    size_t bytes = rows16_tile_bytes(h->kind, h->cols, h->group, h->scale_type);
    const unsigned char *tile = rows16_tiles(h) + begin / 16 * bytes;
    uint32_t groups = h->cols / h->group, group = h->group, type = h->scale_type;
    for (uint32_t r = begin; r < end; r += 16, tile += bytes, out += 16) {
        uint32_t rows = end - r < 16 ? end - r : 16;
        if (group == 32 && type == DT_SCALE_F16)
            rows16_all_columns(out, out_stride, rows, tile, groups, 32, DT_SCALE_F16, act, &layout,
                               columns);
        else if (group == 32)
            rows16_all_columns(out, out_stride, rows, tile, groups, 32, DT_SCALE_F32, act, &layout,
                               columns);
        else if (!rows16_four)
            rows16_all_columns(out, out_stride, rows, tile, groups, group, type, act, &layout,
                               columns);
    }
}

static void rows16_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                                 uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    rows16_range(out + begin, out_stride, w, begin, end, act, columns);
}

// Rows of an index times one column: whole tiles, which neighbours in the index share.
static void rows16_listed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                               uint32_t count, const void *act)
{
    float tile[16];
    for (uint32_t k = 0; k < count;) {
        uint32_t begin = index[k] / 16 * 16;
        rows16_range(tile, 0, w, begin, w->rows - begin < 16 ? w->rows : begin + 16, act, 1);
        for (; k < count && index[k] / 16 * 16 == begin; k++)
            out[k] = tile[index[k] - begin];
    }
}

#endif
