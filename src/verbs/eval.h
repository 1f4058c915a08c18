// SPDX-License-Identifier: MIT
// Scoring of texts: what `eval` and `eval --compare` share.
#ifndef DT_VERBS_EVAL_H
#define DT_VERBS_EVAL_H

#include "verbs/verb.h"

struct dt_eval_score {
    double nats;            // sum of -ln p over the scored tokens
    uint64_t tokens, bytes; // scored, and the bytes of their pieces
    uint32_t stories;
};

// Gets one story of the text, without trailing newlines. Anything but DT_OK ends the walk and is
// passed on.
typedef dt_status dt_eval_story(void *arg, const char *story, size_t n);

// Calls each for the stories skip .. skip + most - 1 of text; *count (may be NULL) gets how many
// there are in all.
dt_status dt_eval_stories(const char *text, size_t n, uint32_t skip, uint32_t most,
                          dt_eval_story *each, void *arg, uint32_t *count);

// A story as `run` would begin with it (BOS, leading space), cut at the context length. tokens as
// in dt_engine_encode.
dt_status dt_eval_encode(struct dt_engine *engine, const char *text, size_t n,
                         const uint32_t **tokens, uint32_t *count, struct dt_error *err);

// Scores the stories skip .. skip + most - 1 of text: every token but the first of each, given all
// before it.
dt_status dt_eval_text(struct dt_engine *engine, const char *text, size_t n, uint32_t skip,
                       uint32_t most, struct dt_eval_score *out, struct dt_error *err);

double dt_eval_bits_per_byte(const struct dt_eval_score *score);
double dt_eval_nats_per_token(const struct dt_eval_score *score);

// Bytes of a token's piece, as they are counted in bits a byte.
uint32_t dt_eval_piece_bytes(const struct dt_engine *engine, uint32_t id);

// ln of the sum of e^logit, in double.
double dt_eval_log_sum_exp(const float *logits, uint32_t n);

// eval --compare: the model in `model` against the one at other_path; "-b X,Y" gives each its own
// backend. Returns the exit code.
int dt_eval_compare(const struct dt_verb_model *model, const char *other_path, const char *text,
                    size_t n, uint32_t skip, uint32_t most, bool json);

#endif
