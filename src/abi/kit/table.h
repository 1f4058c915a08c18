// SPDX-License-Identifier: MIT
// Operators of the kit as entries of a struct dt_backend, bit-identical to the reference:
//     .rmsnorm = kit_op_rmsnorm, .rope = kit_op_rope, .attention = kit_op_attention, ...
// Functions are static; each source that includes this header gets its own.
#ifndef DT_ABI_KIT_TABLE_H
#define DT_ABI_KIT_TABLE_H

#include "attention.h"
#include "ops.h"

// The KV caches that kit_op_attention and kit_op_attention_capped read, for kv_types.
#define KIT_KV_TYPES (1u << DT_KV_F32 | 1u << DT_KV_F16 | 1u << DT_KV_I8)

#define KIT_ENTRY static __attribute__((unused))

KIT_ENTRY void kit_op_rmsnorm(void *ctx, float *out, size_t out_stride, const float *x,
                              size_t x_stride, const float *weight, uint32_t n, uint32_t columns,
                              float epsilon)
{
    (void)ctx;
    kit_rmsnorm(out, out_stride, x, x_stride, weight, n, columns, epsilon);
}

KIT_ENTRY void kit_op_rope(void *ctx, float *x, uint32_t heads, uint32_t head_size,
                           uint32_t rotated, const float *cosine, const float *sine, uint32_t style)
{
    (void)ctx;
    kit_rope(x, heads, head_size, rotated, cosine, sine, style);
}

// Capped or not, so that this large function is compiled once.
KIT_ONCE void kit_op_attention_any(float *out, const float *q, const struct dt_kv *kv,
                                   uint32_t heads, uint32_t head_begin, uint32_t head_end,
                                   uint32_t entries, float divisor, float cap, float *scores,
                                   size_t score_stride)
{
    kit_attention_capped(out, q, kv, heads, head_begin, head_end, entries, divisor, cap, scores,
                         score_stride, kit_expf);
}

KIT_ENTRY void kit_op_attention(void *ctx, float *out, const float *q, const struct dt_kv *kv,
                                uint32_t heads, uint32_t head_begin, uint32_t head_end,
                                uint32_t entries, float divisor, float *scores, size_t score_stride)
{
    (void)ctx;
    kit_op_attention_any(out, q, kv, heads, head_begin, head_end, entries, divisor, 0.0f, scores,
                         score_stride);
}

KIT_ENTRY void kit_op_softmax(void *ctx, float *x, uint32_t n)
{
    (void)ctx;
    kit_softmax(x, n, kit_expf);
}

KIT_ENTRY void kit_op_silu_mul(void *ctx, float *gate, const float *up, uint32_t n)
{
    (void)ctx;
    kit_silu_mul(gate, up, n, kit_expf);
}

KIT_ENTRY void kit_op_layernorm(void *ctx, float *out, size_t out_stride, const float *x,
                                size_t x_stride, const float *weight, const float *bias, uint32_t n,
                                uint32_t columns, float epsilon)
{
    (void)ctx;
    kit_layernorm(out, out_stride, x, x_stride, weight, bias, n, columns, epsilon);
}

KIT_ENTRY void kit_op_gelu(void *ctx, float *x, uint32_t n)
{
    (void)ctx;
    kit_gelu_mul(x, NULL, n, kit_expf);
}

KIT_ENTRY void kit_op_gelu_mul(void *ctx, float *gate, const float *up, uint32_t n)
{
    (void)ctx;
    kit_gelu_mul(gate, up, n, kit_expf);
}

KIT_ENTRY void kit_op_softcap(void *ctx, float *x, uint32_t n, float cap)
{
    (void)ctx;
    kit_softcap(x, n, cap, kit_expf);
}

KIT_ENTRY void kit_op_attention_capped(void *ctx, float *out, const float *q,
                                       const struct dt_kv *kv, uint32_t heads, uint32_t head_begin,
                                       uint32_t head_end, uint32_t entries, float divisor,
                                       float cap, float *scores, size_t score_stride)
{
    (void)ctx;
    kit_op_attention_any(out, q, kv, heads, head_begin, head_end, entries, divisor, cap, scores,
                         score_stride);
}

KIT_ENTRY void kit_op_add(void *ctx, float *x, const float *y, uint32_t n)
{
    (void)ctx;
    kit_add(x, y, n);
}

KIT_ENTRY uint32_t kit_op_argmax(void *ctx, const float *x, uint32_t n)
{
    (void)ctx;
    return kit_argmax(x, n);
}

KIT_ENTRY uint32_t kit_op_select(void *ctx, const float *x, uint32_t n, float threshold,
                                 uint32_t *index)
{
    (void)ctx;
    return kit_select_above(x, n, threshold, index);
}

KIT_ENTRY uint32_t kit_op_screen(void *ctx, const uint32_t *bounds, uint32_t n, float along,
                                 float across, float threshold, float scale, uint32_t *index,
                                 double *rest)
{
    (void)ctx;
    return kit_screen(bounds, n, along, across, threshold, scale, index, rest);
}

#endif
