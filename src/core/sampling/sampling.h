// SPDX-License-Identifier: MIT
// The terms that the sampler, the shortlist and the session share: sampling settings, and which
// logits a sampler needs.
#ifndef DT_CORE_SAMPLING_H
#define DT_CORE_SAMPLING_H

#include <stdbool.h>
#include <stdint.h>

// Applied in this order: penalty, temperature, softmax, top-k, min-p, top-p. Probabilities always
// come from the softmax over all tokens: a filter only shortens the list, and one token of the
// remaining list is drawn.
struct dt_sampling {
    float temperature;    // 0: greedy
    float top_p;          // <= 0 or >= 1: off, as in llama2.c
    uint32_t top_k;       // 0: off
    float min_p;          // 0: off; keeps tokens with p >= min_p * the largest p
    float repeat_penalty; // 1 or 0: off; logits of recent tokens are divided (positive) or
                          // multiplied (negative) by it, once each
    uint32_t repeat_last; // how many recent tokens count, 1024 at most (0: 64)
};

// Whether top-p removes any token.
static inline bool dt_sampling_has_top_p(const struct dt_sampling *settings)
{
    return settings->top_p > 0.0f && settings->top_p < 1.0f;
}

// No token: a shorter way to choose cannot be sure of the result.
#define DT_SAMPLER_UNSURE UINT32_MAX

// Which logits a sampler needs to choose the next token. All zero: every logit.
struct dt_sampler_bound {
    bool partial; // false: every logit is needed, and the other fields do not count
    float margin; // >= 0: the logits of all tokens whose logit is at most this below the largest
    // > 0: also an upper bound of the sum of exp((logit - largest) / temperature) over the other
    // tokens; 0: that sum is not needed.
    float temperature;
};

// Some logits that meet a sampler's bound.
struct dt_candidates {
    const uint32_t *index;         // token ids, ascending; if widened, in two such runs
    float *logits;                 // of these tokens; may be written to
    uint32_t count;                // 0: nothing is known, all logits are needed
    struct dt_sampler_bound bound; // what is met
    double outside;                // the bound's sum is at most this; 0 if bound.temperature is 0
    float threshold;               // the others' bounds are below it; for dt_shortlist_widen
};

#endif
