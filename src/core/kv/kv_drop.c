// SPDX-License-Identifier: MIT
#include "core/kv/kv_drop.h"

#include <string.h>

#include "core/quant/half.h"

#define CONVERTED 64u // halves at a time

// The channels of pair i.
static void pair_of(const struct dt_kv_rotation *r, uint32_t i, uint32_t *a, uint32_t *b)
{
    *a = r->style == DT_ROPE_HALVES ? i : 2 * i;
    *b = r->style == DT_ROPE_HALVES ? i + r->rotated / 2 : 2 * i + 1;
}

// Rotates n pairs back.
static void rotate_back(float *a, float *b, uint32_t n, float cosine, float sine)
{
    for (uint32_t k = 0; k < n; k++) {
        float x = a[k], y = b[k];
        a[k] = x * cosine + y * sine;
        b[k] = y * cosine - x * sine;
    }
}

static void rotate_back_halves(uint16_t *a, uint16_t *b, uint32_t n, float cosine, float sine)
{
    float x[CONVERTED], y[CONVERTED];
    for (uint32_t k = 0, m; k < n; k += m) {
        m = n - k < CONVERTED ? n - k : CONVERTED;
        for (uint32_t i = 0; i < m; i++) {
            x[i] = dt_half_to_float(a[k + i]);
            y[i] = dt_half_to_float(b[k + i]);
        }
        rotate_back(x, y, m, cosine, sine);
        for (uint32_t i = 0; i < m; i++) {
            a[k + i] = dt_float_to_half(x[i]);
            b[k + i] = dt_float_to_half(y[i]);
        }
    }
}

// Entries `from` and up of one head of an int8 cache. All channels of a key share a scale, so a key
// is rotated as a whole.
static void rotate_back_i8(const struct dt_kv *kv, uint32_t head, uint32_t from, uint32_t to,
                           const struct dt_kv_rotation *r, float *row)
{
    int8_t *keys = (int8_t *)(uintptr_t)kv->keys + head * kv->key_head;
    float *scales = (float *)(uintptr_t)kv->key_scales + head * kv->scale_head;
    for (uint32_t e = from; e < to; e++) {
        for (uint32_t i = 0; i < kv->head_size; i++)
            row[i] = (float)keys[i * kv->key_channel + e] * scales[e];
        for (uint32_t i = 0, a, b; i < r->rotated / 2; i++) {
            pair_of(r, i, &a, &b);
            rotate_back(row + a, row + b, 1, r->cosine[i], r->sine[i]);
        }
        scales[e] = dt_kv_quantise(keys + e, kv->key_channel, row, kv->head_size);
    }
}

static void rotate_keys(const struct dt_kv *kv, uint32_t head, uint32_t from, uint32_t to,
                        const struct dt_kv_rotation *r, float *row)
{
    if (kv->type == DT_KV_I8) {
        rotate_back_i8(kv, head, from, to, r, row);
        return;
    }
    for (uint32_t i = 0, a, b; i < r->rotated / 2; i++) {
        pair_of(r, i, &a, &b);
        size_t at_a = head * kv->key_head + a * kv->key_channel + from,
               at_b = head * kv->key_head + b * kv->key_channel + from;
        if (kv->type == DT_KV_F32)
            rotate_back((float *)(uintptr_t)kv->keys + at_a, (float *)(uintptr_t)kv->keys + at_b,
                        to - from, r->cosine[i], r->sine[i]);
        else
            rotate_back_halves((uint16_t *)(uintptr_t)kv->keys + at_a,
                               (uint16_t *)(uintptr_t)kv->keys + at_b, to - from, r->cosine[i],
                               r->sine[i]);
    }
}

// Moves `n` items of `bytes` bytes from item first + count to item first.
static void move_up(const void *base, uint32_t first, uint32_t count, uint32_t n, size_t bytes)
{
    unsigned char *at = (unsigned char *)(uintptr_t)base;
    memmove(at + first * bytes, at + ((size_t)first + count) * bytes, n * bytes);
}

void dt_kv_cache_drop(const struct dt_kv_cache *cache, uint32_t layer, uint32_t used,
                      uint32_t first, uint32_t count, const struct dt_kv_rotation *rotation,
                      float *row)
{
    struct dt_kv kv = dt_kv_cache_layer(cache, layer);
    size_t element = dt_kv_type_bytes(kv.type);
    uint32_t kept = used - first - count;
    for (uint32_t h = 0; h < kv.heads; h++) {
        const unsigned char *keys = (const unsigned char *)kv.keys + h * kv.key_head * element;
        for (uint32_t i = 0; i < kv.head_size; i++)
            move_up(keys + i * kv.key_channel * element, first, count, kept, element);
        move_up((const unsigned char *)kv.values + h * kv.value_head * element, first, count, kept,
                kv.value_slot * element);
        if (kv.key_scales) {
            move_up(kv.key_scales + h * kv.scale_head, first, count, kept, sizeof(float));
            move_up(kv.value_scales + h * kv.scale_head, first, count, kept, sizeof(float));
        }
        if (rotation)
            rotate_keys(&kv, h, first, first + kept, rotation, row);
    }
}
