// SPDX-License-Identifier: MIT
// Text to tokens and back.
#ifndef DT_CORE_TOKENIZER_H
#define DT_CORE_TOKENIZER_H

#include "core/text/tokenizer_index.h"

// Bytes of memory that a tokenizer needs to encode up to max_text bytes at a time.
size_t dt_tokenizer_measure(const struct dt_vocab *vocab, size_t max_text);

// Makes a tokenizer. vocab and memory (DT_ALIGN-aligned, dt_tokenizer_measure bytes) outlive it.
// Use it on one thread at a time. DT_BAD_INPUT: vocab has no pieces; DT_NO_MEMORY.
dt_status dt_tokenizer_init(struct dt_tokenizer *t, const struct dt_vocab *vocab, void *memory,
                            size_t memory_size, struct dt_error *err);

enum dt_encode_flags {
    // BOS first, if the vocabulary adds it. Empty text always gets BOS (or EOS if there is no BOS),
    // because a story needs a first token.
    DT_ENCODE_BOS = 1,
    DT_ENCODE_EOS = 2, // EOS last
    // a space before non-empty text, if the vocabulary adds it (llama2.c does)
    DT_ENCODE_PREFIX = 4,
    // Control and user-defined pieces in the text become their tokens. Without it they are ordinary
    // text: a user's input must not forge a turn.
    DT_ENCODE_SPECIAL = 8,
    // User-defined pieces (<think>, <tool>) in the text become their tokens, control pieces do not.
    DT_ENCODE_USER = 16,
};

// Encodes text[0..n) into tokens[0..capacity); *count is the total, also if it exceeds capacity.
// SPM gives llama2.c's ids for any bytes: the text is split into UTF-8 characters as in llama2.c
// (at most 4 bytes; invalid bytes become byte tokens), then the adjacent pair with the best score
// is merged until none is left, the leftmost of equal ones first. O(n log n). A tokenizer.bin has
// no special pieces, so DT_ENCODE_SPECIAL has no effect. In GGUF vocabularies, merging plain text
// never gives a control, byte or unknown piece, and the space of DT_ENCODE_PREFIX is also added
// after each special piece. DT_NO_MEMORY: the tokens exceed capacity, or n exceeds max_text.
dt_status dt_tokenizer_encode(struct dt_tokenizer *t, const char *text, size_t n, unsigned flags,
                              uint32_t *tokens, size_t capacity, size_t *count,
                              struct dt_error *err);

// The control or user-defined token whose piece is at the beginning of text[0..n), the longest if
// there are several, and the bytes of its piece; DT_NO_TOKEN if there is none.
uint32_t dt_tokenizer_special(struct dt_tokenizer *t, const char *text, size_t n, size_t *length);

// Writes the bytes of token id after `previous` (DT_NO_TOKEN at the start) to out, at most
// DT_PIECE_MAX, and returns how many. After BOS one leading space is dropped; byte pieces give
// their byte; control pieces give nothing, except those of a tokenizer.bin, which llama2.c prints
// ("\n</s>\n"); an id outside the vocabulary gives nothing. The bytes are raw: pass them through a
// dt_text_filter before they are shown. Needs no index: any thread.
size_t dt_tokenizer_decode(const struct dt_tokenizer *t, uint32_t previous, uint32_t id, char *out);

// Whether id ends a story or a turn (EOS, end of turn, the others of vocab->ends).
bool dt_tokenizer_is_end(const struct dt_tokenizer *t, uint32_t id);

#endif
