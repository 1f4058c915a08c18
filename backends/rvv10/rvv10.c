// SPDX-License-Identifier: MIT
// int8 for RVV 1.0 with vectors of 128 bits or more: the matrices and the table. A vector lane is a
// row, so that integer sums need no reduction and float sums have the reference's order. Reads
// rvv07's packed layout, or unpacked rows with strided loads.
#include "rvv10.h"

#include <riscv_vector.h>
#include <string.h>

#include "../rvv07/layout.h"

// Rows at a time: with VLEN 128, int32 sums of 32 rows fill the eight registers of a group.
#define LANES 32u

static int can_matmul(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED) {
        const struct rvv07_header *h = rvv07_header_of(w);
        return h && (h->kind == RVV07_I8 || h->kind == RVV07_I8_ROWS);
    }
    return rvv07_kind_of(w) == RVV07_I8;
}

static size_t pack_bytes(void *ctx, const struct dt_matrix *w)
{
    return rvv07_kind_of(w) == RVV07_I8 ? rvv07_pack_bytes(ctx, w) : 0;
}

static size_t column_bytes(const struct dt_matrix *w)
{
    return rvv07_quants_bytes(w) + ((size_t)(w->cols / w->group) * sizeof(float) + 63) / 64 * 64;
}

static size_t act_bytes(void *ctx, const struct dt_matrix *w, uint32_t columns)
{
    (void)ctx;
    return column_bytes(w) * columns;
}

// Quantises one group; returns its scale.
static float quantise(int8_t *q, const float *x, size_t n)
{
    float largest = 0.0f;
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        vfloat32m4_t v = __riscv_vfabs_v_f32m4(__riscv_vle32_v_f32m4(x + i, vl), vl);
        vfloat32m1_t m = __riscv_vfredmax_vs_f32m4_f32m1(v, __riscv_vfmv_s_f_f32m1(largest, 1), vl);
        largest = __riscv_vfmv_f_s_f32m1_f32(m);
    }
    float scale = largest / 127.0f;
    if (scale == 0.0f) {
        memset(q, 0, n);
        return scale;
    }
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        vfloat32m4_t v = __riscv_vfdiv_vf_f32m4(__riscv_vle32_v_f32m4(x + i, vl), scale, vl);
        vint32m4_t r =
            __riscv_vfcvt_x_f_v_i32m4_rm(v, __RISCV_FRM_RMM, vl); // halves away from zero
        // 0 for NaN and for values outside -127 to 127
        vbool8_t in = __riscv_vmand_mm_b8(__riscv_vmsle_vx_i32m4_b8(r, 127, vl),
                                          __riscv_vmsge_vx_i32m4_b8(r, -127, vl), vl);
        r = __riscv_vmerge_vvm_i32m4(__riscv_vmv_v_x_i32m4(0, vl), r, in, vl);
        __riscv_vse8_v_i8m1(q + i, __riscv_vncvt_x_x_w_i8m1(__riscv_vncvt_x_x_w_i16m2(r, vl), vl),
                            vl);
    }
    return scale;
}

static void act_prepare(void *ctx, void *act, const float *x, size_t x_stride, uint32_t columns,
                        const struct dt_matrix *w)
{
    (void)ctx;
    for (uint32_t c = 0; c < columns; c++, x += x_stride) {
        int8_t *q = (int8_t *)act + c * column_bytes(w);
        float *scales = (float *)(void *)(q + rvv07_quants_bytes(w));
        for (uint32_t g = 0; g < w->cols / w->group; g++)
            scales[g] = quantise(q + (size_t)g * w->group, x + (size_t)g * w->group, w->group);
    }
}

// The sums of n columns for vl rows of a tile: the weights of a column are contiguous, columns are
// `step` bytes apart.
static inline vint32m8_t sums_packed(const int8_t *w, size_t step, const int8_t *x, size_t n,
                                     size_t vl)
{
    vint32m8_t sum = __riscv_vmv_v_x_i32m8(0, vl);
    size_t k = 0;
    for (; k + 2 <= n; k += 2, w += 2 * step) {
        // two products of |w| <= 128 and |x| <= 127 fit in 16 bits
        vint16m4_t pair = __riscv_vwmul_vx_i16m4(__riscv_vle8_v_i8m2(w, vl), x[k], vl);
        pair = __riscv_vwmacc_vx_i16m4(pair, x[k + 1], __riscv_vle8_v_i8m2(w + step, vl), vl);
        sum = __riscv_vwadd_wv_i32m8(sum, pair, vl);
    }
    if (k < n)
        sum = __riscv_vwadd_wv_i32m8(
            sum, __riscv_vwmul_vx_i16m4(__riscv_vle8_v_i8m2(w, vl), x[k], vl), vl);
    return sum;
}

