// SPDX-License-Identifier: MIT
// Dropping entries of a KV cache in the middle, for texts that are longer than their context. What
// is behind them moves up, so the entries of a cache are always contiguous: entry i is in slot i
// and has the RoPE of position i, whatever its position in the text is. (Attention sinks and a
// window, as in StreamingLLM: Xiao et al., 2023, arXiv 2309.17453. Rotations add up: R(a) R(b) =
// R(a + b), so a key is moved without evaluating its token.)
#ifndef DT_CORE_KV_DROP_H
#define DT_CORE_KV_DROP_H

#include "core/kv/kv_cache.h"

// The rotation of a layer's keys by -count positions: cosine and sine of rotated / 2 angles of
// +count. NULL: the layer has no RoPE.
struct dt_kv_rotation {
    const float *cosine, *sine;
    uint32_t rotated; // channels, an even number
    uint32_t style;   // enum dt_rope_style
};

// Drops `count` entries of a layer, from entry `first` on; `used` are stored. Keys are rotated in
// f32 and stored in the cache's type again; values are moved as they are. row: scratch of head_size
// floats.
void dt_kv_cache_drop(const struct dt_kv_cache *cache, uint32_t layer, uint32_t used,
                      uint32_t first, uint32_t count, const struct dt_kv_rotation *rotation,
                      float *row);

#endif
