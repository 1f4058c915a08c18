// SPDX-License-Identifier: MIT
// Top-p, top-k and min-p without most of the exponentials. Of the sampler, not for others.
#ifndef DT_CORE_SAMPLER_QUICK_H
#define DT_CORE_SAMPLER_QUICK_H

#include "base/bits.h"
#include "core/sampling/sampling.h"

#define DT_SAMPLER_QUICK_MIN 512u // fewer logits: the exact road is as quick

// How far below the largest logit, in units of the temperature, logits are that need not be known
// one by one.
#define DT_SAMPLER_QUICK_MARGIN 9.02f

// Logits to choose from: all, or those of some tokens.
struct dt_sampler_view {
    const float *logits;   // count of them
    const uint32_t *index; // whose they are, ascending; NULL: 0, 1, 2 ...
    uint32_t count;
    uint32_t vocab; // tokens in all
    // Those that are not here are at least DT_SAMPLER_QUICK_MARGIN * temperature below the largest,
    // and exp((logit - largest) / temperature) over them adds up to this at most.
    double outside;
};

// The token that the exact road would choose with this coin, or DT_SAMPLER_UNSURE. settings: with a
// temperature, and top_p, top_k or min_p. largest: the value of the largest logit, finite. keys:
// space for as many as there are logits. Reads the logits only.
uint32_t dt_sampler_quick(const struct dt_sampler_view *view, float largest,
                          const struct dt_sampling *settings, float coin, uint64_t *keys);

// A max-heap of keys. Put in order, keys[0..n) is a heap; each take moves the largest of those
// left, keys[0..left), to keys[left - 1].
void dt_sampler_heap_make(uint64_t *keys, uint32_t n);
void dt_sampler_heap_pop(uint64_t *keys, uint32_t left);

// A key orders by value (a float >= 0), the larger first, then by index, the smaller first.
static inline uint64_t dt_sampler_key(float value, uint32_t index)
{
    return (uint64_t)dt_bits_of(value) << 32 | (uint32_t)~index;
}
static inline float dt_sampler_key_value(uint64_t key)
{
    return dt_float_of((uint32_t)(key >> 32));
}
static inline uint32_t dt_sampler_key_index(uint64_t key)
{
    return ~(uint32_t)key;
}

#endif