// The same for unpacked rows, row_stride bytes apart.
static inline vint32m8_t sums_strided(const int8_t *w, size_t row_stride, const int8_t *x, size_t n,
                                      size_t vl)
{
    vint32m8_t sum = __riscv_vmv_v_x_i32m8(0, vl);
    ptrdiff_t stride = (ptrdiff_t)row_stride;
    size_t k = 0;
    for (; k + 2 <= n; k += 2, w += 2) {
        vint16m4_t pair = __riscv_vwmul_vx_i16m4(__riscv_vlse8_v_i8m2(w, stride, vl), x[k], vl);
        pair = __riscv_vwmacc_vx_i16m4(pair, x[k + 1], __riscv_vlse8_v_i8m2(w + 1, stride, vl), vl);
        sum = __riscv_vwadd_wv_i32m8(sum, pair, vl);
    }
    if (k < n)
        sum = __riscv_vwadd_wv_i32m8(
            sum, __riscv_vwmul_vx_i16m4(__riscv_vlse8_v_i8m2(w, stride, vl), x[k], vl), vl);
    return sum;
}

// y + ((float)sum * scale) * xs, in the reference's order.
static inline vfloat32m8_t add_group(vfloat32m8_t y, vint32m8_t sum, vfloat32m8_t scale, float xs,
                                     size_t vl)
{
    vfloat32m8_t v = __riscv_vfcvt_f_x_v_f32m8(sum, vl);
    v = __riscv_vfmul_vv_f32m8(v, scale, vl);
    v = __riscv_vfmul_vf_f32m8(v, xs, vl);
    return __riscv_vfadd_vv_f32m8(y, v, vl);
}

// Rows [row, row + vl) times one column.
static void multiply(float *y, const struct dt_matrix *w, uint32_t row, size_t vl, const int8_t *x,
                     const float *xs)
{
    size_t groups = w->cols / w->group;
    vfloat32m8_t sum = __riscv_vfmv_v_f_f32m8(0.0f, vl);
    if (w->form == DT_FORM_PACKED) {
        const struct rvv07_header *h = w->quants;
        uint32_t begin = row / RVV07_TILE * RVV07_TILE, tile = rvv07_tile_rows(h->rows, begin);
        const int8_t *at = (const int8_t *)(h + 1) +
                           begin * rvv07_row_bytes(h->kind, h->cols, h->group) + (row - begin);
        for (size_t g = 0; g < groups; g++, x += h->group) {
            vint32m8_t products = sums_packed(at, tile, x, h->group, vl);
            at += (size_t)h->group * tile;
            const float *scales = (const float *)(const void *)(at - (row - begin)) + (row - begin);
            sum = add_group(sum, products, __riscv_vle32_v_f32m8(scales, vl), xs[g], vl);
            at += (size_t)tile * 4;
        }
    } else {
        const int8_t *at = (const int8_t *)w->quants + row * w->row_stride;
        float scales[LANES];
        for (size_t g = 0; g < groups; g++, x += w->group, at += w->group_stride) {
            for (size_t r = 0; r < vl; r++)
                scales[r] = rvv07_scale(w, row + (uint32_t)r, (uint32_t)g);
            vint32m8_t products = sums_strided(at, w->row_stride, x, w->group, vl);
            sum = add_group(sum, products, __riscv_vle32_v_f32m8(scales, vl), xs[g], vl);
        }
    }
    __riscv_vse32_v_f32m8(y, sum, vl);
}

static void matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns)
{
    (void)ctx, (void)x_stride;
    struct dt_matrix by_rows;
    w = rvv07_in_place(w, &by_rows);
    for (uint32_t r = row_begin, vl; r < row_end; r += vl) {
        vl = LANES - r % LANES; // within a half of a tile, as the last tile may be a half
        if (vl > row_end - r)
            vl = row_end - r;
        for (uint32_t c = 0; c < columns; c++) {
            const int8_t *x = (const int8_t *)act + c * column_bytes(w);
            multiply(out + c * out_stride + r, w, r, vl, x,
                     (const float *)(const void *)(x + rvv07_quants_bytes(w)));
        }
    }
}

DT_BACKEND_EXPORT(int8_rvv10) = {
    .abi = DT_BACKEND_ABI,
    .size = sizeof(struct dt_backend),
    .name = "int8",
    .variant = "rvv10",
    .description = "8-bit weights for RVV 1.0, bit-identical to the reference",
    .layout = RVV07_LAYOUT,
    .row_tile = RVV07_TILE,
    .form_count = 2,
    .forms = {DT_FORM_I8, DT_FORM_Q8_0},
    .probe = rvv10_probe,
    .can_matmul = can_matmul,
    .act_bytes = act_bytes,
    .act_prepare = act_prepare,
    .matmul = matmul,
    .embed = rvv07_embed,
    .pack_bytes = pack_bytes,
    .pack = rvv07_pack,
    .rmsnorm = rvv10_rmsnorm,
    .rope = rvv10_rope,
    .attention = rvv10_attention_any,
    .softmax = rvv10_softmax,
    .silu_mul = rvv10_silu_mul,
    .add = rvv10_add,
    .argmax = rvv10_argmax,
    .select = rvv10_select,
    .kv_types = 1u << DT_KV_F32 | 1u << DT_KV_F16 | 1u << DT_KV_I8,
};
