// SPDX-License-Identifier: MIT
#ifndef DT_RVV07_ATTENTION_H
#define DT_RVV07_ATTENTION_H

#include "abi/backend.h"

// As in struct dt_backend: the host's layout of an f32 cache in vectors, any other one value by
// value.
void rvv07_attention(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                     uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                     float *scores, size_t score_stride);

// x = softmax(x), n >= 1, in the reference's order.
void rvv07_softmax(float *x, uint32_t n);

#endif
