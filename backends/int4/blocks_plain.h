// SPDX-License-Identifier: MIT
// Rows of Q4_0 blocks times prepared columns, in C that compilers vectorise.
#ifndef DT_BACKENDS_INT4_BLOCKS_PLAIN_H
#define DT_BACKENDS_INT4_BLOCKS_PLAIN_H

#include "common/act.h"
#include "common/weights.h"

enum { row_tile = 1, weight_bias = 0 };

KIT_INLINE int32_t plain_block(const unsigned char *q, const int8_t *x)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < 16; i++)
        sum += (int16_t)(((q[i] & 15) - 8) * x[i]) + (int16_t)(((q[i] >> 4) - 8) * x[i + 16]);
    return sum;
}

KIT_INLINE float plain_row(const struct dt_matrix *w, uint32_t row, const struct act_column *x)
{
    float value = 0.0f;
    for (uint32_t g = 0; g < w->cols / 32; g++) {
        int32_t sum = plain_block(weight_quants(w, row, g), x->quants + (size_t)g * 32);
        value += (float)sum * weight_scale(w, row, g) * x->scales[g];
    }
    return value;
}

static void rows_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                               uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    for (uint32_t c = 0; c < columns; c++, out += out_stride) {
        struct act_column x = act_column_at(act, &layout, c);
        for (uint32_t r = begin; r < end; r++)
            out[r] = plain_row(w, r, &x);
    }
}

static void listed_rows(float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const struct act_column *x)
{
    for (uint32_t k = 0; k < count; k++)
        out[k] = plain_row(w, index[k], x);
}

#endif
