// SPDX-License-Identifier: MIT
#include "core/kv/kv_cache.h"

#include <string.h>

#include "core/quant/half.h"

#define STORED_AT_ONCE 8u         // positions
#define EXTENT_STEP    64u        // extents are multiples of it
#define FIRST_BYTES    (2u << 20) // of the first extent, about: a large page

static size_t padded(size_t n)
{
    return (n + 15) / 16 * 16;
}

size_t dt_kv_type_bytes(uint32_t type)
{
    return type == DT_KV_I8 ? 1 : type == DT_KV_F16 ? 2 : 4;
}

bool dt_kv_type_is_known(uint32_t type)
{
    return type >= DT_KV_F32 && type <= DT_KV_I8;
}

uint32_t dt_kv_type_of(const char *name)
{
    return strcmp(name, "i8") == 0 ? DT_KV_I8 : strcmp(name, "f16") == 0 ? DT_KV_F16 : DT_KV_F32;
}

static size_t channels(const struct dt_kv_cache *cache)
{
    return (size_t)cache->heads * cache->head_size;
}

// Sets the layout for `extent` positions, at most the capacity.
static void set_extent(struct dt_kv_cache *cache, size_t extent)
{
    cache->extent = extent < cache->capacity ? (uint32_t)extent : cache->capacity;
    // 16 more, so that for a power of two the keys of adjacent channels do not fall into the same
    // set of a CPU cache
    cache->key_slots = padded(cache->extent) + 16;
    cache->value_slots = padded(cache->extent) + cache->padding;
}

// Bytes of the scales of a layer's keys, or of its values.
static size_t scale_bytes(const struct dt_kv_cache *cache)
{
    return cache->type == DT_KV_I8 ? cache->heads * cache->value_slots * sizeof(float) : 0;
}

// Bytes of a layer in the present extent.
static uint64_t layer_bytes(const struct dt_kv_cache *cache)
{
    return (uint64_t)(cache->key_slots + cache->value_slots) * channels(cache) *
               dt_kv_type_bytes(cache->type) +
           2 * (uint64_t)scale_bytes(cache);
}

void dt_kv_cache_init(struct dt_kv_cache *cache, const struct dt_hparams *hp, uint32_t capacity,
                      uint32_t type)
{
    memset(cache, 0, sizeof *cache);
    cache->type = type;
    cache->layers = hp->layers;
    cache->heads = hp->kv_heads;
    cache->head_size = hp->head_size;
    cache->capacity = capacity;
    // A window begins at any slot, and kernels may read up to 15 slots behind its last one.
    cache->padding = hp->window ? 16 : 0;
    uint64_t step = (uint64_t)cache->layers * dt_kv_cache_layer_bytes(cache, EXTENT_STEP);
    size_t first = step < FIRST_BYTES ? FIRST_BYTES / (size_t)step : 1;
    set_extent(cache, first * EXTENT_STEP);
}

void dt_kv_cache_alloc(struct dt_kv_cache *cache, struct dt_arena *arena)
{
    struct dt_kv_cache whole = *cache;
    set_extent(&whole, cache->capacity);
    uint64_t bytes = layer_bytes(&whole);
    cache->memory =
        dt_arena_alloc(arena, cache->layers, bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX);
}

size_t dt_kv_cache_extent_bytes(const struct dt_kv_cache *cache)
{
    return cache->layers * (size_t)layer_bytes(cache);
}

// Copies `count` rows, of which the first `bytes` bytes count. The last row is first, so that rows
// can be moved apart in place.
static void copy_rows(const void *to, size_t to_stride, const void *from, size_t from_stride,
                      size_t count, size_t bytes)
{
    while (count-- > 0)
        memmove((unsigned char *)(uintptr_t)to + count * to_stride,
                (const unsigned char *)from + count * from_stride, bytes);
}

