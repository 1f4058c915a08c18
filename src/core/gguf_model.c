// SPDX-License-Identifier: MIT
// A llama out of GGUF files: keys to hyperparameters and vocabulary, tensors to their places,
// nothing copied.
#include <math.h>

#include "base/format.h"
#include "core/gguf.h"
#include "core/reader.h"
#include "core/template.h"

// What stays the same over the parts of a model.
struct reader {
    struct dt_arena *arena;
    struct dt_model
        *model; // never NULL; when only measuring, layers is and what is read is dropped
    struct dt_error *err;
    const char *file;
    const char *prefix; // "llama"
    const char *layout; // of packed matrices, or NULL
    uint32_t packed_group;
    bool measuring;
};

// ---- hyperparameters
// -------------------------------------------------------------------------------

static const char *arch_key(const struct reader *r, char out[DT_GGUF_MAX_KEY], const char *suffix)
{
    dt_format(out, DT_GGUF_MAX_KEY, "%s.%s", r->prefix, suffix);
    return out;
}

static dt_status number(const struct reader *r, const struct dt_gguf *g, const char *suffix,
                        uint32_t most, bool required, uint32_t *out)
{
    char key[DT_GGUF_MAX_KEY];
    arch_key(r, key, suffix);
    if (required && !dt_gguf_find(g, key))
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "key %s is missing", key);
    return dt_gguf_uint(g, key, 1, most, out, r->err);
}

static bool text_is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

static dt_status read_architecture(struct reader *r, const struct dt_gguf *g)
{
    static const struct {
        const char *name;
        uint32_t rope_style;
    } known[] = {{"llama", DT_ROPE_PAIRS}, {"qwen2", DT_ROPE_HALVES}};
    const char *name = NULL;
    size_t length = 0;
    dt_status status = dt_gguf_text(g, "general.architecture", &name, &length, r->err);
    if (status)
        return status;
    if (!name)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "key general.architecture is missing");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (text_is(name, length, known[i].name)) {
            r->prefix = r->model->architecture = known[i].name;
            r->model->hp.rope_style = known[i].rope_style;
            return DT_OK;
        }
    return dt_error_set(r->err, DT_UNSUPPORTED, g->name, "architecture %.*s, wanted llama or qwen2",
                        length < 64 ? (int)length : 64, name);
}

static dt_status read_heads(struct reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    uint32_t experts = 0, value_size;
    char key[DT_GGUF_MAX_KEY];
    dt_status status;
    if ((status = number(r, g, "attention.head_count", DT_MAX_HEADS, true, &hp->heads)))
        return status;
    hp->kv_heads = hp->heads;
    if ((status = number(r, g, "attention.head_count_kv", DT_MAX_HEADS, false, &hp->kv_heads)))
        return status;
    if (hp->kv_heads > hp->heads || hp->heads % hp->kv_heads)
        return dt_error_set(
            r->err, DT_BAD_INPUT, g->name,
            "attention.head_count is %u, which attention.head_count_kv %u does not divide",
            hp->heads, hp->kv_heads);
    hp->head_size = hp->dim / hp->heads;
    bool given = dt_gguf_find(g, arch_key(r, key, "attention.key_length")) != NULL;
    if (!given && hp->dim % hp->heads)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "embedding_length is %u, which attention.head_count %u does not divide",
                            hp->dim, hp->heads);
    if ((status = number(r, g, "attention.key_length", DT_MAX_DIM, false, &hp->head_size)))
        return status;
    value_size = hp->head_size;
    if ((status = number(r, g, "attention.value_length", DT_MAX_DIM, false, &value_size)))
        return status;
    if (value_size != hp->head_size)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "attention.key_length is %u and value_length %u, wanted the same",
                            hp->head_size, value_size);
    if (hp->head_size % 2 || (uint64_t)hp->head_size * hp->heads > 4 * DT_MAX_DIM)
        return dt_error_set(
            r->err, DT_BAD_INPUT, g->name,
            "%u heads have %u channels each, wanted an even number and at most %u together",
            hp->heads, hp->head_size, 4 * DT_MAX_DIM);
    if ((status =
             dt_gguf_uint(g, arch_key(r, key, "expert_count"), 0, UINT32_MAX, &experts, r->err)))
        return status;
    if (experts)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "a mixture of %u experts, wanted a dense model", experts);
    return DT_OK;
}

