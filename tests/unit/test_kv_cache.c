// SPDX-License-Identifier: MIT
// The KV cache grows with its text: what was stored stays, and what is not needed is not touched.
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/kv/kv_cache.h"
#include "core/quant/half.h"

static uint64_t seed = 88172645463325252ull;

static uint32_t pick(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

// A number for a layer, position and channel, which an f16 can hold.
static float number(uint32_t layer, uint32_t position, uint32_t channel, bool key)
{
    return (float)((layer * 7 + position * 31 + channel * 3 + key) % 2048);
}

static float element(const struct dt_kv *kv, const void *from, size_t at)
{
    return kv->type == DT_KV_F32   ? ((const float *)from)[at]
           : kv->type == DT_KV_F16 ? dt_half_to_float(((const uint16_t *)from)[at])
                                   : (float)((const int8_t *)from)[at];
}

// How much a stored number may differ: half of the scale that is right for its position and head.
static float tolerance(const struct dt_kv *kv, uint32_t layer, uint32_t position, uint32_t head,
                       bool key)
{
    float largest = 0;
    for (uint32_t i = 0; kv->type == DT_KV_I8 && i < kv->head_size; i++)
        largest = fmaxf(largest, number(layer, position, head * kv->head_size + i, key));
    return largest / 254 * 1.001f;
}

static void check_head(const struct dt_kv *kv, uint32_t layer, uint32_t p, uint32_t head)
{
    float key_scale = kv->type == DT_KV_I8 ? kv->key_scales[head * kv->scale_head + p] : 1,
          value_scale = kv->type == DT_KV_I8 ? kv->value_scales[head * kv->scale_head + p] : 1,
          key_off = tolerance(kv, layer, p, head, true),
          value_off = tolerance(kv, layer, p, head, false);
    for (uint32_t i = 0; i < kv->head_size; i++) {
        uint32_t c = head * kv->head_size + i;
        float key =
                  key_scale * element(kv, kv->keys,
                                      head * kv->key_head + p * kv->key_slot + i * kv->key_channel),
              value = value_scale *
                      element(kv, kv->values,
                              head * kv->value_head + p * kv->value_slot + i * kv->value_channel);
        if (fabsf(key - number(layer, p, c, true)) > key_off ||
            fabsf(value - number(layer, p, c, false)) > value_off)
            fail_msg("layer %u, position %u, channel %u: %g and %g", layer, p, c, (double)key,
                     (double)value);
    }
}

static void store(struct dt_kv_cache *cache, uint32_t position, uint32_t n)
{
    uint32_t width = cache->heads * cache->head_size;
    float *key = malloc(n * width * sizeof *key), *value = malloc(n * width * sizeof *value);
    assert_true(key && value);
    for (uint32_t layer = 0; layer < cache->layers; layer++) {
        for (uint32_t i = 0; i < n * width; i++) {
            key[i] = number(layer, position + i / width, i % width, true);
            value[i] = number(layer, position + i / width, i % width, false);
        }
        struct dt_kv kv = dt_kv_cache_layer(cache, layer);
        dt_kv_cache_store(&kv, position, key, value, width, n);
    }
    free(key);
    free(value);
}

static void check(const struct dt_kv_cache *cache, uint32_t positions)
{
    for (uint32_t layer = 0; layer < cache->layers; layer++) {
        struct dt_kv kv = dt_kv_cache_layer(cache, layer);
        assert_true(kv.capacity >= positions);
        for (uint32_t p = 0; p < positions; p++) {
            for (uint32_t head = 0; head < kv.heads; head++)
                check_head(&kv, layer, p, head);
        }
    }
}

// The memory behind the extent is as it was.
static void untouched(const struct dt_kv_cache *cache, const unsigned char *memory, size_t bytes)
{
    size_t end = dt_kv_cache_extent_bytes(cache);
    assert_true(end <= bytes);
    for (size_t i = end; i < bytes; i += 61)
        if (memory[i])
            fail_msg("byte %zu behind the extent of %zu is %u", i - end, end, memory[i]);
}

// The beginning of a text goes to a cache with another layout.
static void copied(const struct dt_kv_cache *from, size_t bytes, uint32_t type, uint32_t window)
{
    struct dt_hparams hp = {.layers = from->layers,
                            .kv_heads = from->heads,
                            .head_size = from->head_size,
                            .window = window};
    struct dt_kv_cache to;
    unsigned char *memory = calloc(1, bytes);
    assert_non_null(memory);
    struct dt_arena arena = dt_arena_over(memory, bytes);
    dt_kv_cache_init(&to, &hp, from->capacity, type);
    dt_kv_cache_alloc(&to, &arena);
    assert_true(to.extent < from->extent);
    for (uint32_t n = 1; n <= from->capacity; n += 1 + pick(from->capacity)) {
        dt_kv_cache_copy(&to, from, n);
        check(&to, n);
    }
    dt_kv_cache_copy(&to, from, from->capacity);
    check(&to, from->capacity);
    free(memory);
}

static void one_text(uint32_t type, uint32_t window)
{
    struct dt_hparams hp = {.layers = 1 + pick(5),
                            .kv_heads = 1 + pick(4),
                            .head_size = 96 + 16 * pick(12),
                            .window = window};
    struct dt_kv_cache cache;
    dt_kv_cache_init(&cache, &hp, DT_MAX_CONTEXT, type);
    uint32_t capacity = 3 * cache.extent + pick(300), extents = 0, rollbacks = 4;
    dt_kv_cache_init(&cache, &hp, capacity, type);
    struct dt_arena measured = dt_arena_over(NULL, 0);
    dt_kv_cache_alloc(&cache, &measured);
    assert_null(cache.memory);
    assert_true(dt_arena_failed(&measured) || measured.used > 0);
    size_t bytes = measured.wanted;
    unsigned char *memory = aligned_alloc(DT_ALIGN, bytes);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    struct dt_arena arena = dt_arena_over(memory, bytes);
    dt_kv_cache_alloc(&cache, &arena);
    assert_false(dt_arena_failed(&arena));
    assert_ptr_equal(cache.memory, memory);
    assert_true(dt_kv_cache_extent_bytes(&cache) <= bytes);
    for (uint32_t used = 0; used < capacity;) {
        uint32_t n = 1 + pick(pick(4) ? 20 : 200), before = cache.extent;
        n = n < capacity - used ? n : capacity - used;
        if (used + n > before)
            untouched(&cache, memory, bytes); // by what was stored
        dt_kv_cache_grow(&cache, used, used + n);
        assert_true(cache.extent >= used + n && cache.extent <= capacity);
        if (before != cache.extent) {
            extents++;
            check(&cache, used);
            untouched(&cache, memory, bytes);
        }
        store(&cache, used, n);
        used += n;
        // what is laid out is not much more than what is used
        assert_true(cache.extent <= 3 * used / 2 + 64 || before == cache.extent);
        if (rollbacks && pick(16) == 0) { // a shorter text needs no other layout
            rollbacks--;
            used = pick(used + 1);
            uint32_t extent = cache.extent;
            dt_kv_cache_grow(&cache, used, used);
            assert_int_equal(cache.extent, extent);
        }
    }
    check(&cache, capacity);
    assert_true(extents > 1 && extents < 12);
    assert_true(dt_kv_cache_extent_bytes(&cache) <= bytes);
    copied(&cache, bytes, type, window);
    free(memory);
}

static void a_text_grows(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        one_text(DT_KV_F32, 0);
        one_text(DT_KV_F16, 100);
        one_text(DT_KV_I8, i ? 100 : 0);
    }
}

