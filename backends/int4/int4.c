// SPDX-License-Identifier: MIT
// int4: Q4_0 matrices in place with 8-bit activations in groups of 32, bit-identical to the
// reference. Products within a block are summed as integers (a weight is half a byte, minus 8);
// blocks are added in order, as in int8. Compiled once for each CPU variant.
#include "common/weights.h"

#if defined(__AMX_INT8__)
#include "int4/blocks_amx.h"
#elif defined(KIT_AVX512) && defined(__AVX512VNNI__)
#include "int4/blocks_vnni.h"
#elif defined(KIT_AVX2)
#include "int4/blocks_avx2.h"
#elif defined(KIT_NEON)
#include "int4/blocks_neon.h"
#else
#include "int4/blocks_plain.h"
#endif

static const int rows16_four = 1; // weights of four bits
#include "common/quantised_entries.h"

static int can_matmul(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED)
        return rows16_own(w) != NULL;
    return w->form == DT_FORM_Q4_0 && w->group == 32 && w->cols % 32 == 0 &&
           w->scale_type == DT_SCALE_F16 && w->scale_row_stride < 1u << 26;
}

static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED) {
        rows16_embed(out, w->quants, row);
        return;
    }
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
    .name = "int4",
    .description =
        "4-bit matrices (Q4_0), in place or packed, 8-bit activations, bit-identical to the "
        "reference",
    .form_count = 1,
    .forms = {DT_FORM_Q4_0},
    .can_matmul = can_matmul,
    .embed = embed,
    .matmul = quantised_matmul,
    .matmul_rows = quantised_matmul_rows,
    QUANTISED_ENTRIES OPERATOR_ENTRIES,
};