static dt_status read_rope(struct reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    char key[DT_GGUF_MAX_KEY];
    const char *scaling = NULL;
    size_t length = 0;
    float factor = 1;
    dt_status status;
    hp->rope_base = 10000.0f;
    hp->rope_scale = 1.0f;
    hp->rotated = hp->head_size;
    if ((status = number(r, g, "rope.dimension_count", hp->head_size, false, &hp->rotated)) ||
        (status = dt_gguf_float(g, arch_key(r, key, "rope.freq_base"), 1, 1e12, &hp->rope_base,
                                r->err)) ||
        (status =
             dt_gguf_float(g, arch_key(r, key, "rope.scale_linear"), 1e-3, 1e6, &factor, r->err)) ||
        (status = dt_gguf_float(g, arch_key(r, key, "rope.scaling.factor"), 1e-3, 1e6, &factor,
                                r->err)) ||
        (status =
             dt_gguf_text(g, arch_key(r, key, "rope.scaling.type"), &scaling, &length, r->err)))
        return status;
    if (hp->rotated % 2)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "rope.dimension_count is %u, wanted an even number", hp->rotated);
    if (scaling && !text_is(scaling, length, "none") && !text_is(scaling, length, "linear") &&
        factor != 1.0f)
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "rope.scaling.type is %.*s, wanted none or linear",
                            length < 32 ? (int)length : 32, scaling);
    if (!scaling || text_is(scaling, length, "linear"))
        hp->rope_scale = 1.0f / factor;
    return DT_OK;
}

static dt_status read_hparams(struct reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    char key[DT_GGUF_MAX_KEY];
    uint32_t window = 0;
    dt_status status;
    hp->norm_epsilon = 1e-5f;
    if ((status = number(r, g, "context_length", UINT32_MAX, true, &hp->context)) ||
        (status = number(r, g, "embedding_length", DT_MAX_DIM, true, &hp->dim)) ||
        (status = number(r, g, "block_count", DT_MAX_LAYERS, true, &hp->layers)) ||
        (status = number(r, g, "feed_forward_length", DT_MAX_HIDDEN, true, &hp->hidden)) ||
        (status = dt_gguf_float(g, arch_key(r, key, "attention.layer_norm_rms_epsilon"), 0, 1,
                                &hp->norm_epsilon, r->err)) ||
        (status = dt_gguf_uint(g, arch_key(r, key, "attention.sliding_window"), 0, UINT32_MAX,
                               &window, r->err)) ||
        (status = read_heads(r, g)) || (status = read_rope(r, g)))
        return status;
    // Within its window a model with sliding attention is an ordinary one: that is how far we let
    // it go.
    if (window && window < hp->context)
        hp->context = window;
    if (hp->context > DT_MAX_CONTEXT) // a claim, not a need: less is always possible
        hp->context = DT_MAX_CONTEXT;
    return DT_OK;
}

static dt_status read_hints(struct reader *r, const struct dt_gguf *g)
{
    struct dt_model *m = r->model;
    struct dt_model_hints *h = &m->hints;
    dt_status status;
    if ((status = dt_gguf_text(g, "general.name", &m->name, &m->name_length, r->err)) ||
        (status = dt_gguf_text(g, "general.license", &m->license, &m->license_length, r->err)) ||
        (status = dt_gguf_text(g, "tokenizer.chat_template", &m->chat_template,
                               &m->chat_template_length, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.temp", 0, 100, &h->temperature, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.top_p", 0, 1, &h->top_p, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.top_k", 0, DT_MAX_VOCAB, &h->top_k, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.min_p", 0, 1, &h->min_p, r->err)) ||
        (status = dt_gguf_float(g, "general.sampling.penalty_repeat", 0.01, 100, &h->repeat_penalty,
                                r->err)) ||
        (status = dt_gguf_text(g, "duotale.opening", &h->opening, &h->opening_length, r->err)) ||
        (status = dt_gguf_uint(g, "duotale.length", 0, DT_MAX_CONTEXT, &h->length, r->err)) ||
        (status = dt_gguf_bool(g, "duotale.chat", &h->chat, r->err)))
        return status;
    return dt_gguf_uint(g, "duotale.packed.group", 1, DT_MAX_DIM, &r->packed_group, r->err);
}

