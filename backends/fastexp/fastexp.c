// SPDX-License-Identifier: MIT
// fastexp: softmax (alone and in attention) and SiLU with a fast exponential. It has no matrices
// and is stacked on fp32, int8 or int4. The relative error of the exponential is at most 1e-3 on
// [-87, 88] (a test checks every float), and exp(0) is 1. The argument is clamped to that range, so
// that the result is finite and positive for every finite x.
#include "abi/backend.h"
#include "abi/kit/table.h"
#include "fastexp/fast.h"
#include "probe.h"

static void attention(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                      uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                      float *scores, size_t score_stride)
{
    (void)ctx;
    kit_attention(out, q, kv, heads, head_begin, head_end, entries, divisor, scores, score_stride,
                  fast_exp);
}

static void softmax(void *ctx, float *x, uint32_t n)
{
    (void)ctx;
    kit_softmax(x, n, fast_exp);
}

static void silu_mul(void *ctx, float *gate, const float *up, uint32_t n)
{
    (void)ctx;
    kit_silu_mul(gate, up, n, fast_exp);
}

DT_BACKEND_EXPORT(DT_MODULE_ID) = {
    .abi = DT_BACKEND_ABI,
    .size = sizeof(struct dt_backend),
    .name = "fastexp",
    .variant = DT_MODULE_VARIANT,
    .description = "softmax and SiLU with a fast exponential, relative error at most 1e-3; stacks "
                   "on the others",
    .row_tile = 1,
    .probe = DT_MODULE_PROBE,
    .attention = attention,
    .softmax = softmax,
    .silu_mul = silu_mul,
    .kv_types = KIT_KV_TYPES,
};
