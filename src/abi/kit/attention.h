// SPDX-License-Identifier: MIT
// Attention of one position, bit-identical to the reference. Vector lanes are positions for the
// scores and channels for the values; the softmax sums of several heads run side by side. Fast for
// the host's layout of the KV cache (keys with contiguous positions, values with contiguous
// channels, entries in any slots); correct for every layout that struct dt_kv describes.
#ifndef DT_ABI_KIT_ATTENTION_H
#define DT_ABI_KIT_ATTENTION_H

#include "ops.h"

// Whether numbers of a type become floats by instructions. Where they do not, converting them takes
// most of the time, and more of them at a time is not faster. `type` is an enum dt_kv_type, and a
// constant wherever a function here is inlined.
KIT_INLINE int kit_kv_wide(int type)
{
#if defined(KIT_AVX512) || defined(KIT_AVX2) || defined(KIT_NEON)
    (void)type;
    return 1;
#else
    return type == DT_KV_F32;
#endif
}

KIT_INLINE const void *kit_kv_at(const void *base, size_t at, int type)
{
    return type == DT_KV_I8    ? (const void *)((const int8_t *)base + at)
           : type == DT_KV_F16 ? (const void *)((const uint16_t *)base + at)
                               : (const void *)((const float *)base + at);
}

KIT_INLINE kit_f kit_kv_load(const void *base, size_t at, int type)
{
    const void *p = kit_kv_at(base, at, type);
    return type == DT_KV_I8    ? kit_load_i8((const int8_t *)p)
           : type == DT_KV_F16 ? kit_load_f16((const uint16_t *)p)
                               : kit_load((const float *)p);
}

KIT_INLINE kit_f kit_kv_load_n(const void *base, size_t at, int type, size_t n)
{
    const void *p = kit_kv_at(base, at, type);
    return type == DT_KV_I8    ? kit_load_i8_n((const int8_t *)p, n)
           : type == DT_KV_F16 ? kit_load_f16_n((const uint16_t *)p, n)
                               : kit_load_n((const float *)p, n);
}

KIT_INLINE float kit_kv_one(const void *base, size_t at, int type)
{
    const void *p = kit_kv_at(base, at, type);
    return type == DT_KV_I8    ? (float)*(const int8_t *)p
           : type == DT_KV_F16 ? kit_load_half(p)
                               : *(const float *)p;
}

// Scores of entries [e, n) in neighbouring slots, `vectors` vectors at a time. Returns the first
// entry that is left.
KIT_INLINE uint32_t kit_scores_run(float *scores, const float *query, const void *keys, size_t at,
                                   size_t channel, uint32_t head_size, uint32_t e, uint32_t n,
                                   const float *scales, float divisor, int type, int vectors)
{
    enum { ahead = 8 };
    for (; e + (uint32_t)vectors * KIT_W <= n; e += (uint32_t)vectors * KIT_W) {
        kit_f sum[8];
        KIT_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] = kit_set(0.0f);
        for (uint32_t i = 0; i < head_size; i++) {
            kit_f q = kit_set(query[i]);
            // channels are a stride apart: hardware does not prefetch them
            if (i + ahead < head_size) {
                KIT_UNROLL
                for (int v = 0; v < vectors; v += type == DT_KV_I8 ? 64 / KIT_W : 1)
                    __builtin_prefetch(
                        kit_kv_at(keys, at + e + (i + ahead) * channel + (size_t)v * KIT_W, type));
            }
            KIT_UNROLL
            for (int v = 0; v < vectors; v++)
                sum[v] += q * kit_kv_load(keys, at + e + i * channel + (size_t)v * KIT_W, type);
        }
        KIT_UNROLL
        for (int v = 0; v < vectors; v++) {
            if (type == DT_KV_I8)
                sum[v] *= kit_load(scales + e + v * KIT_W);
            kit_store(scores + e + v * KIT_W, sum[v] / divisor);
        }
    }
    return e;
}

