// SPDX-License-Identifier: MIT
#include "core/text/vocab.h"

#include <string.h>

#include "base/bytes.h"

size_t dt_vocab_measure(uint32_t size)
{
    struct dt_arena counter = dt_arena_over(NULL, 0);
    dt_arena_alloc(&counter, size, sizeof(uint32_t));
    dt_arena_alloc(&counter, size, sizeof(uint16_t));
    return counter.wanted;
}

dt_status dt_vocab_open_bin(const unsigned char *bytes, size_t n, const char *name, uint32_t size,
                            struct dt_arena *arena, struct dt_vocab *out, struct dt_error *err)
{
    memset(out, 0, sizeof *out);
    if (size == 0)
        return dt_error_set(err, DT_BAD_INPUT, name, "the model has a vocabulary of no pieces");
    if (n < 4)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "not a tokenizer.bin: the file has %zu bytes, the first field needs 4",
                            n);
    uint32_t longest = dt_read_u32(bytes);
    if (longest == 0 || longest > DT_PIECE_MAX)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "not a tokenizer.bin: longest piece is %u; expected 1 to %u", longest,
                            DT_PIECE_MAX);
    // Checked before the allocation: a piece needs at least 8 bytes.
    if (size > (n - 4) / 8)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "the model has %u pieces, but %zu bytes hold at most %zu; use the "
                            "tokenizer of this model",
                            size, n, (n - 4) / 8);

    uint32_t *offset = dt_arena_alloc(arena, size, sizeof *offset);
    uint16_t *length = dt_arena_alloc(arena, size, sizeof *length);
    if (!offset || !length)
        return dt_error_set(err, DT_NO_MEMORY, name, "a vocabulary of %u pieces needs %zu bytes",
                            size, dt_vocab_measure(size));

    size_t at = 4;
    for (uint32_t i = 0; i < size; i++) {
        if (n - at < 8)
            return dt_error_set(err, DT_BAD_INPUT, name,
                                "piece %u of %u: the file ends at byte %zu; it is truncated or the "
                                "tokenizer of another model",
                                i, size, n);
        // a signed field: negative values exceed every limit
        uint32_t bytes_here = dt_read_u32(bytes + at + 4);
        if (bytes_here > longest)
            return dt_error_set(err, DT_BAD_INPUT, name,
                                "piece %u: length is %d; expected 0 to %u (the longest piece)", i,
                                (int)bytes_here, longest);
        at += 8;
        if (bytes_here > n - at)
            return dt_error_set(err, DT_BAD_INPUT, name,
                                "piece %u: length is %u, the file has %zu more bytes", i,
                                bytes_here, n - at);
        offset[i] = (uint32_t)at;
        length[i] = (uint16_t)bytes_here;
        at += bytes_here;
    }
    if (at != n)
        return dt_error_set(
            err, DT_BAD_INPUT, name,
            "%zu bytes after the %u pieces of the model; use the tokenizer of this model", n - at,
            size);

    out->kind = DT_VOCAB_SPM;
    out->size = size;
    out->bytes = bytes;
    out->offset = offset;
    out->length = length;
    out->scores = bytes; // each is 8 bytes before its piece
    out->scores_stride = 0;
    out->add_bos = true;
    out->add_space_prefix = true;
    out->unknown = 0;
    out->bos = size > 1 ? 1 : DT_NO_TOKEN;
    out->eos = size > 2 ? 2 : DT_NO_TOKEN;
    out->eot = out->pad = DT_NO_TOKEN;
    dt_vocab_find_ends(out);
    return DT_OK;
}

float dt_vocab_score(const struct dt_vocab *vocab, uint32_t id)
{
    float score = 0.0f;
    if (vocab->scores)
        memcpy(&score,
               vocab->scores_stride ? vocab->scores + id * vocab->scores_stride
                                    : vocab->scores + vocab->offset[id] - 8,
               sizeof score);
    return score;
}

enum dt_token_type dt_vocab_type(const struct dt_vocab *vocab, uint32_t id)
{
    if (vocab->types) {
        uint32_t type = vocab->types_stride == 1 ? vocab->types[id]
                                                 : dt_read_u32(vocab->types + (size_t)id * 4);
        return type >= DT_TOKEN_NORMAL && type <= DT_TOKEN_BYTE ? (enum dt_token_type)type
                                                                : DT_TOKEN_NORMAL;
    }
    if (vocab->kind != DT_VOCAB_SPM || id > 258)
        return DT_TOKEN_NORMAL;
    return id == 0 ? DT_TOKEN_UNKNOWN : id <= 2 ? DT_TOKEN_CONTROL : DT_TOKEN_BYTE;
}

// ---- ends ----

void dt_vocab_add_end(struct dt_vocab *vocab, uint32_t id)
{
    uint32_t at = 0;
    while (at < vocab->end_count && vocab->ends[at] < id)
        at++;
    if (id >= vocab->size || vocab->end_count == DT_ENDS_MAX ||
        (at < vocab->end_count && vocab->ends[at] == id))
        return;
    memmove(vocab->ends + at + 1, vocab->ends + at, (vocab->end_count - at) * sizeof *vocab->ends);
    vocab->ends[at] = id;
    vocab->end_count++;
}

void dt_vocab_find_ends(struct dt_vocab *vocab)
{
    static const char *const texts[] = {
        "<|eot_id|>",    "<|eom_id|>",      "<|im_end|>",    "<|end|>",
        "<|return|>",    "<|call|>",        "<|flush|>",     "<|calls|>",
        "<end_of_turn>", "<|end_of_text|>", "<|endoftext|>", "<EOT>",
        "_<EOT>",        "[EOT]",           "[EOS]",         "<end_of_utterance>",
    };
    enum { END = 3, RETURN, CALL, COUNT = sizeof texts / sizeof *texts };
    uint32_t found[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        found[i] = DT_NO_TOKEN;
    for (uint32_t id = 0; vocab->types && vocab->offset && id < vocab->size; id++) {
        size_t n;
        const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
        if (n < 5 || (piece[0] != '<' && piece[0] != '_' && piece[0] != '[') ||
            dt_vocab_type(vocab, id) != DT_TOKEN_CONTROL)
            continue;
        for (size_t i = 0; i < COUNT; i++)
            if (strlen(texts[i]) == n && memcmp(texts[i], piece, n) == 0)
                found[i] = id;
    }
    // In gpt-oss's format <|end|> ends a message, not a turn.
    if (found[RETURN] != DT_NO_TOKEN && found[CALL] != DT_NO_TOKEN)
        found[END] = DT_NO_TOKEN;
    dt_vocab_add_end(vocab, vocab->eos);
    dt_vocab_add_end(vocab, vocab->eot);
    for (size_t i = 0; i < COUNT; i++)
        dt_vocab_add_end(vocab, found[i]);
}
