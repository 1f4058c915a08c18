// SPDX-License-Identifier: MIT
#include "host/convert/convert_keys.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/format.h"
#include "core/formats/gguf.h"
#include "core/structure.h"
#include "core/text/pretokenizer.h"

// ---- values ----

static void put(struct dt_string_buffer *b, const void *bytes, size_t n)
{
    (void)dt_string_buffer_append(b, bytes, n); // the caller checks b->failed at the end
}

void dt_gguf_put_u32(struct dt_string_buffer *b, uint32_t v)
{
    put(b, &v, sizeof v);
}

void dt_gguf_put_u64(struct dt_string_buffer *b, uint64_t v)
{
    put(b, &v, sizeof v);
}

void dt_gguf_put_string(struct dt_string_buffer *b, const char *text, size_t n)
{
    dt_gguf_put_u64(b, n);
    put(b, text, n);
}

// ---- keys ----

// A name with a dot in front ("." + NAME) gets the architecture's prefix.
void dt_gguf_key_begin(struct dt_gguf_keys *k, const char *name, uint32_t type)
{
    char full[DT_GGUF_MAX_KEY];
    size_t n = dt_format(full, sizeof full, "%s%s", name[0] == '.' ? k->prefix : "", name);
    dt_gguf_put_string(&k->bytes, full, n);
    dt_gguf_put_u32(&k->bytes, type);
    dt_gguf_keys_note(k, full, n);
    k->count++;
}

void dt_gguf_key_u32(struct dt_gguf_keys *k, const char *name, uint32_t v)
{
    dt_gguf_key_begin(k, name, DT_GGUF_U32);
    dt_gguf_put_u32(&k->bytes, v);
}

static void key_f32(struct dt_gguf_keys *k, const char *name, float v)
{
    dt_gguf_key_begin(k, name, DT_GGUF_F32);
    put(&k->bytes, &v, sizeof v);
}

void dt_gguf_key_bool(struct dt_gguf_keys *k, const char *name, bool v)
{
    dt_gguf_key_begin(k, name, DT_GGUF_BOOL);
    put(&k->bytes, &(unsigned char){v}, 1);
}

// Writes nothing if text is NULL.
static void key_text_n(struct dt_gguf_keys *k, const char *name, const char *text, size_t n)
{
    if (!text)
        return;
    dt_gguf_key_begin(k, name, DT_GGUF_STRING);
    dt_gguf_put_string(&k->bytes, text, n);
}

void dt_gguf_key_text(struct dt_gguf_keys *k, const char *name, const char *text)
{
    key_text_n(k, name, text, strlen(text));
}

static void key_array(struct dt_gguf_keys *k, const char *name, uint32_t item, uint64_t count)
{
    dt_gguf_key_begin(k, name, DT_GGUF_ARRAY);
    dt_gguf_put_u32(&k->bytes, item);
    dt_gguf_put_u64(&k->bytes, count);
}

static void key_token(struct dt_gguf_keys *k, const char *name, uint32_t id)
{
    if (id != DT_NO_TOKEN)
        dt_gguf_key_u32(k, name, id);
}

// Writes a piece in GGUF's form: spaces as U+2581, BOS and EOS without llama2.c's newlines.
static void put_piece(struct dt_string_buffer *b, const struct dt_vocab *v, uint32_t id)
{
    char out[3 * DT_PIECE_MAX];
    size_t n, written = 0;
    const unsigned char *piece = dt_vocab_piece(v, id, &n);
    bool plain_spaces = v->kind == DT_VOCAB_SPM && !v->meta_space;
    if (plain_spaces && !v->types && (id == v->bos || id == v->eos)) {
        const char *name = id == v->bos ? "<s>" : "</s>";
        dt_gguf_put_string(b, name, strlen(name));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (plain_spaces && piece[i] == ' ') {
            memcpy(out + written, "\xe2\x96\x81", 3);
            written += 3;
        } else {
            out[written++] = (char)piece[i];
        }
    }
    dt_gguf_put_string(b, out, written);
}

