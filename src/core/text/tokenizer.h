// SPDX-License-Identifier: MIT
// Text to tokens and back.
#ifndef DT_CORE_TOKENIZER_H
#define DT_CORE_TOKENIZER_H

#include "core/text/tokenizer_index.h"

// Bytes of memory a tokenizer over vocab needs to encode up to max_text bytes at a time.
size_t dt_tokenizer_measure(const struct dt_vocab *vocab, size_t max_text);

// vocab and memory (DT_ALIGN-aligned, dt_tokenizer_measure bytes) outlive the tokenizer. One thread
// at a time.
dt_status dt_tokenizer_init(struct dt_tokenizer *t, const struct dt_vocab *vocab, void *memory,
                            size_t memory_size, struct dt_error *err);

enum dt_encode_flags {
    DT_ENCODE_BOS = 1, // put the vocabulary's BOS first where it wants one; empty text gets one
                       // always (or EOS, if there is no BOS), for a story must begin with something
    DT_ENCODE_EOS = 2, // and EOS last
    DT_ENCODE_PREFIX =
        4, // SPM: a space before non-empty text where the vocabulary wants one (llama2.c does)
    DT_ENCODE_SPECIAL =
        8, // control and user-defined pieces in the text become their tokens; without it they are
           // text like any other (what a user typed must not forge a turn)
};

// Encodes text[0..n) into tokens (space for `room`), *count gets how many there are in all. SPM
// gives llama2.c's ids for any bytes: split into UTF-8 characters as llama2.c does (at most 4
// bytes; invalid bytes are byte tokens), then the best-scoring adjacent pair is merged until none
// is left, the leftmost among equals. O(n log n). tokenizer.bin has no special pieces
// (DT_ENCODE_SPECIAL changes nothing there). In GGUF vocabularies, plain text never becomes a
// control, byte or unknown piece by merging, and the space of DT_ENCODE_PREFIX is put after each
// special piece again. DT_NO_MEMORY when the tokens do not fit in room or n is above max_text.
dt_status dt_tokenizer_encode(struct dt_tokenizer *t, const char *text, size_t n, unsigned flags,
                              uint32_t *tokens, size_t capacity, size_t *count,
                              struct dt_error *err);

// The bytes of token id when it follows `previous` (DT_NO_TOKEN at the start): after BOS one
// leading space is dropped, byte pieces give their byte, control pieces give nothing, except those
// of a tokenizer.bin, which llama2.c prints ("\n</s>\n"); nor does an id outside the vocabulary.
// Writes at most DT_PIECE_MAX bytes to out, returns how many. Raw: pass it through a dt_text_filter
// before anybody sees it. Needs no index: any thread.
size_t dt_tokenizer_decode(const struct dt_tokenizer *t, uint32_t previous, uint32_t id, char *out);

// 1 if id ends a story or a turn (EOS, end of turn).
bool dt_tokenizer_is_end(const struct dt_tokenizer *t, uint32_t id);

#endif
