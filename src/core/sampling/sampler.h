// SPDX-License-Identifier: MIT
// Chooses the next token from logits, with the random numbers and results of llama2.c, but without
// sorting the vocabulary.
#ifndef DT_CORE_SAMPLER_H
#define DT_CORE_SAMPLER_H

#include <stddef.h>

#include "core/sampling/sampling.h"
#include "core/stack.h"

struct dt_sampler {
    struct dt_sampling settings; // may be changed between calls
    uint64_t state;              // xorshift64*; never 0
    uint32_t vocab;
    // Provides softmax, argmax and select; changed at a swap. NULL: plain loops with the
    // reference's results.
    const struct dt_stack *stack;
    uint64_t *keys; // scratch of vocab entries
    // Statistics: how many tokens with top-p, top-k or min-p were chosen by the quick method
    // (core/sampling/sampler_quick.h) and by the exact one; how often candidates were enough, and
    // how often not.
    uint64_t quick, exact, some, unsure;
};

// Bytes of memory that a sampler over vocab tokens needs.
size_t dt_sampler_measure(uint32_t vocab);

// Makes a sampler. memory (DT_ALIGN-aligned, dt_sampler_measure bytes) and stack outlive it. Seed 0
// means 1; callers that want a random seed choose one before.
void dt_sampler_init(struct dt_sampler *s, uint32_t vocab, const struct dt_stack *stack,
                     const struct dt_sampling *settings, uint64_t seed, void *memory);

// Chooses the next token from logits[0..vocab), which are overwritten. recent: the tokens so far,
// newest last, for the repetition penalty (may be NULL with count 0). With top_k 0, min_p 0 and
// penalty 1 the token is exactly llama2.c's for the same logits and state, and the state advances
// as there: one draw for each token, none when greedy. If the stack's softmax is an approximation,
// the exact method draws from its probabilities. NaN logits are never chosen; if all are NaN the
// token is 0. Where llama2.c would compute with infinities (an infinite logit, a tiny temperature)
// the token is the greedy one. Worker thread; allocates nothing.
uint32_t dt_sampler_next(struct dt_sampler *s, float *logits, const uint32_t *recent,
                         uint32_t count);

// The logits that dt_sampler_some needs with the present settings.
struct dt_sampler_bound dt_sampler_bound(const struct dt_sampler *s);

// The token that dt_sampler_next would choose from all logits, found from candidates only; or
// DT_SAMPLER_UNSURE: then the state is unchanged, and dt_sampler_next must choose. Worker thread.
uint32_t dt_sampler_some(struct dt_sampler *s, const struct dt_candidates *candidates);

// The random numbers: one step of xorshift64*, and its upper 24 bits as a float in [0, 1).
uint32_t dt_random_u32(uint64_t *state);
float dt_random_f32(uint64_t *state);

#endif