// The name of the layout of packed matrices, as a C string in the arena.
static dt_status read_layout(struct reader *r, const struct dt_gguf *g)
{
    const char *layout = NULL;
    size_t length = 0;
    dt_status status = dt_gguf_text(g, "duotale.packed.layout", &layout, &length, r->err);
    if (status || !layout)
        return status;
    if (!length || length > 63)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "duotale.packed.layout has %zu bytes, wanted 1 to 63", length);
    char *copy = dt_arena_take(r->arena, length + 1, 1);
    r->layout = "";
    if (copy) {
        memcpy(copy, layout, length);
        copy[length] = 0;
        r->layout = copy;
    }
    return DT_OK;
}

// ---- vocabulary
// ------------------------------------------------------------------------------------

// An array of a type with a given number of items; *data NULL where the key is absent.
static dt_status array(const struct reader *r, const struct dt_gguf *g, const char *key,
                       uint32_t item, uint64_t count, const unsigned char **data)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, key);
    *data = NULL;
    if (!v)
        return DT_OK;
    if (v->type != DT_GGUF_ARRAY || v->item != item)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "%s is no array of %s", key,
                            item == DT_GGUF_STRING ? "texts"
                            : item == DT_GGUF_F32  ? "floats"
                                                   : "whole numbers");
    if (count && v->count != count)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "%s has %llu items, tokenizer.ggml.tokens has %llu", key,
                            (unsigned long long)v->count, (unsigned long long)count);
    *data = v->data;
    return DT_OK;
}

static dt_status token_id(const struct reader *r, const struct dt_gguf *g, const char *key,
                          uint32_t *out)
{
    const struct dt_gguf_value *v = dt_gguf_find(g, key);
    if (v && (v->type == DT_GGUF_U32 || v->type == DT_GGUF_I32) &&
        dt_read_u32(v->data) == UINT32_MAX)
        return DT_OK; // -1: there is none
    return dt_gguf_uint(g, key, 0, r->model->vocab.size - 1, out, r->err);
}

static dt_status read_pretokenizer(struct reader *r, const struct dt_gguf *g)
{
    static const struct {
        const char *name;
        enum dt_pretokenizer kind;
    } known[] = {
        {"gpt-2", DT_PRETOKENIZER_GPT2},
        {"default", DT_PRETOKENIZER_GPT2},
        {"llama-bpe", DT_PRETOKENIZER_LLAMA3},
        {"llama3", DT_PRETOKENIZER_LLAMA3},
        {"llama-v3", DT_PRETOKENIZER_LLAMA3},
        {"qwen2", DT_PRETOKENIZER_QWEN2},
        {"deepseek-r1-qwen", DT_PRETOKENIZER_QWEN2},
        {"smollm", DT_PRETOKENIZER_SMOLLM},
    };
    const char *pre = "gpt-2";
    size_t length = 5;
    dt_status status = dt_gguf_text(g, "tokenizer.ggml.pre", &pre, &length, r->err);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (text_is(pre, length, known[i].name)) {
            r->model->vocab.pretokenizer = known[i].kind;
            return DT_OK;
        }
    return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                        "tokenizer.ggml.pre is %.*s, wanted gpt-2, llama-bpe, qwen2 or smollm",
                        length < 32 ? (int)length : 32, pre);
}

static dt_status read_merges(struct reader *r, const struct dt_gguf *g)
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
                            "tokenizer.ggml.merges has %llu items, wanted at most %u",
                            (unsigned long long)v->count, 2 * DT_MAX_VOCAB);
    r->model->vocab.merges = merges;
    r->model->vocab.merges_count = v->count;
    r->model->vocab.merges_bytes = v->bytes;
    return DT_OK;
}

