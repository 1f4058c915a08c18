// SPDX-License-Identifier: MIT
// Attention over an int8 KV cache.
#include <string.h>

#include "attention.h"
#include "kernels.h"

static void scores_of(float *scores, const float *q, const struct dt_kv *kv, size_t head,
                      uint32_t entries, float divisor)
{
    const int8_t *keys = (const int8_t *)kv->keys + head * kv->key_head;
    const float *scales = kv->key_scales + head * kv->scale_head;
    if (!kv->slots && kv->key_slot == 1) {
        dt_rvv07_scores_i8(scores, q, keys, kv->key_channel, kv->head_size, entries, scales,
                           divisor);
        return;
    }
    for (uint32_t e = 0; e < entries; e++) {
        size_t slot = kv->slots ? kv->slots[e] : e;
        float score = 0.0f;
        for (uint32_t i = 0; i < kv->head_size; i++)
            score += q[i] * (float)keys[slot * kv->key_slot + i * kv->key_channel];
        scores[e] = score * scales[slot] / divisor;
    }
}

// Computes the channels in parts that fill groups of registers, as in attention.c.
static void mix_parts(float *out, const float *weights, const int8_t *values, size_t stride,
                      uint32_t channels, uint32_t entries)
{
    while (channels > 0) {
        uint32_t part = channels >= 64                  ? 64
                        : channels >= 48                ? 48
                        : channels > 32 && channels % 2 ? 32
                                                        : channels;
        if (part == 48)
            dt_rvv07_mix48_i8(out, weights, values, stride, part, entries);
        else if (part > 32)
            dt_rvv07_mix2_i8(out, weights, values, stride, part / 2, entries);
        else
            dt_rvv07_mix_i8(out, weights, values, stride, part, entries);
        out += part;
        values += part;
        channels -= part;
    }
}

// Changes the weights: each becomes its product with the scale of its value.
static void mix(float *out, float *weights, const struct dt_kv *kv, size_t head, uint32_t entries)
{
    const int8_t *values = (const int8_t *)kv->values + head * kv->value_head;
    const float *scales = kv->value_scales + head * kv->scale_head;
    if (!kv->slots)
        dt_rvv07_multiply(weights, scales, entries);
    for (uint32_t e = 0; kv->slots && e < entries; e++)
        weights[e] *= scales[kv->slots[e]];
    if (!kv->slots && kv->value_channel == 1) {
        mix_parts(out, weights, values, kv->value_slot, kv->head_size, entries);
        return;
    }
    memset(out, 0, kv->head_size * sizeof *out);
    for (uint32_t e = 0; e < entries; e++) {
        size_t slot = kv->slots ? kv->slots[e] : e;
        for (uint32_t i = 0; i < kv->head_size; i++)
            out[i] += weights[e] * (float)values[slot * kv->value_slot + i * kv->value_channel];
    }
}

void rvv07_attention_any(void *ctx, float *out, const float *q, const struct dt_kv *kv,
                         uint32_t heads, uint32_t head_begin, uint32_t head_end, uint32_t entries,
                         float divisor, float *scores, size_t score_stride)
{
    if (kv->type != DT_KV_I8) {
        rvv07_attention(ctx, out, q, kv, heads, head_begin, head_end, entries, divisor, scores,
                        score_stride);
        return;
    }
    uint32_t sharing = heads / kv->heads;
    for (uint32_t h = head_begin; h < head_end; h++, scores += score_stride) {
        size_t first = (size_t)h * kv->head_size;
        scores_of(scores, q + first, kv, h / sharing, entries, divisor);
        rvv07_softmax(scores, entries);
        mix(out + first, scores, kv, h / sharing, entries);
    }
}
