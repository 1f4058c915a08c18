// SPDX-License-Identifier: MIT
// A vocabulary: the pieces of text behind token ids, from a model's file or a tokenizer.bin. A
// view: the pieces stay in the file's bytes.
#ifndef DT_CORE_VOCAB_H
#define DT_CORE_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum dt_vocab_kind {
    DT_VOCAB_NONE = 0, // the file has none: a tokenizer.bin is needed
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

// How byte-level BPE splits text into words (pretokenizer.h).
enum dt_pretokenizer {
    DT_PRETOKENIZER_GPT2 = 0,
    DT_PRETOKENIZER_LLAMA3,
    DT_PRETOKENIZER_QWEN2,
    DT_PRETOKENIZER_SMOLLM,
    DT_PRETOKENIZER_GPT4O, // gpt-oss too
    DT_PRETOKENIZER_TEKKEN,
    DT_PRETOKENIZER_DEEPSEEK_V3,
    DT_PRETOKENIZER_DEEPSEEK_CODER,
    DT_PRETOKENIZER_DEEPSEEK_LLM,
    DT_PRETOKENIZER_FALCON,
    DT_PRETOKENIZER_BLOOM,
    DT_PRETOKENIZER_VIKING,
    DT_PRETOKENIZER_BAILING,
    DT_PRETOKENIZER_SEED_CODER,
};

// How the text of an added token is found (added_tokens.h).
enum dt_added_flags {
    DT_ADDED_LSTRIP = 1, // it takes in the white space before it
    DT_ADDED_RSTRIP = 2, // and behind it
    DT_ADDED_WORD = 4,   // not beside letters or digits
};
struct dt_added_token {
    uint32_t id, flags;
};

#define DT_NO_TOKEN  UINT32_MAX
#define DT_MAX_VOCAB 1048576u // pieces; far above any model's
#define DT_PIECE_MAX 512u     // bytes of the longest accepted piece
#define DT_ENDS_MAX  16u      // tokens that end a turn or a story

struct dt_vocab {
    enum dt_vocab_kind kind;
    enum dt_pretokenizer pretokenizer; // BPE
    uint32_t size;
    const unsigned char *bytes;  // piece i is bytes[offset[i]], length[i] bytes
    const uint32_t *offset;      // size entries, in the arena; 32 bits are enough for DT_MAX_VOCAB
    const uint16_t *length;      // size entries, in the arena
    const unsigned char *scores; // size floats, scores_stride bytes apart, unaligned; NULL for BPE
    size_t scores_stride;        // 0: a score is 8 bytes before its piece (tokenizer.bin)
    const unsigned char *types;  // size items (unaligned), enum dt_token_type; NULL: as in llama2.c
                                 // (0 unknown, 1 BOS, 2 EOS, 3..258 bytes, others normal)
    size_t types_stride;         // 4, or 1
    bool meta_space;             // spaces in pieces are U+2581 (not in llama2.c)
    bool add_bos, add_eos;       // encoding adds these tokens
    bool add_space_prefix;       // a space before the text
    bool prefix_once;            // not after special tokens within the text
    bool prefix_unless_space;    // nor before text that begins with a space
    bool split_spaces;           // SPM: no merge across the beginning of a space
    bool ignore_merges;          // BPE: a word that is a piece becomes that token
    bool nfc;                    // text is normalised to form C
    uint32_t bos, eos, unknown;  // DT_NO_TOKEN: none
    uint32_t pad;                // fills up batches elsewhere; for conversion; DT_NO_TOKEN: none
    uint32_t eot;                // a second token that ends a turn (<|eot_id|>), or DT_NO_TOKEN
    uint32_t ends[DT_ENDS_MAX];  // all tokens that end a turn, also eos and eot; ascending
    uint32_t end_count;          // (dt_vocab_find_ends)
    const struct dt_added_token *added; // those with flags, by id; in the arena
    uint32_t added_count;
    const unsigned char *merges; // BPE: GGUF's array of strings "left right"; others: NULL
    uint64_t merges_count;       // of either form
    size_t merges_bytes;
    // The same as three ids each, left, right and result, in the arena; then merges is NULL.
    const uint32_t *merge_ids;
    const uint32_t *index; // over the pieces (tokenizer_index.h), in the arena, or NULL
    uint32_t index_mask;
};

// Reads llama2.c's tokenizer.bin: uint32 longest piece, then for each of `size` pieces f32 score,
// int32 length, bytes. The file does not contain the number of pieces; it comes from the model.
// bytes and the arena's memory outlive *out; name is for messages. Allocates
// dt_vocab_measure(size) bytes. DT_BAD_INPUT: names the piece and the field; also for a piece
// longer than the header says, and for bytes after the last piece. DT_NO_MEMORY.
dt_status dt_vocab_open_bin(const unsigned char *bytes, size_t n, const char *name, uint32_t size,
                            struct dt_arena *arena, struct dt_vocab *out, struct dt_error *err);

// The arena bytes of a vocabulary of `size` pieces.
size_t dt_vocab_measure(uint32_t size);

// The score (0 for BPE) and the type of a piece; id is below size. Pure.
float dt_vocab_score(const struct dt_vocab *vocab, uint32_t id);
enum dt_token_type dt_vocab_type(const struct dt_vocab *vocab, uint32_t id);

// Adds a token to the ends. Ignores one that is there already or not in the vocabulary, and any
// after DT_ENDS_MAX.
void dt_vocab_add_end(struct dt_vocab *vocab, uint32_t id);

// Adds to the ends what belongs to them besides the ids that the file names and the reader has
// added: eos, eot, and control tokens whose text ends a turn in published models ("<|im_end|>").
// Linear in the vocabulary.
void dt_vocab_find_ends(struct dt_vocab *vocab);

// A piece as it is in the file (not decoded), *length bytes.
static inline const unsigned char *dt_vocab_piece(const struct dt_vocab *vocab, uint32_t id,
                                                  size_t *length)
{
    *length = vocab->length[id];
    return vocab->bytes + vocab->offset[id];
}

#endif
