// SPDX-License-Identifier: MIT
// The packed layout "rows16-1" of hosts. One layout serves every CPU: vector lanes are rows, so a
// kernel needs no shuffles, and the float sum of each row runs in the reference's order.
//
// A packed matrix is a header of 64 bytes, then tiles of 16 rows; the rows that the last tile lacks
// are zeros. A tile is read once, from its first byte to its last:
//   int8:  for each group: 16 scales, then for each 4 columns 64 bytes: 16 rows of 4 int8, plus 128
//   4-bit: for each group of 32: 16 scales, then for each 8 columns 64 bytes: 16 rows of 4 bytes;
//          the low halves are columns 0 to 3, the high halves columns 4 to 7, each plus 8
//   fp32, f16, bf16: for each column: 16 values
//   Q4_K, Q5_K, Q6_K: for each 256 columns: the blocks of 16 rows, interleaved as in super.h
// Scales have the type of the packed matrix.
#ifndef DT_BACKENDS_COMMON_ROWS16_H
#define DT_BACKENDS_COMMON_ROWS16_H

#include <stdbool.h>

#include "abi/backend.h"
#include "abi/kit/vector.h"
#include "common/super.h"
#include "common/transpose.h"
#include "common/weights.h"

#define ROWS16_LAYOUT "rows16-1"

enum { rows16_tile = 16 };

enum rows16_kind {
    ROWS16_I8 = 1,
    ROWS16_Q4 = 2,
    ROWS16_F32 = 3,
    ROWS16_F16 = 4,
    ROWS16_BF16 = 5,
    ROWS16_Q4_K = 6,
    ROWS16_Q5_K = 7,
    ROWS16_Q6_K = 8,
};

struct rows16_header {
    char layout[16]; // ROWS16_LAYOUT, padded with zeros
    uint32_t kind;   // enum rows16_kind
    uint32_t rows, cols, group, scale_type;
    uint32_t reserved;
    uint64_t bytes; // of the packed matrix, with this header
    uint8_t spare[16];
};

// The kind that a matrix is packed to; 0 if it cannot be packed.
KIT_INLINE uint32_t rows16_kind_of(const struct dt_matrix *w)
{
    switch (w->form) {
    case DT_FORM_I8:
    case DT_FORM_Q8_0: // the bounds of rows16_header_of
        return w->group && w->group % 4 == 0 && w->group <= 32768 && w->cols % w->group == 0
                   ? ROWS16_I8
                   : 0;
    case DT_FORM_Q4_0:
        return w->group == 32 ? ROWS16_Q4 : 0;
    case DT_FORM_Q4_K:
        return super_valid(w) ? ROWS16_Q4_K : 0;
    case DT_FORM_Q5_K:
        return super_valid(w) ? ROWS16_Q5_K : 0;
    case DT_FORM_Q6_K:
        return super_valid(w) ? ROWS16_Q6_K : 0;
    case DT_FORM_F32:
        return ROWS16_F32;
    case DT_FORM_F16:
        return ROWS16_F16;
    case DT_FORM_BF16:
        return ROWS16_BF16;
    default:
        return 0;
    }
}

// The form that blocks of 256 values have; NONE for other kinds.
KIT_INLINE uint32_t rows16_super_form(uint32_t kind)
{
    return kind == ROWS16_Q4_K   ? DT_FORM_Q4_K
           : kind == ROWS16_Q5_K ? DT_FORM_Q5_K
           : kind == ROWS16_Q6_K ? DT_FORM_Q6_K
                                 : DT_FORM_NONE;
}

KIT_INLINE size_t rows16_scale_bytes(uint32_t scale_type)
{
    return scale_type == DT_SCALE_F32 ? 64 : 32;
}

// Bytes of one tile.
KIT_INLINE size_t rows16_tile_bytes(uint32_t kind, uint32_t cols, uint32_t group,
                                    uint32_t scale_type)
{
    switch (kind) {
    case ROWS16_I8:
        return (size_t)cols * 16 + cols / group * rows16_scale_bytes(scale_type);
    case ROWS16_Q4:
        return (size_t)cols * 8 + cols / group * rows16_scale_bytes(scale_type);
    case ROWS16_F32:
        return (size_t)cols * 64;
    case ROWS16_Q4_K:
    case ROWS16_Q5_K:
    case ROWS16_Q6_K:
        return (size_t)(cols / super_values) * super_bytes(rows16_super_form(kind)) * 16;
    default:
        return (size_t)cols * 32;
    }
}

