// SPDX-License-Identifier: MIT
// Describes GGUF files that are refused.
#include "base/format.h"
#include "base/text.h"
#include "core/formats/describe.h"
#include "core/formats/gguf_reader.h"
#include "core/text/template.h"

static void read_sizes(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_hparams *hp = &r->model->hp;
    const struct {
        const char *suffix;
        uint32_t *size;
    } rows[] = {
        {"context_length", &hp->context},
        {"embedding_length", &hp->dim},
        {"block_count", &hp->layers},
        {"feed_forward_length", &hp->hidden},
        {"attention.head_count", &hp->heads},
        {"attention.head_count_kv", &hp->kv_heads},
        {"attention.key_length", &hp->head_size},
        {"vocab_size", &hp->vocab},
        {"attention.sliding_window", &hp->window},
    };
    char key[DT_GGUF_MAX_KEY];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dt_format(key, sizeof key, "%s.%s", r->prefix, rows[i].suffix);
        (void)dt_gguf_uint(g, key, 0, UINT32_MAX, rows[i].size, NULL);
    }
    if (!hp->kv_heads)
        hp->kv_heads = hp->heads;
    if (!hp->head_size && hp->heads)
        hp->head_size = hp->dim / hp->heads;
    if (hp->layers > DT_MAX_LAYERS)
        hp->layers = 0;
}

static void read_texts(const struct dt_gguf *g, struct dt_description *d)
{
    struct dt_model *m = &d->model;
    const char *text = NULL;
    size_t n = 0;
    (void)dt_gguf_text(g, "general.name", &m->name, &m->name_length, NULL);
    (void)dt_gguf_text(g, "general.license", &m->license, &m->license_length, NULL);
    (void)dt_gguf_text(g, "tokenizer.chat_template", &m->chat_template, &m->chat_template_length,
                       NULL);
    if (dt_gguf_find(g, "general.architecture") &&
        !dt_gguf_text(g, "general.architecture", &text, &n, NULL)) {
        dt_text_clean(d->architecture, sizeof d->architecture, text, n, DT_TEXT_LINE);
        m->hp.structure = dt_structure_find(text, n);
        d->supported = m->hp.structure != NULL;
        d->lacks = d->supported ? NULL : dt_structure_lacks(text, n);
    }
    if (dt_gguf_find(g, "tokenizer.ggml.pre") &&
        !dt_gguf_text(g, "tokenizer.ggml.pre", &text, &n, NULL))
        dt_text_clean(d->pretokenizer, sizeof d->pretokenizer, text, n, DT_TEXT_LINE);
}

static void read_tensors(const struct dt_gguf *g, struct dt_description *d,
                         struct dt_described_slots *slots)
{
    size_t at = g->infos;
    for (uint32_t i = 0; at && i < g->tensors; i++) {
        struct dt_gguf_tensor t;
        if (dt_gguf_tensor(g, &at, &t, NULL))
            break;
        uint64_t values = 1;
        for (int k = 0; k < 4; k++)
            values = t.size[k] && values > UINT64_MAX / t.size[k] ? 0 : values * t.size[k];
        uint32_t form = dt_gguf_form(t.type), block = dt_form_block(form);
        uint64_t blocks = block ? values / block : 0;
        dt_describe_type(d, dt_gguf_type_name(t.type), values,
                         blocks < 1ull << 48 ? blocks * dt_form_block_bytes(form) : 0);
        size_t n = t.name_length, scales = sizeof "_scales" - 1;
        if (n > scales && memcmp(t.name + n - scales, "_scales", scales) == 0)
            n -= scales;
        if (d->supported)
            dt_describe_tensor(d, slots, &dt_gguf_names, t.name, n, t.size[1]);
        d->tensors++;
    }
}

void dt_gguf_describe(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                      struct dt_description *out)
{
    struct dt_described_slots slots = {.model = 0};
    struct dt_description dropped = {.format = NULL};
    struct dt_description *d = out ? out : &dropped;
    bool whole = true;
    for (uint32_t i = 0; i < count; i++) {
        struct dt_gguf g;
        whole = !dt_gguf_read(&g, parts[i].bytes, parts[i].n, parts[i].name, NULL) && whole;
        if (i == 0) {
            struct dt_gguf_reader r = {.arena = arena,
                                       .model = &d->model,
                                       .file = parts[0].name,
                                       .measuring = !out,
                                       .describing = true};
            d->format = g.version == 2 ? "GGUF v2" : "GGUF v3";
            read_texts(&g, d);
            r.prefix = d->architecture;
            read_sizes(&r, &g);
            if (dt_gguf_read_vocab(&r, &g))
                dt_describe_no_vocabulary(&d->model.vocab);
            (void)dt_gguf_read_metadata(&r, &g);
            if (out)
                dt_template_turn_end(&d->model.vocab, d->model.chat_template,
                                     d->model.chat_template_length);
        }
        read_tensors(&g, d, &slots);
    }
    if (out && whole && d->supported && d->tensors)
        dt_describe_missing(d, &slots, &dt_gguf_names);
}
