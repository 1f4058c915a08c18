// SPDX-License-Identifier: MIT
// Attention over an int8 KV cache for RVV 1.0. Vector lanes are positions for the scores, channels
// for the values.
#include <riscv_vector.h>

#include "rvv10.h"

static inline vfloat32m8_t floats_of(const int8_t *from, size_t vl)
{
    return __riscv_vfcvt_f_x_v_f32m8(__riscv_vsext_vf4_i32m8(__riscv_vle8_v_i8m2(from, vl), vl),
                                     vl);
}

static void scores_of(float *scores, const float *q, const struct dt_kv *kv, size_t head,
                      uint32_t entries, float divisor)
{
    const int8_t *keys = (const int8_t *)kv->keys + head * kv->key_head;
    const float *scales = kv->key_scales + head * kv->scale_head;
    if (!kv->slots && kv->key_slot == 1) {
        for (size_t e = 0, vl; e < entries; e += vl) {
            vl = __riscv_vsetvl_e32m8(entries - e);
            const int8_t *key = keys + e;
            vfloat32m8_t sum = __riscv_vfmv_v_f_f32m8(0.0f, vl);
            for (uint32_t i = 0; i < kv->head_size; i++, key += kv->key_channel)
                sum = __riscv_vfadd_vv_f32m8(
                    sum, __riscv_vfmul_vf_f32m8(floats_of(key, vl), q[i], vl), vl);
            sum = __riscv_vfmul_vv_f32m8(sum, __riscv_vle32_v_f32m8(scales + e, vl), vl);
            __riscv_vse32_v_f32m8(scores + e, __riscv_vfdiv_vf_f32m8(sum, divisor, vl), vl);
        }
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

// Changes the weights: each becomes its product with the scale of its value.
static void mix(float *out, float *weights, const struct dt_kv *kv, size_t head, uint32_t entries)
{
    const int8_t *values = (const int8_t *)kv->values + head * kv->value_head;
    const float *scales = kv->value_scales + head * kv->scale_head;
    for (uint32_t e = 0; e < entries; e++)
        weights[e] *= scales[kv->slots ? kv->slots[e] : e];
    if (kv->value_channel != 1) {
        for (uint32_t i = 0; i < kv->head_size; i++)
            out[i] = 0.0f;
        for (uint32_t e = 0; e < entries; e++) {
            size_t slot = kv->slots ? kv->slots[e] : e;
            for (uint32_t i = 0; i < kv->head_size; i++)
                out[i] += weights[e] * (float)values[slot * kv->value_slot + i * kv->value_channel];
        }
        return;
    }
    for (size_t i = 0, vl; i < kv->head_size; i += vl) {
        vl = __riscv_vsetvl_e32m8(kv->head_size - i);
        vfloat32m8_t sum = __riscv_vfmv_v_f_f32m8(0.0f, vl);
        for (uint32_t e = 0; e < entries; e++) {
            const int8_t *value = values + (kv->slots ? kv->slots[e] : e) * kv->value_slot + i;
            sum = __riscv_vfadd_vv_f32m8(
                sum, __riscv_vfmul_vf_f32m8(floats_of(value, vl), weights[e], vl), vl);
        }
        __riscv_vse32_v_f32m8(out + i, sum, vl);
    }
}

void rvv10_attention_any(void *ctx, float *out, const float *q, const struct dt_kv *kv,
                         uint32_t heads, uint32_t head_begin, uint32_t head_end, uint32_t entries,
                         float divisor, float *scores, size_t score_stride)
{
    if (kv->type != DT_KV_I8) {
        rvv10_attention(ctx, out, q, kv, heads, head_begin, head_end, entries, divisor, scores,
                        score_stride);
        return;
    }
    uint32_t sharing = heads / kv->heads;
    for (uint32_t h = head_begin; h < head_end; h++, scores += score_stride) {
        size_t first = (size_t)h * kv->head_size;
        scores_of(scores, q + first, kv, h / sharing, entries, divisor);
        rvv10_softmax(ctx, scores, entries);
        mix(out + first, scores, kv, h / sharing, entries);
    }
}