// Where each piece lies.
static dt_status read_pieces(struct reader *r, const struct dt_gguf *g,
                             const struct dt_gguf_value *tokens)
{
    struct dt_vocab *vocab = &r->model->vocab;
    uint64_t *offset = dt_arena_take(r->arena, vocab->size, sizeof *offset);
    uint16_t *length = dt_arena_take(r->arena, vocab->size, sizeof *length);
    if (!r->measuring && (!offset || !length))
        return dt_error_set(r->err, DT_NO_MEMORY, g->name, "the table of %u tokens needs %zu bytes",
                            vocab->size, vocab->size * (sizeof *offset + sizeof *length));
    vocab->bytes = g->bytes;
    vocab->offset = offset;
    vocab->length = length;
    const unsigned char *p = tokens->data;
    for (uint32_t i = 0; i < vocab->size; i++) { // dt_gguf_read has looked at every length
        uint64_t n = dt_read_u64(p);
        if (n > DT_PIECE_MAX)
            return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                                "token %u has %llu bytes, wanted at most %u", i,
                                (unsigned long long)n, DT_PIECE_MAX);
        if (offset && length) {
            offset[i] = (uint64_t)(p + 8 - g->bytes);
            length[i] = (uint16_t)n;
        }
        p += 8 + n;
    }
    return DT_OK;
}

