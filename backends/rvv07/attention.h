// SPDX-License-Identifier: MIT
#ifndef DT_RVV07_ATTENTION_H
#define DT_RVV07_ATTENTION_H

#include "abi/backend.h"

// dt_backend.attention. Uses vectors for the host's layout of a cache of floats or halves; plain C
// for others.
void rvv07_attention(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                     uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                     float *scores, size_t score_stride);

// The same for every type of cache (attention_i8.c): vectors also for the host's layout in int8.
void rvv07_attention_any(void *ctx, float *out, const float *q, const struct dt_kv *kv,
                         uint32_t heads, uint32_t head_begin, uint32_t head_end, uint32_t entries,
                         float divisor, float *scores, size_t score_stride);

// x = softmax(x) in the reference's order. Nothing if n is 0.
void rvv07_softmax(float *x, uint32_t n);

#endif
