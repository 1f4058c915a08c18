// SPDX-License-Identifier: MIT
// int8: I8 (llama2.c version 2) and Q8_0 matrices in place, and those of blocks of 256 (Q4_K, Q5_K,
// Q6_K: super_tile.h); every operator is bit-identical to the reference. Products within a group
// are summed as integers; groups are added in order: value += ((float)sum * weight scale) *
// activation scale. Vector lanes are rows, never the groups of one row. Compiled once for each CPU
// variant.
#include "common/weights.h"

#if defined(__AMX_INT8__)
#include "int8/rows_amx.h"
#elif defined(KIT_AVX512) && defined(__AVX512VNNI__)
#include "int8/rows_vnni.h"
#elif defined(KIT_AVX2)
#include "int8/rows_avx2.h"
#elif defined(KIT_NEON)
#include "int8/rows_neon.h"
#else
#include "int8/rows_plain.h"
#endif

static const int rows16_four = 0; // weights of four bits
#include "common/quantised_entries.h"
#include "int8/super_tile.h"

static int can_matmul(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED)
        return rows16_own(w) || super_own(w);
    if (super_is(w))
        return super_valid(w);
    if (w->form != DT_FORM_I8 && w->form != DT_FORM_Q8_0)
        return 0;
    // within these bounds, the sum of a group and the offsets of rows fit in 32 bits
    return w->group > 0 && w->group <= 32768 && w->cols % w->group == 0 &&
           w->scale_row_stride < 1u << 26 &&
           (w->scale_type == DT_SCALE_F32 || w->scale_type == DT_SCALE_F16);
}

static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED) {
        rows16_embed(out, w->quants, row);
        return;
    }
    if (super_is(w)) {
        super_embed(out, w, row);
        return;
    }
    for (uint32_t g = 0; g < w->cols / w->group; g++, out += w->group) {
        const int8_t *q = weight_quants(w, row, g);
        float scale = weight_scale(w, row, g);
        for (uint32_t i = 0; i < w->group; i++)
            out[i] = (float)q[i] * scale;
    }
}

static void matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns)
{
    if (super_own(w))
        super_packed_range(out + row_begin, out_stride, w, row_begin, row_end, act, columns);
    else if (super_is(w))
        super_times_columns(out, out_stride, w, row_begin, row_end, act, columns);
    else
        quantised_matmul(ctx, out, out_stride, w, row_begin, row_end, act, x_stride, columns);
}

static void matmul_rows(void *ctx, float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const void *act)
{
    if (super_own(w))
        super_packed_rows(out, w, index, count, act);
    else if (super_is(w))
        super_listed_rows(out, w, index, count, act);
    else
        quantised_matmul_rows(ctx, out, w, index, count, act);
}

DT_BACKEND_EXPORT(DT_MODULE_ID) = {
    .name = "int8",
    .description =
        "8-bit matrices (llama2.c version 2, Q8_0), Q4_K, Q5_K and Q6_K, in place or packed, "
        "bit-identical to the reference",
    .form_count = 2,
    .forms = {DT_FORM_I8, DT_FORM_Q8_0},
    .can_matmul = can_matmul,
    .embed = embed,
    .matmul = matmul,
    .matmul_rows = matmul_rows,
    .more_forms = DT_FORM_BIT(DT_FORM_Q4_K) | DT_FORM_BIT(DT_FORM_Q5_K) | DT_FORM_BIT(DT_FORM_Q6_K),
    QUANTISED_ENTRIES OPERATOR_ENTRIES,
};
