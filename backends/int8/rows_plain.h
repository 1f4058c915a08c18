// SPDX-License-Identifier: MIT
// Rows of an 8-bit matrix times prepared columns, in plain C. The compiler vectorises the sums of a
// group, which are integers, so that their order does not matter.
#ifndef DT_BACKENDS_INT8_ROWS_PLAIN_H
#define DT_BACKENDS_INT8_ROWS_PLAIN_H

#include "common/activations.h"
#include "common/rows16_plain.h"
#include "common/weights.h"

enum { weight_bias = 128 };

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

#include "common/columns_plain.h"

#endif