KIT_INLINE size_t rows16_total_bytes(uint32_t kind, uint32_t rows, uint32_t cols, uint32_t group,
                                     uint32_t scale_type)
{
    return sizeof(struct rows16_header) +
           ((size_t)rows + 15) / 16 * rows16_tile_bytes(kind, cols, group, scale_type);
}

// The header of a PACKED matrix; NULL if it is not valid, not of this layout or not of w's shape.
static __attribute__((unused)) const struct rows16_header *
rows16_header_of(const struct dt_matrix *w)
{
    static const char layout[16] = ROWS16_LAYOUT;
    const struct rows16_header *h = w->quants;
    if (w->form != DT_FORM_PACKED || !h || (uintptr_t)h % 8 != 0 || w->bytes < sizeof *h)
        return NULL;
    if (memcmp(h->layout, layout, sizeof layout) != 0 || h->rows != w->rows || h->cols != w->cols ||
        h->rows == 0 || h->cols == 0 || h->kind < ROWS16_I8 || h->kind > ROWS16_Q6_K)
        return NULL;
    if (h->kind >= ROWS16_Q4_K &&
        (h->group != super_values || w->group != h->group || h->cols % super_values != 0))
        return NULL;
    if (h->kind == ROWS16_I8 || h->kind == ROWS16_Q4) {
        if (h->group == 0 || h->group % 4 != 0 || h->group > 32768 || h->cols % h->group != 0 ||
            (h->kind == ROWS16_Q4 && h->group != 32) ||
            (h->scale_type != DT_SCALE_F32 && h->scale_type != DT_SCALE_F16))
            return NULL;
        // the host shares prepared activations among matrices of the same w->group
        if (w->group != h->group)
            return NULL;
    }
    if (w->bytes < rows16_total_bytes(h->kind, h->rows, h->cols, h->group, h->scale_type))
        return NULL;
    return h;
}

// The first tile.
KIT_INLINE const unsigned char *rows16_tiles(const struct rows16_header *h)
{
    return (const unsigned char *)(h + 1);
}

// ---- packing ----

static __attribute__((unused)) size_t rows16_pack_bytes(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    uint32_t kind = rows16_kind_of(w);
    return kind ? rows16_total_bytes(kind, w->rows, w->cols, w->group, w->scale_type) : 0;
}

KIT_INLINE uint32_t rows16_load_4(const unsigned char *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return four;
}

// Eight columns of one row of a Q4_0 block, from column 8 * part on.
KIT_INLINE uint32_t rows16_nibbles(const unsigned char *block, uint32_t part)
{
    uint32_t a = rows16_load_4(block + part % 2 * 8), b = rows16_load_4(block + part % 2 * 8 + 4);
    return part < 2 ? (a & 0x0f0f0f0f) | (b & 0x0f0f0f0f) << 4
                    : (a >> 4 & 0x0f0f0f0f) | (b & 0xf0f0f0f0);
}

#if defined(KIT_AVX512) || defined(KIT_AVX2)

// 32 bytes of sixteen rows: four bytes of a row are a lane of out[4 bytes][half].
KIT_INLINE void rows16_load_32(__m256i out[8][2], const unsigned char *from, size_t stride)
{
    KIT_UNROLL
    for (size_t h = 0; h < 2; h++) {
        __m256i s[8];
        KIT_UNROLL
        for (size_t r = 0; r < 8; r++)
            s[r] = _mm256_loadu_si256((const void *)(from + (h * 8 + r) * stride));
        avx2_transpose(s);
        KIT_UNROLL
        for (size_t k = 0; k < 8; k++)
            out[k][h] = s[k];
    }
}

KIT_INLINE void rows16_store(unsigned char *to, __m256i a, __m256i b)
{
    _mm256_storeu_si256((void *)to, a);
    _mm256_storeu_si256((void *)(to + 32), b);
}

