// SPDX-License-Identifier: MIT
// fp32: F32, F16 and BF16 matrices, in place or packed; every operator is bit-identical to the
// reference. Sixteen rows are computed side by side, column after column: each product is rounded,
// then added, so that the sum of a row has the reference's order and roundings. Rows in place are
// interleaved in blocks of columns first. Compiled once for each CPU variant.
#include <stdbool.h>

#include "abi/backend.h"
#include "common/operators.h"
#include "common/rows16.h"
#include "common/transpose.h"
#include "probe.h"

enum {
    parts = 16 / KIT_W, // vectors of a tile
    panel_cols = 256,   // columns that are interleaved at a time: 16 KiB
#if defined(KIT_AVX512)
    columns_most = 12, // columns at a time
#elif defined(KIT_AVX2)
    columns_most = 4,
#else
    columns_most = 2,
#endif
};

KIT_INLINE size_t element_bytes(uint32_t kind)
{
    return kind == ROWS16_F32 ? 4 : 2;
}

KIT_INLINE kit_f load(const unsigned char *p, uint32_t kind)
{
    if (kind == ROWS16_F32)
        return kit_load((const float *)(const void *)p);
    if (kind == ROWS16_F16)
        return kit_load_f16((const uint16_t *)(const void *)p);
    return kit_load_bf16((const uint16_t *)(const void *)p);
}

KIT_INLINE kit_f load_n(const unsigned char *p, uint32_t kind, size_t n)
{
    if (kind == ROWS16_F32)
        return kit_load_n((const float *)(const void *)p, n);
    if (kind == ROWS16_F16)
        return kit_load_f16_n((const uint16_t *)(const void *)p, n);
    return kit_load_bf16_n((const uint16_t *)(const void *)p, n);
}

// n columns of a tile, of the given kind, times `cols` columns of x. Sums start at 0 if first, else
// at the values in out. Stores `rows` sums of each column.
KIT_INLINE void tile_columns(float *out, size_t out_stride, uint32_t rows,
                             const unsigned char *tile, uint32_t kind, uint32_t n, const float *x,
                             size_t x_stride, bool first, int cols)
{
    kit_f sum[12][parts];
    KIT_UNROLL
    for (int c = 0; c < cols; c++) {
        KIT_UNROLL
        for (int p = 0; p < parts; p++) {
            uint32_t begin = (uint32_t)p * KIT_W, left = rows < begin ? 0 : rows - begin;
            sum[c][p] = first
                            ? kit_set(0.0f)
                            : kit_load_n(out + c * out_stride + begin, left < KIT_W ? left : KIT_W);
        }
    }
    for (uint32_t j = 0; j < n; j++, tile += 16 * element_bytes(kind), x++) {
        kit_f w[parts];
        KIT_UNROLL
        for (int p = 0; p < parts; p++)
            w[p] = load(tile + (size_t)p * KIT_W * element_bytes(kind), kind);
        KIT_UNROLL
        for (int c = 0; c < cols; c++) {
            kit_f b = kit_set(x[c * x_stride]);
            KIT_UNROLL
            for (int p = 0; p < parts; p++)
                sum[c][p] += w[p] * b;
        }
    }
    KIT_UNROLL
    for (int c = 0; c < cols; c++) {
        KIT_UNROLL
        for (int p = 0; p < parts; p++) {
            uint32_t begin = (uint32_t)p * KIT_W, left = rows < begin ? 0 : rows - begin;
            kit_store_n(out + c * out_stride + begin, sum[c][p], left < KIT_W ? left : KIT_W);
        }
    }
}

#define BLOCK(n)                                                                                   \
    if (columns - c >= (n) && (n) <= columns_most) {                                               \
        tile_columns(out + c * out_stride, out_stride, rows, tile, kind, cols, x + c * x_stride,   \
                     x_stride, first, (n) <= columns_most ? (n) : 1);                              \
        c += (n);                                                                                  \
        continue;                                                                                  \
    }

KIT_INLINE void tile_times_columns(float *out, size_t out_stride, uint32_t rows,
                                   const unsigned char *tile, uint32_t kind, uint32_t cols,
                                   const float *x, size_t x_stride, uint32_t columns, bool first)
{
    for (uint32_t c = 0; c < columns;) {
        BLOCK(12)
        BLOCK(8)
        BLOCK(4)
        BLOCK(3)
        BLOCK(2)
        BLOCK(1)
    }
}

#undef BLOCK

// One tile of floats, or a panel of them, times all columns. Not inlined, because all kinds share
// it in place.
KIT_ONCE void floats_times_columns(float *out, size_t out_stride, uint32_t rows,
                                   const unsigned char *tile, uint32_t cols, const float *x,
                                   size_t x_stride, uint32_t columns, bool first)
{
    tile_times_columns(out, out_stride, rows, tile, ROWS16_F32, cols, x, x_stride, columns, first);
}