// What a head of an int8 cache becomes.
static void quants_of(const float *x, uint32_t n, int8_t *quants, float *scale)
{
    struct dt_hparams hp = {.layers = 1, .kv_heads = 1, .head_size = n};
    struct dt_kv_cache cache;
    static _Alignas(64) unsigned char memory[1 << 16];
    struct dt_arena arena = dt_arena_over(memory, sizeof memory);
    dt_kv_cache_init(&cache, &hp, 3, DT_KV_I8);
    dt_kv_cache_alloc(&cache, &arena);
    assert_non_null(cache.memory);
    struct dt_kv kv = dt_kv_cache_layer(&cache, 0);
    dt_kv_cache_store(&kv, 2, x, x, n, 1);
    for (uint32_t i = 0; i < n; i++) {
        quants[i] = ((const int8_t *)kv.values)[2 * kv.value_slot + i];
        assert_int_equal(((const int8_t *)kv.keys)[2 + i * kv.key_channel], quants[i]);
    }
    *scale = kv.value_scales[2];
    assert_memory_equal(scale, &kv.key_scales[2], sizeof *scale);
}

static void numbers_in_int8(void **state)
{
    (void)state;
    int8_t q[5];
    float scale;
    quants_of((const float[]){-254, 1, 2.9f, 253, 5}, 5, q, &scale); // halves go away from zero
    assert_true(scale == 2.0f);
    assert_memory_equal(q, ((const int8_t[]){-127, 1, 1, 127, 3}), 5);
    quants_of((const float[]){0, 0, -0.0f}, 3, q, &scale);
    assert_true(scale == 0.0f);
    assert_memory_equal(q, ((const int8_t[]){0, 0, 0}), 3);
    // 190 of the smallest float: the scale is rounded to one of them
    quants_of((const float[]){190 * 0x1p-149f, -190 * 0x1p-149f, 0x1p-149f}, 3, q, &scale);
    assert_memory_equal(q, ((const int8_t[]){127, -127, 1}), 3);
    // a number that is not finite is not hidden
    quants_of((const float[]){1, NAN, 3}, 3, q, &scale);
    assert_true(isnan(scale));
    quants_of((const float[]){1, 2, -INFINITY}, 3, q, &scale);
    assert_true(isnan(scale));
    quants_of((const float[]){0x1.fffffep127f, -1, 3}, 3, q, &scale);
    assert_true(isfinite(scale));
    assert_memory_equal(q, ((const int8_t[]){127, 0, 0}), 3);
}