KIT_INLINE void kit_scores(float *scores, const float *query, const struct dt_kv *kv,
                           size_t kv_head, uint32_t entries, float divisor, int type)
{
    size_t base = kv_head * kv->key_head;
    const float *scales = type == DT_KV_I8 ? kv->key_scales + kv_head * kv->scale_head : NULL;
    if (kv->key_slot != 1) {
        for (uint32_t e = 0; e < entries; e++) {
            size_t slot = kv->slots ? kv->slots[e] : e;
            float score = 0.0f;
            for (uint32_t i = 0; i < kv->head_size; i++)
                score +=
                    query[i] *
                    kit_kv_one(kv->keys, base + slot * kv->key_slot + i * kv->key_channel, type);
            if (type == DT_KV_I8)
                score *= scales[slot];
            scores[e] = score / divisor;
        }
        return;
    }
    for (uint32_t begin = 0; begin < entries;) {
        uint32_t slot = kv->slots ? kv->slots[begin] : begin, n = entries - begin;
        if (kv->slots) {
            for (n = 1; begin + n < entries && kv->slots[begin + n] == slot + n; n++)
                ;
        }
        size_t at = base + slot, channel = kv->key_channel;
        const float *scale = type == DT_KV_I8 ? scales + slot : NULL;
        float *to = scores + begin;
        uint32_t e = 0;
        if (kit_kv_wide(type)) {
            e = kit_scores_run(to, query, kv->keys, at, channel, kv->head_size, e, n, scale,
                               divisor, type, 8);
            e = kit_scores_run(to, query, kv->keys, at, channel, kv->head_size, e, n, scale,
                               divisor, type, 4);
        }
        e = kit_scores_run(to, query, kv->keys, at, channel, kv->head_size, e, n, scale, divisor,
                           type, 1);
        if (e < n) {
            kit_f sum = kit_set(0.0f);
            for (uint32_t i = 0; i < kv->head_size; i++)
                sum +=
                    kit_set(query[i]) * kit_kv_load_n(kv->keys, at + e + i * channel, type, n - e);
            if (type == DT_KV_I8)
                sum *= kit_load_n(scale + e, n - e);
            kit_store_n(to + e, sum / divisor, n - e);
        }
        begin += n;
    }
}

// Computes vectors * KIT_W channels of one head, from channel `from` on.
KIT_INLINE void kit_values_run(float *out, const float *scores, const struct dt_kv *kv, size_t base,
                               uint32_t from, uint32_t entries, int type, int vectors)
{
    kit_f sum[8];
    KIT_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = kit_set(0.0f);
    for (uint32_t e = 0; e < entries; e++) {
        size_t at = base + (kv->slots ? kv->slots[e] : e) * kv->value_slot + from;
        kit_f weight = kit_set(scores[e]);
        KIT_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] += weight * kit_kv_load(kv->values, at + (size_t)v * KIT_W, type);
    }
    KIT_UNROLL
    for (int v = 0; v < vectors; v++)
        kit_store(out + from + v * KIT_W, sum[v]);
}

// As kit_values_run for two heads at once, so that twice as many additions are in flight.
KIT_INLINE void kit_values_pair(float *const *out, const float *scores, size_t score_stride,
                                const struct dt_kv *kv, const size_t *base, uint32_t from,
                                uint32_t entries, int type, int vectors)
{
    kit_f first[4], second[4];
    KIT_UNROLL
    for (int v = 0; v < vectors; v++)
        first[v] = second[v] = kit_set(0.0f);
    for (uint32_t e = 0; e < entries; e++) {
        size_t at = (kv->slots ? kv->slots[e] : e) * kv->value_slot + from;
        kit_f a = kit_set(scores[e]), b = kit_set(scores[score_stride + e]);
        KIT_UNROLL
        for (int v = 0; v < vectors; v++) {
            first[v] += a * kit_kv_load(kv->values, base[0] + at + (size_t)v * KIT_W, type);
            second[v] += b * kit_kv_load(kv->values, base[1] + at + (size_t)v * KIT_W, type);
        }
    }
    KIT_UNROLL
    for (int v = 0; v < vectors; v++) {
        kit_store(out[0] + from + v * KIT_W, first[v]);
        kit_store(out[1] + from + v * KIT_W, second[v]);
    }
}

