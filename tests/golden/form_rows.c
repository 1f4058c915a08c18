// SPDX-License-Identifier: MIT
// form_rows FORM BLOCKS: reads rows of so many blocks from stdin, writes their floats to stdout. For forms.py.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model.h"

int main(int argc, char **argv)
{
    uint32_t form = DT_FORM_F32;
    while (argc == 3 && form <= DT_FORM_IQ4_NL && strcmp(dt_form_name(form), argv[1]) != 0)
        form++;
    uint32_t blocks = argc == 3 ? (uint32_t)atoi(argv[2]) : 0;
    if (!dt_form_block(form) || !blocks)
        return 2;
    uint32_t cols = blocks * dt_form_block(form);
    size_t row_bytes = (size_t)blocks * dt_form_block_bytes(form);
    unsigned char *row = malloc(row_bytes);
    float *out = malloc(cols * sizeof *out);
    while (fread(row, 1, row_bytes, stdin) == row_bytes) {
        struct dt_matrix w = dt_matrix_blocks(form, 1, cols, row);
        dt_matrix_row(&w, 0, out);
        fwrite(out, sizeof *out, cols, stdout);
    }
    free(row);
    free(out);
    return 0;
}
