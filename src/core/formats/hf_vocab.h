// SPDX-License-Identifier: MIT
// A vocabulary out of Hugging Face's tokenizer.json.
#ifndef DT_CORE_HF_VOCAB_H
#define DT_CORE_HF_VOCAB_H

#include "core/formats/json_read.h"
#include "core/text/vocab.h"

// Reads the BPE model of a checked tokenizer.json: byte-level ones, and SentencePiece's with byte
// fallback (whose scores are the ranks of their merges). The pieces are copied to the arena, with
// their escapes undone; ids up to `size` that have none are unused. With out NULL it only counts.
// DT_BAD_INPUT or DT_UNSUPPORTED names what was found and wanted.
dt_status dt_hf_vocab(struct dt_json_value tokenizer, const char *name, uint32_t size,
                      struct dt_arena *arena, struct dt_vocab *out, struct dt_error *err);

#endif
