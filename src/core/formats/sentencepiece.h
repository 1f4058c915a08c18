// SPDX-License-Identifier: MIT
// Reads SentencePiece's tokenizer.model.
#ifndef DT_CORE_SENTENCEPIECE_H
#define DT_CORE_SENTENCEPIECE_H

#include "core/formats/json_read.h"
#include "core/model.h"

// Reads a BPE vocabulary from a tokenizer.model (a protocol buffer of SentencePiece's ModelProto).
// added: the added_tokens_decoder of tokenizer_config.json, pieces by id in decimal digits, or no
// value. Ids below `size` without a piece are unused tokens; pieces from `size` on are ignored. All
// is copied to the arena. With out NULL only counts in the arena. DT_BAD_INPUT: names the byte
// where the file ends too early; DT_UNSUPPORTED: another algorithm or normalizer; DT_NO_MEMORY.
dt_status dt_sentencepiece_read(const struct dt_model_part *file, struct dt_json_value added,
                                uint32_t size, struct dt_arena *arena, struct dt_vocab *out,
                                struct dt_error *err);

// The number of pieces in a tokenizer.model, at most DT_MAX_VOCAB.
uint32_t dt_sentencepiece_count(const struct dt_model_part *file);

#endif
