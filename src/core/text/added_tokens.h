// SPDX-License-Identifier: MIT
// How tokens that are added to a vocabulary are found in a text, by Hugging Face's rules.
#ifndef DT_CORE_ADDED_TOKENS_H
#define DT_CORE_ADDED_TOKENS_H

#include "base/arena.h"
#include "core/text/vocab.h"

#define DT_ADDED_MAX 8192u // tokens with flags; far above any model's

// A list that is being made; the rows are in the arena.
struct dt_added_tokens {
    struct dt_added_token *row; // NULL: only counts
    uint32_t count, capacity;
};

// Allocates `capacity` rows.
struct dt_added_tokens dt_added_tokens_new(struct dt_arena *arena, uint32_t capacity);

// Adds flags to a token. The rows stay in ascending order; a token without flags needs none, and
// one for which there is no capacity is left out.
void dt_added_tokens_put(struct dt_added_tokens *list, uint32_t id, uint32_t flags);

// The flags of a token (enum dt_added_flags), or 0.
uint32_t dt_added_flags(const struct dt_vocab *vocab, uint32_t id);

// Whether the piece of token id at text[at..at + length) is the token: one that must be a word of
// its own has no letters or digits beside it.
bool dt_added_matches(const struct dt_vocab *vocab, uint32_t id, const char *text, size_t n,
                      size_t at, size_t length);

// Where the text of a matched token begins, at `from` or later, and ends, with the white space that
// it takes in.
size_t dt_added_begin(const struct dt_vocab *vocab, uint32_t id, const char *text, size_t from,
                      size_t at);
size_t dt_added_end(const struct dt_vocab *vocab, uint32_t id, const char *text, size_t n,
                    size_t end);

#endif
