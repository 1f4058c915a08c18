// SPDX-License-Identifier: MIT
// The vocabulary of a Hugging Face folder: tokenizer.json or tokenizer.model; which tokens begin
// and end a text, by config.json, generation_config.json, tokenizer_config.json and the
// post_processor; and the chat template.
#include "core/formats/hf_reader.h"
#include "core/formats/hf_vocab.h"
#include "core/formats/sentencepiece.h"

static bool given(struct dt_json_value v)
{
    return v.n && !dt_json_is(v, "null");
}

// ---- special tokens ----

// The token of a name in tokenizer_config.json: "</s>", or {"content": "</s>", ...}.
static uint32_t token_named(const struct dt_vocab *vocab, struct dt_json_value name)
{
    char text[DT_PIECE_MAX];
    if (name.n && name.at[0] == '{')
        name = dt_json_find(name, "content");
    if (!dt_json_is_text(name) || dt_json_text_of(name, NULL) > sizeof text)
        return DT_NO_TOKEN;
    size_t n = dt_json_text_of(name, text);
    for (uint32_t id = 0; id < vocab->size; id++)
        if (vocab->length[id] == n && memcmp(vocab->bytes + vocab->offset[id], text, n) == 0)
            return id;
    return DT_NO_TOKEN;
}

// Adds the ids of `from`.eos_token_id, a number or a list, to the ends; returns the first.
static uint32_t add_ends(struct dt_model *m, const char *file, struct dt_json_value from)
{
    struct dt_json_value v = dt_json_find(from, "eos_token_id"), key, item = v;
    struct dt_json_walk walk = {0};
    uint32_t first = DT_NO_TOKEN;
    uint64_t id;
    bool list = v.n && v.at[0] == '[';
    while (list ? dt_json_next(v, &walk, &key, &item) : given(v)) {
        if (dt_json_uint_of(item, &id) && id < m->vocab.size) {
            first = first == DT_NO_TOKEN ? (uint32_t)id : first;
            dt_vocab_add_end(&m->vocab, (uint32_t)id);
        } else {
            dt_reader_note(m,
                           "eos_token_id of %s is %.*s, but the vocabulary has %u tokens; ignored",
                           file, item.n < 32 ? (int)item.n : 32, item.at, m->vocab.size);
        }
        if (!list)
            break;
    }
    return first;
}

static void read_ends(const struct dt_hf_reader *r)
{
    struct dt_vocab *vocab = &r->model->vocab;
    uint32_t of_config = add_ends(r->model, "config.json", r->config);
    uint32_t of_generation = add_ends(r->model, "generation_config.json", r->generation);
    uint32_t named = token_named(vocab, dt_json_find(r->tokenizer_config, "eos_token"));
    dt_vocab_add_end(vocab, named);
    if (of_config != DT_NO_TOKEN)
        vocab->eos = of_config;
    else if (of_generation != DT_NO_TOKEN)
        vocab->eos = of_generation;
    else if (named != DT_NO_TOKEN)
        vocab->eos = named;
}

// Sets a token by its id in config.json or generation_config.json, else by its text in
// tokenizer_config.json.
static void read_token(const struct dt_hf_reader *r, const char *id_key, const char *text_key,
                       uint32_t *out)
{
    const struct dt_vocab *vocab = &r->model->vocab;
    const struct dt_json_value from[] = {r->config, r->generation};
    for (size_t i = 0; i < 2; i++) {
        uint64_t id;
        if (dt_json_uint_of(dt_json_find(from[i], id_key), &id) && id < vocab->size) {
            *out = (uint32_t)id;
            return;
        }
    }
    uint32_t named = token_named(vocab, dt_json_find(r->tokenizer_config, text_key));
    if (named != DT_NO_TOKEN)
        *out = named;
}

