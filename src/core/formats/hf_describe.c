// SPDX-License-Identifier: MIT
// Describes Hugging Face folders that are refused.
#include "base/format.h"
#include "base/text.h"
#include "core/formats/describe.h"
#include "core/formats/hf_reader.h"
#include "core/formats/hf_rules.h"
#include "core/text/template.h"

static void read_sizes(const struct dt_hf_reader *r)
{
    struct dt_hparams *hp = &r->model->hp;
    const struct {
        const char *name[4];
        uint32_t *size;
    } rows[] = {
        {{"max_position_embeddings", "n_positions", "seq_length"}, &hp->context},
        {{"hidden_size", "n_embd", "d_model"}, &hp->dim},
        {{"num_hidden_layers", "n_layer", "num_layers", "n_layers"}, &hp->layers},
        {{"intermediate_size", "n_inner", "ffn_dim"}, &hp->hidden},
        {{"num_attention_heads", "n_head", "num_heads", "n_heads"}, &hp->heads},
        {{"num_key_value_heads"}, &hp->kv_heads},
        {{"head_dim"}, &hp->head_size},
        {{"vocab_size"}, &hp->vocab},
        {{"sliding_window", "window_size"}, &hp->window},
    };
    // models of several kinds of input have the sizes of the text's part inside
    const struct dt_json_value from[] = {r->config, dt_json_find(r->config, "text_config")};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < 8 && !*rows[i].size; k++) {
            const char *name = rows[i].name[k % 4];
            uint64_t value;
            if (name && dt_json_uint_of(dt_json_find(from[k / 4], name), &value) &&
                value <= UINT32_MAX)
                *rows[i].size = (uint32_t)value;
        }
    if (!hp->kv_heads)
        hp->kv_heads = hp->heads;
    if (!hp->head_size && hp->heads)
        hp->head_size = hp->dim / hp->heads;
    if (hp->layers > DT_MAX_LAYERS)
        hp->layers = 0;
}

static void read_type(const struct dt_hf_reader *r, struct dt_description *d)
{
    struct dt_json_value type = dt_json_find(r->config, "model_type");
    if (!dt_json_is_text(type))
        return;
    const char *name = type.at + 1;
    size_t n = type.n - 2;
    dt_text_clean(d->architecture, sizeof d->architecture, name, n, DT_TEXT_LINE);
    d->model.hp.structure = dt_structure_find_hf(name, n);
    d->supported = d->model.hp.structure != NULL;
    d->lacks = d->supported ? NULL : dt_structure_lacks(name, n);
}

// Adds the tensors of one file; false if its header cannot be read.
static bool read_tensors(const struct dt_model_part *part, struct dt_description *d,
                         struct dt_described_slots *slots)
{
    struct dt_safetensors s;
    struct dt_safetensor t;
    struct dt_json_walk walk = {0};
    const struct dt_structure *structure = d->model.hp.structure;
    bool more;
    dt_status status = dt_safetensors_read(&s, part->bytes, part->n, part->name, NULL);
    while (!status && !(status = dt_safetensors_next(&s, &walk, &t, &more, NULL)) && more) {
        uint64_t values = 1;
        for (int k = 0; k < 4; k++)
            values *= t.size[k]; // their product fits: the tensor is inside the file
        dt_describe_type(d, t.type, values, t.end - t.begin);
        size_t n = t.name.n - 2;
        const char *name = structure ? dt_hf_tensor_name(structure, t.name.at + 1, &n) : NULL;
        if (name)
            dt_describe_tensor(d, slots, dt_hf_names(structure), name, n, t.size[0]);
        d->tensors++;
    }
    return !status;
}

static void read_vocabulary(struct dt_hf_reader *r, struct dt_description *d, bool measuring)
{
    struct dt_model *m = &d->model;
    uint32_t stated = m->hp.vocab, tokens = dt_hf_count_tokens(r);
    m->hp.vocab = stated > tokens && stated <= DT_MAX_VOCAB ? stated : tokens;
    bool there = m->hp.vocab > 0 && !dt_hf_read_tokenizer(r);
    struct dt_hf_sections sections;
    struct dt_vocab rules = {.kind = DT_VOCAB_NONE};
    dt_hf_find_sections(&r->tokenizer, &sections);
    if (r->tokenizer.root.n && dt_hf_rules(&sections, r->tokenizer_name, &rules, NULL))
        dt_format(d->pretokenizer, sizeof d->pretokenizer, "unknown");
    if (!measuring && !there)
        dt_describe_no_vocabulary(&m->vocab);
    if (!measuring && there)
        dt_template_turn_end(&m->vocab, m->chat_template, m->chat_template_length);
    m->hp.vocab = stated ? stated : tokens;
}

void dt_hf_describe(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                    struct dt_description *out)
{
    struct dt_described_slots slots = {.model = 0};
    struct dt_description dropped = {.format = NULL};
    struct dt_description *d = out ? out : &dropped;
    struct dt_hf_reader r = {.parts = parts,
                             .count = count,
                             .arena = arena,
                             .model = &d->model,
                             .measuring = !out,
                             .describing = true};
    bool whole = true, weights = false;
    (void)dt_hf_sort_parts(&r);
    if (r.config.n || r.tokenizer.root.n || r.sentencepiece)
        d->format = "safetensors";
    read_type(&r, d);
    read_sizes(&r);
    read_vocabulary(&r, d, !out);
    (void)dt_hf_read_metadata(&r);
    for (uint32_t i = 0; i < count; i++)
        if (dt_safetensors_recognise(parts[i].bytes, parts[i].n)) {
            d->format = "safetensors";
            weights = true;
            whole = read_tensors(&parts[i], d, &slots) && whole;
        }
    if (out && whole && weights && d->supported)
        dt_describe_missing(d, &slots, dt_hf_names(d->model.hp.structure));
}
