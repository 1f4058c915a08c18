// SPDX-License-Identifier: MIT
#include "core/kv/kv_drop.h"

#include <string.h>

#include "base/bits.h"

#define LANES 16u // entries at a time: loops over them have a constant count, for the compiler

// The channels of pair i.
static void pair_of(const struct dt_kv_rotation *r, uint32_t i, uint32_t *a, uint32_t *b)
{
    *a = r->style == DT_ROPE_HALVES ? i : 2 * i;
    *b = r->style == DT_ROPE_HALVES ? i + r->rotated / 2 : 2 * i + 1;
}

// Rotates n pairs.
static void rotate_floats(float *a, float *b, uint32_t n, float cosine, float sine)
{
    for (uint32_t k = 0; k < n; k++) {
        float x = a[k], y = b[k];
        a[k] = x * cosine - y * sine;
        b[k] = x * sine + y * cosine;
    }
}

// Halves, four at a time. Those of a cache in use are finite.
typedef float four __attribute__((vector_size(16)));
typedef int32_t four_i __attribute__((vector_size(16)));
typedef uint16_t four_h __attribute__((vector_size(8)));

static four floats_of(four_h h)
{
    four_i bits = __builtin_convertvector(h, four_i), magnitude = (bits & 0x7fff) << 13;
    return (four)((four_i)((four)magnitude * 0x1p112f) | (bits & 0x8000) << 16);
}

// Rounds to nearest, ties to even, as dt_float_to_half.
static four_h halves_of(four x)
{
    four_i sign = (four_i)x >> 16 & 0x8000, magnitude = (four_i)x & INT32_MAX;
    four_i normal = ((magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13) - (112 << 10);
    // the sum has a last place of 2^-24, as subnormal halves have
    four_i small = (four_i)((four)magnitude + 0.5f) - (int32_t)dt_bits_of(0.5f);
    four_i is_small = magnitude < 0x38800000, is_large = magnitude >= 0x47800000;
    four_i half = (is_small & small) | (~is_small & normal);
    half = (is_large & 0x7c00) | (~is_large & half);
    return __builtin_convertvector(half | sign, four_h);
}

static void rotate_halves(uint16_t *a, uint16_t *b, uint32_t n, float cosine, float sine)
{
    for (uint32_t k = 0; k < n; k += 4) {
        size_t bytes = (n - k < 4 ? n - k : 4) * sizeof *a;
        four_h low = {0}, high = {0};
        memcpy(&low, a + k, bytes);
        memcpy(&high, b + k, bytes);
        four x = floats_of(low), y = floats_of(high);
        low = halves_of(x * cosine - y * sine);
        high = halves_of(x * sine + y * cosine);
        memcpy(a + k, &low, bytes);
        memcpy(b + k, &high, bytes);
    }
}

// A pair of channels of an int8 cache, before and after its rotation. The scale of a key is that of
// all its channels, so quants are rotated as they are.
struct pair {
    int8_t a[LANES], b[LANES];
    float x[LANES], y[LANES];
};

static void load_pair(struct pair *p, const int8_t *a, const int8_t *b, uint32_t n, float cosine,
                      float sine)
{
    memcpy(p->a, a, n);
    memcpy(p->b, b, n);
    for (uint32_t k = 0; k < LANES; k++) {
        float x = p->a[k], y = p->b[k];
        p->x[k] = x * cosine - y * sine;
        p->y[k] = x * sine + y * cosine;
    }
}

static void raise_to(float *most, const float *x)
{
    for (uint32_t k = 0; k < LANES; k++) {
        float magnitude = x[k] < 0 ? -x[k] : x[k];
        most[k] = magnitude > most[k] ? magnitude : most[k];
    }
}

static void store_quants(int8_t *to, const float *x, const float *factor, uint32_t n)
{
    int8_t quants[LANES];
    for (uint32_t k = 0; k < LANES; k++) {
        float q = x[k] * factor[k];
        quants[k] = (int8_t)(q + (q < 0 ? -0.5f : 0.5f)); // at most 127, and some last places
    }
    memcpy(to, quants, n);
}

// n keys of one head, from `keys` on, and their scales: first the largest number of each, then the
// quants.
static void rotate_i8(const struct dt_kv *kv, int8_t *keys, float *scales, uint32_t n,
                      const struct dt_kv_rotation *r)
{
    struct pair p = {0};
    float most[LANES] = {0}, factor[LANES];
    size_t channel = kv->key_channel;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0, a, b; i < r->rotated / 2; i++) {
            pair_of(r, i, &a, &b);
            load_pair(&p, keys + a * channel, keys + b * channel, n, r->cosine[i], r->sine[i]);
            if (pass == 0) {
                raise_to(most, p.x);
                raise_to(most, p.y);
            } else {
                store_quants(keys + a * channel, p.x, factor, n);
                store_quants(keys + b * channel, p.y, factor, n);
            }
        }
        for (uint32_t i = r->rotated; i < kv->head_size; i++) {
            load_pair(&p, keys + i * channel, keys + i * channel, n, 1, 0);
            if (pass == 0)
                raise_to(most, p.x);
            else
                store_quants(keys + i * channel, p.x, factor, n);
        }
        for (uint32_t k = 0; pass == 0 && k < LANES; k++)
            factor[k] = most[k] > 0 ? 127.0f / most[k] : 0.0f;
    }
    for (uint32_t k = 0; k < n; k++)
        scales[k] *= most[k] / 127.0f;
}

// Rotates the first n keys of a head.
static void rotate_keys(const struct dt_kv *kv, uint32_t head, uint32_t n,
                        const struct dt_kv_rotation *r)
{
    unsigned char *keys =
        (unsigned char *)(uintptr_t)kv->keys + head * kv->key_head * dt_kv_type_bytes(kv->type);
    if (kv->type == DT_KV_I8) {
        float *scales = (float *)(uintptr_t)kv->key_scales + head * kv->scale_head;
        for (uint32_t e = 0; e < n; e += LANES)
            rotate_i8(kv, (int8_t *)keys + e, scales + e, n - e < LANES ? n - e : LANES, r);
        return;
    }
    for (uint32_t i = 0, a, b; i < r->rotated / 2; i++) {
        pair_of(r, i, &a, &b);
        if (kv->type == DT_KV_F32)
            rotate_floats((float *)(void *)keys + a * kv->key_channel,
                          (float *)(void *)keys + b * kv->key_channel, n, r->cosine[i], r->sine[i]);
        else
            rotate_halves((uint16_t *)(void *)keys + a * kv->key_channel,
                          (uint16_t *)(void *)keys + b * kv->key_channel, n, r->cosine[i],
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
                      uint32_t first, uint32_t count, const struct dt_kv_rotation *rotation)
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
            rotate_keys(&kv, h, first, rotation);
    }
}
