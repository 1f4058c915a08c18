// SPDX-License-Identifier: MIT
// rvv07: int8, 4-bit and fp32 weights on cores with RVV 0.7.1 (T-Head C906, C910). Every operator
// is bit-identical to the reference. Only the .S files contain vector instructions; this file is
// plain rv64gc.
#include <math.h>
#include <string.h>

#include "attention.h"
#include "kernels.h"
#include "layout.h"
#include "listed.h"

// How a matrix is multiplied. Filled once for each call, from the header if it is PACKED.
struct view {
    uint32_t kind, group;
    const unsigned char *tiles; // NULL: unpacked rows
};

static int view_of(const struct dt_matrix *w, struct view *out)
{
    if (w->form == DT_FORM_PACKED) {
        const struct rvv07_header *h = w->quants; // checked by can_matmul
        *out = (struct view){h->kind, h->group, (const unsigned char *)(h + 1)};
        return 1;
    }
    *out = (struct view){rvv07_kind_of(w), w->group, NULL};
    return out->kind != 0;
}

static int can_matmul(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED)
        return rvv07_header_of(w) != NULL;
    return rvv07_kind_of(w) != 0;
}

static size_t column_bytes(const struct dt_matrix *w)
{
    return rvv07_quants_bytes(w) + ((size_t)(w->cols / w->group) * sizeof(float) + 63) / 64 * 64;
}

static size_t act_bytes(void *ctx, const struct dt_matrix *w, uint32_t columns)
{
    (void)ctx;
    return w->group ? column_bytes(w) * columns : 0; // fp32 multiplies the floats
}

static void act_prepare(void *ctx, void *act, const float *x, size_t x_stride, uint32_t columns,
                        const struct dt_matrix *w)
{
    (void)ctx;
    for (uint32_t c = 0; c < columns; c++, x += x_stride) {
        int8_t *q = (int8_t *)act + c * column_bytes(w);
        float *scales = (float *)(void *)(q + rvv07_quants_bytes(w));
        for (uint32_t g = 0; g < w->cols / w->group; g++)
            scales[g] =
                dt_rvv07_quantise(q + (size_t)g * w->group, x + (size_t)g * w->group, w->group);
    }
}

// One tile times one column.
static void multiply_tile(float *y, const struct view *v, const struct dt_matrix *w,
                          const unsigned char *tile, uint32_t rows, const void *x)
{
    if (v->kind == RVV07_F32) {
        (rows == 64 ? dt_rvv07_f32_tile64
                    : dt_rvv07_f32_tile32)(y, x, (const float *)(const void *)tile, w->cols);
        return;
    }
    const int8_t *q = x;
    const float *scales = (const float *)(const void *)(q + rvv07_quants_bytes(w));
    size_t groups = w->cols / v->group;
    if (v->kind == RVV07_Q4)
        (rows == 64 ? dt_rvv07_q4_tile64 : dt_rvv07_q4_tile32)(y, q, scales, tile, groups);
    else
        (rows == 64 ? dt_rvv07_i8_tile64 : dt_rvv07_i8_tile32)(y, q, scales, tile, groups,
                                                               v->group);
}

// Up to 32 unpacked rows times one column. Scales may be halves and may be unaligned, so they are
// copied first.
static void multiply_rows(float *y, const struct view *v, const struct dt_matrix *w, uint32_t row,
                          uint32_t rows, const void *x)
{
    const unsigned char *from = (const unsigned char *)w->quants + row * w->row_stride;
    if (v->kind == RVV07_F32) {
        dt_rvv07_f32_strided(y, x, from, w->row_stride, w->cols, rows);
        return;
    }
    const int8_t *q = x;
    const float *xs = (const float *)(const void *)(q + rvv07_quants_bytes(w));
    struct rvv07_scales scales;
    rvv07_scales_of_range(&scales, w, row, rows);
    memset(y, 0, rows * sizeof *y);
    for (uint32_t g = 0; g < w->cols / w->group; g++, q += w->group, from += w->group_stride)
        (v->kind == RVV07_Q4 ? dt_rvv07_q4_strided : dt_rvv07_i8_strided)(
            y, q, from, w->row_stride, w->group, rows, rvv07_scales_at(&scales, g), xs[g]);
}

