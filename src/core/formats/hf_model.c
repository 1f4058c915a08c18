// SPDX-License-Identifier: MIT
// Reads a model from a Hugging Face folder: config.json; the tokenizer's files, chat template and
// index of the shards where they exist; and the safetensors files, used in place. Parts are
// recognised by their content, some by their names.
#include "core/formats/foreign.h"
#include "core/formats/hf_reader.h"
#include "core/formats/hf_vocab.h"
#include "core/formats/open_model.h"
#include "core/formats/sentencepiece.h"
#include "core/text/template.h"

// Whether the path of a file ends with this name.
static bool is_named(const struct dt_model_part *part, const char *name)
{
    size_t n = strlen(part->name), m = strlen(name);
    return n >= m && strcmp(part->name + n - m, name) == 0 &&
           (n == m || part->name[n - m - 1] == '/');
}

// Checks the JSON of a part, unless that was done when the model was measured.
static dt_status outline_of(const struct dt_hf_reader *r, uint32_t i, struct dt_json_outline *out)
{
    const struct dt_model_part *part = &r->parts[i];
    if (r->found && r->found->tokenizer == i + 1) {
        *out = r->found->outline;
        return DT_OK;
    }
    dt_status status = dt_foreign_check(part, r->err);
    return status
               ? status
               : dt_json_check_outline((const char *)part->bytes, part->n, part->name, out, r->err);
}

dt_status dt_hf_sort_parts(struct dt_hf_reader *r)
{
    struct dt_json_outline outline;
    static const char *const marks[] = {"weight_map", "model", "hidden_size", "model_type"};
    for (uint32_t i = 0; i < r->count; i++) {
        const struct dt_model_part *part = &r->parts[i];
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
        if (is_named(part, "README.md")) {
            r->card = part;
            continue;
        }
        if (dt_hf_is_template(part))
            continue;
        dt_status status = outline_of(r, i, &outline);
        if (status && r->describing)
            continue;
        if (status)
            return status;
        struct dt_json_value v = outline.root, found[4];
        for (size_t k = 0; k < 4; k++)
            found[k] = dt_json_outline_find(&outline, NULL, marks[k], NULL);
        bool tokenizer = is_named(part, "tokenizer.json") && found[1].n;
        if (is_named(part, "generation_config.json")) {
            r->generation = v;
        } else if (is_named(part, "chat_template.json")) {
            r->template_json = v;
        } else if (found[0].n) {
            r->index = v;
            r->index_name = part->name;
        } else if (tokenizer || (found[1].n && found[1].at[0] == '{')) {
            r->tokenizer = outline;
            r->tokenizer_name = part->name;
            if (r->found)
                *r->found = (struct dt_model_found){i + 1, outline};
        } else if (!r->config.n && (found[2].n || found[3].n)) {
            r->config = v;
            r->config_name = part->name;
        } else {
            r->tokenizer_config = v;
            r->tokenizer_config_name = part->name;
        }
    }
    return DT_OK;
}

dt_status dt_hf_open(const struct dt_model_part *parts, uint32_t count,
                     struct dt_model_found *found, struct dt_arena *arena, struct dt_model *out,
                     struct dt_error *err)
{
    struct dt_model dropped = {0};
    struct dt_hf_reader r = {.parts = parts,
                             .count = count,
                             .found = found,
                             .arena = arena,
                             .model = out ? out : &dropped,
                             .err = err,
                             .measuring = !out};
    struct dt_model *m = r.model;
    size_t tensors = 0;
    bool weights = false;
    dt_status status;
    if ((status = dt_hf_sort_parts(&r)))
        return status;
    if (!r.config.n)
        return dt_error_set(err, DT_BAD_INPUT, parts[0].name,
                            "no config.json with model_type or hidden_size among the files");
    if ((status = dt_foreign_check_config(r.config, r.config_name, err)) ||
        (status = dt_hf_read_config(&r)) || (status = dt_hf_read_tokenizer(&r)) ||
        (status = dt_hf_read_metadata(&r)))
        return status;
    m->format = "safetensors";
    m->layers = dt_arena_alloc(arena, m->hp.layers, sizeof *m->layers);
    if (!m->layers && out)
        return dt_error_set(err, DT_NO_MEMORY, r.config_name,
                            "the table of %u layers needs %zu bytes", m->hp.layers,
                            m->hp.layers * sizeof *m->layers);
    if (m->layers)
        memset(m->layers, 0, m->hp.layers * sizeof *m->layers);
    if (m->layers && (status = dt_hf_read_layers(&r)))
        return status;
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
    dt_structure_split(m);
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

uint32_t dt_hf_count_tokens(const struct dt_hf_reader *r)
{
    const struct dt_json_value lists[] = {
        dt_json_outline_find(&r->tokenizer, "model", "vocab", NULL),
        dt_json_outline_find(&r->tokenizer, NULL, "added_tokens", NULL),
    };
    uint64_t most = 0, id;
    if (!r->tokenizer.root.n)
        return r->sentencepiece ? dt_sentencepiece_count(r->sentencepiece) : 0;
    for (int i = 0; i < 2; i++) {
        struct dt_json_walk walk = {0};
        struct dt_json_value key, item;
        while (dt_json_next(lists[i], &walk, &key, &item)) {
            struct dt_json_value v = i == 0 ? item : dt_json_find(item, "id");
            if (dt_json_uint_of(v, &id) && id < DT_MAX_VOCAB && id + 1 > most)
                most = id + 1;
        }
    }
    return (uint32_t)most;
}

dt_status dt_hf_open_vocabulary(const struct dt_model_part *parts, uint32_t count,
                                struct dt_model_found *found, struct dt_arena *arena,
                                struct dt_model *out, struct dt_error *err)
{
    struct dt_model dropped = {0};
    struct dt_hf_reader r = {.parts = parts,
                             .count = count,
                             .found = found,
                             .arena = arena,
                             .model = out ? out : &dropped,
                             .err = err,
                             .measuring = !out};
    dt_status status = dt_hf_sort_parts(&r);
    if (status)
        return status;
    if (!r.tokenizer.root.n && !r.sentencepiece)
        return dt_error_set(err, DT_BAD_INPUT, parts[0].name,
                            "no tokenizer.json or tokenizer.model among the files");
    r.model->format = "safetensors";
    r.model->hp.vocab = dt_hf_count_tokens(&r);
    status = dt_hf_read_tokenizer(&r);
    if (!status)
        status = dt_hf_read_metadata(&r);
    if (!status && out)
        dt_template_turn_end(&out->vocab, out->chat_template, out->chat_template_length);
    return status;
}