// The name of the rule, and duotale's keys for what the name does not say.
static void put_pretokenizer(struct dt_gguf_keys *k, const struct dt_vocab *v)
{
    const char *name = dt_pretokenizer_name(v->pretokenizer, v->ignore_merges, v->nfc);
    enum dt_pretokenizer kind;
    bool ignore_merges, nfc;
    dt_gguf_key_text(k, "tokenizer.ggml.pre", name);
    dt_pretokenizer_by_name(name, strlen(name), &kind, &ignore_merges, &nfc);
    if (ignore_merges != v->ignore_merges)
        dt_gguf_key_bool(k, "duotale.tokenizer.ignore_merges", v->ignore_merges);
    if (nfc != v->nfc)
        dt_gguf_key_bool(k, "duotale.tokenizer.nfc", v->nfc);
}

// The end token with this text.
static uint32_t end_named(const struct dt_vocab *v, const char *text)
{
    size_t n;
    for (uint32_t i = 0; i < v->end_count; i++) {
        const unsigned char *piece = dt_vocab_piece(v, v->ends[i], &n);
        if (dt_read_is((const char *)piece, n, text))
            return v->ends[i];
    }
    return DT_NO_TOKEN;
}

// The tokens with a flag, in a key of duotale's own.
static void put_added(struct dt_gguf_keys *k, const struct dt_vocab *v, const char *name,
                      uint32_t flag)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < v->added_count; i++)
        count += (v->added[i].flags & flag) != 0;
    if (!count)
        return;
    key_array(k, name, DT_GGUF_U32, count);
    for (uint32_t i = 0; i < v->added_count; i++)
        if (v->added[i].flags & flag)
            dt_gguf_put_u32(&k->bytes, v->added[i].id);
}

// The merges as texts "left right".
static void put_merges(struct dt_gguf_keys *k, const struct dt_vocab *v)
{
    key_array(k, "tokenizer.ggml.merges", DT_GGUF_STRING, v->merges_count);
    if (!v->merge_ids)
        put(&k->bytes, v->merges, v->merges_bytes);
    for (uint64_t i = 0; v->merge_ids && i < v->merges_count; i++) {
        size_t left, right;
        const unsigned char *first = dt_vocab_piece(v, v->merge_ids[3 * i], &left);
        const unsigned char *second = dt_vocab_piece(v, v->merge_ids[3 * i + 1], &right);
        uint64_t n = left + 1 + right;
        put(&k->bytes, &n, sizeof n);
        put(&k->bytes, first, left);
        put(&k->bytes, " ", 1);
        put(&k->bytes, second, right);
    }
}

static void put_vocabulary(struct dt_gguf_keys *k, const struct dt_vocab *v)
{
    if (v->kind == DT_VOCAB_NONE) {
        dt_gguf_key_text(k, "tokenizer.ggml.model", "none");
        return;
    }
    bool spm = v->kind == DT_VOCAB_SPM;
    dt_gguf_key_text(k, "tokenizer.ggml.model", spm ? "llama" : "gpt2");
    if (!spm)
        put_pretokenizer(k, v);
    key_array(k, "tokenizer.ggml.tokens", DT_GGUF_STRING, v->size);
    for (uint32_t i = 0; i < v->size; i++)
        put_piece(&k->bytes, v, i);
    if (spm) {
        key_array(k, "tokenizer.ggml.scores", DT_GGUF_F32, v->size);
        for (uint32_t i = 0; i < v->size; i++)
            put(&k->bytes, &(float){dt_vocab_score(v, i)}, sizeof(float));
    }
    key_array(k, "tokenizer.ggml.token_type", DT_GGUF_I32, v->size);
    for (uint32_t i = 0; i < v->size; i++)
        dt_gguf_put_u32(&k->bytes, dt_vocab_type(v, i));
    if (!spm)
        put_merges(k, v);
    key_token(k, "tokenizer.ggml.bos_token_id", v->bos);
    key_token(k, "tokenizer.ggml.eos_token_id", v->eos);
    key_token(k, "tokenizer.ggml.unknown_token_id", v->unknown);
    key_token(k, "tokenizer.ggml.eot_token_id", v->eot);
    key_token(k, "tokenizer.ggml.eom_token_id", end_named(v, "<|eom_id|>"));
    key_token(k, "tokenizer.ggml.padding_token_id", v->pad);
    dt_gguf_key_bool(k, "tokenizer.ggml.add_bos_token", v->add_bos);
    dt_gguf_key_bool(k, "tokenizer.ggml.add_eos_token", v->add_eos);
    if (spm || v->add_space_prefix)
        dt_gguf_key_bool(k, "tokenizer.ggml.add_space_prefix", v->add_space_prefix);
    put_added(k, v, "duotale.tokenizer.lstrip", DT_ADDED_LSTRIP);
    put_added(k, v, "duotale.tokenizer.rstrip", DT_ADDED_RSTRIP);
    put_added(k, v, "duotale.tokenizer.single_word", DT_ADDED_WORD);
    if (v->end_count) {
        key_array(k, "tokenizer.ggml.eos_token_ids", DT_GGUF_U32, v->end_count);
        for (uint32_t i = 0; i < v->end_count; i++)
            dt_gguf_put_u32(&k->bytes, v->ends[i]);
    }
}