// Multiplies a tile with all columns before the next tile, so that weights are read from memory
// once.
static void matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns)
{
    (void)ctx;
    struct view v;
    struct dt_matrix by_rows;
    w = rvv07_in_place(w, &by_rows);
    if (!view_of(w, &v))
        return;
    size_t column = v.kind == RVV07_F32 ? x_stride * sizeof(float) : column_bytes(w);
    size_t row_bytes = rvv07_row_bytes(v.kind, w->cols, v.group);
    float whole[RVV07_TILE]; // for tiles that are not wholly in the range
    for (uint32_t r = row_begin; r < row_end;) {
        uint32_t begin = v.tiles ? r / RVV07_TILE * RVV07_TILE : r;
        uint32_t tile = v.tiles ? rvv07_tile_rows(w->rows, begin) : 32;
        uint32_t end = row_end - begin < tile ? row_end : begin + tile;
        for (uint32_t c = 0; c < columns; c++) {
            const unsigned char *x = (const unsigned char *)act + c * column;
            float *y = out + c * out_stride;
            if (!v.tiles) {
                if (!rvv07_listed(y + r, w, NULL, r, end - r, x))
                    multiply_rows(y + r, &v, w, r, end - r, x);
            } else if (r == begin && end - begin == tile) {
                multiply_tile(y + r, &v, w, v.tiles + begin * row_bytes, tile, x);
            } else {
                multiply_tile(whole, &v, w, v.tiles + begin * row_bytes, tile, x);
                memcpy(y + r, whole + (r - begin), (end - r) * sizeof *y);
            }
        }
        r = end;
    }
}

// As rvv07_pack, with vectors for whole tiles of quantised matrices.
static void pack(void *ctx, void *packed, const struct dt_matrix *w, uint32_t row_begin,
                 uint32_t row_end)
{
    uint32_t kind = rvv07_kind_of(w), r = row_begin;
    if (kind == RVV07_F32 || rvv07_is_sparse(w)) {
        rvv07_pack(ctx, packed, w, row_begin, row_end);
        return;
    }
    if (row_begin == 0)
        rvv07_pack(ctx, packed, w, 0, 0);
    size_t row_bytes = rvv07_row_bytes(kind, w->cols, w->group);
    for (uint32_t tile; r < row_end; r += tile) {
        tile = rvv07_tile_rows(w->rows, r);
        if (w->rows - r < tile)
            break;
        unsigned char *to = (unsigned char *)packed + sizeof(struct rvv07_header) + r * row_bytes;
        const unsigned char *from = (const unsigned char *)w->quants + r * w->row_stride;
        for (uint32_t g = 0; g < w->cols / w->group; g++, from += w->group_stride) {
            if (kind == RVV07_Q4)
                dt_rvv07_q4_columns(to, from, w->row_stride, tile);
            else
                dt_rvv07_i8_columns(to, from, w->row_stride, w->group, tile);
            to += (size_t)w->group * tile / (kind == RVV07_Q4 ? 2 : 1);
            for (uint32_t i = 0; i < tile; i++, to += sizeof(float)) {
                float scale = rvv07_scale(w, r + i, g);
                memcpy(to, &scale, sizeof scale);
            }
        }
    }
    if (r < row_end)
        rvv07_pack(ctx, packed, w, r, row_end);
}

static void rmsnorm(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                    const float *weight, uint32_t n, uint32_t columns, float epsilon)
{
    (void)ctx;
    for (uint32_t c = 0; c < columns; c++, out += out_stride, x += x_stride) {
        float ss = dt_rvv07_sum_squares(x, n);
        ss /= (float)n;
        ss += epsilon;
        dt_rvv07_norm(out, x, weight, n, 1.0f / sqrtf(ss));
    }
}

static void rope(void *ctx, float *x, uint32_t heads, uint32_t head_size, uint32_t rotated,
                 const float *cosine, const float *sine, uint32_t style)
{
    (void)ctx;
    uint32_t half = rotated / 2;
    for (uint32_t h = 0; h < heads; h++, x += head_size) {
        if (style == DT_ROPE_HALVES)
            dt_rvv07_rotate(x, x + half, cosine, sine, half, sizeof *x);
        else
            dt_rvv07_rotate(x, x + 1, cosine, sine, half, 2 * sizeof *x);
    }
}

static void softmax(void *ctx, float *x, uint32_t n)
{
    (void)ctx;
    rvv07_softmax(x, n);
}

static void silu_mul(void *ctx, float *gate, const float *up, uint32_t n)
{
    (void)ctx;
    float e[256];
    for (uint32_t i = 0; i < n; i += 256) {
        uint32_t part = n - i < 256 ? n - i : 256;
        dt_rvv07_exp_neg(e, gate + i, part);
        dt_rvv07_silu(gate + i, e, up + i, part);
    }
}

