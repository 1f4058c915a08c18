// SPDX-License-Identifier: MIT
// Packed tiles times many prepared columns with AMX. The layout is what TDPBSUD takes as its second
// operand: 64 bytes hold four columns of sixteen rows. So weights are loaded from where they are,
// and the columns, which are the first operand, as act_prepare writes them for VNNI. A product is
// one group of sixteen rows times up to sixteen columns, exact in 32-bit integers; the rest is as
// in rows16_vnni.h.
#ifndef DT_BACKENDS_COMMON_ROWS16_AMX_H
#define DT_BACKENDS_COMMON_ROWS16_AMX_H

#include "common/rows16_vnni.h"
#include "common/tiles_amx.h"

// Configures the tiles: 0 and 3 hold columns, 1 and 4 weights, 2 and 5 sums. step: values of a
// group that one tile holds.
KIT_INLINE void rows16_amx_begin(uint32_t step, uint32_t columns)
{
    struct amx_config config __attribute__((aligned(64))) = {.palette = 1};
    for (int t = 0; t < 6; t += 3) {
        config.rows[t] = config.rows[t + 2] = (uint8_t)columns;
        config.row_bytes[t] = (uint16_t)step;
        config.rows[t + 1] = (uint8_t)(step / 4);
        config.row_bytes[t + 1] = config.row_bytes[t + 2] = 64;
    }
    AMX_CONFIGURE(config);
}

// Whether AMX computes this product. The rest of a batch of sixteen columns is computed together
// with columns before it.
KIT_INLINE bool rows16_amx_supports(const struct rows16_header *h, uint32_t columns)
{
    return columns >= amx_min_columns && h->group % 32 == 0;
}

// Unpacks 32 columns of 4-bit weights.
KIT_INLINE void rows16_amx_unpack(unsigned char *to, const unsigned char *tile)
{
    const __m512i low = _mm512_set1_epi8(15);
    KIT_UNROLL
    for (int k = 0; k < 4; k++) {
        __m512i q = _mm512_loadu_si512(tile + k * 64);
        _mm512_store_si512(to + k * 128, _mm512_and_si512(q, low));
        _mm512_store_si512(to + k * 128 + 64, _mm512_and_si512(_mm512_srli_epi16(q, 4), low));
    }
}

#define ROWS16_AMX_GROUP(a, b, sum, g)                                                             \
    do {                                                                                           \
        const unsigned char *at_ = tile + (size_t)(g)*group_bytes + scale_bytes;                   \
        const unsigned char *x_ = act + (size_t)(g)*group;                                         \
        AMX_ZERO(sum);                                                                             \
        if (four) {                                                                                \
            rows16_amx_unpack(unpacked, at_);                                                      \
            at_ = unpacked;                                                                        \
        }                                                                                          \
        for (uint32_t k_ = 0; k_ < group; k_ += step) {                                            \
            AMX_LOAD(a, x_ + k_, stride);                                                          \
            AMX_LOAD(b, at_ + (size_t)k_ * 16, 64);                                                \
            AMX_PRODUCTS_SU(sum, a, b);                                                            \
        }                                                                                          \
    } while (0)

// value[c] += ((sum + correction) * scales of the rows) * scale of the column
KIT_INLINE void rows16_amx_add(__m512 *value, const int32_t *sums, __m512 scale,
                               const unsigned char *scales, const unsigned char *corrections,
                               size_t stride, uint32_t columns)
{
    KIT_UNROLL
    for (uint32_t c = 0; c < 16; c++) {
        if (c == columns)
            break;
        int32_t correction;
        memcpy(&correction, corrections + c * stride, 4);
        __m512i sum =
            _mm512_add_epi32(_mm512_load_si512(sums + c * 16), _mm512_set1_epi32(correction));
        __m512 part = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
        value[c] = _mm512_add_ps(
            value[c], _mm512_mul_ps(part, _mm512_set1_ps(kit_load_float(scales + c * stride))));
    }
}

// One tile times `columns` columns, at most 16, from act on. The product of a group is computed two
// steps before it is added and stored one step before, as in amx_rows_times_block.
KIT_INLINE void rows16_amx_block(float *out, size_t out_stride, uint32_t rows,
                                 const unsigned char *tile, uint32_t groups, uint32_t group,
                                 uint32_t type, bool four, const unsigned char *act,
                                 const struct act_layout *l, uint32_t columns, uint32_t step)
{
    int32_t sums[4][16][16] __attribute__((aligned(64)));
    unsigned char unpacked[512] __attribute__((aligned(64)));
    const size_t stride = l->column, scale_bytes = rows16_scale_bytes(type);
    const size_t group_bytes = scale_bytes + (size_t)group * (four ? 8 : 16);
    const unsigned char *scales = act + l->scales, *corrections = act + l->corrections;
    __m512 value[16];
    KIT_UNROLL
    for (uint32_t c = 0; c < 16; c++)
        value[c] = _mm512_setzero_ps();
    ROWS16_AMX_GROUP(0, 1, 2, 0);
    AMX_STORE(2, sums[0]);
    if (groups > 1)
        ROWS16_AMX_GROUP(3, 4, 5, 1);
    for (uint32_t g = 0; g < groups; g++) {
        bool odd = g % 2;
        if (g + 1 < groups) {
            if (odd)
                AMX_STORE(2, sums[(g + 1) % 4]);
            else
                AMX_STORE(5, sums[(g + 1) % 4]);
        }
        if (g + 2 < groups) {
            if (odd)
                ROWS16_AMX_GROUP(3, 4, 5, g + 2);
            else
                ROWS16_AMX_GROUP(0, 1, 2, g + 2);
        }
        rows16_amx_add(value, sums[g % 4][0], rows16_scales(tile + g * group_bytes, type),
                       scales + (size_t)g * 4, corrections + (size_t)g * 4, stride, columns);
    }
    KIT_UNROLL
    for (uint32_t c = 0; c < 16; c++) {
        if (c < columns)
            kit_store_n(out + c * out_stride, (kit_f)value[c], rows);
    }
}

// Rows [begin, end) times all columns; out is row begin of column 0.
static void rows16_amx_range(float *out, size_t out_stride, const struct dt_matrix *w,
                             uint32_t begin, uint32_t end, const void *act, uint32_t columns,
                             bool four)
{
    const struct rows16_header *h = w->quants; // checked by can_matmul
    struct act_layout layout = act_layout_of(w);
    size_t bytes = rows16_tile_bytes(h->kind, h->cols, h->group, h->scale_type);
    const unsigned char *tile = rows16_tiles(h) + begin / 16 * bytes;
    uint32_t groups = h->cols / h->group, width = columns < 16 ? columns : 16;
    uint32_t step = four || h->group % 64 ? 32 : 64;
    rows16_amx_begin(step, width);
    for (uint32_t r = begin; r < end; r += 16, tile += bytes, out += 16) {
        uint32_t rows = end - r < 16 ? end - r : 16;
        for (uint32_t c = 0; c < columns; c += 16) {
            uint32_t first = columns - c < width ? columns - width : c;
            const unsigned char *at = (const unsigned char *)act + first * layout.column;
            float *to = out + first * out_stride;
            if (width == 16 && h->group == 32 && h->scale_type == DT_SCALE_F16)
                rows16_amx_block(to, out_stride, rows, tile, groups, 32, DT_SCALE_F16, four, at,
                                 &layout, 16, 32);
            else
                rows16_amx_block(to, out_stride, rows, tile, groups, h->group, h->scale_type, four,
                                 at, &layout, width, step);
        }
    }
    amx_end();
}

#endif
