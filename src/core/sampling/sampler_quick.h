// SPDX-License-Identifier: MIT
// Top-p, top-k and min-p without most of the exponentials. For sampler.c only.
#ifndef DT_CORE_SAMPLER_QUICK_H
#define DT_CORE_SAMPLER_QUICK_H

#include "base/bits.h"
#include "core/sampling/sampling.h"

#define DT_SAMPLER_QUICK_MIN 512u // for fewer logits the exact method is as fast

// Logits that are more than this times the temperature below the largest one are needed only as a
// bound of their sum.
#define DT_SAMPLER_QUICK_MARGIN 9.02f

// Logits to choose from: of all tokens or of some.
struct dt_sampler_view {
    const float *logits;   // count of them
    const uint32_t *index; // their tokens, in any order; NULL: 0, 1, 2 ...
    uint32_t count;
    uint32_t vocab; // tokens in all
    // The other tokens' logits are at least DT_SAMPLER_QUICK_MARGIN * temperature below the
    // largest, and the sum of their exp((logit - largest) / temperature) is at most this.
    double outside;
};

// The token that the exact method would choose with this random number (coin), or
// DT_SAMPLER_UNSURE. settings: a temperature above 0, and top_p, top_k or min_p. largest: the
// largest logit, finite. keys: memory for view->count entries. Pure.
uint32_t dt_sampler_quick(const struct dt_sampler_view *view, float largest,
                          const struct dt_sampling *settings, float coin, uint64_t *keys);

// A max-heap of keys: make orders keys[0..n) as a heap; pop moves the largest of keys[0..left) to
// keys[left - 1].
void dt_sampler_heap_make(uint64_t *keys, uint32_t n);
void dt_sampler_heap_pop(uint64_t *keys, uint32_t left);

// A key is larger for a larger value (a float >= 0); for equal values, for a smaller index.
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