static void add(void *ctx, float *x, const float *y, uint32_t n)
{
    (void)ctx;
    dt_rvv07_add(x, y, n);
}

static uint32_t argmax(void *ctx, const float *x, uint32_t n)
{
    (void)ctx;
    if (n == 0 || x[0] != x[0]) // in the reference, no value is larger than a NaN at index 0
        return 0;
    return (uint32_t)dt_rvv07_find(x, n, dt_rvv07_max(x, n));
}

static uint32_t select_above(void *ctx, const float *x, uint32_t n, float threshold,
                             uint32_t *index)
{
    (void)ctx;
    return (uint32_t)dt_rvv07_select(index, x, n, threshold);
}

// Computes whole tiles; neighbours in the index that are rows of one tile share its product.
static void matmul_rows(void *ctx, float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const void *act)
{
    (void)ctx;
    struct view v;
    struct dt_matrix by_rows;
    w = rvv07_in_place(w, &by_rows);
    if (rvv07_listed(out, w, index, 0, count, act) || !view_of(w, &v))
        return;
    size_t row_bytes = rvv07_row_bytes(v.kind, w->cols, v.group);
    float whole[RVV07_TILE];
    for (uint32_t k = 0; k < count;) {
        uint32_t begin = index[k] / RVV07_TILE * RVV07_TILE;
        if (!v.tiles) {
            multiply_rows(whole, &v, w, index[k], 1, act);
            out[k++] = whole[0];
            continue;
        }
        multiply_tile(whole, &v, w, v.tiles + begin * row_bytes, rvv07_tile_rows(w->rows, begin),
                      act);
        for (; k < count && index[k] / RVV07_TILE * RVV07_TILE == begin; k++)
            out[k] = whole[index[k] - begin];
    }
}

// Let x + d be the dequantised column. The bound is |d| plus the rounding of the
// sums, 2^-24 |x + d| for each operation: one conversion, two multiplications and one addition in a
// group; for fp32, a multiplication and an addition in a column. The factor 1.01 covers the
// rounding of the sums of squares here, which are floats within a group.
static float act_error(void *ctx, const void *act, const float *x, const struct dt_matrix *w)
{
    (void)ctx;
    double changed = 0, norm = 0;
    uint32_t step = w->group ? w->group : 1;
    for (uint32_t i = 0, g = 0; i < w->cols; g++) {
        float difference = 0, magnitude = 0;
        const int8_t *q = act;
        float scale =
            w->group ? ((const float *)(const void *)(q + rvv07_quants_bytes(w)))[g] : 1.0f;
        for (uint32_t end = i + step; i < end; i++) {
            float value = w->group ? (float)q[i] * scale : x[i], d = x[i] - value;
            difference += d * d;
            magnitude += value * value;
        }
        changed += (double)difference;
        norm += (double)magnitude;
    }
    return (float)(1.01 * (sqrt(changed) + (w->cols / step + 4) * 0x1p-24 * sqrt(norm)));
}

// The kernels address the parts of register groups, which requires VLEN 128.
static int probe(const struct dt_cpu *cpu)
{
    return (cpu->features & DT_CPU_RVV07) && cpu->vlen == 128 ? 50 : 0;
}

DT_BACKEND_EXPORT(rvv07) = {
    .abi = DT_BACKEND_ABI,
    .size = sizeof(struct dt_backend),
    .name = "rvv07",
    .variant = "",
    .description = "RVV 0.7.1 (T-Head C906): int8, 4-bit and fp32, bit-identical to the reference",
    .layout = RVV07_LAYOUT,
    .row_tile = RVV07_TILE,
    .form_count = 4,
    .forms = {DT_FORM_I8, DT_FORM_Q8_0, DT_FORM_Q4_0, DT_FORM_F32},
    .probe = probe,
    .can_matmul = can_matmul,
    .act_bytes = act_bytes,
    .act_prepare = act_prepare,
    .matmul = matmul,
    .embed = rvv07_embed,
    .pack_bytes = rvv07_pack_bytes,
    .pack = pack,
    .rmsnorm = rmsnorm,
    .rope = rope,
    .attention = rvv07_attention_any,
    .softmax = softmax,
    .silu_mul = silu_mul,
    .add = add,
    .argmax = argmax,
    .select = select_above,
    .matmul_rows = matmul_rows,
    .act_error = act_error,
    .screen = rvv07_screen,
    .row_products = rvv07_row_products,
    .kv_types = 1u << DT_KV_F32 | 1u << DT_KV_F16 | 1u << DT_KV_I8,
};