// The quants of a group of sixteen rows. Returns false, with nothing written, for groups that are
// no multiple of 32.
KIT_INLINE bool rows16_pack_sixteen(unsigned char *to, const unsigned char *from, size_t stride,
                                    uint32_t kind, uint32_t group)
{
    const __m256i low = _mm256_set1_epi8(15), flip = _mm256_set1_epi8(-128);
    if (kind == ROWS16_Q4) {
        __m256i part[4][2];
        KIT_UNROLL
        for (size_t h = 0; h < 2; h++) {
            __m256i s[4];
            KIT_UNROLL
            for (size_t r = 0; r < 4; r++)
                s[r] = _mm256_loadu2_m128i((const void *)(from + (h * 8 + r + 4) * stride),
                                           (const void *)(from + (h * 8 + r) * stride));
            super_transpose_4(s);
            KIT_UNROLL
            for (size_t k = 0; k < 2; k++) {
                __m256i a = s[2 * k], b = s[2 * k + 1];
                part[k][h] = _mm256_or_si256(_mm256_and_si256(a, low),
                                             _mm256_slli_epi16(_mm256_and_si256(b, low), 4));
                part[k + 2][h] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(a, 4), low),
                                                 _mm256_andnot_si256(low, b));
            }
        }
        KIT_UNROLL
        for (size_t k = 0; k < 4; k++)
            rows16_store(to + k * 64, part[k][0], part[k][1]);
        return true;
    }
    if (group % 32)
        return false;
    for (uint32_t k = 0; k < group; k += 32, to += 512) {
        __m256i s[8][2];
        rows16_load_32(s, from + k, stride);
        KIT_UNROLL
        for (size_t i = 0; i < 8; i++)
            rows16_store(to + i * 64, _mm256_xor_si256(s[i][0], flip),
                         _mm256_xor_si256(s[i][1], flip));
    }
    return true;
}

// The columns of sixteen rows of floats, as far as they are a multiple of 32 bytes. Returns how
// many.
KIT_INLINE uint32_t rows16_pack_columns(unsigned char *to, const unsigned char *from, size_t stride,
                                        uint32_t cols, size_t size)
{
    const __m256i low = _mm256_set1_epi32(0xffff);
    uint32_t k = 0, step = (uint32_t)(32 / size);
    for (; k + step <= cols; k += step, from += 32, to += 512) {
        __m256i s[8][2];
        rows16_load_32(s, from, stride);
        KIT_UNROLL
        for (size_t i = 0; i < 8; i++) {
            __m256i a = s[i][0], b = s[i][1];
            if (size == 4) {
                rows16_store(to + i * 64, a, b);
                continue;
            }
            __m256i even = _mm256_packus_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low)),
                    odd = _mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16));
            rows16_store(to + i * 64, _mm256_permute4x64_epi64(even, 0xd8),
                         _mm256_permute4x64_epi64(odd, 0xd8));
        }
    }
    return k;
}

#else

KIT_INLINE bool rows16_pack_sixteen(unsigned char *to, const unsigned char *from, size_t stride,
                                    uint32_t kind, uint32_t group)
{
    (void)to, (void)from, (void)stride, (void)kind, (void)group;
    return false;
}

KIT_INLINE uint32_t rows16_pack_columns(unsigned char *to, const unsigned char *from, size_t stride,
                                        uint32_t cols, size_t size)
{
    (void)to, (void)from, (void)stride, (void)cols, (void)size;
    return 0;
}

#endif

KIT_INLINE void rows16_pack_group(unsigned char *to, const struct dt_matrix *w, uint32_t kind,
                                  uint32_t begin, uint32_t rows, uint32_t g)
{
    size_t size = w->scale_type == DT_SCALE_F32 ? 4 : 2;
    for (uint32_t r = 0; r < rows; r++)
        memcpy(to + r * size,
               (const unsigned char *)w->scales + (begin + r) * w->scale_row_stride +
                   g * w->scale_group_stride,
               size);
    to += rows16_scale_bytes(w->scale_type);
    const unsigned char *from = weight_quants(w, begin, g);
    if (rows == 16 && rows16_pack_sixteen(to, from, w->row_stride, kind, w->group))
        return;
    uint32_t parts = kind == ROWS16_Q4 ? 4 : w->group / 4;
    for (uint32_t r = 0; r < rows; r++, from += w->row_stride) {
        for (uint32_t k = 0; k < parts; k++) {
            uint32_t four = kind == ROWS16_Q4 ? rows16_nibbles(from, k)
                                              : rows16_load_4(from + (size_t)k * 4) ^ 0x80808080;
            memcpy(to + (size_t)k * 64 + r * 4, &four, sizeof four);
        }
    }
}

// Goes through blocks of columns, so that the tile stays in the first-level cache while its rows
// are interleaved.
KIT_INLINE void rows16_pack_floats(unsigned char *to, const struct dt_matrix *w, uint32_t begin,
                                   uint32_t rows, size_t size)
{
    const unsigned char *from = (const unsigned char *)w->quants + begin * w->row_stride;
    uint32_t done = rows == 16 ? rows16_pack_columns(to, from, w->row_stride, w->cols, size) : 0;
    for (uint32_t k = done; k < w->cols; k += 64) {
        uint32_t end = w->cols - k < 64 ? w->cols : k + 64;
        for (uint32_t r = 0; r < rows; r++) {
            for (uint32_t i = k; i < end; i++)
                memcpy(to + (i * (size_t)16 + r) * size, from + r * w->row_stride + i * size, size);
        }
    }
}

