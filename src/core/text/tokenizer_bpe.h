// SPDX-License-Identifier: MIT
// Byte-level BPE: words of the pre-tokenizer, then merges by rank. Of the tokenizer, not for
// others.
#ifndef DT_CORE_TOKENIZER_BPE_H
#define DT_CORE_TOKENIZER_BPE_H

#include "core/text/tokenizer_index.h"

// Arena bytes of the table of merges, and scratch bytes for a run of n bytes of text.
size_t dt_bpe_measure_table(const struct dt_vocab *vocab);
size_t dt_bpe_measure(size_t n);

// Makes the table of merges in t->arena, once, after the index over pieces. DT_BAD_INPUT names a
// merge that is no pair of pieces or makes none.
dt_status dt_bpe_build(struct dt_tokenizer *t, struct dt_error *err);

// Encodes one run of plain text. Appends to tokens[*count..room) what fits and adds to *count all
// there are. Scratch is taken from t->arena and given back. DT_NO_MEMORY without writing when it
// does not suffice.
dt_status dt_bpe_encode(struct dt_tokenizer *t, const char *text, size_t n, uint32_t *tokens,
                        size_t capacity, size_t *count);

// The bytes that piece[0..n) spells in GPT-2's visible characters, to out (at most n); returns how
// many. What is none of those characters is kept as it is.
size_t dt_bpe_spell(const unsigned char *piece, size_t n, char *out);

#endif
