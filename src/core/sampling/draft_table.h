// SPDX-License-Identifier: MIT
// A table of n-grams: which token most often follows one, two or three tokens in some text. It is
// made for a vocabulary, by `duotale convert --draft`. What it says is only a guess that is tested
// before it is used, so no content of a table can change a result.
//
// The file, little-endian: a header of DT_DRAFT_HEADER bytes, then `slots` entries of 8 bytes.
//      0  8 bytes "dtdraft" and a zero
//      8  u32 version, 1
//     12  u32 tokens of the vocabulary
//     16  u64 hash of the vocabulary (dt_draft_vocab_hash)
//     24  u32 slots, a power of two
//     28  u32 entries in use
// An entry is two u32: the upper half of the n-gram's hash (dt_draft_key) with bit 0 set, or 0 if
// the slot is empty; and the next token in the lower 24 bits, with 255 times its frequency in the
// upper 8. An n-gram is in the first free of the DT_DRAFT_PROBES slots from its hash on.
#ifndef DT_CORE_DRAFT_TABLE_H
#define DT_CORE_DRAFT_TABLE_H

#include "base/status.h"
#include "core/text/vocab.h"

#define DT_DRAFT_MAGIC      "dtdraft"
#define DT_DRAFT_VERSION    1u
#define DT_DRAFT_HEADER     32u
#define DT_DRAFT_ENTRY      8u
#define DT_DRAFT_PROBES     8u
#define DT_DRAFT_SLOTS_MOST (1u << 24)
#define DT_DRAFT_ORDER      3u // tokens before the next one, at most

// A view of a file's bytes. Zeroed: an empty table.
struct dt_draft_table {
    const unsigned char *entries;
    uint32_t slots, used, vocab;
};

// The identity of a vocabulary: its pieces, in their order.
uint64_t dt_draft_vocab_hash(const struct dt_vocab *vocab);

// The hash of an n-gram: n tokens, newest last.
uint64_t dt_draft_key(const uint32_t *tokens, uint32_t n);

// Reads a table for this vocabulary. file: for messages. DT_BAD_INPUT names what is wrong, with
// both values. Reads the header only.
dt_status dt_draft_table_open(struct dt_draft_table *out, const unsigned char *bytes, size_t size,
                              const char *file, const struct dt_vocab *vocab, struct dt_error *err);

// The most frequent token behind n tokens, and how frequent, 0 to 255; DT_NO_TOKEN if the table
// has none. The token is always of the vocabulary.
uint32_t dt_draft_table_find(const struct dt_draft_table *table, const uint32_t *tokens, uint32_t n,
                             uint32_t *frequency);

#endif
