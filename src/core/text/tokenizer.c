// SPDX-License-Identifier: MIT
#include "core/text/tokenizer.h"

#include <string.h>

#include "core/formats/reader.h"
#include "core/text/tokenizer_bpe.h"
#include "core/text/tokenizer_spm.h"

// ---- set-up ----

// Half full at most.
static uint32_t index_slots(uint32_t size)
{
    uint32_t slots = 16;
    while (slots < 2 * (uint64_t)size && slots < 1u << 31)
        slots *= 2;
    return slots;
}

size_t dt_tokenizer_measure(const struct dt_vocab *vocab, size_t max_text)
{
    struct dt_arena counter = dt_arena_over(NULL, 0);
    dt_arena_alloc(&counter, index_slots(vocab->size), sizeof(uint32_t));
    if (max_text > SIZE_MAX / 64)
        return SIZE_MAX;
    if (vocab->kind == DT_VOCAB_BPE)
        return counter.wanted + dt_bpe_measure_table(vocab) + dt_bpe_measure(max_text);
    return counter.wanted + dt_spm_measure(max_text);
}

static int hex_digit(unsigned char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

// The byte that a piece "<0xNN>" stands for, or -1.
static int piece_byte(const unsigned char *piece, size_t n)
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
    if (!vocab->types) { // llama2.c takes their place for granted
        for (uint32_t byte = 0; byte < 256 && byte + 3 < vocab->size; byte++)
            t->byte_token[byte] = byte + 3;
        return;
    }
    for (uint32_t id = vocab->size; id-- > 0;) {
        size_t n;
        const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
        if (dt_vocab_type(vocab, id) != DT_TOKEN_BYTE)
            continue;
        int byte = piece_byte(piece, n);
        if (byte >= 0)
            t->byte_token[byte] = id;
    }
}

dt_status dt_tokenizer_init(struct dt_tokenizer *t, const struct dt_vocab *vocab, void *memory,
                            size_t memory_size, struct dt_error *err)
{
    memset(t, 0, sizeof *t);
    if (vocab->kind == DT_VOCAB_NONE)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "the model has no vocabulary: give a tokenizer.bin (-z)");
    size_t least = dt_tokenizer_measure(vocab, 0);
    if (!memory || memory_size < least)
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "a tokenizer over %u pieces takes at least %zu bytes, got %zu",
                            vocab->size, least, memory ? memory_size : 0);
    t->vocab = vocab;
    t->arena = dt_arena_over(memory, memory_size);
    return DT_OK;
}

// ---- the index over pieces ----

// Words of eight bytes; what is left over is read as two words that overlap, or as first, middle
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

static bool is_special(const struct dt_vocab *vocab, uint32_t id)
{
    if (!vocab->types)
        return false;
    enum dt_token_type type = dt_vocab_type(vocab, id);
    return type == DT_TOKEN_CONTROL || type == DT_TOKEN_USER_DEFINED;
}

// A slot holds the piece's number and one, or 0, and above that some bits of its hash: pieces are
// compared only where these agree.
#define ID_BITS 21
#define ID_MASK ((1u << ID_BITS) - 1)
_Static_assert(DT_MAX_VOCAB <= ID_MASK, "a piece's number and one must fit");

// The slot that holds this piece, or the free one where it would go.
static uint32_t slot_of(const struct dt_tokenizer *t, const uint32_t *index,
                        const unsigned char *piece, size_t n, uint32_t *tag)
{
    uint64_t hash = hash_piece(piece, n);
    uint32_t slot = (uint32_t)(hash >> 32) & t->index_mask;
    *tag = (uint32_t)hash & ~ID_MASK;
    for (; index[slot] != 0; slot = (slot + 1) & t->index_mask) {
        size_t length;
        if ((index[slot] & ~ID_MASK) != *tag)
            continue;
        const unsigned char *other = dt_vocab_piece(t->vocab, (index[slot] & ID_MASK) - 1, &length);
        if (length == n && memcmp(other, piece, n) == 0)
            break;
    }
    return slot;
}

static void build_index(struct dt_tokenizer *t)
{
    const struct dt_vocab *vocab = t->vocab;
    uint32_t slots = index_slots(vocab->size);
    uint32_t *index =
        dt_arena_alloc(&t->arena, slots, sizeof *index); // init saw to it that it fits
    memset(index, 0, slots * sizeof *index);
    t->index_mask = slots - 1;
    for (uint32_t id = 0; id < vocab->size; id++) {
        size_t n;
        uint32_t tag;
        const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
        uint32_t slot = slot_of(t, index, piece, n, &tag);
        if (index[slot] == 0)
            index[slot] = (id + 1) | tag;
        if (n > t->longest)
            t->longest = (uint32_t)n;
        if (n > 0 && is_special(vocab, id)) {
            t->starts_special[piece[0]] = true;
            if (n > t->longest_special)
                t->longest_special = (uint32_t)n;
        }
    }
    find_byte_tokens(t);
    t->index = index;
}