// Copies the first positions to another layout, of other memory or larger in the same.
static void copy_positions(const struct dt_kv_cache *to, const struct dt_kv_cache *from,
                           uint32_t positions)
{
    size_t element = dt_kv_type_bytes(to->type), vector = to->head_size * element,
           scales = scale_bytes(to) ? positions * sizeof(float) : 0;
    for (uint32_t layer = positions ? to->layers : 0; layer-- > 0;) {
        struct dt_kv source = dt_kv_cache_layer(from, layer), target = dt_kv_cache_layer(to, layer);
        if (scales) {
            copy_rows(target.value_scales, target.scale_head * sizeof(float), source.value_scales,
                      source.scale_head * sizeof(float), to->heads, scales);
            copy_rows(target.key_scales, target.scale_head * sizeof(float), source.key_scales,
                      source.scale_head * sizeof(float), to->heads, scales);
        }
        copy_rows(target.values, to->value_slots * vector, source.values,
                  from->value_slots * vector, to->heads, positions * vector);
        copy_rows(target.keys, to->key_slots * element, source.keys, from->key_slots * element,
                  channels(to), positions * element);
    }
}

void dt_kv_cache_grow(struct dt_kv_cache *cache, uint32_t used, uint32_t positions)
{
    struct dt_kv_cache old = *cache;
    if (positions <= old.extent)
        return;
    // half as much again, so that all moves of a text together copy it about twice
    size_t extent = old.extent + old.extent / 2;
    extent = extent < positions ? positions : extent;
    set_extent(cache, (extent + EXTENT_STEP - 1) / EXTENT_STEP * EXTENT_STEP);
    copy_positions(cache, &old, used);
}

void dt_kv_cache_copy(struct dt_kv_cache *to, const struct dt_kv_cache *from, uint32_t positions)
{
    dt_kv_cache_grow(to, 0, positions);
    copy_positions(to, from, positions);
}

size_t dt_kv_cache_layer_bytes(const struct dt_kv_cache *cache, size_t positions)
{
    size_t scales = cache->type == DT_KV_I8 ? cache->heads * sizeof(float) : 0;
    return positions * 2 * (channels(cache) * dt_kv_type_bytes(cache->type) + scales);
}

struct dt_kv dt_kv_cache_layer(const struct dt_kv_cache *cache, uint32_t layer)
{
    size_t slot = channels(cache) * dt_kv_type_bytes(cache->type), scales = scale_bytes(cache);
    const unsigned char *keys = cache->memory + layer * (size_t)layer_bytes(cache);
    const unsigned char *values = keys + cache->key_slots * slot;
    const float *key_scales =
        scales ? (const float *)(const void *)(values + cache->value_slots * slot) : NULL;
    return (struct dt_kv){
        .type = cache->type,
        .heads = cache->heads,
        .head_size = cache->head_size,
        .capacity = cache->extent,
        .keys = keys,
        .values = values,
        .key_head = cache->head_size * cache->key_slots,
        .key_slot = 1,
        .key_channel = cache->key_slots,
        .value_head = cache->head_size * cache->value_slots,
        .value_slot = cache->head_size,
        .value_channel = 1,
        .key_scales = key_scales,
        .value_scales = scales ? key_scales + scales / sizeof(float) : NULL,
        .scale_head = scales ? cache->value_slots : 0,
    };
}

struct dt_kv dt_kv_cache_from(const struct dt_kv *kv, uint32_t first)
{
    struct dt_kv part = *kv;
    size_t element = dt_kv_type_bytes(kv->type);
    if (kv->slots) {
        part.slots += first;
        return part;
    }
    part.capacity -= first;
    part.keys = (const unsigned char *)kv->keys + first * kv->key_slot * element;
    part.values = (const unsigned char *)kv->values + first * kv->value_slot * element;
    if (kv->type == DT_KV_I8) {
        part.key_scales += first;
        part.value_scales += first;
    }
    return part;
}

