// SPDX-License-Identifier: MIT
// Sixteen rows of Q4_K, Q5_K or Q6_K times prepared columns. Blocks are interleaved: those of a
// packed matrix are, those of a matrix in place are put into a panel first. The sums of a block are
// integers, so that their order does not matter; blocks are added in the reference's order.
#ifndef DT_BACKENDS_INT8_SUPER_TILE_H
#define DT_BACKENDS_INT8_SUPER_TILE_H

#include "common/activations.h"
#include "common/rows16.h"
#include "common/super.h"
#include "int8/super_lanes.h"

enum {
    super_parts = 16 / KIT_W, // vectors of sixteen rows
    super_panel_blocks = 4,
    super_ahead = 8192, // bytes: packed blocks are prefetched so far ahead
};

// A block's activations: column 0, and the distance of the next one.
struct super_columns {
    const int8_t *quants;
    const unsigned char *scales; // one float
    const int16_t *sums32;       // of 32 quants: 0, 2, 1, 3; 4, 6, 5, 7
    const int16_t *sums16;       // of 16: 0, 2, 1, 3; 4 ...
    size_t stride;
    const unsigned char *ahead; // sixteen blocks to prefetch meanwhile; NULL: none
};

// Prefetches `bytes` bytes.
KIT_INLINE void super_prefetch(const unsigned char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(from + i);
}

KIT_INLINE const int16_t *super_sums_of(const int16_t *sums, size_t stride, int c)
{
    return (const int16_t *)(const void *)((const unsigned char *)sums + (size_t)c * stride);
}

// total[c] += the products of the levels of 4 * count columns from `at` on and column c, times
// scale. most: as super_most_4. The levels are what LEVEL_(k) gives for each four of them.
#define SUPER_RUN(count, most, at, scale, level)                                                   \
    do {                                                                                           \
        super_sum sum_[12];                                                                        \
        KIT_UNROLL                                                                                 \
        for (uint32_t k_ = 0; k_ < (count); k_++) {                                                \
            if (k_ % (most) == 0) {                                                                \
                KIT_UNROLL                                                                         \
                for (int c_ = 0; c_ < cols; c_++)                                                  \
                    sum_[c_] = super_zero();                                                       \
            }                                                                                      \
            kit_i q_ = level(k_);                                                                  \
            KIT_UNROLL                                                                             \
            for (int c_ = 0; c_ < cols; c_++)                                                      \
                sum_[c_] =                                                                         \
                    super_add(sum_[c_], q_, x->quants + (size_t)c_ * x->stride + (at) + k_ * 4);   \
            if ((k_ + 1) % (most) == 0) {                                                          \
                KIT_UNROLL                                                                         \
                for (int c_ = 0; c_ < cols; c_++)                                                  \
                    total[c_] = super_scaled(total[c_], sum_[c_], scale);                          \
            }                                                                                      \
        }                                                                                          \
    } while (0)

KIT_INLINE kit_i super_half_byte(kit_i q, uint32_t high)
{
    return (high ? q >> 4 : q) & 0x0f0f0f0f;
}

