// SPDX-License-Identifier: MIT
// Attention for RVV 1.0. Vector lanes are positions for the scores, channels for the values.
#include <riscv_vector.h>
#include <stdbool.h>
#include <string.h>

#include "../rvv07/layout.h"
#include "rvv10.h"

static float kv_value(const struct dt_kv *kv, const void *base, size_t at)
{
    return kv->type == DT_KV_F32 ? ((const float *)base)[at]
                                 : rvv07_half_to_float(((const uint16_t *)base)[at]);
}

// Halves as floats, with operations of the base extension only (conversions need Zvfhmin). The
// shifted bits of a magnitude, as a float, are 2^-112 times its value, also if it is subnormal.
static inline vfloat32m4_t halves(const uint16_t *from, size_t vl)
{
    vuint32m4_t half = __riscv_vzext_vf2_u32m4(__riscv_vle16_v_u16m2(from, vl), vl);
    vuint32m4_t magnitude = __riscv_vand_vx_u32m4(half, 0x7fff, vl);
    vuint32m4_t sign = __riscv_vsll_vx_u32m4(__riscv_vxor_vv_u32m4(half, magnitude, vl), 16, vl);
    vuint32m4_t bits = __riscv_vreinterpret_v_f32m4_u32m4(__riscv_vfmul_vf_f32m4(
        __riscv_vreinterpret_v_u32m4_f32m4(__riscv_vsll_vx_u32m4(magnitude, 13, vl)), 0x1p112f,
        vl));
    vbool8_t special = __riscv_vmsgtu_vx_u32m4_b8(magnitude, 0x7bff, vl); // infinity or NaN
    bits = __riscv_vmerge_vvm_u32m4(bits, __riscv_vor_vx_u32m4(bits, 0x7f800000, vl), special, vl);
    return __riscv_vreinterpret_v_u32m4_f32m4(__riscv_vor_vv_u32m4(bits, sign, vl));
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

static void scores_of(float *scores, const float *q, const struct dt_kv *kv, size_t base,
                      uint32_t entries, float divisor)
{
    bool contiguous = !kv->slots && kv->key_slot == 1;
    if (contiguous && kv->type == DT_KV_F16) {
        for (size_t e = 0, vl; e < entries; e += vl) {
            vl = __riscv_vsetvl_e32m4(entries - e);
            const uint16_t *key = (const uint16_t *)kv->keys + base + e;
            vfloat32m4_t sum = __riscv_vfmv_v_f_f32m4(0.0f, vl);
            for (uint32_t i = 0; i < kv->head_size; i++, key += kv->key_channel)
                sum = __riscv_vfadd_vv_f32m4(sum, __riscv_vfmul_vf_f32m4(halves(key, vl), q[i], vl),
                                             vl);
            __riscv_vse32_v_f32m4(scores + e, __riscv_vfdiv_vf_f32m4(sum, divisor, vl), vl);
        }
        return;
    }
    if (!contiguous || kv->type != DT_KV_F32) {
        scores_plain(scores, q, kv, base, entries, divisor);
        return;
    }
    for (size_t e = 0, vl; e < entries; e += vl) {
        vl = __riscv_vsetvl_e32m8(entries - e);
        const float *key = (const float *)kv->keys + base + e;
        vfloat32m8_t sum = __riscv_vfmv_v_f_f32m8(0.0f, vl);
        for (uint32_t i = 0; i < kv->head_size; i++, key += kv->key_channel)
            sum = __riscv_vfadd_vv_f32m8(
                sum, __riscv_vfmul_vf_f32m8(__riscv_vle32_v_f32m8(key, vl), q[i], vl), vl);
        __riscv_vse32_v_f32m8(scores + e, __riscv_vfdiv_vf_f32m8(sum, divisor, vl), vl);
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

static void mix(float *out, const float *scores, const struct dt_kv *kv, size_t base,
                uint32_t entries)
{
    if (kv->value_channel == 1 && kv->type == DT_KV_F16) {
        for (size_t i = 0, vl; i < kv->head_size; i += vl) {
            vl = __riscv_vsetvl_e32m4(kv->head_size - i);
            vfloat32m4_t sum = __riscv_vfmv_v_f_f32m4(0.0f, vl);
            for (uint32_t e = 0; e < entries; e++) {
                const uint16_t *value = (const uint16_t *)kv->values + base +
                                        (kv->slots ? kv->slots[e] : e) * kv->value_slot + i;
                vfloat32m4_t part = __riscv_vfmul_vf_f32m4(halves(value, vl), scores[e], vl);
                sum = __riscv_vfadd_vv_f32m4(sum, part, vl);
            }
            __riscv_vse32_v_f32m4(out + i, sum, vl);
        }
        return;
    }
    if (kv->value_channel != 1 || kv->type != DT_KV_F32) {
        mix_plain(out, scores, kv, base, entries);
        return;
    }
    for (size_t i = 0, vl; i < kv->head_size; i += vl) {
        vl = __riscv_vsetvl_e32m8(kv->head_size - i);
        vfloat32m8_t sum = __riscv_vfmv_v_f_f32m8(0.0f, vl);
        for (uint32_t e = 0; e < entries; e++) {
            const float *value = (const float *)kv->values + base +
                                 (kv->slots ? kv->slots[e] : e) * kv->value_slot + i;
            vfloat32m8_t part =
                __riscv_vfmul_vf_f32m8(__riscv_vle32_v_f32m8(value, vl), scores[e], vl);
            sum = __riscv_vfadd_vv_f32m8(sum, part, vl);
        }
        __riscv_vse32_v_f32m8(out + i, sum, vl);
    }
}

void rvv10_attention(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                     uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                     float *scores, size_t score_stride)
{
    uint32_t sharing = heads / kv->heads;
    for (uint32_t h = head_begin; h < head_end; h++, scores += score_stride) {
        size_t first = (size_t)h * kv->head_size;
        scores_of(scores, q + first, kv, h / sharing * kv->key_head, entries, divisor);
        rvv10_softmax(ctx, scores, entries);
        mix(out + first, scores, kv, h / sharing * kv->value_head, entries);
    }
}