static void key_hint(struct dt_gguf_keys *k, const char *name, float v)
{
    if (v != DT_UNSET)
        key_f32(k, name, v);
}

// general.file_type, by llama.cpp's enumeration of file types.
static uint32_t file_type(uint32_t form)
{
    switch (form) {
    case DT_FORM_F16:
        return 1;
    case DT_FORM_Q4_0:
        return 2;
    case DT_FORM_Q4_1:
        return 3;
    case DT_FORM_Q4_K:
        return 14; // "small": no matrix has more bits for being more important
    case DT_FORM_Q5_0:
        return 8;
    case DT_FORM_Q5_1:
        return 9;
    case DT_FORM_Q8_0:
    case DT_FORM_I8:
        return 7;
    case DT_FORM_BF16:
        return 32;
    default:
        return 0;
    }
}

static void put_rope(struct dt_gguf_keys *k, const struct dt_hparams *hp)
{
    dt_gguf_key_u32(k, ".rope.dimension_count", hp->rotated);
    key_f32(k, ".rope.freq_base", hp->rope_base);
    if (hp->rope_base_local > 0)
        key_f32(k, ".rope.freq_base_swa", hp->rope_base_local);
    if (hp->rope_scaling == DT_ROPE_YARN) {
        float usual = 1 + 0.1f * logf(hp->rope_factor > 1 ? hp->rope_factor : 1);
        dt_gguf_key_text(k, ".rope.scaling.type", "yarn");
        key_f32(k, ".rope.scaling.factor", hp->rope_factor);
        if (hp->rope_attention != usual)
            key_f32(k, ".rope.scaling.attn_factor", hp->rope_attention / usual);
        if (hp->rope_beta_fast != 32)
            key_f32(k, ".rope.scaling.yarn_beta_fast", hp->rope_beta_fast);
        if (hp->rope_beta_slow != 1)
            key_f32(k, ".rope.scaling.yarn_beta_slow", hp->rope_beta_slow);
    } else if (hp->rope_scaling == DT_ROPE_LONG && hp->rope_attention > 0) {
        key_f32(k, ".rope.scaling.attn_factor", hp->rope_attention);
    } else if (hp->rope_scale != 1.0f) {
        dt_gguf_key_text(k, ".rope.scaling.type", "linear");
        key_f32(k, ".rope.scaling.factor", 1.0f / hp->rope_scale);
    }
    if (hp->rope_original)
        dt_gguf_key_u32(k, ".rope.scaling.original_context_length", hp->rope_original);
}

// The windows of layers as true and false, where they are not those that the structure gives.
static void put_windows(struct dt_gguf_keys *k, const struct dt_model *m)
{
    dt_gguf_key_u32(k, ".attention.sliding_window", m->hp.window);
    if (dt_structure_usual_windows(m))
        return;
    key_array(k, ".attention.sliding_window_pattern", DT_GGUF_BOOL, m->hp.layers);
    for (uint32_t l = 0; l < m->hp.layers; l++)
        put(&k->bytes, &(unsigned char){m->layers[l].window > 0}, 1);
}