// Rows [begin, begin + rows) of blocks of 256 values; rows that the tile lacks are zeros.
KIT_INLINE void rows16_pack_super(unsigned char *to, const struct dt_matrix *w, uint32_t begin,
                                  uint32_t rows)
{
    static const unsigned char nothing[super_bytes_most];
    uint32_t bytes = super_bytes(w->form);
    for (uint32_t b = 0; b < w->cols / super_values; b++, to += (size_t)bytes * 16) {
        const unsigned char *from[16];
        for (uint32_t r = 0; r < 16; r++)
            from[r] = r < rows ? (const unsigned char *)w->quants + (begin + r) * w->row_stride +
                                     (size_t)b * bytes
                               : nothing;
        super_interleave(to, from, 0, bytes);
    }
}

static __attribute__((unused)) void rows16_pack(void *ctx, void *packed, const struct dt_matrix *w,
                                                uint32_t row_begin, uint32_t row_end)
{
    (void)ctx;
    uint32_t kind = rows16_kind_of(w);
    if (row_begin == 0) {
        struct rows16_header h = {
            ROWS16_LAYOUT,
            kind,
            w->rows,
            w->cols,
            w->group,
            w->scale_type,
            0,
            rows16_total_bytes(kind, w->rows, w->cols, w->group, w->scale_type),
            {0}};
        memcpy(packed, &h, sizeof h);
    }
    size_t tile = rows16_tile_bytes(kind, w->cols, w->group, w->scale_type);
    unsigned char *to =
        (unsigned char *)packed + sizeof(struct rows16_header) + row_begin / 16 * tile;
    for (uint32_t r = row_begin; r < row_end; r += 16, to += tile) {
        uint32_t rows = w->rows - r < 16 ? w->rows - r : 16;
        if (rows < 16)
            memset(to, 0, tile);
        if (kind == ROWS16_F32)
            rows16_pack_floats(to, w, r, rows, 4);
        else if (kind == ROWS16_F16 || kind == ROWS16_BF16)
            rows16_pack_floats(to, w, r, rows, 2);
        else if (kind >= ROWS16_Q4_K)
            rows16_pack_super(to, w, r, rows);
        else
            for (uint32_t g = 0, groups = w->cols / w->group; g < groups; g++)
                rows16_pack_group(to + g * (tile / groups), w, kind, r, rows, g);
    }
}

// ---- one row ----

KIT_INLINE float rows16_float(const unsigned char *p, uint32_t kind)
{
    uint16_t half;
    if (kind == ROWS16_F32)
        return kit_load_float(p);
    memcpy(&half, p, sizeof half);
    if (kind == ROWS16_F16)
        return kit_half(half);
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// out[0 .. cols) = row `row` as floats.
static __attribute__((unused)) void rows16_embed(float *out, const struct rows16_header *h,
                                                 uint32_t row)
{
    const unsigned char *at =
        rows16_tiles(h) + row / 16 * rows16_tile_bytes(h->kind, h->cols, h->group, h->scale_type);
    uint32_t r = row % 16, form = rows16_super_form(h->kind), bytes = super_bytes(form);
    for (uint32_t k = 0; form && k < h->cols; k += super_values, at += (size_t)bytes * 16) {
        unsigned char block[super_bytes_most];
        super_block_of(block, at, r, bytes);
        super_floats(out + k, block, form);
    }
    if (form)
        return;
    if (h->kind >= ROWS16_F32) {
        size_t size = h->kind == ROWS16_F32 ? 4 : 2;
        for (uint32_t k = 0; k < h->cols; k++)
            out[k] = rows16_float(at + (k * (size_t)16 + r) * size, h->kind);
        return;
    }
    for (uint32_t g = 0; g < h->cols / h->group; g++) {
        float scale =
            h->scale_type == DT_SCALE_F32 ? kit_load_float(at + r * 4) : kit_load_half(at + r * 2);
        at += rows16_scale_bytes(h->scale_type);
        if (h->kind == ROWS16_I8) {
            for (uint32_t k = 0; k < h->group; k++)
                *out++ = (float)(at[k / 4 * 64 + r * 4 + k % 4] - 128) * scale;
            at += (size_t)h->group * 16;
            continue;
        }
        for (uint32_t k = 0; k < 32; k++) {
            unsigned char both = at[k / 8 * 64 + r * 4 + k % 4];
            *out++ = (float)((k % 8 < 4 ? both & 15 : both >> 4) - 8) * scale;
        }
        at += 32 * 8;
    }
}

#endif
