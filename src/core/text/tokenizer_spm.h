// SPDX-License-Identifier: MIT
// SentencePiece BPE: characters, then merges by score. Of the tokenizer, not for others.
#ifndef DT_CORE_TOKENIZER_SPM_H
#define DT_CORE_TOKENIZER_SPM_H

#include "core/text/tokenizer_index.h"

// Scratch bytes for a run of n bytes of text.
size_t dt_spm_measure(size_t n);

// Encodes one run of plain text. first: a token that goes before it and takes part in merging as in
// llama2.c, or DT_NO_TOKEN; prefix: a space goes before the text. Appends to tokens[*count..room)
// what fits and adds to *count all there are. Scratch is taken from t->arena and given back.
// DT_NO_MEMORY without writing when it does not suffice.
dt_status dt_spm_encode(struct dt_tokenizer *t, const char *text, size_t n, uint32_t first,
                        bool prefix, uint32_t *tokens, size_t capacity, size_t *count);

#endif