// total[c] = the sum of scale * level * quant of KIT_W rows of Q4_K or Q5_K; offset[c] = the sum of
// minimum * quant. block: the rows' first word.
KIT_INLINE void super_sums_4_or_5(kit_i *total, kit_i *offset, const unsigned char *block, int five,
                                  const struct super_columns *x, int cols)
{
    const unsigned char *fifth = block + 4 * 64, *quants = block + (five ? 12 : 4) * 64;
    kit_i p0 = super_load(block + 64), p1 = super_load(block + 128), p2 = super_load(block + 192);
    kit_i scales[2] = {p0 & 0x3f3f3f3f, (p2 & 0x0f0f0f0f) | ((p0 >> 2) & 0x30303030)};
    kit_i minimums[2] = {p1 & 0x3f3f3f3f, ((p2 >> 4) & 0x0f0f0f0f) | ((p1 >> 2) & 0x30303030)};
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        total[c] = offset[c] = kit_seti(0);
    for (int r = 0; r < 8; r += 2, quants += 8 * 64) { // two runs have the halves of 32 bytes
        kit_i two = scales[r / 4] >> r % 4 * 8;
        kit_i first = super_scale(two, 0), second = super_scale(two >> 8, 0);
        uint32_t at = (uint32_t)r * 32;
        if (x->ahead)
            super_prefetch(x->ahead + r / 2 * (five ? 11 : 9) * 64, (five ? 11 : 9) * 64);
#define LEVEL_4(k)      super_half_byte(super_load(quants + (k)*64), 0)
#define LEVEL_4_NEXT(k) super_half_byte(super_load(quants + (k)*64), 1)
#define FIFTH(k, run)   (((super_load(fifth + (k)*64) >> (run)) & 0x01010101) << 4)
#define LEVEL_5(k)      (LEVEL_4(k) | FIFTH(k, r))
#define LEVEL_5_NEXT(k) (LEVEL_4_NEXT(k) | FIFTH(k, r + 1))
        if (five) {
            SUPER_RUN(8, super_most_5, at, first, LEVEL_5);
            SUPER_RUN(8, super_most_5, at + 32, second, LEVEL_5_NEXT);
        } else {
            SUPER_RUN(8, super_most_4, at, first, LEVEL_4);
            SUPER_RUN(8, super_most_4, at + 32, second, LEVEL_4_NEXT);
        }
#undef LEVEL_4
#undef LEVEL_4_NEXT
#undef FIFTH
#undef LEVEL_5
#undef LEVEL_5_NEXT
    }
    for (int p = 0; p < 2; p++) {
        super_words_t even = (super_words_t)(minimums[p] & 0x00ff00ff),
                      odd = (super_words_t)((minimums[p] >> 8) & 0x00ff00ff);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            const int16_t *sums = super_sums_of(x->sums32, x->stride, c) + 4 * p;
            offset[c] = super_pairs(super_pairs(offset[c], even, sums), odd, sums + 2);
        }
    }
}

// The same for Q6_K, without an offset. Levels are 0 to 63 here; 32 times the sums of the quants
// are subtracted at the end.
KIT_INLINE void super_sums_6(kit_i *total, const unsigned char *block,
                             const struct super_columns *x, int cols)
{
    const unsigned char *scales = block + 48 * 64;
    kit_i offset[12];
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        total[c] = offset[c] = kit_seti(0);
    // 16 values, and the 16 that are 64 after them and have the other halves of the bytes
    for (int r = 0; r < 8; r++) {
        int half = r / 4, in = r % 4; // of the block; of its first 64 values
        const unsigned char *low = block + (half * 16 + in * 4) * 64,
                            *high = block + (32 + half * 8 + in % 2 * 4) * 64;
        kit_i first = super_scale(super_load(scales + half * 128) >> in * 8, 1),
              second = super_scale(super_load(scales + half * 128 + 64) >> in * 8, 1);
        int shift = in / 2 * 2;
        uint32_t at = (uint32_t)(half * 128 + in * 16);
        if (x->ahead)
            super_prefetch(x->ahead + r * 420, 420);
#define LEVEL_6(k)                                                                                 \
    (super_half_byte(super_load(low + (k)*64), 0) |                                                \
     ((super_load(high + (k)*64) >> shift) & 0x03030303) << 4)
#define LEVEL_6_NEXT(k)                                                                            \
    (super_half_byte(super_load(low + (k)*64), 1) |                                                \
     ((super_load(high + (k)*64) >> shift) & 0x30303030))
        SUPER_RUN(4, super_most_6, at, first, LEVEL_6);
        SUPER_RUN(4, super_most_6, at + 64, second, LEVEL_6_NEXT);
#undef LEVEL_6
#undef LEVEL_6_NEXT
    }
    for (int p = 0; p < 4; p++) {
        kit_i words = super_load(scales + p * 64);
        super_words_t even = (super_words_t)(words << 8) >> 8, odd = (super_words_t)words >> 8;
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            const int16_t *sums = super_sums_of(x->sums16, x->stride, c) + 4 * p;
            offset[c] = super_pairs(super_pairs(offset[c], even, sums), odd, sums + 2);
        }
    }
    KIT_UNROLL
    for (int c = 0; c < cols; c++)
        total[c] -= offset[c] << 5;
}

// value[c] += the product of one block of KIT_W rows, from row `row` on, and column c.
KIT_INLINE void super_add_block(kit_f *value, const unsigned char *tile, uint32_t form, int row,
                                const struct super_columns *x, int cols)
{
    const unsigned char *block = tile + row * 4;
    kit_i total[12], offset[12];
    kit_f d, m = kit_set(0.0f);
    if (form == DT_FORM_Q6_K) {
        super_sums_6(total, block, x, cols);
        uint16_t halves[KIT_W];
        memcpy(halves, tile + 208 * 16 + row * 2, sizeof halves);
        d = kit_load_f16(halves);
    } else {
        super_sums_4_or_5(total, offset, block, form == DT_FORM_Q5_K, x, cols);
        super_halves(super_load(block), &d, &m);
    }
    struct super_factors f = super_factors_of(d, m);
    KIT_UNROLL
    for (int c = 0; c < cols; c++) {
        float scale = kit_load_float(x->scales + (size_t)c * x->stride);
        kit_f part = super_value(&f, total[c], form == DT_FORM_Q6_K ? kit_seti(0) : offset[c]);
        value[c] += part * kit_set(scale);
    }
}

