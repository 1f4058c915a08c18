// SPDX-License-Identifier: MIT
// Reads the vocabulary of a GGUF file: pieces, scores, types and merges stay in the file.
#include "core/formats/gguf_reader.h"
#include "core/text/added_tokens.h"
#include "core/text/pretokenizer.h"

// Whether an array holds items of a type, or of one that is read the same.
static bool holds(const struct dt_gguf_value *v, uint32_t item)
{
    if (v->type != DT_GGUF_ARRAY)
        return false;
    return v->item == item ||
           (item == DT_GGUF_I32 &&
            (v->item == DT_GGUF_U32 || v->item == DT_GGUF_I8 || v->item == DT_GGUF_U8));
}

// Finds an array of a type with `count` items (0: any number). *data is NULL if the key is absent.
static dt_status array(const struct dt_gguf_reader *r, const struct dt_gguf *g, const char *key,
                       uint32_t item, uint64_t count, const unsigned char **data)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, key);
    *data = NULL;
    if (!v)
        return DT_OK;
    if (!holds(v, item))
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "%s is not an array of %s", key,
                            item == DT_GGUF_STRING ? "strings"
                            : item == DT_GGUF_F32  ? "floats"
                                                   : "integers");
    if (count && v->count != count)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "%s has %llu items, tokenizer.ggml.tokens has %llu", key,
                            (unsigned long long)v->count, (unsigned long long)count);
    *data = v->data;
    return DT_OK;
}

static dt_status token_id(const struct dt_gguf_reader *r, const struct dt_gguf *g, const char *key,
                          uint32_t *out)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, key);
    uint32_t id = DT_NO_TOKEN;
    if (v && (v->type == DT_GGUF_U32 || v->type == DT_GGUF_I32) &&
        dt_read_u32(v->data) == UINT32_MAX)
        return DT_OK; // -1: no such token
    dt_status status = dt_gguf_uint(g, key, 0, UINT32_MAX, &id, r->err);
    if (status || id == DT_NO_TOKEN)
        return status;
    if (id < r->model->vocab.size)
        *out = id;
    else
        dt_reader_note(r->model, "%s is %u, but the vocabulary has %u tokens; ignored", key, id,
                       r->model->vocab.size);
    return DT_OK;
}

// The ids that end a turn and are no eos or eot: tokenizer.ggml.eom_token_id and eos_token_ids.
static dt_status read_ends(const struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    const unsigned char *data;
    uint32_t eom = DT_NO_TOKEN;
    dt_status status = token_id(r, g, "tokenizer.ggml.eom_token_id", &eom);
    if (status || (status = array(r, g, "tokenizer.ggml.eos_token_ids", DT_GGUF_I32, 0, &data)))
        return status;
    const struct dt_gguf_value *v = dt_gguf_find(g, "tokenizer.ggml.eos_token_ids");
    dt_vocab_add_end(&r->model->vocab, eom);
    bool bytes = v && (v->item == DT_GGUF_I8 || v->item == DT_GGUF_U8);
    for (uint64_t i = 0; v && i < v->count; i++) {
        uint32_t id = bytes ? data[i] : dt_read_u32(data + 4 * i);
        if (id >= r->model->vocab.size && id != DT_NO_TOKEN)
            dt_reader_note(r->model,
                           "tokenizer.ggml.eos_token_ids has %u, but the vocabulary has %u tokens; "
                           "ignored",
                           id, r->model->vocab.size);
        dt_vocab_add_end(&r->model->vocab, id);
    }
    return DT_OK;
}

// ---- added tokens ----

static const struct added_key {
    const char *key;
    uint32_t flag;
} added_keys[] = {{"duotale.tokenizer.lstrip", DT_ADDED_LSTRIP},
                  {"duotale.tokenizer.rstrip", DT_ADDED_RSTRIP},
                  {"duotale.tokenizer.single_word", DT_ADDED_WORD}};

