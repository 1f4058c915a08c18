// SPDX-License-Identifier: MIT
// Reads a model from a Hugging Face folder: config.json; the tokenizer's files, chat template and
// index of the shards where they exist; and the safetensors files, used in place. Parts are
// recognised by their content, some by their names.
#include <math.h>

#include "core/formats/foreign.h"
#include "core/formats/hf_reader.h"
#include "core/formats/hf_vocab.h"
#include "core/text/template.h"

// Whether the path of a file ends with this name.
static bool is_named(const struct dt_model_part *part, const char *name)
{
    size_t n = strlen(part->name), m = strlen(name);
    return n >= m && strcmp(part->name + n - m, name) == 0 &&
           (n == m || part->name[n - m - 1] == '/');
}

static dt_status sort_parts(struct dt_hf_reader *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        const struct dt_model_part *part = &r->parts[i];
        struct dt_json_value v;
        if (dt_safetensors_recognise(part->bytes, part->n))
            continue;
        if (is_named(part, "tokenizer.model")) {
            r->sentencepiece = part;
            continue;
        }
        if (is_named(part, "chat_template.jinja")) {
            r->template_file = part;
            continue;
        }
        dt_status status = dt_foreign_check(part, r->err);
        if (status)
            return status;
        status = dt_json_check((const char *)part->bytes, part->n, part->name, &v, r->err);
        if (status)
            return status;
        if (is_named(part, "generation_config.json")) {
            r->generation = v;
        } else if (is_named(part, "chat_template.json")) {
            r->template_json = v;
        } else if (dt_json_find(v, "weight_map").n) {
            r->index = v;
            r->index_name = part->name;
        } else if (dt_json_find(v, "model").n && dt_json_find(v, "model").at[0] == '{') {
            r->tokenizer = v;
            r->tokenizer_name = part->name;
        } else if (!r->config.n &&
                   (dt_json_find(v, "hidden_size").n || dt_json_find(v, "model_type").n)) {
            r->config = v;
            r->config_name = part->name;
        } else {
            r->tokenizer_config = v;
            r->tokenizer_config_name = part->name;
        }
    }
    if (!r->config.n)
        return dt_error_set(r->err, DT_BAD_INPUT, r->parts[0].name,
                            "no config.json with model_type or hidden_size among the files");
    return DT_OK;
}

// ---- config.json ----

static bool given(const struct dt_hf_reader *r, const char *key)
{
    struct dt_json_value v = dt_json_find(r->config, key);
    return v.n && !dt_json_is(v, "null");
}

static dt_status number(const struct dt_hf_reader *r, const char *key, uint32_t most, bool required,
                        uint32_t *out)
{
    struct dt_json_value v = dt_json_find(r->config, key);
    uint64_t value;
    if (!given(r, key))
        return required ? dt_error_set(r->err, DT_BAD_INPUT, r->config_name, "%s is missing", key)
                        : DT_OK;
    if (!dt_json_uint_of(v, &value) || value < 1 || value > most)
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name, "%s is %.*s; expected 1 to %u",
                            key, v.n < 40 ? (int)v.n : 40, v.at, most);
    *out = (uint32_t)value;
    return DT_OK;
}

static dt_status real(const struct dt_hf_reader *r, struct dt_json_value from, const char *key,
                      double least, double most, float *out)
{
    struct dt_json_value v = dt_json_find(from, key);
    double value;
    if (!v.n || dt_json_is(v, "null"))
        return DT_OK;
    if (!dt_json_number_of(v, &value) || !(value >= least && value <= most))
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name, "%s is %.*s; expected %g to %g",
                            key, v.n < 40 ? (int)v.n : 40, v.at, least, most);
    *out = (float)value;
    return DT_OK;
}