// Computes the channels from `from` on one by one: those that do not fill a vector, or all of them
// if channels are not contiguous.
KIT_INLINE void kit_values_rest(float *out, const float *scores, const struct dt_kv *kv,
                                size_t base, uint32_t from, uint32_t entries, int type)
{
    for (uint32_t i = from; i < kv->head_size; i++)
        out[i] = 0.0f;
    for (uint32_t e = 0; e < entries; e++) {
        size_t at = base + (kv->slots ? kv->slots[e] : e) * kv->value_slot;
        for (uint32_t i = from; i < kv->head_size; i++)
            out[i] += scores[e] * kit_kv_one(kv->values, at + i * kv->value_channel, type);
    }
}

KIT_INLINE void kit_values_one(float *out, const float *scores, const struct dt_kv *kv, size_t base,
                               uint32_t entries, int type, uint32_t from)
{
    if (kv->value_channel == 1 && kit_kv_wide(type)) {
        for (; from + 8 * KIT_W <= kv->head_size; from += 8 * KIT_W)
            kit_values_run(out, scores, kv, base, from, entries, type, 8);
        for (; from + 4 * KIT_W <= kv->head_size; from += 4 * KIT_W)
            kit_values_run(out, scores, kv, base, from, entries, type, 4);
    }
    if (kv->value_channel == 1) {
        for (; from + KIT_W <= kv->head_size; from += KIT_W)
            kit_values_run(out, scores, kv, base, from, entries, type, 1);
    }
    if (from < kv->head_size)
        kit_values_rest(out, scores, kv, base, from, entries, type);
}

KIT_INLINE void kit_values(float *const *out, const float *scores, size_t score_stride,
                           const struct dt_kv *kv, const size_t *base, uint32_t heads,
                           uint32_t entries, int type)
{
    uint32_t h = 0;
    for (; kv->value_channel == 1 && kit_kv_wide(type) && h + 2 <= heads; h += 2) {
        const float *s = scores + h * score_stride;
        uint32_t from = 0;
        for (; from + 4 * KIT_W <= kv->head_size; from += 4 * KIT_W)
            kit_values_pair(out + h, s, score_stride, kv, base + h, from, entries, type, 4);
        if (from + 3 * KIT_W <= kv->head_size) {
            kit_values_pair(out + h, s, score_stride, kv, base + h, from, entries, type, 3);
            from += 3 * KIT_W;
        } else if (from + 2 * KIT_W <= kv->head_size) {
            kit_values_pair(out + h, s, score_stride, kv, base + h, from, entries, type, 2);
            from += 2 * KIT_W;
        } else if (from + KIT_W <= kv->head_size) {
            kit_values_pair(out + h, s, score_stride, kv, base + h, from, entries, type, 1);
            from += KIT_W;
        }
        for (int k = 0; k < 2 && from < kv->head_size; k++)
            kit_values_rest(out[h + k], s + k * score_stride, kv, base[h + k], from, entries, type);
    }
    for (; h < heads; h++)
        kit_values_one(out[h], scores + h * score_stride, kv, base[h], entries, type, 0);
}

