// SPDX-License-Identifier: MIT
// int8: I8 (llama2.c version 2) and Q8_0 matrices in place, bit-identical to the reference in every operator. Within a
// group the products are integers; groups are added in their order: value += ((float)sum * weight scale) * activation scale.
// Rows go side by side, never the groups of one row. Built once a CPU variant.
#include "abi/backend.h"
#include "abi/kit/table.h"
#include "int8/act.h"
#include "int8/weights.h"
#include "probe.h"

#if defined(KIT_AVX512) && defined(__AVX512VNNI__)
#include "int8/rows_vnni.h"
#elif defined(KIT_AVX2)
#include "int8/rows_avx2.h"
#elif defined(KIT_NEON)
#include "int8/rows_neon.h"
#else
#include "int8/rows_plain.h"
#endif

static int can_matmul(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    if (w->form != DT_FORM_I8 && w->form != DT_FORM_Q8_0)
        return 0;
    // the bounds keep a group's sum and the rows' offsets in 32 bits
    return w->group > 0 && w->group <= 32768 && w->cols % w->group == 0 && w->scale_row_stride < 1u << 26 &&
           (w->scale_type == DT_SCALE_F32 || w->scale_type == DT_SCALE_F16);
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
    for (uint32_t g = 0; g < w->cols / w->group; g++, out += w->group) {
        const int8_t *q = weight_quants(w, row, g);
        float scale = weight_scale(w, row, g);
        for (uint32_t i = 0; i < w->group; i++)
            out[i] = (float)q[i] * scale;
    }
}

DT_BACKEND_EXPORT(DT_MODULE_ID) = {
    .abi = DT_BACKEND_ABI,
    .size = sizeof(struct dt_backend),
    .name = "int8",
    .variant = DT_MODULE_VARIANT,
    .description = "8-bit matrices in place (llama2.c version 2, Q8_0), bit-identical to the reference",
    .row_tile = row_tile,
    .form_count = 2,
    .forms = {DT_FORM_I8, DT_FORM_Q8_0},
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