// Llama 3.1's RoPE scaling, as published with the model: long waves are slowed by `factor`, short
// ones not at all, and those between in proportion.
static dt_status llama3_factors(const struct dt_hf_reader *r, struct dt_json_value scaling,
                                float factor)
{
    struct dt_hparams *hp = &r->model->hp;
    float low = 1, high = 4, original = 8192;
    dt_status status;
    if ((status = real(r, scaling, "low_freq_factor", 1e-3, 1e6, &low)) ||
        (status = real(r, scaling, "high_freq_factor", 1e-3, 1e6, &high)) ||
        (status = real(r, scaling, "original_max_position_embeddings", 1, 1e9, &original)))
        return status;
    if (!(high > low))
        return dt_error_set(
            r->err, DT_BAD_INPUT, r->config_name,
            "rope_scaling.high_freq_factor is %g; expected more than low_freq_factor %g",
            (double)high, (double)low);
    float *factors = dt_arena_alloc(r->arena, hp->rotated / 2, sizeof *factors);
    for (uint32_t i = 0; factors && i < hp->rotated / 2; i++) {
        double wave = 6.283185307179586 * pow((double)hp->rope_base, 2.0 * i / hp->rotated);
        double smooth = ((double)original / wave - (double)low) / ((double)high - (double)low);
        smooth = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
        factors[i] = (float)(1 / ((1 - smooth) / (double)factor + smooth));
    }
    hp->rope_factors = factors;
    return DT_OK;
}

static dt_status read_rope(const struct dt_hf_reader *r)
{
    struct dt_hparams *hp = &r->model->hp;
    struct dt_json_value scaling = dt_json_find(r->config, "rope_scaling");
    float factor = 1, partial = 1;
    dt_status status;
    hp->rope_base = 10000.0f;
    hp->rope_scale = 1.0f;
    hp->rotated = hp->head_size;
    if ((status = real(r, r->config, "rope_theta", 1, 1e12, &hp->rope_base)) ||
        (status = real(r, r->config, "partial_rotary_factor", 1, 1, &partial)) ||
        !given(r, "rope_scaling"))
        return status;
    struct dt_json_value type = dt_json_find(scaling, "rope_type");
    if (!type.n)
        type = dt_json_find(scaling, "type");
    if ((status = real(r, scaling, "factor", 1e-3, 1e6, &factor)))
        return status;
    if (dt_json_is(type, "\"llama3\""))
        return llama3_factors(r, scaling, factor);
    if (dt_json_is(type, "\"linear\""))
        hp->rope_scale = 1.0f / factor;
    else if (!dt_json_is(type, "\"default\""))
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "rope_scaling type is %.*s; expected linear or llama3",
                            type.n < 40 ? (int)type.n : 40, type.n ? type.at : "missing");
    return DT_OK;
}

static dt_status read_config(const struct dt_hf_reader *r)
{
    static const struct {
        const char *type, *architecture;
    } known[] = {{"\"llama\"", "llama"}, {"\"mistral\"", "llama"}, {"\"qwen2\"", "qwen2"}};
    struct dt_hparams *hp = &r->model->hp;
    struct dt_json_value type = dt_json_find(r->config, "model_type"),
                         act = dt_json_find(r->config, "hidden_act");
    uint32_t window = 0;
    dt_status status;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (dt_json_is(type, known[i].type))
            r->model->architecture = known[i].architecture;
    if (!r->model->architecture)
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "model_type is %.*s; expected llama, mistral or qwen2",
                            type.n < 40 ? (int)type.n : 40, type.n ? type.at : "missing");
    if (act.n && !dt_json_is(act, "\"silu\""))
        return dt_error_set(r->err, DT_UNSUPPORTED, r->config_name,
                            "hidden_act is %.*s; expected silu", act.n < 40 ? (int)act.n : 40,
                            act.at);
    hp->norm_epsilon = 1e-6f;
    if ((status = number(r, "hidden_size", DT_MAX_DIM, true, &hp->dim)) ||
        (status = number(r, "intermediate_size", DT_MAX_HIDDEN, true, &hp->hidden)) ||
        (status = number(r, "num_hidden_layers", DT_MAX_LAYERS, true, &hp->layers)) ||
        (status = number(r, "num_attention_heads", DT_MAX_HEADS, true, &hp->heads)) ||
        (status = number(r, "vocab_size", DT_MAX_VOCAB, true, &hp->vocab)) ||
        (status = number(r, "max_position_embeddings", UINT32_MAX, true, &hp->context)) ||
        (status = real(r, r->config, "rms_norm_eps", 0, 1, &hp->norm_epsilon)))
        return status;
    hp->kv_heads = hp->heads;
    if ((status = number(r, "num_key_value_heads", DT_MAX_HEADS, false, &hp->kv_heads)))
        return status;
    if (hp->kv_heads > hp->heads || hp->heads % hp->kv_heads)
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name,
                            "num_attention_heads is %u, not a multiple of num_key_value_heads %u",
                            hp->heads, hp->kv_heads);
    if (!given(r, "head_dim") && hp->dim % hp->heads)
        return dt_error_set(r->err, DT_BAD_INPUT, r->config_name,
                            "hidden_size is %u, not a multiple of num_attention_heads %u", hp->dim,
                            hp->heads);
    hp->head_size = hp->dim / hp->heads;
    if ((status = number(r, "head_dim", DT_MAX_DIM, false, &hp->head_size)))
        return status;
    if (!hp->head_size || hp->head_size % 2 || (uint64_t)hp->head_size * hp->heads > 4 * DT_MAX_DIM)
        return dt_error_set(
            r->err, DT_BAD_INPUT, r->config_name,
            "%u heads of %u channels: expected an even number of channels and at most %u in all",
            hp->heads, hp->head_size, 4 * DT_MAX_DIM);
    bool windowed = given(r, "sliding_window") &&
                    !dt_json_is(dt_json_find(r->config, "use_sliding_window"), "false");
    if (windowed && (status = number(r, "sliding_window", UINT32_MAX, false, &window)))
        return status;
    if (window && window < hp->context) // within its window it computes the same as other models
        hp->context = window;
    hp->context = hp->context < DT_MAX_CONTEXT ? hp->context : DT_MAX_CONTEXT;
    hp->rope_style = DT_ROPE_HALVES;
    hp->tied = dt_json_is(dt_json_find(r->config, "tie_word_embeddings"), "true");
    return read_rope(r);
}

