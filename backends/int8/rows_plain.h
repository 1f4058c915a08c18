// SPDX-License-Identifier: MIT
// Rows of an 8-bit matrix times prepared columns, in C that compilers vectorise: the integers of a
// group in any order.
#ifndef DT_BACKENDS_INT8_ROWS_PLAIN_H
#define DT_BACKENDS_INT8_ROWS_PLAIN_H

#include "common/act.h"
#include "common/weights.h"

enum { row_tile = 1, weight_bias = 0 };

KIT_INLINE int32_t plain_products(const int8_t *a, const int8_t *b, uint32_t n)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (int16_t)(a[i] * b[i]);
    return sum;
}

KIT_INLINE float plain_row(const struct dt_matrix *w, uint32_t row, const struct act_column *x,
                           uint32_t group)
{
    float value = 0.0f;
    for (uint32_t g = 0; g < w->cols / group; g++) {
        int32_t sum =
            plain_products(weight_quants(w, row, g), x->quants + (size_t)g * group, group);
        value += (float)sum * weight_scale(w, row, g) * x->scales[g];
    }
    return value;
}

KIT_INLINE float plain_row_of(const struct dt_matrix *w, uint32_t row, const struct act_column *x)
{
    return w->group == 32   ? plain_row(w, row, x, 32)
           : w->group == 64 ? plain_row(w, row, x, 64)
                            : plain_row(w, row, x, w->group);
}

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
