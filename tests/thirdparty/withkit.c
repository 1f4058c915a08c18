// SPDX-License-Identifier: MIT
// A backend built out of tree that takes its operators from the installed kit and multiplies fp32
// matrices with the kit's vectors.
//
//     cc -std=c11 -O2 -ffp-contract=off -shared -fPIC $(pkg-config --cflags duotale)
//         -o duotale-backend-withkit.so withkit.c
//
// Lanes of a vector are columns here, so that each sum runs along a row in the reference's order.
#include <duotale/backend.h>
#include <duotale/kit/table.h>

static int probe(const struct dt_cpu *cpu)
{
    (void)cpu;
    return 1;
}

static void matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns)
{
    (void)ctx;
    const float *x = act;
    for (uint32_t r = row_begin; r < row_end; r++) {
        const unsigned char *row = (const unsigned char *)w->quants + r * w->row_stride;
        for (uint32_t c = 0; c < columns; c += KIT_W) {
            uint32_t n = columns - c < KIT_W ? columns - c : KIT_W;
            kit_f sum = kit_set(0.0f);
            float lanes[KIT_W] = {0};
            for (uint32_t i = 0; i < w->cols; i++) {
                for (uint32_t k = 0; k < n; k++)
                    lanes[k] = x[(c + k) * x_stride + i];
                sum += kit_set(kit_load_float(row + i * sizeof(float))) * kit_load(lanes);
            }
            kit_store(lanes, sum);
            for (uint32_t k = 0; k < n; k++)
                out[(c + k) * out_stride + r] = lanes[k];
        }
    }
}

static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    memcpy(out, (const unsigned char *)w->quants + row * w->row_stride, w->cols * sizeof *out);
}

DT_BACKEND_EXPORT(withkit) = {
    .abi = DT_BACKEND_ABI,
    .size = sizeof(struct dt_backend),
    .name = "withkit",
    .variant = "",
    .description = "fp32 with the operators of the kit: an example of a backend built out of tree",
    .row_tile = 1,
    .form_count = 1,
    .forms = {DT_FORM_F32},
    .probe = probe,
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
    .kv_types = KIT_KV_TYPES,
};
