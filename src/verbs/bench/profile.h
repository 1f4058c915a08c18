// SPDX-License-Identifier: MIT
// The figures of `duotale profile` and their reports.
#ifndef DT_VERBS_PROFILE_H
#define DT_VERBS_PROFILE_H

#include "core/profile.h"
#include "verbs/verb.h"

// The time of an operator or layer, and the bytes that it read.
struct dt_spent {
    uint64_t ns, bytes;
};

// Figures of a profile, over all rounds with hooks unless stated otherwise.
struct dt_token_profile {
    struct dt_engine *engine;
    struct dt_sampling sampling;
    uint32_t gen, at, rounds, layers;
    struct dt_spent op[DT_OP_COUNT];
    struct dt_spent *layer; // one per layer of the model
    uint64_t sampler_ns;
    uint64_t elapsed_ns;
    uint64_t *token_ns; // one per token of a round
    double *on, *off;   // seconds of each round, with and without hooks
    struct dt_shortlist_facts listed;
    uint64_t some, unsure; // tokens that the shortlist decided, and did not decide
    double in_place;       // bandwidth of reading the weights in place, bytes per second
    double in_private;     // of as many bytes of private memory; 0: not measured
    size_t token_bytes;    // bytes of weights that a token reads
};

// Prints the tables, or one JSON object, to stdout. Both sort the seconds of the rounds.
void dt_profile_print(struct dt_token_profile *profile, bool by_layers);
void dt_profile_json(struct dt_token_profile *profile);

// Writes a chart with one bar per token. Returns the exit code, with a message on stderr if it
// failed.
int dt_profile_chart(const struct dt_token_profile *profile, const char *path);

#endif