// The names of types, and the memory of a model of the 15M shape.
static void types_and_bytes(void **state)
{
    (void)state;
    struct dt_hparams hp = {.layers = 6, .kv_heads = 6, .head_size = 48};
    struct dt_kv_cache cache;
    assert_int_equal(dt_kv_type_of("f32"), DT_KV_F32);
    assert_int_equal(dt_kv_type_of("f16"), DT_KV_F16);
    assert_int_equal(dt_kv_type_of("i8"), DT_KV_I8);
    assert_false(dt_kv_type_is_known(0) || dt_kv_type_is_known(4));
    dt_kv_cache_init(&cache, &hp, 256, DT_KV_F32);
    assert_int_equal(6 * dt_kv_cache_layer_bytes(&cache, 256), 3538944);
    dt_kv_cache_init(&cache, &hp, 256, DT_KV_I8);
    assert_int_equal(6 * dt_kv_cache_layer_bytes(&cache, 256), 958464);
}

// A cache that takes less than a large page is laid out as a whole.
static void a_small_cache_never_moves(void **state)
{
    (void)state;
    struct dt_hparams hp = {.layers = 5, .kv_heads = 4, .head_size = 8};
    struct dt_kv_cache cache;
    dt_kv_cache_init(&cache, &hp, 512, DT_KV_F32);
    assert_int_equal(cache.extent, 512);
    dt_kv_cache_init(&cache, &hp, 7, DT_KV_F16);
    assert_int_equal(cache.extent, 7);
}

// The sizes of the largest models that a reader accepts do not overflow.
static void the_largest_cache(void **state)
{
    (void)state;
    struct dt_hparams hp = {.layers = DT_MAX_LAYERS, .kv_heads = DT_MAX_HEADS, .head_size = 64};
    struct dt_kv_cache cache;
    dt_kv_cache_init(&cache, &hp, DT_MAX_CONTEXT, DT_KV_F32);
    assert_int_equal(cache.extent, 64);
    struct dt_arena arena = dt_arena_over(NULL, 0);
    dt_kv_cache_alloc(&cache, &arena);
    assert_true(arena.wanted > (size_t)DT_MAX_CONTEXT * 4 || dt_arena_failed(&arena));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_grows),      cmocka_unit_test(numbers_in_int8),
        cmocka_unit_test(types_and_bytes),   cmocka_unit_test(a_small_cache_never_moves),
        cmocka_unit_test(the_largest_cache),
    };
    return cmocka_run_group_tests_name("kv cache", tests, NULL, NULL);
}
