// SPDX-License-Identifier: MIT
#include <string.h>

#include "base/text.h"

#include "core/text/added_tokens.h"
#include "core/text/template.h"
#include "core/text/unicode_classes.h"

// The token of a marker. Without types (llama2.c) the pieces of BOS and EOS vary, so they are found
// by their ids.
static uint32_t marker_token(const struct dt_vocab *vocab, const struct dt_template_piece *piece)
{
    if (piece->length == 3 && memcmp(piece->text, "<s>", 3) == 0 && vocab->bos != DT_NO_TOKEN)
        return vocab->bos;
    if (piece->length == 4 && memcmp(piece->text, "</s>", 4) == 0 && vocab->eos != DT_NO_TOKEN)
        return vocab->eos;
    return dt_template_marker(vocab, piece->text, piece->length);
}

dt_status dt_template_encode(struct dt_tokenizer *t, const struct dt_template_piece *pieces,
                             size_t count, bool bos, char *scratch, size_t scratch_size,
                             uint32_t *tokens, size_t capacity, size_t *out_count,
                             struct dt_error *err)
{
    const struct dt_vocab *vocab = t->vocab;
    unsigned flags = bos && vocab->add_bos ? DT_ENCODE_BOS : 0;
    size_t used = 0, joined = 0;
    dt_status status = DT_OK;
    flags |= DT_ENCODE_PREFIX;
    for (size_t i = 0; i <= count && !status; i++) {
        uint32_t marker =
            i < count && pieces[i].marker ? marker_token(vocab, &pieces[i]) : DT_NO_TOKEN;
        if (i < count &&
            marker == DT_NO_TOKEN) { // text, or a marker that this vocabulary does not have
            if (pieces[i].length > scratch_size - joined)
                return dt_error_set(err, DT_NO_MEMORY, NULL, "a turn must be at most %zu bytes",
                                    scratch_size);
            memcpy(scratch + joined, pieces[i].text, pieces[i].length);
            joined += pieces[i].length;
            continue;
        }
        if (joined || flags & DT_ENCODE_BOS) {
            size_t found = 0;
            if (used && joined && scratch[0] == ' ') // the template has added the space
                flags &= ~(unsigned)DT_ENCODE_PREFIX;
            status = dt_tokenizer_encode(t, scratch, joined, flags, tokens + used, capacity - used,
                                         &found, err);
            if (status)
                return status;
            used += found;
            joined = 0;
            flags = 0;
        }
        if (i < count) {
            if (used == capacity)
                return dt_error_set(err, DT_NO_MEMORY, NULL, "a turn must be at most %zu tokens",
                                    capacity);
            tokens[used++] = marker;
            flags = DT_ENCODE_PREFIX;
        }
    }
    *out_count = used;
    return DT_OK;
}

// The control token at text[at] of a template, and its length.
static uint32_t control_here(struct dt_tokenizer *t, const char *all, const unsigned char *user,
                             size_t size, size_t at, size_t *length)
{
    const struct dt_vocab *vocab = t->vocab;
    const char *text = all + at;
    size_t n = size - at;
    uint32_t id = DT_NO_TOKEN;
    if (vocab->types) {
        id = dt_tokenizer_special(t, text, n, length);
    } else if (n >= 3 && memcmp(text, "<s>", 3) == 0) { // pieces of llama2.c vary
        id = vocab->bos;
        *length = 3;
    } else if (n >= 4 && memcmp(text, "</s>", 4) == 0) {
        id = vocab->eos;
        *length = 4;
    }
    if (id != DT_NO_TOKEN && ((user && memchr(user + at, 1, *length)) ||
                              !dt_added_matches(vocab, id, all, size, at, *length)))
        id = DT_NO_TOKEN;
    return id;
}

// Whether a token that ends a turn takes in the white space behind it.
static bool ends_take_space(const struct dt_vocab *vocab)
{
    for (uint32_t i = 0; i < vocab->end_count; i++)
        if (dt_added_flags(vocab, vocab->ends[i]) & DT_ADDED_RSTRIP)
            return true;
    return false;
}

dt_status dt_template_encode_text(struct dt_tokenizer *t, const char *text,
                                  const unsigned char *user, size_t n, bool bos, bool after,
                                  uint32_t *tokens, size_t capacity, size_t *out_count,
                                  struct dt_error *err)
{
    const struct dt_vocab *vocab = t->vocab;
    size_t used = 0, length = 0, found;
    unsigned flags = DT_ENCODE_USER | (after && vocab->prefix_once ? 0 : DT_ENCODE_PREFIX);
    uint32_t id = n ? control_here(t, text, user, n, 0, &length) : DT_NO_TOKEN;
    size_t begin = 0;
    uint32_t code;
    if (after && ends_take_space(vocab))
        for (size_t one; begin < n && (one = dt_utf8_decode(text + begin, n - begin, &code)) &&
                         dt_unicode_space(code);)
            begin += one;
    *out_count = 0;
    if (bos && vocab->add_bos && vocab->bos < vocab->size && id != vocab->bos && capacity)
        tokens[used++] = vocab->bos;
    for (size_t at = begin; at <= n;) {
        id = at < n ? control_here(t, text, user, n, at, &length) : DT_NO_TOKEN;
        if (id == DT_NO_TOKEN && at < n) {
            at++;
            continue;
        }
        size_t end = id == DT_NO_TOKEN ? n : dt_added_begin(vocab, id, text, begin, at);
        if (end > begin) {
            dt_status status = dt_tokenizer_encode(t, text + begin, end - begin, flags,
                                                   tokens + used, capacity - used, &found, err);
            if (status)
                return status;
            used += found;
        }
        if (at == n)
            break;
        if (used == capacity)
            return dt_error_set(err, DT_NO_MEMORY, NULL, "the dialogue has more than %zu tokens",
                                capacity);
        tokens[used++] = id;
        begin = at = dt_added_end(vocab, id, text, n, at + length);
        flags = DT_ENCODE_USER | (vocab->prefix_once ? 0 : DT_ENCODE_PREFIX);
    }
    *out_count = used;
    return DT_OK;
}