static dt_status read_vocab(struct reader *r, const struct dt_gguf *g)
{
    struct dt_vocab *vocab = &r->model->vocab;
    const struct dt_gguf_value *tokens = dt_gguf_find(g, "tokenizer.ggml.tokens");
    const unsigned char *data;
    const char *kind = "none";
    size_t length = 4;
    dt_status status = dt_gguf_text(g, "tokenizer.ggml.model", &kind, &length, r->err);
    if (status)
        return status;
    if (text_is(kind, length, "none") || text_is(kind, length, "no_vocab")) {
        vocab->kind = DT_VOCAB_NONE;
        return number(r, g, "vocab_size", DT_MAX_VOCAB, true, &r->model->hp.vocab);
    }
    if (text_is(kind, length, "llama"))
        vocab->kind = DT_VOCAB_SPM;
    else if (text_is(kind, length, "gpt2"))
        vocab->kind = DT_VOCAB_BPE;
    else
        return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                            "tokenizer.ggml.model is %.*s, wanted llama or gpt2",
                            length < 32 ? (int)length : 32, kind);
    if (!tokens)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "key tokenizer.ggml.tokens is missing");
    if ((status = array(r, g, "tokenizer.ggml.tokens", DT_GGUF_STRING, 0, &data)))
        return status;
    if (!tokens->count || tokens->count > DT_MAX_VOCAB)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "tokenizer.ggml.tokens has %llu items, wanted 1 to %u",
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
    vocab->add_bos = spm || vocab->pretokenizer == DT_PRETOKENIZER_LLAMA3;
    if (status || (status = token_id(r, g, "tokenizer.ggml.bos_token_id", &vocab->bos)) ||
        (status = token_id(r, g, "tokenizer.ggml.eos_token_id", &vocab->eos)) ||
        (status = token_id(r, g, "tokenizer.ggml.unknown_token_id", &vocab->unknown)) ||
        (status = token_id(r, g, "tokenizer.ggml.eot_token_id", &vocab->eot)) ||
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

// ---- tensors
// ---------------------------------------------------------------------------------------

enum size_of { DIM, HIDDEN, VOCAB, QUERIES, KEYS, FACTORS, TABLES };

static uint32_t size_of(const struct dt_hparams *hp, enum size_of what)
{
    switch (what) {
    case DIM:
        return hp->dim;
    case HIDDEN:
        return hp->hidden;
    case VOCAB:
        return hp->vocab;
    case QUERIES:
        return hp->heads * hp->head_size;
    case KEYS:
        return hp->kv_heads * hp->head_size;
    case FACTORS:
        return hp->rotated / 2;
    case TABLES: // below 2^20 * 2^16, and checked where it is used
        return (uint64_t)hp->context * hp->head_size > UINT32_MAX ? 0 : hp->context * hp->head_size;
    }
    return 0;
}

// A tensor that we know: its name, its place, its shape. Vectors have no rows.
struct slot {
    const char *name;
    size_t at;
    bool vector, optional;
    enum size_of rows, cols;
};

#define LAYER(member) offsetof(struct dt_layer, member)
#define MODEL(member) offsetof(struct dt_model, member)

static const struct slot layer_slots[] = {
    {"attn_norm.weight", LAYER(attention_norm), .vector = true, .cols = DIM},
    {"attn_q.weight", LAYER(query), .rows = QUERIES, .cols = DIM},
    {"attn_k.weight", LAYER(key), .rows = KEYS, .cols = DIM},
    {"attn_v.weight", LAYER(value), .rows = KEYS, .cols = DIM},
    {"attn_output.weight", LAYER(output), .rows = DIM, .cols = QUERIES},
    {"ffn_norm.weight", LAYER(ffn_norm), .vector = true, .cols = DIM},
    {"ffn_gate.weight", LAYER(gate), .rows = HIDDEN, .cols = DIM},
    {"ffn_up.weight", LAYER(up), .rows = HIDDEN, .cols = DIM},
    {"ffn_down.weight", LAYER(down), .rows = DIM, .cols = HIDDEN},
    {"attn_q.bias", LAYER(query_bias), .vector = true, .optional = true, .cols = QUERIES},
    {"attn_k.bias", LAYER(key_bias), .vector = true, .optional = true, .cols = KEYS},
    {"attn_v.bias", LAYER(value_bias), .vector = true, .optional = true, .cols = KEYS},
};

static const struct slot model_slots[] = {
    {"token_embd.weight", MODEL(embedding), .rows = VOCAB, .cols = DIM},
    {"output_norm.weight", MODEL(final_norm), .vector = true, .cols = DIM},
    {"output.weight", MODEL(classifier), .optional = true, .rows = VOCAB, .cols = DIM},
    {"rope_freqs.weight", MODEL(hp.rope_factors), .vector = true, .optional = true,
     .cols = FACTORS},
    {"duotale.rope_tables", MODEL(rope_tables), .vector = true, .optional = true, .cols = TABLES},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

// "blk.12.attn_q.weight" to 12 and the rest; -1 where the name is no layer's.
static int64_t layer_of(const char **name, size_t *length)
{
    size_t i = 4;
    int64_t layer = 0;
    if (*length < 6 || memcmp(*name, "blk.", 4) != 0)
        return -1;
    for (; i < *length && (*name)[i] >= '0' && (*name)[i] <= '9' && layer < INT32_MAX; i++)
        layer = layer * 10 + ((*name)[i] - '0');
    if (i == 4 || i == *length || (*name)[i] != '.')
        return -1;
    *name += i + 1;
    *length -= i + 1;
    return layer;
}

static const struct slot *slot_of(const char *name, size_t length, bool in_layer)
{
    const struct slot *table = in_layer ? layer_slots : model_slots;
    for (size_t i = 0; i < (in_layer ? COUNT(layer_slots) : COUNT(model_slots)); i++)
        if (text_is(name, length, table[i].name))
            return &table[i];
    return NULL;
}

// A tensor with everything that messages and checks want.
struct found {
    const struct dt_gguf *g;
    struct dt_gguf_tensor t;
    const unsigned char *data;
    uint64_t room; // bytes from data to the end of the file
    char name[DT_GGUF_MAX_NAME + 1];
};

static dt_status cut_short(const struct reader *r, const struct found *f, uint64_t bytes)
{
    return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                        "cut short: %s needs %llu bytes at %zu, the file has %zu", f->name,
                        (unsigned long long)bytes, (size_t)(f->data - f->g->bytes), f->g->n);
}

static dt_status locate(const struct reader *r, struct found *f)
{
    const struct dt_gguf *g = f->g;
    if (f->t.offset % g->alignment)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "%s has offset %llu, wanted a multiple of %u", f->name,
                            (unsigned long long)f->t.offset, g->alignment);
    if (f->t.offset > g->n - g->data)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "%s has offset %llu, the file has %zu bytes of weights", f->name,
                            (unsigned long long)f->t.offset, g->n - g->data);
    f->data = g->bytes + g->data + f->t.offset;
    f->room = g->n - g->data - f->t.offset;
    return DT_OK;
}

static dt_status check_shape(const struct reader *r, const struct found *f, uint32_t rows,
                             uint32_t cols)
{
    const uint64_t *size = f->t.size;
    if (size[0] == cols && size[1] == rows && size[2] == 1 && size[3] == 1)
        return DT_OK;
    return dt_error_set(r->err, DT_BAD_INPUT, f->g->name, "%s is %llu x %llu%s, wanted %u x %u",
                        f->name, (unsigned long long)size[0], (unsigned long long)size[1],
                        size[2] != 1 || size[3] != 1 ? " x more" : "", cols, rows);
}