static void put_scale(struct dt_gguf_keys *k, const char *name, float v)
{
    if (v > 0)
        key_f32(k, name, v);
}

static void put_structure(struct dt_gguf_keys *k, const struct dt_model *m)
{
    const struct dt_hparams *hp = &m->hp;
    const struct dt_structure *s = hp->structure;
    key_f32(k,
            s->norm == DT_NORM_LAYER ? ".attention.layer_norm_epsilon"
                                     : ".attention.layer_norm_rms_epsilon",
            hp->norm_epsilon);
    if (!s->no_rope)
        put_rope(k, hp);
    if (hp->window)
        put_windows(k, m);
    if (s->numbers & DT_NUMBER_SCALES) {
        put_scale(k, ".embedding_scale", hp->embedding_scale);
        put_scale(k, ".residual_scale", hp->residual_scale);
        put_scale(k, ".attention.scale", hp->attention_divisor > 0 ? 1 / hp->attention_divisor : 0);
        put_scale(k, ".logit_scale", hp->logit_scale > 0 ? 1 / hp->logit_scale : 0);
    }
    if (s->numbers & DT_NUMBER_CAPS) {
        if (s->attention_cap > 0 || hp->attention_cap > 0)
            key_f32(k, ".attn_logit_softcapping", hp->attention_cap);
        if (s->logit_cap > 0 || hp->logit_cap > 0)
            key_f32(k, ".final_logit_softcapping", hp->logit_cap);
        put_scale(k, ".attention.scale", hp->attention_divisor > 0 ? 1 / hp->attention_divisor : 0);
    }
}

void dt_gguf_key_model(struct dt_gguf_keys *k, const struct dt_conversion *c)
{
    const struct dt_model *m = c->model;
    const struct dt_hparams *hp = &m->hp;
    const struct dt_model_hints *h = &m->hints;
    const char *name = c->name ? c->name : m->name;
    dt_gguf_key_text(k, "general.architecture", m->architecture);
    key_text_n(k, "general.name", name, c->name ? strlen(name) : m->name_length);
    key_text_n(k, "general.license", m->license, m->license_length);
    dt_gguf_key_u32(k, "general.alignment", DT_CONVERT_ALIGNMENT);
    dt_gguf_key_u32(k, "general.quantization_version", 2);
    dt_gguf_key_u32(k, "general.file_type", file_type(c->form ? c->form : m->layers[0].query.form));
    dt_gguf_key_u32(k, ".vocab_size", hp->vocab);
    dt_gguf_key_u32(k, ".context_length", hp->context);
    dt_gguf_key_u32(k, ".embedding_length", hp->dim);
    dt_gguf_key_u32(k, ".block_count", hp->layers);
    dt_gguf_key_u32(k, ".feed_forward_length", hp->hidden);
    dt_gguf_key_u32(k, ".attention.head_count", hp->heads);
    dt_gguf_key_u32(k, ".attention.head_count_kv", hp->kv_heads);
    if (hp->head_size * hp->heads != hp->dim) {
        dt_gguf_key_u32(k, ".attention.key_length", hp->head_size);
        dt_gguf_key_u32(k, ".attention.value_length", hp->head_size);
    }
    put_structure(k, m);
    put_vocabulary(k, &m->vocab);
    key_text_n(k, "tokenizer.chat_template", m->chat_template, m->chat_template_length);
    key_hint(k, "general.sampling.temp", h->temperature);
    key_hint(k, "general.sampling.top_p", h->top_p);
    key_hint(k, "general.sampling.top_k", h->top_k);
    key_hint(k, "general.sampling.min_p", h->min_p);
    key_hint(k, "general.sampling.penalty_repeat", h->repeat_penalty);
    key_text_n(k, "duotale.opening", h->opening, h->opening_length);
    if (h->length)
        dt_gguf_key_u32(k, "duotale.length", h->length);
    // what a folder's name and list of ends say is lost otherwise
    if (h->chat_stated || (m->chat_template && strcmp(m->format, "safetensors") == 0))
        dt_gguf_key_bool(k, "duotale.chat", m->dialogue.chat);
    dt_gguf_key_metadata(k, m);
}