uint32_t dt_tokenizer_find(struct dt_tokenizer *t, const void *piece, size_t n)
{
    if (!t->index)
        build_index(t);
    if (n > t->longest)
        return DT_NO_TOKEN;
    uint32_t tag, found = t->index[slot_of(t, t->index, piece, n, &tag)] & ID_MASK;
    return found == 0 ? DT_NO_TOKEN : found - 1;
}

// ---- encoding ----

// The special piece that text[0..n) begins with, the longest if several do; *length gets its bytes.
static uint32_t special_here(struct dt_tokenizer *t, const char *text, size_t n, size_t *length)
{
    if (n == 0 || !t->starts_special[(unsigned char)text[0]])
        return DT_NO_TOKEN;
    for (*length = n < t->longest_special ? n : t->longest_special; *length > 0; --*length) {
        uint32_t id = dt_tokenizer_find(t, text, *length);
        if (id != DT_NO_TOKEN && is_special(t->vocab, id))
            return id;
    }
    return DT_NO_TOKEN;
}

static void append(uint32_t id, uint32_t *tokens, size_t capacity, size_t *count)
{
    if (*count < capacity)
        tokens[*count] = id;
    ++*count;
}

dt_status dt_tokenizer_encode(struct dt_tokenizer *t, const char *text, size_t n, unsigned flags,
                              uint32_t *tokens, size_t capacity, size_t *count,
                              struct dt_error *err)
{
    const struct dt_vocab *vocab = t->vocab;
    bool prefix = (flags & DT_ENCODE_PREFIX) && vocab->add_space_prefix;
    *count = 0;
    bool bpe = vocab->kind == DT_VOCAB_BPE;
    if (!t->index && n > 0)
        build_index(t);
    if (bpe && !t->merges && n > 0) {
        dt_status status = dt_bpe_build(t, err);
        if (status != DT_OK)
            return status;
    }

    // In llama2.c BOS is a symbol like others while pairs are merged. A text of nothing must begin
    // with something.
    uint32_t first = DT_NO_TOKEN, begin = vocab->bos < vocab->size ? vocab->bos
                                          : n == 0                 ? vocab->eos
                                                                   : DT_NO_TOKEN;
    if ((flags & DT_ENCODE_BOS) && (vocab->add_bos || n == 0) && begin < vocab->size) {
        if (bpe || vocab->types || n == 0)
            append(begin, tokens, capacity, count);
        else
            first = begin;
    }

    bool special = (flags & DT_ENCODE_SPECIAL) && t->longest_special > 0;
    for (size_t at = 0; at < n;) {
        size_t length = 0, end = at;
        uint32_t id = DT_NO_TOKEN;
        if (!special)
            end = n;
        while (end < n && (id = special_here(t, text + end, n - end, &length)) == DT_NO_TOKEN)
            end++;
        dt_status status = DT_OK;
        if (end > at)
            status =
                bpe ? dt_bpe_encode(t, text + at, end - at, tokens, capacity, count)
                    : dt_spm_encode(t, text + at, end - at, first, prefix, tokens, capacity, count);
        if (status != DT_OK)
            return dt_error_set(err, DT_NO_MEMORY, NULL,
                                "a text of %zu bytes is longer than this tokenizer has memory for",
                                end - at);
        if (id != DT_NO_TOKEN)
            append(id, tokens, capacity, count);
        at = end + length;
    }
    if ((flags & DT_ENCODE_EOS) && vocab->eos < vocab->size)
        append(vocab->eos, tokens, capacity, count);
    if (*count > capacity)
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "the text is %zu tokens, there is room for %zu", *count, capacity);
    return DT_OK;
}

// ---- decoding ----

size_t dt_tokenizer_decode(const struct dt_tokenizer *t, uint32_t previous, uint32_t id, char *out)
{
    const struct dt_vocab *vocab = t->vocab;
    if (id >= vocab->size)
        return 0;
    enum dt_token_type type = dt_vocab_type(vocab, id);
    size_t n, written = 0;
    const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
    if (vocab->types && (type == DT_TOKEN_CONTROL || type == DT_TOKEN_UNUSED))
        return 0;
    if (vocab->kind == DT_VOCAB_BPE && type == DT_TOKEN_NORMAL)
        return dt_bpe_spell(piece, n, out);
    int byte = !vocab->types || type == DT_TOKEN_BYTE ? piece_byte(piece, n) : -1;
    if (byte >= 0) {
        out[0] = (char)byte;
        return 1;
    }
    for (size_t i = 0; i < n && written < DT_PIECE_MAX; i++) {
        bool space = vocab->meta_space && n - i >= 3 && memcmp(piece + i, "\xe2\x96\x81", 3) == 0;
        out[written++] = space ? ' ' : (char)piece[i];
        i += space ? 2 : 0;
    }
    if (vocab->kind == DT_VOCAB_SPM && written > 0 && out[0] == ' ' && previous == vocab->bos &&
        previous != DT_NO_TOKEN) {
        memmove(out, out + 1, written - 1);
        written--;
    }
    return written;
}

bool dt_tokenizer_is_end(const struct dt_tokenizer *t, uint32_t id)
{
    return id != DT_NO_TOKEN && (id == t->vocab->eos || id == t->vocab->eot);
}
