// SPDX-License-Identifier: MIT
#include "core/sampling/draft_table.h"

#include "base/bytes.h"
#include "base/hash.h"

uint64_t dt_draft_vocab_hash(const struct dt_vocab *vocab)
{
    uint64_t hash = dt_hash(DT_HASH_BEGIN, &vocab->size, sizeof vocab->size);
    for (uint32_t i = 0; i < vocab->size; i++) {
        size_t n;
        const unsigned char *piece = dt_vocab_piece(vocab, i, &n);
        uint32_t length = (uint32_t)n;
        hash = dt_hash(hash, &length, sizeof length);
        hash = dt_hash(hash, piece, n);
    }
    return hash;
}

// The mixing steps of MurmurHash3's finaliser (Appleby, 2011, public domain).
uint64_t dt_draft_key(const uint32_t *tokens, uint32_t n)
{
    uint64_t hash = n;
    for (uint32_t i = 0; i < n; i++) {
        hash = (hash ^ tokens[i]) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 33;
    }
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

dt_status dt_draft_table_open(struct dt_draft_table *out, const unsigned char *bytes, size_t size,
                              const char *file, const struct dt_vocab *vocab, struct dt_error *err)
{
    struct dt_draft_table t = {.vocab = vocab->size};
    memset(out, 0, sizeof *out);
    if (size < DT_DRAFT_HEADER || memcmp(bytes, DT_DRAFT_MAGIC, sizeof DT_DRAFT_MAGIC) != 0)
        return dt_error_set(err, DT_BAD_INPUT, file,
                            "is not a table of n-grams; duotale convert MODEL --draft TEXT -o FILE "
                            "makes one");
    uint32_t version = dt_read_u32(bytes + 8), tokens = dt_read_u32(bytes + 12);
    uint64_t hash = dt_read_u64(bytes + 16);
    t.slots = dt_read_u32(bytes + 24);
    t.used = dt_read_u32(bytes + 28);
    t.entries = bytes + DT_DRAFT_HEADER;
    if (version != DT_DRAFT_VERSION)
        return dt_error_set(err, DT_BAD_INPUT, file,
                            "is a table of n-grams of version %u; version %u can be read", version,
                            DT_DRAFT_VERSION);
    if (tokens != vocab->size)
        return dt_error_set(err, DT_BAD_INPUT, file,
                            "is for a vocabulary of %u tokens; the model has %u; make one for this "
                            "model with duotale convert --draft",
                            tokens, vocab->size);
    if (hash != dt_draft_vocab_hash(vocab))
        return dt_error_set(err, DT_BAD_INPUT, file,
                            "is for another vocabulary of %u tokens; make one for this model with "
                            "duotale convert --draft",
                            tokens);
    if (t.slots == 0 || t.slots > DT_DRAFT_SLOTS_MOST || (t.slots & (t.slots - 1)) != 0 ||
        t.used > t.slots)
        return dt_error_set(err, DT_BAD_INPUT, file,
                            "has %u slots with %u entries; the slots must be a power of two, at "
                            "most %u, and not fewer than the entries",
                            t.slots, t.used, DT_DRAFT_SLOTS_MOST);
    size_t expected = DT_DRAFT_HEADER + (size_t)t.slots * DT_DRAFT_ENTRY;
    if (size != expected)
        return dt_error_set(err, DT_BAD_INPUT, file, "has %zu bytes; its %u slots need %zu", size,
                            t.slots, expected);
    *out = t;
    return DT_OK;
}

uint32_t dt_draft_table_find(const struct dt_draft_table *t, const uint32_t *tokens, uint32_t n,
                             uint32_t *frequency)
{
    *frequency = 0;
    if (t->slots == 0)
        return DT_NO_TOKEN;
    uint64_t key = dt_draft_key(tokens, n);
    uint32_t check = (uint32_t)(key >> 32) | 1;
    for (uint32_t i = 0; i < DT_DRAFT_PROBES; i++) {
        uint32_t slot = (uint32_t)(key + i) & (t->slots - 1);
        const unsigned char *entry = t->entries + (size_t)slot * DT_DRAFT_ENTRY;
        uint32_t found = dt_read_u32(entry), value = dt_read_u32(entry + 4);
        if (found == 0)
            return DT_NO_TOKEN;
        if (found != check)
            continue;
        *frequency = value >> 24;
        return (value & 0xffffff) < t->vocab ? value & 0xffffff : DT_NO_TOKEN;
    }
    return DT_NO_TOKEN;
}
