// SPDX-License-Identifier: MIT
// A matrix times prepared columns, row by row, in plain C. int8 and int4 include it after their
// plain_row_of, which multiplies one row with one column.
#ifndef DT_BACKENDS_COMMON_COLUMNS_PLAIN_H
#define DT_BACKENDS_COMMON_COLUMNS_PLAIN_H

#include "common/activations.h"

static void rows_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                               uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    for (uint32_t c = 0; c < columns; c++, out += out_stride) {
        struct act_column x = act_column_at(act, &layout, c);
        for (uint32_t r = begin; r < end; r++)
            out[r] = plain_row_of(w, r, &x);
    }
}

static void listed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const struct act_column *x)
{
    for (uint32_t k = 0; k < count; k++)
        out[k] = plain_row_of(w, index[k], x);
}

#endif