// The tokens of Phi-3's SentencePiece vocabulary take in the white space behind them, which its
// files do not say.
static bool is_phi3(const struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    const char *name = NULL;
    size_t n = 0;
    if (r->model->vocab.kind != DT_VOCAB_SPM || dt_gguf_text(g, "general.name", &name, &n, NULL))
        return false;
    for (size_t i = 0; name && i + 4 <= n; i++)
        if ((name[i] | 32) == 'p' && (name[i + 1] | 32) == 'h' && (name[i + 2] | 32) == 'i' &&
            (name[i + 3] == '3' || (i + 5 <= n && name[i + 3] == '-' && name[i + 4] == '3')))
            return true;
    return false;
}

static bool takes_space_in_phi3(const struct dt_vocab *vocab, uint32_t id)
{
    static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
    enum dt_token_type type = dt_vocab_type(vocab, id);
    size_t n;
    const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (dt_read_is((const char *)piece, n, others[i]))
            return false;
    return type == DT_TOKEN_CONTROL || type == DT_TOKEN_USER_DEFINED;
}

// The flags of added tokens: convert writes them in keys of duotale's own.
static dt_status read_added(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_vocab *vocab = &r->model->vocab;
    const unsigned char *data[3];
    uint64_t capacity = 0;
    bool phi3 = is_phi3(r, g);
    for (size_t i = 0; i < 3; i++) {
        dt_status status = array(r, g, added_keys[i].key, DT_GGUF_I32, 0, &data[i]);
        const struct dt_gguf_value *v = dt_gguf_find(g, added_keys[i].key);
        if (status)
            return status;
        if (v && (v->item == DT_GGUF_I8 || v->item == DT_GGUF_U8 || v->count > DT_ADDED_MAX))
            return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                                "%s is no array of at most %u numbers of 32 bits",
                                added_keys[i].key, DT_ADDED_MAX);
        capacity += v ? v->count : 0;
        phi3 = phi3 && !v;
    }
    for (uint32_t id = 0; phi3 && vocab->types && id < vocab->size; id++) {
        enum dt_token_type type = dt_vocab_type(vocab, id);
        capacity += type == DT_TOKEN_CONTROL || type == DT_TOKEN_USER_DEFINED;
    }
    capacity = capacity < DT_ADDED_MAX ? capacity : DT_ADDED_MAX;
    struct dt_added_tokens list = dt_added_tokens_new(r->arena, (uint32_t)capacity);
    if (r->measuring)
        return DT_OK;
    if (!list.row)
        return dt_error_set(r->err, DT_NO_MEMORY, g->name,
                            "the table of added tokens needs memory");
    for (uint32_t id = 0; phi3 && vocab->types && id < vocab->size; id++)
        if (takes_space_in_phi3(vocab, id))
            dt_added_tokens_put(&list, id, DT_ADDED_RSTRIP);
    for (size_t i = 0; i < 3; i++) {
        const struct dt_gguf_value *v = dt_gguf_find(g, added_keys[i].key);
        for (uint64_t k = 0; v && k < v->count; k++)
            if (dt_read_u32(data[i] + 4 * k) < vocab->size)
                dt_added_tokens_put(&list, dt_read_u32(data[i] + 4 * k), added_keys[i].flag);
    }
    vocab->added = list.row;
    vocab->added_count = list.count;
    return DT_OK;
}

static dt_status read_pretokenizer(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_vocab *vocab = &r->model->vocab;
    const char *pre = NULL;
    size_t length = 0;
    dt_status status = dt_gguf_text(g, "tokenizer.ggml.pre", &pre, &length, r->err);
    if (status)
        return status;
    if (!pre || dt_read_is(pre, length, "default"))
        dt_reader_note(r->model,
                       "tokenizer.ggml.pre is %s, so text is split as for GPT-2; if the "
                       "model is of another family, convert it again",
                       pre ? "default" : "missing");
    if (!pre) {
        pre = "default";
        length = 7;
    }
    if (!dt_pretokenizer_by_name(pre, length, &vocab->pretokenizer, &vocab->ignore_merges,
                                 &vocab->nfc) &&
        !r->describing)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "tokenizer.ggml.pre is %.*s, a way to split text that duotale does not "
                            "have; its tokens would differ",
                            length < 32 ? (int)length : 32, pre);
    // convert writes these where the name alone does not say it
    if ((status =
             dt_gguf_bool(g, "duotale.tokenizer.ignore_merges", &vocab->ignore_merges, r->err)) ||
        (status = dt_gguf_bool(g, "duotale.tokenizer.nfc", &vocab->nfc, r->err)))
        return status;
    // Names whose models begin with BOS unless the file says otherwise.
    vocab->add_bos = vocab->pretokenizer == DT_PRETOKENIZER_TEKKEN ||
                     (vocab->pretokenizer == DT_PRETOKENIZER_LLAMA3 && vocab->ignore_merges);
    return DT_OK;
}

