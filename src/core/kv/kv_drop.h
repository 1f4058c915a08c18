// SPDX-License-Identifier: MIT
// Dropping entries of a KV cache in the middle, for texts that are longer than their context
// (attention sinks and a window: Xiao et al., 2023, arXiv 2309.17453). What is behind the gap moves
// up, so the entries of a cache are always contiguous; it keeps the RoPE of its position in the
// text. What is before the gap is rotated to follow it: rotations add up, R(a) R(b) = R(a + b), so
// no token is evaluated again, and the distance between entries stays that of their slots.
#ifndef DT_CORE_KV_DROP_H
#define DT_CORE_KV_DROP_H

#include "core/kv/kv_cache.h"

// The rotation of a layer's keys by `count` positions: cosine and sine of rotated / 2 angles. NULL:
// the layer has no RoPE.
struct dt_kv_rotation {
    const float *cosine, *sine;
    uint32_t rotated; // channels, an even number
    uint32_t style;   // enum dt_rope_style
};

// Drops `count` entries of a layer, from entry `first` on; `used` are stored. The keys of the first
// ones are rotated in f32 and stored in the cache's type again.
void dt_kv_cache_drop(const struct dt_kv_cache *cache, uint32_t layer, uint32_t used,
                      uint32_t first, uint32_t count, const struct dt_kv_rotation *rotation);

#endif
