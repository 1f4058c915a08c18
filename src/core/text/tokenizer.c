// SPDX-License-Identifier: MIT
#include "core/text/tokenizer.h"

#include <string.h>

#include "core/text/added_tokens.h"
#include "core/text/tokenizer_bpe.h"
#include "core/text/tokenizer_spm.h"

// ---- set-up ----

size_t dt_tokenizer_measure(const struct dt_vocab *vocab, size_t max_text)
{
    size_t index = dt_tokenizer_index_measure(vocab);
    if (max_text > SIZE_MAX / 64)
        return SIZE_MAX;
    if (vocab->kind == DT_VOCAB_BPE)
        return index + dt_bpe_measure_table(vocab) + dt_bpe_measure(vocab, max_text);
    return index + dt_spm_measure(max_text);
}

dt_status dt_tokenizer_init(struct dt_tokenizer *t, const struct dt_vocab *vocab, void *memory,
                            size_t memory_size, struct dt_error *err)
{
    memset(t, 0, sizeof *t);
    if (vocab->kind == DT_VOCAB_NONE)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "the model has no vocabulary; give a tokenizer.bin with -z");
    size_t least = dt_tokenizer_measure(vocab, 0);
    if (!memory || memory_size < least)
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "a tokenizer of %u pieces needs at least %zu bytes (got %zu)",
                            vocab->size, least, memory ? memory_size : 0);
    t->vocab = vocab;
    t->arena = dt_arena_over(memory, memory_size);
    return DT_OK;
}

// ---- encoding ----

// Whether the piece of a token becomes the token in text that is encoded with these flags.
static bool matches(const struct dt_vocab *vocab, uint32_t id, unsigned flags)
{
    return flags & DT_ENCODE_SPECIAL ? dt_tokenizer_is_special(vocab, id)
                                     : dt_vocab_type(vocab, id) == DT_TOKEN_USER_DEFINED;
}

// The longest special piece at the start of text[0..n); *length is its bytes.
static uint32_t special_here(struct dt_tokenizer *t, const char *text, size_t n, unsigned flags,
                             size_t *length)
{
    if (n == 0 || !t->starts_special[(unsigned char)text[0]])
        return DT_NO_TOKEN;
    for (*length = n < t->longest_special ? n : t->longest_special; *length > 0; --*length) {
        uint32_t id = dt_tokenizer_find(t, text, *length);
        if (id != DT_NO_TOKEN && matches(t->vocab, id, flags))
            return id;
    }
    return DT_NO_TOKEN;
}

// The first special token in text[from..n), with where its text begins and ends; DT_NO_TOKEN and
// *begin n if there is none.
static uint32_t next_special(struct dt_tokenizer *t, const char *text, size_t n, size_t from,
                             unsigned flags, size_t *begin, size_t *end)
{
    size_t length = 0;
    for (size_t at = from; at < n; at++) {
        uint32_t id = special_here(t, text + at, n - at, flags, &length);
        if (id == DT_NO_TOKEN)
            continue;
        if (dt_added_matches(t->vocab, id, text, n, at, length)) {
            *begin = dt_added_begin(t->vocab, id, text, from, at);
            *end = dt_added_end(t->vocab, id, text, n, at + length);
            return id;
        }
        at += length - 1; // text
    }
    *begin = n;
    return DT_NO_TOKEN;
}

uint32_t dt_tokenizer_special(struct dt_tokenizer *t, const char *text, size_t n, size_t *length)
{
    dt_tokenizer_index_build(t);
    return special_here(t, text, n, DT_ENCODE_SPECIAL, length);
}

static void append(uint32_t id, uint32_t *tokens, size_t capacity, size_t *count)
{
    if (*count < capacity)
        tokens[*count] = id;
    ++*count;
}

// SentencePiece; with split_spaces, each space and what follows it on its own.
static dt_status spm_encode(struct dt_tokenizer *t, const char *text, size_t n, uint32_t first,
                            bool prefix, uint32_t *tokens, size_t capacity, size_t *count)
{
    dt_status status = DT_OK;
    for (size_t at = 0, end; at < n && status == DT_OK; at = end) {
        end = t->vocab->split_spaces ? at + 1 : n;
        while (end < n && text[end] != ' ')
            end++;
        status = dt_spm_encode(t, text + at, end - at, at ? DT_NO_TOKEN : first, prefix && at == 0,
                               tokens, capacity, count);
    }
    return status;
}

dt_status dt_tokenizer_encode(struct dt_tokenizer *t, const char *text, size_t n, unsigned flags,
                              uint32_t *tokens, size_t capacity, size_t *count,
                              struct dt_error *err)
{
    const struct dt_vocab *vocab = t->vocab;
    bool prefix = (flags & DT_ENCODE_PREFIX) && vocab->add_space_prefix;
    *count = 0;
    bool bpe = vocab->kind == DT_VOCAB_BPE;
    if (n > 0)
        dt_tokenizer_index_build(t);
    if (bpe && !t->merges && n > 0) {
        dt_status status = dt_bpe_build(t, err);
        if (status != DT_OK)
            return status;
    }

    // In llama2.c BOS takes part in merging like any other symbol. Empty text needs a first token.
    uint32_t first = DT_NO_TOKEN, begin = vocab->bos < vocab->size ? vocab->bos
                                          : n == 0                 ? vocab->eos
                                                                   : DT_NO_TOKEN;
    if ((flags & DT_ENCODE_BOS) && (vocab->add_bos || n == 0) && begin < vocab->size) {
        if (bpe || vocab->types || n == 0)
            append(begin, tokens, capacity, count);
        else
            first = begin;
    }

    bool special = flags & (DT_ENCODE_SPECIAL | DT_ENCODE_USER) && t->longest_special > 0;
    for (size_t at = 0, next; at < n; at = next) {
        size_t end = n;
        uint32_t id = special ? next_special(t, text, n, at, flags, &end, &next) : DT_NO_TOKEN;
        if (id == DT_NO_TOKEN)
            next = n;
        dt_status status = DT_OK;
        bool add = prefix && (at == 0 || !vocab->prefix_once) &&
                   !(vocab->prefix_unless_space && text[at] == ' ');
        if (end > at)
            status = bpe ? dt_bpe_encode(t, text + at, end - at, add, tokens, capacity, count)
                         : spm_encode(t, text + at, end - at, first, add, tokens, capacity, count);
        if (status != DT_OK)
            return dt_error_set(err, DT_NO_MEMORY, NULL,
                                "a text of %zu bytes exceeds the memory of this tokenizer",
                                end - at);
        if (id != DT_NO_TOKEN)
            append(id, tokens, capacity, count);
    }
    if ((flags & DT_ENCODE_EOS) && vocab->eos < vocab->size)
        append(vocab->eos, tokens, capacity, count);
    if (*count > capacity)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "the text has %zu tokens; at most %zu fit",
                            *count, capacity);
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
    int byte = !vocab->types || type == DT_TOKEN_BYTE ? dt_tokenizer_piece_byte(piece, n) : -1;
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
    const struct dt_vocab *vocab = t->vocab;
    for (uint32_t i = 0; i < vocab->end_count; i++)
        if (vocab->ends[i] == id)
            return true;
    return id != DT_NO_TOKEN && (id == vocab->eos || id == vocab->eot);
}
