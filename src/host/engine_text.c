// SPDX-License-Identifier: MIT
#include <limits.h>

#include "host/array.h"
#include "host/engine_state.h"

// Capacity of the first tokenizer in bytes of text. A longer text makes a larger tokenizer.
#define TEXT_FIRST 2048u

dt_status dt_engine_read_vocabulary(struct dt_engine *e, const char *path, struct dt_error *err)
{
    char found[PATH_MAX];
    dt_status status;
    if (!path && e->model.vocab.kind != DT_VOCAB_NONE) {
        e->tokenizer_source = "the model file";
        return DT_OK;
    }
    if (!path) {
        bool there = dt_model_files_find_tokenizer(e->files.file[0].path, found, sizeof found);
        if (!there && e->options.without_vocabulary) {
            e->tokenizer_source = "none";
            return DT_OK;
        }
        if (!there)
            return dt_error_set(
                err, DT_BAD_INPUT, e->files.file[0].path,
                "contains no vocabulary, and neither ./tokenizer.bin nor a tokenizer "
                "file beside the model exists; name one with -z");
        path = found;
    }
    status = dt_file_map(&e->tokenizer_file, path, err);
    if (status != DT_OK)
        return status;
    size_t bytes = dt_vocab_measure(e->model.hp.vocab);
    status = dt_block_alloc(&e->account, &e->vocab_block, bytes, "the vocabulary", err);
    if (status != DT_OK)
        return status;
    dt_memory_touch(e->vocab_block.memory, bytes);
    struct dt_arena arena = dt_arena_over(e->vocab_block.memory, bytes);
    status =
        dt_vocab_open_bin(e->tokenizer_file.bytes, e->tokenizer_file.size, e->tokenizer_file.path,
                          e->model.hp.vocab, &arena, &e->model.vocab, err);
    e->tokenizer_source = e->tokenizer_file.path;
    return status;
}

dt_status dt_engine_make_tokenizer(struct dt_engine *e, size_t text_max, struct dt_error *err)
{
    struct dt_block fresh = {0};
    struct dt_tokenizer made;
    if (!text_max)
        text_max = TEXT_FIRST;
    dt_status status = dt_block_alloc(
        &e->account, &fresh, dt_tokenizer_measure(&e->model.vocab, text_max), "the tokenizer", err);
    if (status == DT_OK)
        status = dt_tokenizer_init(&made, &e->model.vocab, fresh.memory, fresh.bytes, err);
    if (status != DT_OK) {
        dt_block_free(&e->account, &fresh);
        return status;
    }
    dt_block_free(&e->account, &e->tokenizer_block);
    e->tokenizer_block = fresh;
    e->tokenizer = made;
    e->text_max = text_max;
    return DT_OK;
}

// Makes a larger tokenizer if the present one is too small for n bytes of text.
static dt_status ensure_tokenizer(struct dt_engine *e, size_t n, struct dt_error *err)
{
    return n > e->text_max ? dt_engine_make_tokenizer(e, n + n / 4, err) : DT_OK;
}

dt_status dt_engine_encode(struct dt_engine *e, const char *text, size_t n, unsigned flags,
                           const uint32_t **tokens, size_t *count, struct dt_error *err)
{
    dt_status status = ensure_tokenizer(e, n, err);
    if (status != DT_OK)
        return status;
    size_t capacity = n + 8; // at most one token a byte, plus BOS, EOS and a space
    if (!dt_array_grow(&e->tokens, &e->tokens_capacity, capacity, sizeof *e->tokens))
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "no memory for the tokens of %zu bytes of text", n);
    *tokens = e->tokens;
    status = dt_tokenizer_encode(&e->tokenizer, text, n, flags, e->tokens, e->tokens_capacity,
                                 count, err);
    return status == DT_OK ? dt_engine_check(e, err) : status;
}

dt_status dt_engine_encode_pieces(struct dt_engine *e, const struct dt_template_piece *pieces,
                                  size_t piece_count, bool bos, char *scratch, size_t scratch_size,
                                  uint32_t *tokens, size_t capacity, size_t *count,
                                  struct dt_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < piece_count; i++)
        n += pieces[i].length;
    dt_status status = ensure_tokenizer(e, n, err);
    if (status != DT_OK)
        return status;
    status = dt_template_encode(&e->tokenizer, pieces, piece_count, bos, scratch, scratch_size,
                                tokens, capacity, count, err);
    return status == DT_OK ? dt_engine_check(e, err) : status;
}

dt_status dt_engine_encode_chat(struct dt_engine *e, const struct dt_jinja_text *text, bool whole,
                                const uint32_t **tokens, size_t *count, struct dt_error *err)
{
    dt_status status = ensure_tokenizer(e, text->length, err);
    if (status != DT_OK)
        return status;
    size_t capacity = 2 * text->length + 8; // a token a byte, and a space after each control token
    if (!dt_array_grow(&e->tokens, &e->tokens_capacity, capacity, sizeof *e->tokens))
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "no memory for the tokens of %zu bytes of text", text->length);
    *tokens = e->tokens;
    return dt_template_encode_text(&e->tokenizer, text->text, text->user, text->length, whole,
                                   !whole, e->tokens, capacity, count, err);
}

size_t dt_engine_piece(const struct dt_engine *e, uint32_t previous, uint32_t id, char *out)
{
    return dt_tokenizer_decode(&e->tokenizer, previous, id, out);
}