// Divides the weights of each head by their sum. A sum is in sequence; those of several heads run
// side by side.
KIT_INLINE void kit_normalise(float *scores, size_t score_stride, uint32_t heads, uint32_t entries)
{
    float sum[8] = {0};
    if (heads == 8) {
        for (uint32_t e = 0; e < entries; e++) {
            for (int h = 0; h < 8; h++)
                sum[h] += scores[h * score_stride + e];
        }
    } else {
        uint32_t h = 0;
        for (; h + 2 <= heads; h += 2) {
            float a = 0.0f, b = 0.0f;
            const float *s = scores + h * score_stride;
            for (uint32_t e = 0; e < entries; e++) {
                a += s[e];
                b += s[score_stride + e];
            }
            sum[h] = a;
            sum[h + 1] = b;
        }
        for (; h < heads; h++) {
            for (uint32_t e = 0; e < entries; e++)
                sum[h] += scores[h * score_stride + e];
        }
    }
    for (uint32_t h = 0; h < heads; h++)
        kit_divide(scores + h * score_stride, entries, sum[h]);
}

// Multiplies the weights of a head by the scales of its values.
KIT_INLINE void kit_scale_weights(float *weights, const struct dt_kv *kv, size_t kv_head,
                                  uint32_t entries)
{
    const float *scales = kv->value_scales + kv_head * kv->scale_head;
    uint32_t e = 0;
    for (; !kv->slots && e + KIT_W <= entries; e += KIT_W)
        kit_store(weights + e, kit_load(weights + e) * kit_load(scales + e));
    for (; e < entries; e++)
        weights[e] *= scales[kv->slots ? kv->slots[e] : e];
}

// cap 0: scores are not capped. A constant 0 costs nothing.
KIT_INLINE void kit_attention_of(float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                                 uint32_t head_begin, uint32_t head_end, uint32_t entries,
                                 float divisor, float cap, float *scores, size_t score_stride,
                                 kit_exp_fn *exp, int type)
{
    uint32_t sharing = heads / kv->heads;
    for (uint32_t begin = head_begin; begin < head_end; begin += 8, scores += 8 * score_stride) {
        uint32_t n = head_end - begin < 8 ? head_end - begin : 8;
        float *results[8];
        size_t bases[8];
        for (uint32_t h = 0; h < n; h++) {
            float *s = scores + h * score_stride;
            size_t kv_head = (begin + h) / sharing;
            kit_scores(s, q + (size_t)(begin + h) * kv->head_size, kv, kv_head, entries, divisor,
                       type);
            if (cap > 0)
                kit_softcap(s, entries, cap, exp);
            kit_exp_less(s, entries, kit_largest(s, entries), exp);
            results[h] = out + (size_t)(begin + h) * kv->head_size;
            bases[h] = kv_head * kv->value_head;
        }
        kit_normalise(scores, score_stride, n, entries);
        for (uint32_t h = 0; h < n && type == DT_KV_I8; h++)
            kit_scale_weights(scores + h * score_stride, kv, (begin + h) / sharing, entries);
        kit_values(results, scores, score_stride, kv, bases, n, entries, type);
    }
}

KIT_INLINE void kit_attention_capped(float *out, const float *q, const struct dt_kv *kv,
                                     uint32_t heads, uint32_t head_begin, uint32_t head_end,
                                     uint32_t entries, float divisor, float cap, float *scores,
                                     size_t score_stride, kit_exp_fn *exp)
{
    if (kv->type == DT_KV_I8)
        kit_attention_of(out, q, kv, heads, head_begin, head_end, entries, divisor, cap, scores,
                         score_stride, exp, DT_KV_I8);
    else if (kv->type == DT_KV_F16)
        kit_attention_of(out, q, kv, heads, head_begin, head_end, entries, divisor, cap, scores,
                         score_stride, exp, DT_KV_F16);
    else
        kit_attention_of(out, q, kv, heads, head_begin, head_end, entries, divisor, cap, scores,
                         score_stride, exp, DT_KV_F32);
}

KIT_INLINE void kit_attention(float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                              uint32_t head_begin, uint32_t head_end, uint32_t entries,
                              float divisor, float *scores, size_t score_stride, kit_exp_fn *exp)
{
    kit_attention_capped(out, q, kv, heads, head_begin, head_end, entries, divisor, 0.0f, scores,
                         score_stride, exp);
}

#endif
