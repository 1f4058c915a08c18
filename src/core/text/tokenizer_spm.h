// SPDX-License-Identifier: MIT
// SentencePiece BPE: splits text into characters, then merges by score. For tokenizer.c only.
#ifndef DT_CORE_TOKENIZER_SPM_H
#define DT_CORE_TOKENIZER_SPM_H

#include "core/text/tokenizer_index.h"

// The scratch bytes to encode n bytes of text.
size_t dt_spm_measure(size_t n);

// Encodes plain text. first: a token before it that takes part in merging as in llama2.c, or
// DT_NO_TOKEN. prefix: add a space before the text. Appends what fits to tokens[*count..capacity)
// and adds the number of all tokens to *count. Uses t->arena as scratch and frees it again.
// DT_NO_MEMORY: the arena is too small, nothing is written.
dt_status dt_spm_encode(struct dt_tokenizer *t, const char *text, size_t n, uint32_t first,
                        bool prefix, uint32_t *tokens, size_t capacity, size_t *count);

#endif
