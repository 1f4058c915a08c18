// SPDX-License-Identifier: MIT
// Byte-level BPE: splits text into words, then merges by rank. For tokenizer.c only.
#ifndef DT_CORE_TOKENIZER_BPE_H
#define DT_CORE_TOKENIZER_BPE_H

#include "core/text/tokenizer_index.h"

// The arena bytes of the merge table, and the scratch bytes to encode n bytes of text.
size_t dt_bpe_measure_table(const struct dt_vocab *vocab);
size_t dt_bpe_measure(const struct dt_vocab *vocab, size_t n);

// Builds the merge table in t->arena, once, after the index. Ignores merges whose parts or result
// are not pieces. DT_BAD_INPUT: a merge is not two pieces; names it. DT_NO_MEMORY.
dt_status dt_bpe_build(struct dt_tokenizer *t, struct dt_error *err);

// Encodes plain text. prefix: add a space before it, unless it begins with one. Appends what fits
// to tokens[*count..capacity) and adds the number of all tokens to *count. Uses t->arena as scratch
// and frees it again. DT_NO_MEMORY: the arena is too small, nothing is written.
dt_status dt_bpe_encode(struct dt_tokenizer *t, const char *text, size_t n, bool prefix,
                        uint32_t *tokens, size_t capacity, size_t *count);

// Decodes piece[0..n) from GPT-2's visible characters to bytes in out (at most n); returns how
// many. Other characters are copied.
size_t dt_bpe_spell(const unsigned char *piece, size_t n, char *out);

#endif
