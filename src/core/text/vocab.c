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
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "the model says that its vocabulary has no pieces");
    if (n < 4)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "longest piece: the file has %zu bytes, the field alone takes 4: this "
                            "is no tokenizer.bin",
                            n);
    uint32_t longest = dt_read_u32(bytes);
    if (longest == 0 || longest > DT_PIECE_MAX)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "longest piece: found %u, wanted 1 to %u: this is no tokenizer.bin",
                            longest, DT_PIECE_MAX);
    // Before memory is asked for: a piece takes 8 bytes at least.
    if (size > (n - 4) / 8)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "the model wants %u pieces, %zu bytes hold at most %zu: is it another "
                            "model's tokenizer?",
                            size, n, (n - 4) / 8);

    uint32_t *offset = dt_arena_alloc(arena, size, sizeof *offset);
    uint16_t *length = dt_arena_alloc(arena, size, sizeof *length);
    if (!offset || !length)
        return dt_error_set(err, DT_NO_MEMORY, name, "a vocabulary of %u pieces takes %zu bytes",
                            size, dt_vocab_measure(size));

    size_t at = 4;
    for (uint32_t i = 0; i < size; i++) {
        if (n - at < 8)
            return dt_error_set(err, DT_BAD_INPUT, name,
                                "piece %u of %u: the file ends at byte %zu: is it cut, or another "
                                "model's tokenizer?",
                                i, size, n);
        // a signed field: negative is above every limit
        uint32_t bytes_here = dt_read_u32(bytes + at + 4);
        if (bytes_here > longest)
            return dt_error_set(
                err, DT_BAD_INPUT, name,
                "piece %u: length: found %d, wanted 0 to %u (the longest, by the file)", i,
                (int)bytes_here, longest);
        at += 8;
        if (bytes_here > n - at)
            return dt_error_set(err, DT_BAD_INPUT, name,
                                "piece %u: length: found %u, the file has %zu more bytes", i,
                                bytes_here, n - at);
        offset[i] = (uint32_t)at;
        length[i] = (uint16_t)bytes_here;
        at += bytes_here;
    }
    if (at != n)
        return dt_error_set(
            err, DT_BAD_INPUT, name,
            "%zu bytes follow the %u pieces that the model wants: it is another model's tokenizer",
            n - at, size);

    out->kind = DT_VOCAB_SPM;
    out->size = size;
    out->bytes = bytes;
    out->offset = offset;
    out->length = length;
    out->scores = bytes; // each stands 8 bytes before its piece
    out->scores_stride = 0;
    out->add_bos = true;
    out->add_space_prefix = true;
    out->unknown = 0;
    out->bos = size > 1 ? 1 : DT_NO_TOKEN;
    out->eos = size > 2 ? 2 : DT_NO_TOKEN;
    out->eot = DT_NO_TOKEN;
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
        uint32_t type = dt_read_u32(vocab->types + (size_t)id * 4);
        return type >= DT_TOKEN_NORMAL && type <= DT_TOKEN_BYTE ? (enum dt_token_type)type
                                                                : DT_TOKEN_NORMAL;
    }
    if (vocab->kind != DT_VOCAB_SPM || id > 258)
        return DT_TOKEN_NORMAL;
    return id == 0 ? DT_TOKEN_UNKNOWN : id <= 2 ? DT_TOKEN_CONTROL : DT_TOKEN_BYTE;
}