// Stores n adjacent positions, as dt_kv_cache_store. Inlined for one position and for several, so
// that n is a constant.
static inline __attribute__((always_inline)) void store_run(const struct dt_kv *kv, uint32_t slot,
                                                            const float *key, const float *value,
                                                            size_t stride, uint32_t n)
{
    for (uint32_t h = 0; h < kv->heads; h++, key += kv->head_size, value += kv->head_size) {
        size_t key_at = h * kv->key_head + slot * kv->key_slot;
        size_t value_at = h * kv->value_head + slot * kv->value_slot;
        if (kv->type == DT_KV_F32) {
            float *keys = (float *)(uintptr_t)kv->keys + key_at,
                  *values = (float *)(uintptr_t)kv->values + value_at;
            for (uint32_t i = 0; i < kv->head_size; i++) {
                for (uint32_t k = 0; k < n; k++)
                    keys[i * kv->key_channel + k * kv->key_slot] = key[k * stride + i];
            }
            for (uint32_t k = 0; k < n; k++)
                memcpy(values + k * kv->value_slot, value + k * stride,
                       kv->head_size * sizeof *value);
            continue;
        }
        uint16_t *keys = (uint16_t *)(uintptr_t)kv->keys + key_at;
        uint16_t *values = (uint16_t *)(uintptr_t)kv->values + value_at;
        for (uint32_t i = 0; i < kv->head_size; i++) {
            for (uint32_t k = 0; k < n; k++) {
                keys[i * kv->key_channel + k * kv->key_slot] =
                    dt_float_to_half(key[k * stride + i]);
                values[k * kv->value_slot + i] = dt_float_to_half(value[k * stride + i]);
            }
        }
    }
}

typedef float four __attribute__((vector_size(16)));
typedef int32_t four_i __attribute__((vector_size(16)));

// Four floats, or the n that are left, then zeros.
static four load_four(const float *x, uint32_t n)
{
    four v = {0};
    memcpy(&v, x, (n < 4 ? n : 4) * sizeof *x);
    return v;
}

static four blend(four_i mask, four a, four b)
{
    return (four)((mask & (four_i)a) | (~mask & (four_i)b));
}

// Quantises n floats, `stride` apart in out. Returns their scale: max / 127, or NaN if one of them
// is not finite. Halves round away from zero; 127 is the largest even where the scale is so small
// that it was rounded.
static float quantise(int8_t *out, size_t stride, const float *x, uint32_t n)
{
    four largest = {0}, spoiled = {0};
    for (uint32_t i = 0; i < n; i += 4) {
        four v = load_four(x + i, n - i), magnitude = (four)((four_i)v & INT32_MAX);
        largest = blend(magnitude > largest, magnitude, largest);
        spoiled += v * 0.0f; // NaN if it is not finite
    }
    float most = 0.0f, spoil = 0.0f;
    for (int k = 0; k < 4; k++) {
        most = largest[k] > most ? largest[k] : most;
        spoil += spoiled[k];
    }
    float scale = most / 127.0f + spoil;
    bool zero = !(scale > 0.0f);
    for (uint32_t i = 0; i < n; i += 4) {
        const four limit = {127, 127, 127, 127}, half = {0.5f, 0.5f, 0.5f, 0.5f};
        four v = load_four(x + i, n - i) / (zero ? 1.0f : scale);
        four_i sign = (four_i)v & INT32_MIN;
        four q = (four)((four_i)v & INT32_MAX); // rounded as a magnitude
        q = blend(q < limit, q, limit) + half;  // NaN: converting it would be undefined
        four_i whole = __builtin_convertvector((four)((four_i)q | sign), four_i);
        for (uint32_t k = 0; k < 4 && i + k < n; k++)
            out[(i + k) * stride] = zero ? 0 : (int8_t)whole[k];
    }
    return scale;
}

