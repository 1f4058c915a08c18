// SPDX-License-Identifier: MIT
// form_rows FORM BLOCKS [write|fit]: reads rows of BLOCKS blocks from stdin and writes their floats
// to stdout; with "write", reads floats and writes blocks; "fit": blocks that are fitted with equal
// weights. forms.py runs it.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/quant/fit.h"
#include "core/quant/quantise.h"

// Equal weights; false without memory.
static bool prepare(struct dt_fit *fit, uint32_t form, uint32_t cols)
{
    double *h = calloc((size_t)cols * cols * 2, sizeof *h);
    if (!h)
        return false;
    for (uint32_t i = 0; i < cols; i++)
        h[(size_t)i * cols + i] = 1;
    *fit = (struct dt_fit){.form = form, .cols = cols, .h = h, .factor = h + (size_t)cols * cols};
    return dt_fit_prepare(fit) == DT_FIT_OK;
}

int main(int argc, char **argv)
{
    uint32_t form = DT_FORM_F32;
    while (argc >= 3 && form <= DT_FORM_IQ4_NL && strcmp(dt_form_name(form), argv[1]) != 0)
        form++;
    uint32_t blocks = argc >= 3 ? (uint32_t)atoi(argv[2]) : 0;
    bool fitted = argc == 4 && strcmp(argv[3], "fit") == 0;
    bool write = fitted || (argc == 4 && strcmp(argv[3], "write") == 0);
    if (!dt_form_block(form) || !blocks || argc > 4 || (argc == 4 && !write))
        return 2;
    uint32_t cols = blocks * dt_form_block(form);
    if (write && !dt_quantise_bytes(form, 1, cols, 0))
        return 2;
    size_t row_bytes = (size_t)blocks * dt_form_block_bytes(form);
    unsigned char *row = malloc(row_bytes);
    float *floats = malloc(cols * sizeof *floats);
    struct dt_matrix w = dt_matrix_blocks(form, 1, cols, row);
    struct dt_fit fit = {0};
    double *work = fitted ? malloc((cols + dt_fit_work(cols)) * sizeof *work) : NULL;
    if (fitted && (!work || !prepare(&fit, form, cols)))
        return 2;
    while (write ? fread(floats, sizeof *floats, cols, stdin) == cols
                 : fread(row, 1, row_bytes, stdin) == row_bytes) {
        if (fitted) {
            dt_fit_target(&fit, floats, work);
            dt_fit_row(&fit, floats, work, row, work + cols);
            fwrite(row, 1, row_bytes, stdout);
        } else if (write) {
            dt_quantise_row(&w, 0, floats);
            fwrite(row, 1, row_bytes, stdout);
        } else {
            dt_matrix_row(&w, 0, floats);
            fwrite(floats, sizeof *floats, cols, stdout);
        }
    }
    free(fit.h);
    free(work);
    free(row);
    free(floats);
    return 0;
}
