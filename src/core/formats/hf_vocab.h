// SPDX-License-Identifier: MIT
// Reads the vocabulary of a Hugging Face tokenizer.json.
#ifndef DT_CORE_HF_VOCAB_H
#define DT_CORE_HF_VOCAB_H

#include "core/formats/json_read.h"
#include "core/text/vocab.h"

// Reads the BPE model of a tokenizer.json that dt_json_check_outline accepted: byte-level, or
// SentencePiece with byte fallback (the ranks of the merges become scores). Pieces are copied to
// the arena with their escapes resolved; ids below `size` without a piece are unused tokens. With
// out NULL only counts in the arena. lenient: a pre-tokenizer that duotale does not have is left
// out, not an error (pieces and ids are right, texts are not). DT_BAD_INPUT, DT_UNSUPPORTED or
// DT_NO_MEMORY; name is for messages.
dt_status dt_hf_vocab(const struct dt_json_outline *tokenizer, const char *name, uint32_t size,
                      struct dt_arena *arena, bool lenient, struct dt_vocab *out,
                      struct dt_error *err);

// The flags of an added token (enum dt_added_flags), and how many tokens of a list have some.
uint32_t dt_hf_added_flags(struct dt_json_value token);
uint32_t dt_hf_count_added(struct dt_json_value list);

#endif
