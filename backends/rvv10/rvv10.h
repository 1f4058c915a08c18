// SPDX-License-Identifier: MIT
#ifndef DT_RVV10_H
#define DT_RVV10_H

#include "abi/backend.h"

int rvv10_probe(const struct dt_cpu *cpu);

// Entries of struct dt_backend, bit-identical to the reference: ops.c
void rvv10_rmsnorm(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                   const float *weight, uint32_t n, uint32_t columns, float epsilon);
void rvv10_softmax(void *ctx, float *x, uint32_t n);
void rvv10_silu_mul(void *ctx, float *gate, const float *up, uint32_t n);
void rvv10_add(void *ctx, float *x, const float *y, uint32_t n);
uint32_t rvv10_argmax(void *ctx, const float *x, uint32_t n);
uint32_t rvv10_select(void *ctx, const float *x, uint32_t n, float threshold, uint32_t *index);
void rvv10_rope(void *ctx, float *x, uint32_t heads, uint32_t head_size, uint32_t rotated,
                const float *cosine, const float *sine, uint32_t style);

// attention.c
void rvv10_attention(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                     uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                     float *scores, size_t score_stride);
// attention_i8.c: for every type of cache.
void rvv10_attention_any(void *ctx, float *out, const float *q, const struct dt_kv *kv,
                         uint32_t heads, uint32_t head_begin, uint32_t head_end, uint32_t entries,
                         float divisor, float *scores, size_t score_stride);

#endif
