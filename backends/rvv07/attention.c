// SPDX-License-Identifier: MIT
#include "attention.h"

#include <stdbool.h>
#include <string.h>

#include "kernels.h"
#include "layout.h"

void rvv07_softmax(float *x, uint32_t n)
{
    if (n == 0)
        return;
    // in the reference, a NaN at index 0 stays the maximum
    float largest = x[0] != x[0] ? x[0] : dt_rvv07_max(x, n);
    dt_rvv07_exp_sub(x, x, n, largest);
    dt_rvv07_divide(x, n, dt_rvv07_sum(x, n));
}

static float kv_value(const struct dt_kv *kv, const void *base, size_t at)
{
    return kv->type == DT_KV_F32 ? ((const float *)base)[at]
                                 : rvv07_half_to_float(((const uint16_t *)base)[at]);
}

static void scores_plain(float *scores, const float *q, const struct dt_kv *kv, size_t base,
                         uint32_t entries, float divisor)
{
    for (uint32_t e = 0; e < entries; e++) {
        size_t at = base + (kv->slots ? kv->slots[e] : e) * kv->key_slot;
        float score = 0.0f;
        for (uint32_t i = 0; i < kv->head_size; i++)
            score += q[i] * kv_value(kv, kv->keys, at + i * kv->key_channel);
        scores[e] = score / divisor;
    }
}

static void mix_plain(float *out, const float *scores, const struct dt_kv *kv, size_t base,
                      uint32_t entries)
{
    memset(out, 0, kv->head_size * sizeof *out);
    for (uint32_t e = 0; e < entries; e++) {
        size_t at = base + (kv->slots ? kv->slots[e] : e) * kv->value_slot;
        for (uint32_t i = 0; i < kv->head_size; i++)
            out[i] += scores[e] * kv_value(kv, kv->values, at + i * kv->value_channel);
    }
}

// Computes the channels in parts that fill groups of registers: 64, 48, then the rest in one part
// or as two halves.
static void mix(float *out, const float *scores, const float *values, size_t stride,
                uint32_t channels, uint32_t entries)
{
    while (channels > 0) {
        uint32_t part = channels >= 64                  ? 64
                        : channels >= 48                ? 48
                        : channels > 32 && channels % 2 ? 32
                                                        : channels;
        if (part == 48)
            dt_rvv07_mix48(out, scores, values, stride, part, entries);
        else if (part > 32)
            dt_rvv07_mix2(out, scores, values, stride, part / 2, entries);
        else
            dt_rvv07_mix(out, scores, values, stride, part, entries);
        out += part;
        values += part;
        channels -= part;
    }
}

// The scores of one head; base: where its keys are, in elements.
static void scores_of(float *scores, const float *query, const struct dt_kv *kv, size_t base,
                      uint32_t entries, float divisor)
{
    bool contiguous = kv->slots == NULL && kv->key_slot == 1;
    if (contiguous && kv->type == DT_KV_F32)
        dt_rvv07_scores(scores, query, (const float *)kv->keys + base,
                        kv->key_channel * sizeof(float), kv->head_size, entries, divisor);
    else if (contiguous && kv->type == DT_KV_F16)
        dt_rvv07_scores_half(scores, query, (const uint16_t *)kv->keys + base,
                             kv->key_channel * sizeof(uint16_t), kv->head_size, entries, divisor);
    else
        scores_plain(scores, query, kv, base, entries, divisor);
}

// The weighted sum of one head's values.
static void mix_of(float *out, const float *scores, const struct dt_kv *kv, size_t base,
                   uint32_t entries)
{
    bool contiguous = kv->slots == NULL && kv->value_channel == 1 && entries > 0;
    if (contiguous && kv->type == DT_KV_F32) {
        mix(out, scores, (const float *)kv->values + base, kv->value_slot * sizeof(float),
            kv->head_size, entries);
    } else if (contiguous && kv->type == DT_KV_F16) {
        const uint16_t *values = (const uint16_t *)kv->values + base;
        for (uint32_t i = 0; i < kv->head_size; i += 32)
            dt_rvv07_mix_half(out + i, scores, values + i, kv->value_slot * sizeof *values,
                              kv->head_size - i < 32 ? kv->head_size - i : 32, entries);
    } else {
        mix_plain(out, scores, kv, base, entries);
    }
}

void rvv07_attention(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                     uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                     float *scores, size_t score_stride)
{
    (void)ctx;
    uint32_t sharing = heads / kv->heads;
    for (uint32_t h = head_begin; h < head_end; h++, scores += score_stride) {
        size_t first = (size_t)h * kv->head_size;
        scores_of(scores, q + first, kv, h / sharing * kv->key_head, entries, divisor);
        rvv07_softmax(scores, entries);
        mix_of(out + first, scores, kv, h / sharing * kv->value_head, entries);
    }
}