// Whether the post_processor puts BOS before a text and EOS after it: a TemplateProcessing, on its
// own or in a Sequence.
static void read_post_processor(struct dt_json_value post, struct dt_vocab *vocab)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item, list = dt_json_find(post, "processors");
    while (dt_json_next(list, &walk, &key, &item))
        if (!dt_json_find(item, "processors").n)
            read_post_processor(item, vocab);
    bool after = false;
    list = dt_json_find(post, "single");
    walk = (struct dt_json_walk){0};
    while (dt_json_next(list, &walk, &key, &item)) {
        struct dt_json_value special = dt_json_find(item, "SpecialToken");
        uint32_t id = token_named(vocab, dt_json_find(special, "id"));
        after = after || !special.n;
        vocab->add_bos = vocab->add_bos || (!after && id != DT_NO_TOKEN && id == vocab->bos);
        vocab->add_eos = vocab->add_eos || (after && id != DT_NO_TOKEN && id == vocab->eos);
    }
}

static void read_added(const struct dt_hf_reader *r)
{
    struct dt_vocab *vocab = &r->model->vocab;
    struct dt_json_value bos = dt_json_find(r->tokenizer_config, "add_bos_token"),
                         eos = dt_json_find(r->tokenizer_config, "add_eos_token"),
                         post = dt_json_outline_find(&r->tokenizer, NULL, "post_processor", NULL);
    read_post_processor(post, vocab);
    // SentencePiece's begin with BOS, unless something says otherwise
    if (vocab->kind == DT_VOCAB_SPM && !given(post))
        vocab->add_bos = true;
    if (given(bos))
        vocab->add_bos = dt_json_is(bos, "true");
    if (given(eos))
        vocab->add_eos = dt_json_is(eos, "true");
    vocab->add_bos = vocab->add_bos && vocab->bos != DT_NO_TOKEN;
    vocab->add_eos = vocab->add_eos && vocab->eos != DT_NO_TOKEN;
}

// ---- the chat template ----

// A string, or a list of named templates of which "default" is used.
static dt_status read_template(const struct dt_hf_reader *r)
{
    struct dt_json_value t = dt_json_find(r->tokenizer_config, "chat_template"), key, item;
    struct dt_json_walk walk = {0};
    if (r->template_file) { // takes precedence
        r->model->chat_template = (const char *)r->template_file->bytes;
        r->model->chat_template_length = r->template_file->n;
        return DT_OK;
    }
    if (!given(t))
        t = dt_json_find(r->template_json, "chat_template");
    if (t.n && t.at[0] == '[') {
        struct dt_json_value chosen = {0};
        while (dt_json_next(t, &walk, &key, &item))
            if (!chosen.n || dt_json_is(dt_json_find(item, "name"), "\"default\""))
                chosen = dt_json_find(item, "template");
        t = chosen;
    }
    if (!dt_json_is_text(t))
        return DT_OK;
    char *text = dt_arena_alloc(r->arena, t.n, 1);
    if (!text)
        return DT_OK;
    r->model->chat_template_length = dt_json_text_of(t, text);
    r->model->chat_template = text;
    return DT_OK;
}

dt_status dt_hf_read_tokenizer(const struct dt_hf_reader *r)
{
    struct dt_vocab *vocab = r->measuring ? NULL : &r->model->vocab;
    dt_status status = DT_OK;
    if (r->tokenizer.root.n)
        status = dt_hf_vocab(&r->tokenizer, r->tokenizer_name, r->model->hp.vocab, r->arena,
                             r->describing, vocab, r->err);
    else if (r->sentencepiece)
        status = dt_sentencepiece_read(r->sentencepiece,
                                       dt_json_find(r->tokenizer_config, "added_tokens_decoder"),
                                       r->model->hp.vocab, r->arena, vocab, r->err);
    if (!status && vocab && vocab->kind != DT_VOCAB_NONE) {
        read_token(r, "bos_token_id", "bos_token", &vocab->bos);
        read_token(r, "pad_token_id", "pad_token", &vocab->pad);
        read_ends(r);
        read_added(r);
    }
    return status ? status : read_template(r);
}