static dt_status unknown_type(const struct reader *r, const struct found *f)
{
    return dt_error_set(r->err, DT_UNSUPPORTED, f->g->name,
                        "%s has type %s (%u), wanted F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, "
                        "Q2_K to Q6_K or IQ4_NL",
                        f->name, dt_gguf_type_name(f->t.type), f->t.type);
}

// A tensor of a weight form: checked, described.
static dt_status blocks(const struct reader *r, const struct found *f, uint32_t rows, uint32_t cols,
                        struct dt_matrix *out)
{
    uint32_t form = dt_gguf_form(f->t.type), block = dt_form_block(form);
    dt_status status = check_shape(r, f, rows, cols);
    if (status)
        return status;
    if (!block)
        return unknown_type(r, f);
    if (cols % block)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                            "%s has rows of %u values, which blocks of %u (%s) do not divide",
                            f->name, cols, block, dt_gguf_type_name(f->t.type));
    uint64_t bytes = (uint64_t)rows * (cols / block) * dt_form_block_bytes(form); // below 2^42
    if (bytes > f->room)
        return cut_short(r, f, bytes);
    *out = dt_matrix_blocks(form, rows, cols, f->data);
    return DT_OK;
}

static dt_status place_vector(const struct reader *r, const struct found *f,
                              const struct slot *slot, const float **out)
{
    uint32_t n = size_of(&r->model->hp, slot->cols);
    struct dt_matrix w;
    dt_status status = blocks(r, f, 1, n, &w);
    if (status)
        return status;
    const float *values = (const float *)w.quants;
    if (w.form != DT_FORM_F32) { // rare: norms are F32 in every file we know
        float *copy = dt_arena_take(r->arena, n, sizeof *copy);
        if (r->measuring)
            return DT_OK;
        if (!copy)
            return dt_error_set(r->err, DT_NO_MEMORY, f->g->name, "%s needs %zu bytes", f->name,
                                n * sizeof *copy);
        dt_matrix_row(&w, 0, copy);
        values = copy;
    }
    if ((status = dt_reader_check_finite(f->g->name, f->name, values, n, r->err)))
        return status;
    for (uint32_t i = 0; slot->at == MODEL(hp.rope_factors) && i < n; i++)
        if (!(values[i] > 0))
            return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                                "%s: value %u is %g, wanted a positive number", f->name, i,
                                (double)values[i]);
    *out = values;
    return DT_OK;
}

static dt_status place_packed(const struct reader *r, const struct found *f, uint32_t rows,
                              uint32_t cols, struct dt_matrix *out)
{
    if (f->t.size[0] > f->room)
        return cut_short(r, f, f->t.size[0]);
    *out = (struct dt_matrix){.form = DT_FORM_PACKED,
                              .rows = rows,
                              .cols = cols,
                              .group = r->packed_group,
                              .quants = f->data,
                              .bytes = (size_t)f->t.size[0],
                              .layout = r->layout};
    return DT_OK;
}

// llama2.c's groups: quants and scales are two tensors, in any order; `group` 0 and `quants` or
// `scales` NULL until both were there.
static dt_status place_groups(const struct reader *r, const struct found *f, uint32_t rows,
                              uint32_t cols, bool scales, struct dt_matrix *out)
{
    dt_status status;
    if (scales) {
        if (f->t.type != dt_gguf_type_of_form(DT_FORM_F32))
            return dt_error_set(r->err, DT_BAD_INPUT, f->g->name, "%s has type %s, wanted F32",
                                f->name, dt_gguf_type_name(f->t.type));
        if (!f->t.size[0] || f->t.size[0] > cols || cols % f->t.size[0])
            return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                                "%s has %llu scales a row, which do not divide its %u values",
                                f->name, (unsigned long long)f->t.size[0], cols);
        uint32_t groups = (uint32_t)f->t.size[0];
        if ((status = check_shape(r, f, rows, groups)))
            return status;
        if ((uint64_t)rows * groups * sizeof(float) > f->room)
            return cut_short(r, f, (uint64_t)rows * groups * sizeof(float));
        out->scales = f->data;
        out->group = cols / groups;
    } else {
        if ((status = check_shape(r, f, rows, cols)))
            return status;
        if ((uint64_t)rows * cols > f->room)
            return cut_short(r, f, (uint64_t)rows * cols);
        out->quants = f->data;
    }
    out->form = DT_FORM_I8;
    if (out->quants && out->scales) {
        *out = dt_matrix_i8(rows, cols, out->group, out->quants, out->scales);
        return dt_reader_check_scales(f->g->name, f->name, out, false, r->err);
    }
    return DT_OK;
}