dt_status dt_hf_open(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                     struct dt_model *out, struct dt_error *err)
{
    struct dt_model dropped = {0};
    struct dt_hf_reader r = {.parts = parts,
                             .count = count,
                             .arena = arena,
                             .model = out ? out : &dropped,
                             .err = err,
                             .measuring = !out};
    struct dt_model *m = r.model;
    size_t tensors = 0;
    bool weights = false;
    dt_status status;
    if ((status = sort_parts(&r)) ||
        (status = dt_foreign_check_config(r.config, r.config_name, err)) ||
        (status = read_config(&r)) || (status = dt_hf_read_tokenizer(&r)))
        return status;
    m->format = "safetensors";
    m->layers = dt_arena_alloc(arena, m->hp.layers, sizeof *m->layers);
    if (!m->layers && out)
        return dt_error_set(err, DT_NO_MEMORY, r.config_name,
                            "the table of %u layers needs %zu bytes", m->hp.layers,
                            m->hp.layers * sizeof *m->layers);
    if (m->layers)
        memset(m->layers, 0, m->hp.layers * sizeof *m->layers);
    bool tied = m->hp.tied;
    for (uint32_t i = 0; i < count && !status; i++)
        if (dt_safetensors_recognise(parts[i].bytes, parts[i].n)) {
            status = dt_hf_place_all(&r, &parts[i], &tensors);
            weights = true;
        }
    if (!status && !weights)
        status = dt_error_set(err, DT_BAD_INPUT, r.config_name, "no safetensors file is beside it");
    if (!status && r.index.n && dt_json_count(dt_json_find(r.index, "weight_map")) != tensors)
        status = dt_error_set(err, DT_BAD_INPUT, r.index_name,
                              "weight_map has %zu tensors, the files have %zu",
                              dt_json_count(dt_json_find(r.index, "weight_map")), tensors);
    if (status || !out)
        return status;
    if ((status = dt_hf_check_complete(&r)))
        return status;
    if (!m->classifier.quants && !tied)
        return dt_error_set(
            err, DT_BAD_INPUT, r.config_name,
            "tensor lm_head.weight is missing, and tie_word_embeddings is not true");
    if (!m->classifier.quants || tied)
        m->classifier = m->embedding;
    dt_template_turn_end(&m->vocab, m->chat_template, m->chat_template_length);
    return DT_OK;
}
