// SPDX-License-Identifier: MIT
// int4: Q4_0 matrices in place with 8-bit activations by groups of 32, bit-identical to the reference. A block's products are
// integers (value: half a byte, minus 8); blocks are added in their order, as in int8. Built once a CPU variant.
#include "abi/backend.h"
#include "abi/kit/table.h"
#include "int8/act.h"
#include "int8/weights.h"
#include "probe.h"

#if defined(KIT_AVX512) && defined(__AVX512VNNI__)
#include "int4/blocks_vnni.h"
#elif defined(KIT_AVX2)
#include "int4/blocks_avx2.h"
#elif defined(KIT_NEON)
#include "int4/blocks_neon.h"
#else
#include "int4/blocks_plain.h"
#endif

static int can_matmul(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    return w->form == DT_FORM_Q4_0 && w->group == 32 && w->cols % 32 == 0 && w->scale_type == DT_SCALE_F16 &&
           w->scale_row_stride < 1u << 26;
}

static size_t act_bytes(void *ctx, const struct dt_matrix *w, uint32_t columns)
{
    (void)ctx;
    return act_layout_of(w).column * columns;
}

static void act_prepare(void *ctx, void *act, const float *x, size_t x_stride, uint32_t columns,
                        const struct dt_matrix *w)
{
    (void)ctx;
    act_prepare_columns(act, x, x_stride, columns, w, weight_bias);
}

static void matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w, uint32_t row_begin,
                   uint32_t row_end, const void *act, size_t x_stride, uint32_t columns)
{
    (void)ctx;
    (void)x_stride;
    rows_times_columns(out, out_stride, w, row_begin, row_end, act, columns);
}

static void matmul_rows(void *ctx, float *out, const struct dt_matrix *w, const uint32_t *index, uint32_t count,
                        const void *act)
{
    (void)ctx;
    struct act_layout layout = act_layout_of(w);
    struct act_column x = act_column_at(act, &layout, 0);
    listed_rows(out, w, index, count, &x);
}

static float act_error(void *ctx, const void *act, const float *x, const struct dt_matrix *w)
{
    (void)ctx;
    struct act_layout layout = act_layout_of(w);
    struct act_column column = act_column_at(act, &layout, 0);
    return act_error_of(&column, x, w);
}

static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    for (uint32_t g = 0; g < w->cols / 32; g++, out += 32) {
        const unsigned char *q = weight_quants(w, row, g);
        float scale = weight_scale(w, row, g);
        for (uint32_t i = 0; i < 16; i++) {
            out[i] = (float)((q[i] & 15) - 8) * scale;
            out[i + 16] = (float)((q[i] >> 4) - 8) * scale;
        }
    }
}

DT_BACKEND_EXPORT(DT_MODULE_ID) = {
    .abi = DT_BACKEND_ABI,
    .size = sizeof(struct dt_backend),
    .name = "int4",
    .variant = DT_MODULE_VARIANT,
    .description = "4-bit matrices in place (Q4_0), 8-bit activations, bit-identical to the reference",
    .row_tile = row_tile,
    .form_count = 1,
    .forms = {DT_FORM_Q4_0},
    .probe = DT_MODULE_PROBE,
    .can_matmul = can_matmul,
    .act_bytes = act_bytes,
    .act_prepare = act_prepare,
    .matmul = matmul,
    .embed = embed,
    .rmsnorm = kit_op_rmsnorm,
    .rope = kit_op_rope,
    .attention = kit_op_attention,
    .softmax = kit_op_softmax,
    .silu_mul = kit_op_silu_mul,
    .add = kit_op_add,
    .argmax = kit_op_argmax,
    .select = kit_op_select,
    .matmul_rows = matmul_rows,
    .act_error = act_error,
    .screen = kit_op_screen,
};