static dt_status place(const struct reader *r, struct found *f)
{
    static const char suffix[] = "_scales";
    struct dt_model *m = r->model;
    const char *name = f->t.name;
    size_t length = f->t.name_length;
    dt_format(f->name, sizeof f->name, "%.*s", (int)length, name);
    dt_status status = locate(r, f);
    if (status)
        return status;

    int64_t layer = layer_of(&name, &length);
    if (layer >= (int64_t)m->hp.layers)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                            "%s is of layer %lld, block_count is %u", f->name, (long long)layer,
                            m->hp.layers);
    bool scales = length > sizeof suffix &&
                  memcmp(name + length - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0;
    if (scales)
        length -= sizeof suffix - 1;
    const struct slot *slot = slot_of(name, length, layer >= 0);
    if (!slot || (scales && slot->vector))
        return dt_error_set(r->err, DT_UNSUPPORTED, f->g->name,
                            "tensor %s does not belong to a %s model as we know it", f->name,
                            m->architecture);

    struct dt_layer unplaced_layer = {0};
    struct dt_model unplaced_model;
    unsigned char *base;
    if (r->measuring) { // checks and counts, but keeps nothing
        unplaced_model = *m;
        base = layer >= 0 ? (unsigned char *)&unplaced_layer : (unsigned char *)&unplaced_model;
    } else {
        base = layer >= 0 ? (unsigned char *)&m->layers[layer] : (unsigned char *)m;
    }
    if (slot->vector) {
        const float **out = (const float **)(void *)(base + slot->at);
        if (*out)
            return dt_error_set(r->err, DT_BAD_INPUT, f->g->name, "%s is there twice", f->name);
        return place_vector(r, f, slot, out);
    }

    struct dt_matrix *out = (struct dt_matrix *)(void *)(base + slot->at);
    uint32_t rows = size_of(&m->hp, slot->rows), cols = size_of(&m->hp, slot->cols);
    if (scales ? out->scales != NULL : out->quants != NULL)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name, "%s is there twice", f->name);
    if (scales && out->quants && out->form != DT_FORM_I8)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                            "%s are scales of a tensor of form %s", f->name,
                            dt_form_name(out->form));
    if (r->layout && f->t.type == DT_GGUF_TENSOR_I8 && f->t.dims == 1)
        return place_packed(r, f, rows, cols, out);
    if (scales || f->t.type == DT_GGUF_TENSOR_I8)
        return place_groups(r, f, rows, cols, scales, out);
    if (out->scales)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                            "%s has type %s, but %s_scales are there too", f->name,
                            dt_gguf_type_name(f->t.type), f->name);
    return blocks(r, f, rows, cols, out);
}

static dt_status place_all(const struct reader *r, const struct dt_gguf *g)
{
    struct found f = {.g = g};
    size_t at = g->infos;
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < g->tensors && !status; i++)
        if (!(status = dt_gguf_tensor(g, &at, &f.t, r->err)))
            status = place(r, &f);
    return status;
}

static dt_status missing(const struct reader *r, const void *base, const struct slot *slot,
                         int layer)
{
    const unsigned char *at = (const unsigned char *)base + slot->at;
    char name[64];
    if (layer >= 0)
        dt_format(name, sizeof name, "blk.%d.%s", layer, slot->name);
    else
        dt_format(name, sizeof name, "%s", slot->name);
    if (slot->vector) {
        if (!slot->optional && !*(const float *const *)(const void *)at)
            return dt_error_set(r->err, DT_BAD_INPUT, r->file, "tensor %s is missing", name);
        return DT_OK;
    }
    const struct dt_matrix *w = (const struct dt_matrix *)(const void *)at;
    if (w->form == DT_FORM_I8 && (!w->quants || !w->scales))
        return dt_error_set(r->err, DT_BAD_INPUT, r->file, "tensor %s%s is missing", name,
                            w->quants ? "_scales" : "");
    if (!slot->optional && !w->quants)
        return dt_error_set(r->err, DT_BAD_INPUT, r->file, "tensor %s is missing", name);
    return DT_OK;
}