// ---- packed ----

KIT_INLINE void packed_kind(float *out, size_t out_stride, const unsigned char *tile, uint32_t cols,
                            uint32_t rows, const float *x, size_t x_stride, uint32_t columns,
                            uint32_t kind)
{
    size_t bytes = (size_t)cols * 16 * element_bytes(kind);
    for (uint32_t r = 0; r < rows; r += 16, tile += bytes) {
        uint32_t count = rows - r < 16 ? rows - r : 16;
        if (kind == ROWS16_F32)
            floats_times_columns(out + r, out_stride, count, tile, cols, x, x_stride, columns,
                                 true);
        else
            tile_times_columns(out + r, out_stride, count, tile, kind, cols, x, x_stride, columns,
                               true);
    }
}

// Rows [begin, end); out is row begin of column 0.
KIT_ONCE void packed_rows(float *out, size_t out_stride, const struct dt_matrix *w, uint32_t begin,
                          uint32_t end, const float *x, size_t x_stride, uint32_t columns)
{
    const struct rows16_header *h = w->quants; // checked by can_matmul
    const unsigned char *tile =
        rows16_tiles(h) + begin / 16 * rows16_tile_bytes(h->kind, h->cols, 0, 0);
    uint32_t rows = end - begin;
    if (h->kind == ROWS16_F32)
        packed_kind(out, out_stride, tile, h->cols, rows, x, x_stride, columns, ROWS16_F32);
    else if (h->kind == ROWS16_F16)
        packed_kind(out, out_stride, tile, h->cols, rows, x, x_stride, columns, ROWS16_F16);
    else
        packed_kind(out, out_stride, tile, h->cols, rows, x, x_stride, columns, ROWS16_BF16);
}

// ---- in place ----

// Interleaves KIT_W columns of KIT_W rows.
KIT_INLINE void fill_square(float *panel, const unsigned char *const *rows, size_t at,
                            uint32_t kind)
{
    kit_f v[KIT_W];
    KIT_UNROLL
    for (uint32_t k = 0; k < KIT_W; k++)
        v[k] = load(rows[k] + at, kind);
    kit_transpose(v);
    KIT_UNROLL
    for (uint32_t k = 0; k < KIT_W; k++)
        kit_store(panel + (size_t)k * 16, v[k]);
}

// The same for the last columns, fewer than KIT_W, of sixteen rows.
KIT_ONCE void fill_rest(float *panel, const unsigned char *const *rows, size_t at, uint32_t left,
                        uint32_t kind)
{
    for (uint32_t r = 0; r < 16; r++) {
        for (uint32_t k = 0; k < left; k++)
            panel[k * 16 + r] = rows16_float(rows[r] + at + k * element_bytes(kind), kind);
    }
}

// Interleaves n columns of sixteen rows, from `at` bytes on, as floats. Prefetches as many bytes
// from `next` on.
KIT_INLINE void fill_panel(float *panel, const unsigned char *const *rows, size_t at, uint32_t n,
                           uint32_t kind, const unsigned char *next)
{
    uint32_t j = 0;
    for (; j + KIT_W <= n; j += KIT_W, at += KIT_W * element_bytes(kind)) {
        for (uint32_t i = 0; next && i < KIT_W * 16 * element_bytes(kind); i += 64)
            __builtin_prefetch(next + j * 16 * element_bytes(kind) + i, 0, 2);
        KIT_UNROLL
        for (uint32_t p = 0; p < parts; p++)
            fill_square(panel + (size_t)j * 16 + p * KIT_W, rows + p * KIT_W, at, kind);
    }
    if (j < n)
        fill_rest(panel + (size_t)j * 16, rows, at, n - j, kind);
}

// Sixteen rows times all columns; stores the first `count` rows.
KIT_INLINE void rows_times_columns(float *out, size_t out_stride, uint32_t count,
                                   const unsigned char *const *rows, uint32_t cols, uint32_t kind,
                                   const float *x, size_t x_stride, uint32_t columns,
                                   const unsigned char *next)
{
    float panel[panel_cols * 16] __attribute__((aligned(64)));
    for (uint32_t j = 0; j < cols; j += panel_cols) {
        uint32_t n = cols - j < panel_cols ? cols - j : panel_cols;
        fill_panel(panel, rows, j * element_bytes(kind), n, kind,
                   next ? next + (size_t)j * 16 * element_bytes(kind) : NULL);
        floats_times_columns(out, out_stride, count, (const unsigned char *)panel, n, x + j,
                             x_stride, columns, j == 0);
    }
}

// The addresses of `count` rows: row, row + 1, ..., or index[row] ...; the last one again for those
// past the end.
KIT_INLINE void rows_at(const unsigned char **at, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t row, uint32_t count)
{
    for (uint32_t r = 0; r < 16; r++) {
        uint32_t k = row + (r < count ? r : count - 1);
        at[r] = (const unsigned char *)w->quants + (index ? index[k] : k) * w->row_stride;
    }
}