static void store_i8(const struct dt_kv *kv, uint32_t slot, const float *key, const float *value)
{
    int8_t *keys = (int8_t *)(uintptr_t)kv->keys + slot * kv->key_slot;
    int8_t *values = (int8_t *)(uintptr_t)kv->values + slot * kv->value_slot;
    float *key_scales = (float *)(uintptr_t)kv->key_scales + slot;
    float *value_scales = (float *)(uintptr_t)kv->value_scales + slot;
    for (uint32_t h = 0; h < kv->heads; h++, key += kv->head_size, value += kv->head_size) {
        key_scales[h * kv->scale_head] =
            quantise(keys + h * kv->key_head, kv->key_channel, key, kv->head_size);
        value_scales[h * kv->scale_head] =
            quantise(values + h * kv->value_head, kv->value_channel, value, kv->head_size);
    }
}

void dt_kv_cache_store(const struct dt_kv *kv, uint32_t slot, const float *key, const float *value,
                       size_t stride, uint32_t n)
{
    uint32_t k = 0;
    for (; kv->type == DT_KV_I8 && k < n; k++)
        store_i8(kv, slot + k, key + k * stride, value + k * stride);
    for (; k + STORED_AT_ONCE <= n; k += STORED_AT_ONCE)
        store_run(kv, slot + k, key + k * stride, value + k * stride, stride, STORED_AT_ONCE);
    for (; k < n; k++)
        store_run(kv, slot + k, key + k * stride, value + k * stride, 0, 1);
}

size_t dt_kv_cache_saved_bytes(const struct dt_kv_cache *cache, uint32_t positions)
{
    return cache->layers * dt_kv_cache_layer_bytes(cache, positions);
}

static void copy(unsigned char *cache, unsigned char **saved, size_t bytes, bool out)
{
    memcpy(out ? *saved : cache, out ? cache : *saved, bytes);
    *saved += bytes;
}

// Copies the first positions to `saved`, or back: for each head its keys by channel, then its
// values.
static void copy_all(const struct dt_kv_cache *cache, uint32_t positions, unsigned char *saved,
                     bool out)
{
    size_t element = dt_kv_type_bytes(cache->type);
    for (uint32_t layer = 0; layer < cache->layers; layer++) {
        struct dt_kv kv = dt_kv_cache_layer(cache, layer);
        unsigned char *keys = (unsigned char *)(uintptr_t)kv.keys,
                      *values = (unsigned char *)(uintptr_t)kv.values;
        for (uint32_t head = 0; head < kv.heads; head++) {
            for (uint32_t i = 0; i < kv.head_size; i++)
                copy(keys + (head * kv.key_head + i * kv.key_channel) * element, &saved,
                     positions * element, out);
            copy(values + head * kv.value_head * element, &saved,
                 positions * kv.value_slot * element, out);
            for (int k = 0; k < 2 && kv.key_scales; k++)
                copy((unsigned char *)(uintptr_t)((k ? kv.value_scales : kv.key_scales) +
                                                  head * kv.scale_head),
                     &saved, positions * sizeof(float), out);
        }
    }
}

void dt_kv_cache_save(const struct dt_kv_cache *cache, uint32_t positions, unsigned char *out)
{
    copy_all(cache, positions, out, true);
}

void dt_kv_cache_restore(struct dt_kv_cache *cache, uint32_t positions, const unsigned char *saved)
{
    dt_kv_cache_grow(cache, 0, positions);
    copy_all(cache, positions, (unsigned char *)(uintptr_t)saved, false);
}

void dt_kv_cache_fill(struct dt_kv_cache *cache, uint32_t positions, float *key, float *value)
{
    dt_kv_cache_grow(cache, 0, positions);
    for (uint32_t layer = 0; layer < cache->layers; layer++) {
        struct dt_kv kv = dt_kv_cache_layer(cache, layer);
        for (uint32_t slot = 0; slot < positions; slot++) {
            for (uint32_t i = 0; i < kv.heads * kv.head_size; i++) {
                uint32_t mixed = (layer * 2654435761u + slot * 40503u + i * 2246822519u) >> 16;
                key[i] = (float)(mixed & 255) / 256.0f - 0.5f;
                value[i] = (float)(mixed >> 8) / 256.0f - 0.5f;
            }
            dt_kv_cache_store(&kv, slot, key, value, 0, 1);
        }
    }
}