static dt_status read_merges(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, "tokenizer.ggml.merges");
    const unsigned char *merges;
    dt_status status = array(r, g, "tokenizer.ggml.merges", DT_GGUF_STRING, 0, &merges);
    if (status)
        return status;
    if (!v)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "key tokenizer.ggml.merges is missing (tokenizer.ggml.model is gpt2)");
    if (v->count > 2 * DT_MAX_VOCAB)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "tokenizer.ggml.merges has %llu items; expected at most %u",
                            (unsigned long long)v->count, 2 * DT_MAX_VOCAB);
    r->model->vocab.merges = merges;
    r->model->vocab.merges_count = v->count;
    r->model->vocab.merges_bytes = v->bytes;
    return DT_OK;
}

// Records the offset and length of each piece.
static dt_status read_pieces(struct dt_gguf_reader *r, const struct dt_gguf *g,
                             const struct dt_gguf_value *tokens)
{
    struct dt_vocab *vocab = &r->model->vocab;
    uint32_t *offset = dt_arena_alloc(r->arena, vocab->size, sizeof *offset);
    uint16_t *length = dt_arena_alloc(r->arena, vocab->size, sizeof *length);
    if (!r->measuring && (!offset || !length))
        return dt_error_set(r->err, DT_NO_MEMORY, g->name, "the table of %u tokens needs %zu bytes",
                            vocab->size, vocab->size * (sizeof *offset + sizeof *length));
    vocab->bytes = tokens->data;
    vocab->offset = offset;
    vocab->length = length;
    const unsigned char *p = tokens->data;
    for (uint32_t i = 0; i < vocab->size; i++) { // dt_gguf_read has checked every length
        uint64_t n = dt_read_u64(p);
        if (n > DT_PIECE_MAX)
            return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                                "token %u has %llu bytes; expected at most %u", i,
                                (unsigned long long)n, DT_PIECE_MAX);
        if (offset && length) {
            offset[i] = (uint32_t)(p + 8 - vocab->bytes);
            length[i] = (uint16_t)n;
        }
        p += 8 + n;
    }
    return DT_OK;
}

// Keys that change how a text is split and that duotale does not obey.
static dt_status refuse_others(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    static const char *const keys[] = {"tokenizer.ggml.normalizer.lowercase",
                                       "tokenizer.ggml.normalizer.strip_accents"};
    static const char spaces[] = "tokenizer.ggml.remove_extra_whitespaces",
                      map[] = "tokenizer.ggml.precompiled_charsmap";
    const struct dt_gguf_value *v = dt_gguf_find(g, map);
    bool set = false;
    if (r->describing)
        return DT_OK;
    if (v && v->type == DT_GGUF_ARRAY && v->count)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "%s has %llu items: characters are replaced before a text is split, "
                            "which duotale does not do; its tokens would differ",
                            map, (unsigned long long)v->count);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        dt_status status = dt_gguf_bool(g, keys[i], &set, r->err);
        if (status)
            return status;
        if (set)
            return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                                "%s is true, which duotale does not do; its tokens would differ",
                                keys[i]);
    }
    dt_status status = dt_gguf_bool(g, spaces, &set, r->err);
    if (!status && set)
        dt_reader_note(r->model,
                       "%s is true, which duotale does not do: write one space between words",
                       spaces);
    return status;
}