KIT_INLINE void in_place_kind(float *out, size_t out_stride, const struct dt_matrix *w,
                              const uint32_t *index, uint32_t begin, uint32_t end, const float *x,
                              size_t x_stride, uint32_t columns, uint32_t kind)
{
    const unsigned char *at[16];
    for (uint32_t r = begin; r < end; r += 16) {
        uint32_t count = end - r < 16 ? end - r : 16;
        rows_at(at, w, index, r, count);
        for (uint32_t k = r + 16; index && k < end && k < r + 32; k++) // not predictable
            for (size_t i = 0; i < w->cols * element_bytes(kind); i += 64)
                __builtin_prefetch((const unsigned char *)w->quants + index[k] * w->row_stride + i);
        rows_times_columns(out + r, out_stride, count, at, w->cols, kind, x, x_stride, columns,
                           index ? NULL : at[0] + 16 * w->row_stride);
    }
}

// Rows [begin, end), or those of an index; the result of row k is at out[k].
KIT_ONCE void in_place_rows(float *out, size_t out_stride, const struct dt_matrix *w,
                            const uint32_t *index, uint32_t begin, uint32_t end, const float *x,
                            size_t x_stride, uint32_t columns)
{
    if (w->form == DT_FORM_F32)
        in_place_kind(out, out_stride, w, index, begin, end, x, x_stride, columns, ROWS16_F32);
    else if (w->form == DT_FORM_F16)
        in_place_kind(out, out_stride, w, index, begin, end, x, x_stride, columns, ROWS16_F16);
    else
        in_place_kind(out, out_stride, w, index, begin, end, x, x_stride, columns, ROWS16_BF16);
}

// ---- entries ----

static int can_matmul(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED) {
        const struct rows16_header *h = rows16_header_of(w);
        return h && h->kind >= ROWS16_F32 && h->kind <= ROWS16_BF16;
    }
    return w->form == DT_FORM_F32 || w->form == DT_FORM_F16 || w->form == DT_FORM_BF16;
}

static void matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED)
        packed_rows(out + row_begin, out_stride, w, row_begin, row_end, act, x_stride, columns);
    else
        in_place_rows(out, out_stride, w, NULL, row_begin, row_end, act, x_stride, columns);
}

static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED) {
        rows16_embed(out, w->quants, row);
        return;
    }
    const unsigned char *at = (const unsigned char *)w->quants + row * w->row_stride;
    uint32_t kind = rows16_kind_of(w), j = 0;
    for (; j + KIT_W <= w->cols; j += KIT_W)
        kit_store(out + j, load(at + j * element_bytes(kind), kind));
    if (j < w->cols)
        kit_store_n(out + j, load_n(at + j * element_bytes(kind), kind, w->cols - j), w->cols - j);
}

static void matmul_rows(void *ctx, float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const void *act)
{
    (void)ctx;
    if (w->form != DT_FORM_PACKED) {
        in_place_rows(out, 0, w, index, 0, count, act, 0, 1);
        return;
    }
    float tile[16];
    for (uint32_t k = 0; k < count;) {
        uint32_t begin = index[k] / 16 * 16;
        packed_rows(tile, 0, w, begin, w->rows - begin < 16 ? w->rows : begin + 16, act, 0, 1);
        for (; k < count && index[k] / 16 * 16 == begin; k++)
            out[k] = tile[index[k] - begin];
    }
}

// Nothing is quantised. The sum of n rounded products differs from the exact one by at most n 2^-24
// times the sum of their magnitudes.
static float act_error(void *ctx, const void *act, const float *x, const struct dt_matrix *w)
{
    (void)ctx;
    (void)act;
    double norm = 0;
    for (uint32_t i = 0; i < w->cols; i++)
        norm += (double)x[i] * (double)x[i];
    return (float)(1.01 * (w->cols + 2) * 0x1p-24 * __builtin_sqrt(norm));
}

DT_BACKEND_EXPORT(DT_MODULE_ID) = {
    .abi = DT_BACKEND_ABI,
    .size = sizeof(struct dt_backend),
    .name = "fp32",
    .variant = DT_MODULE_VARIANT,
    .description = "float matrices (F32, F16, BF16), in place or packed, bit-identical to the "
                   "reference",
    .layout = ROWS16_LAYOUT,
    .row_tile = rows16_tile,
    .form_count = 3,
    .forms = {DT_FORM_F32, DT_FORM_F16, DT_FORM_BF16},
    .probe = DT_MODULE_PROBE,
    .can_matmul = can_matmul,
    .matmul = matmul,
    .embed = embed,
    .pack_bytes = rows16_pack_bytes,
    .pack = rows16_pack,
    .matmul_rows = matmul_rows,
    .act_error = act_error OPERATOR_ENTRIES,
};
