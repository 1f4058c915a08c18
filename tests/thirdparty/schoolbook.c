// SPDX-License-Identifier: MIT
// A complete backend built out of tree: fp32 matrix products by the schoolbook method.
//
//     cc -std=c11 -O2 -ffp-contract=off -shared -fPIC $(pkg-config --cflags duotale)
//         -o duotale-backend-schoolbook.so schoolbook.c
//     DUOTALE_MODULES=$PWD duotale run -b schoolbook
//
// For each entry that is NULL, the host uses the backend below in the stack: here the compiled-in
// reference.
#include <duotale/backend.h>
#include <stddef.h>
#include <string.h>

static int probe(const struct dt_cpu *cpu)
{
    (void)cpu;
    return 1; // runs everywhere; every other backend has a higher score
}

static void matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns)
{
    (void)ctx;
    const float *x = act; // floats, as act_prepare is NULL
    for (uint32_t r = row_begin; r < row_end; r++) {
        const unsigned char *row = (const unsigned char *)w->quants + r * w->row_stride;
        for (uint32_t c = 0; c < columns; c++) {
            float sum = 0, weight;
            for (uint32_t i = 0; i < w->cols; i++) {
                memcpy(&weight, row + i * sizeof weight, sizeof weight);
                sum += weight * x[c * x_stride + i];
            }
            out[c * out_stride + r] = sum;
        }
    }
}

static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    memcpy(out, (const unsigned char *)w->quants + row * w->row_stride, w->cols * sizeof *out);
}

DT_BACKEND_EXPORT(schoolbook) = {
    .abi = DT_BACKEND_ABI,
    .size = sizeof(struct dt_backend),
    .name = "schoolbook",
    .variant = "",
    .description = "fp32 by the schoolbook method: an example of a backend built out of tree",
    .row_tile = 1,
    .form_count = 1,
    .forms = {DT_FORM_F32},
    .probe = probe,
    .matmul = matmul,
    .embed = embed,
};