static dt_status check_complete(const struct reader *r)
{
    dt_status status = DT_OK;
    for (size_t i = 0; i < COUNT(model_slots) && !status; i++)
        status = missing(r, r->model, &model_slots[i], -1);
    for (uint32_t l = 0; l < r->model->hp.layers; l++)
        for (size_t i = 0; i < COUNT(layer_slots) && !status; i++)
            status = missing(r, &r->model->layers[l], &layer_slots[i], (int)l);
    return status;
}

// ---- files
// -----------------------------------------------------------------------------------------

// Split files count themselves: number i of count.
static dt_status check_split(const struct reader *r, const struct dt_gguf *g, uint32_t i,
                             uint32_t count)
{
    uint32_t no = 0, files = 1;
    dt_status status;
    if ((status = dt_gguf_uint(g, "split.count", 0, 65535, &files, r->err)) ||
        (status = dt_gguf_uint(g, "split.no", 0, 65535, &no, r->err)))
        return status;
    if (!files)
        files = 1;
    if (files != count)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "split.count is %u, but %u file%s there",
                            files, count, count == 1 ? " is" : "s are");
    if (no != i)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "split.no is %u, wanted %u: the files of a model must come in order",
                            no, i);
    return DT_OK;
}

uint32_t dt_model_split_count(const unsigned char *bytes, size_t n)
{
    struct dt_gguf g;
    uint32_t count = 1;
    if (n < 4 || memcmp(bytes, "GGUF", 4) != 0)
        return dt_model_recognise(bytes, n) ? 1 : 0;
    if (dt_gguf_read(&g, bytes, n, NULL, NULL) ||
        dt_gguf_uint(&g, "split.count", 0, 65535, &count, NULL))
        return 0;
    return count ? count : 1;
}

// What the first file says about the whole.
static dt_status read_first(struct reader *r, const struct dt_gguf *g)
{
    struct dt_model *m = r->model;
    dt_status status;
    m->format = g->version == 2 ? "GGUF v2" : "GGUF v3";
    if ((status = read_architecture(r, g)) || (status = read_hparams(r, g)) ||
        (status = read_vocab(r, g)) || (status = read_hints(r, g)) || (status = read_layout(r, g)))
        return status;
    dt_template_turn_end(m); // needs the template and the vocabulary
    m->layers = dt_arena_take(r->arena, m->hp.layers, sizeof *m->layers);
    if (m->layers)
        memset(m->layers, 0, m->hp.layers * sizeof *m->layers);
    else if (!r->measuring)
        return dt_error_set(r->err, DT_NO_MEMORY, g->name, "the table of %u layers needs %zu bytes",
                            m->hp.layers, m->hp.layers * sizeof *m->layers);
    return DT_OK;
}

dt_status dt_gguf_open(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                       struct dt_model *out, struct dt_error *err)
{
    struct dt_model dropped = {0};
    dropped.vocab.eot = DT_NO_TOKEN;
    struct reader r = {.arena = arena,
                       .model = out ? out : &dropped,
                       .err = err,
                       .file = parts[0].name,
                       .measuring = !out};
    uint64_t tensors = 0;
    uint32_t wanted = 0;
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < count && !status; i++) {
        struct dt_gguf g;
        if ((status = dt_gguf_read(&g, parts[i].bytes, parts[i].n, parts[i].name, err)) ||
            (status = check_split(&r, &g, i, count)))
            break;
        if (i == 0 &&
            ((status = read_first(&r, &g)) ||
             (status = dt_gguf_uint(&g, "split.tensors.count", 0, UINT32_MAX, &wanted, err))))
            break;
        tensors += g.tensors;
        status = place_all(&r, &g);
    }
    if (status || !out)
        return status;
    if (wanted && wanted != tensors)
        return dt_error_set(err, DT_BAD_INPUT, r.file,
                            "split.tensors.count is %u, but the files have %llu tensors", wanted,
                            (unsigned long long)tensors);
    if ((status = check_complete(&r)))
        return status;
    out->hp.tied = !out->classifier.quants;
    if (out->hp.tied)
        out->classifier = out->embedding;
    return DT_OK;
}
