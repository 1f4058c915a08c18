// SPDX-License-Identifier: MIT
// Scoring of texts, shared by `eval` and `eval --compare`.
#ifndef DT_VERBS_EVAL_H
#define DT_VERBS_EVAL_H

#include "verbs/verb.h"

struct dt_eval_score {
    double nats;            // sum of -ln p over the scored tokens
    uint64_t tokens, bytes; // scored tokens, and the bytes of their pieces
    uint32_t stories;
    double quarter_nats[4]; // the same of each quarter of the stories' tokens
    uint64_t quarter_bytes[4];
};

// A text whose stories are separated by lines with <|endoftext|>, and the selection to score:
// stories skip to skip + count - 1. window: a story longer than the context is scored as a whole,
// in a window (core/kv/overflow.h); else its beginning is.
struct dt_eval_text {
    const char *bytes;
    size_t size;
    uint32_t skip, count;
    bool window;
};

// Receives one story without trailing newlines. Any result but DT_OK ends the walk and becomes its
// result.
typedef dt_status dt_eval_story(void *arg, const char *story, size_t n);

// Calls each (may be NULL) for the selected stories of a text. *count (may be NULL) becomes the
// number of stories in the whole text.
dt_status dt_eval_stories(const struct dt_eval_text *text, dt_eval_story *each, void *arg,
                          uint32_t *count);

// Encodes a story as `run` does (BOS, leading space), cut at the context length. *tokens as in
// dt_engine_encode.
dt_status dt_eval_encode(struct dt_engine *engine, const char *text, size_t n,
                         const uint32_t **tokens, uint32_t *count, struct dt_error *err);

double dt_eval_bits_per_byte(const struct dt_eval_score *score);
double dt_eval_nats_per_token(const struct dt_eval_score *score);

// Bytes of a token's piece, as bits per byte counts them.
uint32_t dt_eval_piece_bytes(const struct dt_engine *engine, uint32_t id);

// ln of the sum of e^logit, of finite logits, computed in double: the same bits on every machine,
// off by less than 1e-12. Any thread.
double dt_eval_log_sum_exp(const float *logits, uint32_t n);

// eval --compare: compares the model in `model` with the one at other_path. A backend of "X,Y" uses
// X for the first and Y for the second. Prints the result; returns the exit code.
int dt_eval_compare(const struct dt_verb_model *model, const char *other_path,
                    const struct dt_eval_text *text, bool json);

#endif