// `n` blocks, the first one being number `first` of the rows, times `cols` columns that are
// contiguous in act. Sums start at 0 for the first block, else at the values in out. packed: what
// follows the blocks is prefetched.
KIT_INLINE void super_panel_columns(float *out, size_t out_stride, uint32_t rows,
                                    const unsigned char *tile, uint32_t form, uint32_t first,
                                    uint32_t n, const unsigned char *act,
                                    const struct act_layout *l, bool packed, int cols)
{
    kit_f value[super_parts][12];
    for (int p = 0; p < super_parts; p++) {
        size_t left = rows > (uint32_t)(p * KIT_W) ? rows - (uint32_t)(p * KIT_W) : 0;
        KIT_UNROLL
        for (int c = 0; c < cols; c++)
            value[p][c] =
                first ? kit_load_n(out + c * out_stride + p * KIT_W, left < KIT_W ? left : KIT_W)
                      : kit_set(0.0f);
    }
    for (uint32_t b = first; b < first + n; b++, tile += (size_t)super_bytes(form) * 16) {
        const unsigned char *sums = act + l->sums + (size_t)b * act_sums_bytes;
        struct super_columns x = {(const int8_t *)act + (size_t)b * super_values,
                                  act + l->scales + (size_t)b * 4,
                                  (const int16_t *)(const void *)sums,
                                  (const int16_t *)(const void *)(sums + 16),
                                  l->column,
                                  packed ? tile + super_ahead : NULL};
        for (int p = 0; p < super_parts; p++, x.ahead = NULL)
            super_add_block(value[p], tile, form, p * KIT_W, &x, cols);
    }
    for (int p = 0; p < super_parts; p++) {
        size_t left = rows > (uint32_t)(p * KIT_W) ? rows - (uint32_t)(p * KIT_W) : 0;
        KIT_UNROLL
        for (int c = 0; c < cols && left; c++)
            kit_store_n(out + c * out_stride + p * KIT_W, value[p][c], left < KIT_W ? left : KIT_W);
    }
}

#define SUPER_COLUMNS(n)                                                                           \
    if (columns - c >= (n) && (n) <= rows16_columns_most) {                                        \
        super_panel_columns(to, out_stride, rows, tile, form, first, blocks, at, l,                \
                            packed &&c == 0, (n) <= rows16_columns_most ? (n) : 1);                \
        c += (n);                                                                                  \
        continue;                                                                                  \
    }

// As super_panel_columns, for any number of columns. out: the first row, column 0.
KIT_INLINE void super_panel(float *out, size_t out_stride, uint32_t rows, const unsigned char *tile,
                            uint32_t form, uint32_t first, uint32_t blocks, const void *act,
                            const struct act_layout *l, bool packed, uint32_t columns)
{
    for (uint32_t c = 0; c < columns;) {
        const unsigned char *at = (const unsigned char *)act + c * l->column;
        float *to = out + c * out_stride;
        SUPER_COLUMNS(12)
        SUPER_COLUMNS(8)
        SUPER_COLUMNS(4)
        SUPER_COLUMNS(2)
        SUPER_COLUMNS(1)
    }
}

#undef SUPER_COLUMNS

KIT_ONCE void super_panel_of(float *out, size_t out_stride, uint32_t rows,
                             const unsigned char *tile, uint32_t form, uint32_t first,
                             uint32_t blocks, const void *act, const struct act_layout *l,
                             bool packed, uint32_t columns)
{
    if (form == DT_FORM_Q4_K)
        super_panel(out, out_stride, rows, tile, DT_FORM_Q4_K, first, blocks, act, l, packed,
                    columns);
    else if (form == DT_FORM_Q5_K)
        super_panel(out, out_stride, rows, tile, DT_FORM_Q5_K, first, blocks, act, l, packed,
                    columns);
    else
        super_panel(out, out_stride, rows, tile, DT_FORM_Q6_K, first, blocks, act, l, packed,
                    columns);
}

