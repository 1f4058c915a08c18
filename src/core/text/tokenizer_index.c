// SPDX-License-Identifier: MIT
#include "core/text/tokenizer_index.h"

#include <string.h>

#include "base/bytes.h"

// A power of two: the table is at most half full.
static uint32_t index_slots(uint32_t size)
{
    uint32_t slots = 16;
    while (slots < 2 * (uint64_t)size && slots < 1u << 31)
        slots *= 2;
    return slots;
}

size_t dt_tokenizer_index_measure(const struct dt_vocab *vocab)
{
    struct dt_arena counter = dt_arena_over(NULL, 0);
    if (!vocab->index)
        dt_arena_alloc(&counter, index_slots(vocab->size), sizeof(uint32_t));
    return counter.wanted;
}

static int hex_digit(unsigned char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

int dt_tokenizer_piece_byte(const unsigned char *piece, size_t n)
{
    if (n != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>')
        return -1;
    int high = hex_digit(piece[3]), low = hex_digit(piece[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void find_byte_tokens(struct dt_tokenizer *t)
{
    const struct dt_vocab *vocab = t->vocab;
    for (uint32_t byte = 0; byte < 256; byte++)
        t->byte_token[byte] = vocab->unknown < vocab->size ? vocab->unknown : DT_NO_TOKEN;
    if (!vocab->types) { // their ids are fixed in llama2.c
        for (uint32_t byte = 0; byte < 256 && byte + 3 < vocab->size; byte++)
            t->byte_token[byte] = byte + 3;
        return;
    }
    for (uint32_t id = vocab->size; id-- > 0;) {
        size_t n;
        const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
        if (dt_vocab_type(vocab, id) != DT_TOKEN_BYTE)
            continue;
        int byte = dt_tokenizer_piece_byte(piece, n);
        if (byte >= 0)
            t->byte_token[byte] = id;
    }
}

// Hashes eight bytes at a time. The rest is read as two words that overlap, or as the first, middle
// and last byte.
static uint64_t hash_piece(const unsigned char *piece, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u ^ n, rest = 0;
    for (; n >= 8; piece += 8, n -= 8) {
        hash = (hash ^ dt_read_u64(piece)) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    if (n >= 4)
        rest = (uint64_t)dt_read_u32(piece) << 32 | dt_read_u32(piece + n - 4);
    else if (n > 0)
        rest = (uint64_t)piece[0] << 16 | (uint64_t)piece[n / 2] << 8 | piece[n - 1];
    hash = (hash ^ rest) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

bool dt_tokenizer_is_special(const struct dt_vocab *vocab, uint32_t id)
{
    if (!vocab->types)
        return false;
    enum dt_token_type type = dt_vocab_type(vocab, id);
    return type == DT_TOKEN_CONTROL || type == DT_TOKEN_USER_DEFINED;
}

// A slot is 0 if free, else the piece's id + 1 with some bits of its hash above it; pieces are
// compared only if these bits agree.
#define ID_BITS 21
#define ID_MASK ((1u << ID_BITS) - 1)
_Static_assert(DT_MAX_VOCAB <= ID_MASK, "id + 1 must fit in a slot");

// The slot of this piece, or the free slot where it belongs.
static uint32_t slot_of(const struct dt_vocab *vocab, const uint32_t *index, uint32_t mask,
                        const unsigned char *piece, size_t n, uint32_t *tag)
{
    uint64_t hash = hash_piece(piece, n);
    uint32_t slot = (uint32_t)(hash >> 32) & mask;
    *tag = (uint32_t)hash & ~ID_MASK;
    for (; index[slot] != 0; slot = (slot + 1) & mask) {
        size_t length;
        if ((index[slot] & ~ID_MASK) != *tag)
            continue;
        const unsigned char *other = dt_vocab_piece(vocab, (index[slot] & ID_MASK) - 1, &length);
        if (length == n && memcmp(other, piece, n) == 0)
            break;
    }
    return slot;
}

uint32_t *dt_piece_index_new(struct dt_arena *arena, uint32_t size, uint32_t *mask)
{
    uint32_t slots = index_slots(size);
    uint32_t *index = dt_arena_alloc(arena, slots, sizeof *index);
    *mask = slots - 1;
    if (index)
        memset(index, 0, slots * sizeof *index);
    return index;
}

void dt_piece_index_prefetch(const uint32_t *index, uint32_t mask, const void *piece, size_t n)
{
    __builtin_prefetch(&index[(uint32_t)(hash_piece(piece, n) >> 32) & mask], 1);
}

void dt_piece_index_prefetch_text(const struct dt_vocab *vocab, const uint32_t *index,
                                  uint32_t mask, const void *piece, size_t n)
{
    uint32_t id = index[(uint32_t)(hash_piece(piece, n) >> 32) & mask] & ID_MASK;
    if (id)
        __builtin_prefetch(vocab->bytes + vocab->offset[id - 1]);
}

bool dt_piece_index_add(const struct dt_vocab *vocab, uint32_t *index, uint32_t mask, uint32_t id)
{
    size_t n;
    uint32_t tag;
    const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
    uint32_t slot = slot_of(vocab, index, mask, piece, n, &tag);
    uint32_t there = index[slot] & ID_MASK;
    if (!there || there > id + 1)
        index[slot] = (id + 1) | tag;
    return !there || there == id + 1;
}

uint32_t dt_piece_index_find(const struct dt_vocab *vocab, const uint32_t *index, uint32_t mask,
                             const void *piece, size_t n)
{
    uint32_t tag, found = index[slot_of(vocab, index, mask, piece, n, &tag)] & ID_MASK;
    return found == 0 ? DT_NO_TOKEN : found - 1;
}

void dt_tokenizer_index_build(struct dt_tokenizer *t)
{
    if (t->index)
        return;
    const struct dt_vocab *vocab = t->vocab;
    const uint32_t *index = vocab->index;
    t->index_mask = vocab->index_mask;
    if (!index) {
        uint32_t *built = dt_piece_index_new(&t->arena, vocab->size, &t->index_mask);
        for (uint32_t id = 0; id < vocab->size; id++) {
            size_t n;
            uint32_t ahead = vocab->size - id > DT_PIECE_AHEAD ? id + DT_PIECE_AHEAD : id;
            const unsigned char *piece = dt_vocab_piece(vocab, ahead, &n);
            dt_piece_index_prefetch(built, t->index_mask, piece, n);
            t->repeats = !dt_piece_index_add(vocab, built, t->index_mask, id) || t->repeats;
        }
        index = built;
    }
    for (uint32_t id = 0; id < vocab->size; id++) {
        uint32_t n = vocab->length[id];
        if (n > t->longest)
            t->longest = n;
        if (n > 0 && dt_tokenizer_is_special(vocab, id)) {
            t->starts_special[vocab->bytes[vocab->offset[id]]] = true;
            if (n > t->longest_special)
                t->longest_special = n;
        }
    }
    find_byte_tokens(t);
    t->index = index;
}

uint32_t dt_tokenizer_find(struct dt_tokenizer *t, const void *piece, size_t n)
{
    dt_tokenizer_index_build(t);
    if (n > t->longest)
        return DT_NO_TOKEN;
    return dt_piece_index_find(t->vocab, t->index, t->index_mask, piece, n);
}
