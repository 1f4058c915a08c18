// SPDX-License-Identifier: MIT
// The KV cache of a session: layout, storing, saving and restoring.
//
// For each layer and key/value head, a channel's keys of all positions are contiguous (attention
// reads them along positions), and a position's value channels are contiguous. Slot i holds
// position i. In an I8 cache the keys of a position in a head share a scale, max / 127, and so do
// its values; the scales of a layer are behind its values.
//
// The memory is for `capacity` positions, but is laid out for `extent` of them; what is behind that
// is not touched. A text that outgrows the extent is moved, in place, into a layout of a larger
// one. So pages become resident as positions are used, and a short text lies close together.
#ifndef DT_CORE_KV_CACHE_H
#define DT_CORE_KV_CACHE_H

#include "base/arena.h"
#include "core/model.h"

struct dt_kv_cache {
    uint32_t type; // enum dt_kv_type
    uint32_t layers, heads, head_size;
    uint32_t capacity;     // positions that the memory is for
    uint32_t extent;       // positions that can be stored now
    uint32_t padding;      // slots behind the values of a head
    size_t key_slots;      // elements from one channel's keys to the next channel's
    size_t value_slots;    // slots of a head's values, padded
    unsigned char *memory; // of each layer the keys, the values, and their scales if it has any
};

// Describes a cache for this model; memory comes from dt_kv_cache_alloc. type: enum dt_kv_type.
void dt_kv_cache_init(struct dt_kv_cache *cache, const struct dt_hparams *hp, uint32_t capacity,
                      uint32_t type);

// Allocates the cache from the arena, which outlives it. If the arena is too small, the memory is
// NULL and dt_arena_failed(arena) is true.
void dt_kv_cache_alloc(struct dt_kv_cache *cache, struct dt_arena *arena);

// Bytes that the present extent uses, from the beginning of the memory on.
size_t dt_kv_cache_extent_bytes(const struct dt_kv_cache *cache);

// Makes the extent at least `positions`, which is at most the capacity, and keeps the first `used`
// positions. Descriptors of layers become invalid. Must be called before positions are stored;
// restore and fill do it themselves.
void dt_kv_cache_grow(struct dt_kv_cache *cache, uint32_t used, uint32_t positions);

// Whether there is such a type. dt_kv_type_of: of its name, "f32", "f16" or "i8"; F32 for any
// other.
bool dt_kv_type_is_known(uint32_t type);
uint32_t dt_kv_type_of(const char *name);
size_t dt_kv_type_bytes(uint32_t type); // of an element

// Bytes of one layer's keys and values of `positions` positions, with their scales.
size_t dt_kv_cache_layer_bytes(const struct dt_kv_cache *cache, size_t positions);

// The descriptor of one layer for kernels.
struct dt_kv dt_kv_cache_layer(const struct dt_kv_cache *cache, uint32_t layer);

// The entries of kv from `first` on.
struct dt_kv dt_kv_cache_from(const struct dt_kv *kv, uint32_t first);

// Stores n positions into slots `slot` and up. key and value: heads * head_size floats for each
// position, `stride` floats from one position to the next. Different slots may be stored by
// different threads at once.
void dt_kv_cache_store(const struct dt_kv *kv, uint32_t slot, const float *key, const float *value,
                       size_t stride, uint32_t n);

// The first `positions` positions as plain bytes of any alignment. Restore needs a cache of the
// same model, capacity and type.
size_t dt_kv_cache_saved_bytes(const struct dt_kv_cache *cache, uint32_t positions);
void dt_kv_cache_save(const struct dt_kv_cache *cache, uint32_t positions, unsigned char *out);
void dt_kv_cache_restore(struct dt_kv_cache *cache, uint32_t positions, const unsigned char *saved);

// Makes the first `positions` positions those of `from`, a cache of the same model, capacity and
// type.
void dt_kv_cache_copy(struct dt_kv_cache *to, const struct dt_kv_cache *from, uint32_t positions);

// Fills the first `positions` positions with fixed values between -0.5 and 0.5, the same on every
// machine; for measuring. key, value: scratch of heads * head_size floats.
void dt_kv_cache_fill(struct dt_kv_cache *cache, uint32_t positions, float *key, float *value);

#endif
