// SPDX-License-Identifier: MIT
// A vocabulary: pieces of text with ids, as the model's file or a tokenizer.bin holds them. A view:
// pieces stay where they are in the file's bytes.
#ifndef DT_CORE_VOCAB_H
#define DT_CORE_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum dt_vocab_kind {
    DT_VOCAB_NONE = 0, // the file has none: a tokenizer.bin must be given
    DT_VOCAB_SPM,      // SentencePiece BPE: merges by score; byte fallback <0xNN>
    DT_VOCAB_BPE,      // byte-level BPE: merges by rank (GPT-2 family)
};

// Token types, with the values of GGUF's tokenizer.ggml.token_type.
enum dt_token_type {
    DT_TOKEN_NORMAL = 1,
    DT_TOKEN_UNKNOWN = 2,
    DT_TOKEN_CONTROL = 3,
    DT_TOKEN_USER_DEFINED = 4,
    DT_TOKEN_UNUSED = 5,
    DT_TOKEN_BYTE = 6,
};

enum dt_pretokenizer { // how byte-level BPE splits text before it merges
    DT_PRETOKENIZER_GPT2 = 0,
    DT_PRETOKENIZER_LLAMA3,
    DT_PRETOKENIZER_QWEN2,
    DT_PRETOKENIZER_SMOLLM,
};

#define DT_NO_TOKEN  UINT32_MAX
#define DT_MAX_VOCAB 1048576u // pieces; far above any model's
#define DT_PIECE_MAX 512u     // bytes of the longest piece a file may hold

struct dt_vocab {
    enum dt_vocab_kind kind;
    enum dt_pretokenizer pretokenizer; // BPE
    uint32_t size;
    const unsigned char *bytes;  // the pieces' text: piece i is bytes[offset[i]] .. + length[i]
    const uint32_t *offset;      // size entries, arena: 2^20 pieces and their fields end below 4 GB
    const uint16_t *length;      // size entries, arena
    const unsigned char *scores; // size floats, scores_stride bytes apart, unaligned; NULL for BPE
    size_t scores_stride;        // 0: a score is the float 8 bytes before its piece (tokenizer.bin)
    const unsigned char *types;  // size int32 (unaligned) of enum dt_token_type; NULL: as llama2.c
                                 // has it (0 unknown, 1 BOS, 2 EOS, 3..258 bytes, else normal)
    bool meta_space;             // spaces are U+2581 in the pieces (GGUF); in llama2.c plain
    bool add_bos, add_eos;       // what encoding adds by itself
    bool add_space_prefix;       // SPM: a space before the text
    uint32_t bos, eos, unknown;  // DT_NO_TOKEN where there is none
    uint32_t eot;                // a second token that ends a turn (<|eot_id|>), or DT_NO_TOKEN
    const unsigned char *merges; // BPE: GGUF's array of strings ("left right"); else NULL
    uint64_t merges_count;
    size_t merges_bytes;
};

// Reads llama2.c's tokenizer.bin: uint32 longest piece, then for each of `size` pieces f32 score,
// int32 length, bytes. The file does not tell its count: size comes from the model. name is for
// messages. Takes 6 * size bytes and a little from the arena (dt_vocab_measure tells).
// DT_BAD_INPUT names the piece and the field. Only the lengths are looked at. A header that
// understates a piece, or bytes after the last one, are refused too.
dt_status dt_vocab_open_bin(const unsigned char *bytes, size_t n, const char *name, uint32_t size,
                            struct dt_arena *arena, struct dt_vocab *out, struct dt_error *err);

// Arena bytes that a vocabulary of `size` pieces takes.
size_t dt_vocab_measure(uint32_t size);

// The score (SPM; 0 elsewhere) and the type of a piece, id below size. Pure.
float dt_vocab_score(const struct dt_vocab *vocab, uint32_t id);
enum dt_token_type dt_vocab_type(const struct dt_vocab *vocab, uint32_t id);

// Piece i as it stands in the file (not decoded), *length bytes.
static inline const unsigned char *dt_vocab_piece(const struct dt_vocab *vocab, uint32_t id,
                                                  size_t *length)
{
    *length = vocab->length[id];
    return vocab->bytes + vocab->offset[id];
}

#endif
