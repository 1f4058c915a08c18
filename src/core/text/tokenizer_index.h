// SPDX-License-Identifier: MIT
// The tokenizer's data and its index over the pieces of a vocabulary.
#ifndef DT_CORE_TOKENIZER_INDEX_H
#define DT_CORE_TOKENIZER_INDEX_H

#include "core/text/vocab.h"

// A tokenizer: a vocabulary and what look-ups need. The index over pieces is built by the first
// encode or find; decoding needs none. Plain data, for core/text/tokenizer*.c only.
struct dt_tokenizer {
    const struct dt_vocab *vocab;
    struct dt_arena arena; // the index, then scratch for one encode at a time
    const uint32_t *index; // hash table over pieces, NULL until it is built
    uint32_t index_mask;
    uint32_t longest;         // bytes of the longest piece
    uint32_t longest_special; // bytes of the longest special piece; 0: there is none
    bool starts_special[256]; // which bytes begin a special piece
    const void *merges;       // BPE only
    bool repeats;             // two pieces have the same text; set when the index is built
    // The token of each byte; where a byte has none, the unknown token or DT_NO_TOKEN.
    uint32_t byte_token[256];
};

// The index over the pieces of a vocabulary whose bytes, offset and length are set, for readers
// that look pieces up: allocates it (NULL: no memory) with *mask; adds a piece, false if another
// one has the same text; finds one (the lowest id if there are several, or DT_NO_TOKEN).
uint32_t *dt_piece_index_new(struct dt_arena *arena, uint32_t size, uint32_t *mask);
bool dt_piece_index_add(const struct dt_vocab *vocab, uint32_t *index, uint32_t mask, uint32_t id);
// Loads what the other two need of this piece into the cache: some pieces before they are called.
#define DT_PIECE_AHEAD 8u
void dt_piece_index_prefetch(const uint32_t *index, uint32_t mask, const void *piece, size_t n);
// The second step, when that has arrived: what dt_piece_index_find() compares the piece with.
void dt_piece_index_prefetch_text(const struct dt_vocab *vocab, const uint32_t *index,
                                  uint32_t mask, const void *piece, size_t n);
uint32_t dt_piece_index_find(const struct dt_vocab *vocab, const uint32_t *index, uint32_t mask,
                             const void *piece, size_t n);

// Bytes of memory the index over the pieces needs; 0 if the vocabulary has it.
size_t dt_tokenizer_index_measure(const struct dt_vocab *vocab);

// Builds the index in t->arena, whose free memory is at least dt_tokenizer_index_measure bytes.
// Does nothing if it exists already.
void dt_tokenizer_index_build(struct dt_tokenizer *t);

// The token whose piece is exactly piece[0..n), the lowest id if there are several, or DT_NO_TOKEN.
// Builds the index if it does not exist yet.
uint32_t dt_tokenizer_find(struct dt_tokenizer *t, const void *piece, size_t n);

// Whether a token is special: a control or user-defined piece of a vocabulary with types. In text
// that may contain markers (DT_ENCODE_SPECIAL), its piece becomes the token.
bool dt_tokenizer_is_special(const struct dt_vocab *vocab, uint32_t id);

// The byte of a piece "<0xNN>", or -1 for other pieces.
int dt_tokenizer_piece_byte(const unsigned char *piece, size_t n);

#endif
