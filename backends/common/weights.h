// SPDX-License-Identifier: MIT
// The addresses of the quants and the values of the scales of a quantised matrix.
#ifndef DT_BACKENDS_COMMON_WEIGHTS_H
#define DT_BACKENDS_COMMON_WEIGHTS_H

#include "abi/backend.h"
#include "abi/kit/vector.h"

KIT_INLINE const void *weight_quants(const struct dt_matrix *w, uint32_t row, uint32_t group)
{
    return (const unsigned char *)w->quants + row * w->row_stride + group * w->group_stride;
}

KIT_INLINE float weight_scale(const struct dt_matrix *w, uint32_t row, uint32_t group)
{
    const unsigned char *at = (const unsigned char *)w->scales + row * w->scale_row_stride +
                              group * w->scale_group_stride;
    return w->scale_type == DT_SCALE_F32 ? kit_load_float(at) : kit_load_half(at);
}

#endif