// ---- in place ----

// Up to sixteen rows of blocks: their addresses; out: the first row's value of column 0. next: the
// rows to be computed after them, if they are contiguous; NULL: not known.
static void super_rows(float *out, size_t out_stride, uint32_t count,
                       const unsigned char *const *rows, const unsigned char *next,
                       const struct dt_matrix *w, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    unsigned char panel[super_panel_blocks * 16 * super_bytes_most] __attribute__((aligned(64)));
    uint32_t blocks = w->cols / super_values, bytes = super_bytes(w->form);
    for (uint32_t b = 0; b < blocks; b += super_panel_blocks) {
        uint32_t n = blocks - b < super_panel_blocks ? blocks - b : super_panel_blocks;
        for (uint32_t k = 0; k < n; k++) {
            if (next)
                super_prefetch(next + (size_t)(b + k) * 16 * bytes, (size_t)16 * bytes);
            super_interleave(panel + (size_t)k * 16 * bytes, rows, (size_t)(b + k) * bytes, bytes);
        }
        super_panel_of(out, out_stride, count, panel, w->form, b, n, act, &layout, false, columns);
    }
}

// Rows first, first + 1, ..., or index[first], ... if index is not NULL; the last one fills up.
KIT_INLINE void super_rows_at(const unsigned char **rows, const struct dt_matrix *w,
                              const uint32_t *index, uint32_t first, uint32_t count)
{
    for (uint32_t k = 0; k < 16; k++) {
        uint32_t row = first + (k < count ? k : count - 1);
        row = index ? index[row] : row;
        rows[k] = (const unsigned char *)w->quants + row * w->row_stride;
    }
}

static void super_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                                uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    for (uint32_t r = begin; r < end; r += 16) {
        uint32_t count = end - r < 16 ? end - r : 16;
        const unsigned char *rows[16];
        super_rows_at(rows, w, NULL, r, count);
        super_rows(out + r, out_stride, count, rows,
                   end - r > 16 ? rows[0] + 16 * w->row_stride : NULL, w, act, columns);
    }
}

static void super_listed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                              uint32_t count, const void *act)
{
    for (uint32_t k = 0; k < count; k += 16) {
        uint32_t n = count - k < 16 ? count - k : 16;
        const unsigned char *rows[16];
        super_rows_at(rows, w, index, k, n);
        for (uint32_t next = k + 16; next < k + 32 && next < count; next++)
            super_prefetch((const unsigned char *)w->quants + index[next] * w->row_stride,
                           w->row_stride);
        super_rows(out + k, 0, n, rows, NULL, w, act, 1);
    }
}

// ---- packed ----

// The header of a packed matrix of such blocks; NULL for all others.
static const struct rows16_header *super_own(const struct dt_matrix *w)
{
    const struct rows16_header *h = w->form == DT_FORM_PACKED ? rows16_header_of(w) : NULL;
    return h && rows16_super_form(h->kind) ? h : NULL;
}

// Rows [begin, end); out is row begin of column 0.
static void super_packed_range(float *out, size_t out_stride, const struct dt_matrix *w,
                               uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    const struct rows16_header *h = w->quants;
    struct act_layout layout = act_layout_of(w);
    size_t bytes = rows16_tile_bytes(h->kind, h->cols, h->group, h->scale_type);
    const unsigned char *tile = rows16_tiles(h) + begin / 16 * bytes;
    for (uint32_t r = begin; r < end; r += 16, tile += bytes, out += 16)
        super_panel_of(out, out_stride, end - r < 16 ? end - r : 16, tile,
                       rows16_super_form(h->kind), 0, h->cols / super_values, act, &layout, true,
                       columns);
}

// Rows of an index times one column: whole tiles, which neighbours in the index share.
static void super_packed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                              uint32_t count, const void *act)
{
    float tile[16];
    for (uint32_t k = 0; k < count;) {
        uint32_t begin = index[k] / 16 * 16;
        super_packed_range(tile, 0, w, begin, w->rows - begin < 16 ? w->rows : begin + 16, act, 1);
        for (; k < count && index[k] / 16 * 16 == begin; k++)
            out[k] = tile[index[k] - begin];
    }
}

static void super_embed(float *out, const struct dt_matrix *w, uint32_t row)
{
    const unsigned char *at = (const unsigned char *)w->quants + row * w->row_stride;
    for (uint32_t i = 0; i < w->cols; i += super_values, at += w->group_stride)
        super_floats(out + i, at, w->form);
}

#endif
