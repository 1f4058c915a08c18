// SPDX-License-Identifier: MIT
// Rows of Q4_0 blocks times prepared columns, in plain C that compilers vectorise.
#ifndef DT_BACKENDS_INT4_BLOCKS_PLAIN_H
#define DT_BACKENDS_INT4_BLOCKS_PLAIN_H

#include "common/activations.h"
#include "common/rows16_plain.h"
#include "common/weights.h"

enum { weight_bias = 8 };

KIT_INLINE int32_t plain_block(const unsigned char *q, const int8_t *x)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < 16; i++)
        sum += (int16_t)(((q[i] & 15) - 8) * x[i]) + (int16_t)(((q[i] >> 4) - 8) * x[i + 16]);
    return sum;
}

KIT_INLINE float plain_row_of(const struct dt_matrix *w, uint32_t row, const struct act_column *x)
{
    float value = 0.0f;
    for (uint32_t g = 0; g < w->cols / 32; g++) {
        int32_t sum = plain_block(weight_quants(w, row, g), x->quants + (size_t)g * 32);
        value += (float)sum * weight_scale(w, row, g) * x->scales[g];
    }
    return value;
}

#include "common/columns_plain.h"

#endif