dt_status dt_gguf_read_vocab(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_vocab *vocab = &r->model->vocab;
    const struct dt_gguf_value *tokens = dt_gguf_find(g, "tokenizer.ggml.tokens");
    const unsigned char *data;
    const char *kind = "none";
    size_t length = 4;
    dt_status status = dt_gguf_text(g, "tokenizer.ggml.model", &kind, &length, r->err);
    if (status)
        return status;
    if (dt_read_is(kind, length, "none") || dt_read_is(kind, length, "no_vocab")) {
        vocab->kind = DT_VOCAB_NONE;
        return DT_OK;
    }
    if (dt_read_is(kind, length, "llama"))
        vocab->kind = DT_VOCAB_SPM;
    else if (dt_read_is(kind, length, "gpt2"))
        vocab->kind = DT_VOCAB_BPE;
    else
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "tokenizer.ggml.model is %.*s; expected llama or gpt2",
                            length < 32 ? (int)length : 32, kind);
    if (!tokens)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "key tokenizer.ggml.tokens is missing");
    if ((status = array(r, g, "tokenizer.ggml.tokens", DT_GGUF_STRING, 0, &data)))
        return status;
    if (!tokens->count || tokens->count > DT_MAX_VOCAB)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "tokenizer.ggml.tokens has %llu items; expected 1 to %u",
                            (unsigned long long)tokens->count, DT_MAX_VOCAB);
    vocab->size = r->model->hp.vocab = (uint32_t)tokens->count;
    if ((status =
             array(r, g, "tokenizer.ggml.token_type", DT_GGUF_I32, tokens->count, &vocab->types)) ||
        (status = array(r, g, "tokenizer.ggml.scores", DT_GGUF_F32, tokens->count, &data)) ||
        (status = read_pieces(r, g, tokens)))
        return status;

    bool spm = vocab->kind == DT_VOCAB_SPM;
    if (spm && !data)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "key tokenizer.ggml.scores is missing (tokenizer.ggml.model is llama)");
    const struct dt_gguf_value *types = dt_gguf_find(g, "tokenizer.ggml.token_type");
    vocab->types_stride = types && (types->item == DT_GGUF_I8 || types->item == DT_GGUF_U8) ? 1 : 4;
    vocab->scores = spm ? data : NULL;
    vocab->scores_stride = sizeof(float);
    vocab->meta_space = spm;
    vocab->add_space_prefix = spm;
    if (spm) {
        status =
            dt_reader_check_finite(g->name, "tokenizer.ggml.scores", data, vocab->size, r->err);
        vocab->bos = 1 < vocab->size ? 1 : DT_NO_TOKEN; // SentencePiece's defaults
        vocab->eos = 2 < vocab->size ? 2 : DT_NO_TOKEN;
        vocab->unknown = 0;
    } else if (!(status = read_pretokenizer(r, g))) {
        status = read_merges(r, g);
    }
    vocab->add_bos = vocab->add_bos || spm;
    if (status || (status = refuse_others(r, g)) ||
        (status = token_id(r, g, "tokenizer.ggml.bos_token_id", &vocab->bos)) ||
        (status = token_id(r, g, "tokenizer.ggml.eos_token_id", &vocab->eos)) ||
        (status = token_id(r, g, "tokenizer.ggml.unknown_token_id", &vocab->unknown)) ||
        (status = token_id(r, g, "tokenizer.ggml.eot_token_id", &vocab->eot)) ||
        (status = read_ends(r, g)) || (status = read_added(r, g)) ||
        (status = dt_gguf_bool(g, "tokenizer.ggml.add_bos_token", &vocab->add_bos, r->err)) ||
        (status = dt_gguf_bool(g, "tokenizer.ggml.add_eos_token", &vocab->add_eos, r->err)) ||
        (status =
             dt_gguf_bool(g, "tokenizer.ggml.add_space_prefix", &vocab->add_space_prefix, r->err)))
        return status;
    if (vocab->bos == DT_NO_TOKEN)
        vocab->add_bos = false;
    if (vocab->eos == DT_NO_TOKEN)
        vocab->add_eos = false;
    return DT_OK;
}
