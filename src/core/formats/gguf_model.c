// SPDX-License-Identifier: MIT
// Reads a model from GGUF files: hyperparameters from the keys, and all files of a split model.
#include "base/format.h"
#include "core/formats/foreign.h"
#include "core/formats/gguf_reader.h"
#include "core/text/template.h"

// ---- the first file ----

static dt_status read_architecture(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    const char *name = NULL;
    size_t length = 0;
    char known[512];
    dt_status status = dt_gguf_text(g, "general.architecture", &name, &length, r->err);
    if (status)
        return status;
    if (!name)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name, "key general.architecture is missing");
    const struct dt_structure *s = dt_structure_find(name, length);
    if (s) {
        r->prefix = r->model->architecture = s->name;
        r->model->hp.structure = s;
        r->model->hp.rope_style = s->gguf_rope;
        return DT_OK;
    }
    const char *lacks = dt_structure_lacks(name, length);
    dt_structure_list(false, known, sizeof known);
    return dt_error_set(r->err, DT_UNSUPPORTED, g->name,
                        "architecture is %.*s (%s%s); expected one of %s",
                        length < 64 ? (int)length : 64, name, lacks ? "not supported: " : "unknown",
                        lacks ? lacks : "", known);
}

static dt_status read_hints(struct dt_gguf_reader *r, const struct dt_gguf *g)
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
    h->chat_stated = dt_gguf_find(g, "duotale.chat") != NULL;
    if ((status = dt_gguf_bool(g, "duotale.packed.tied", &r->packed_tied, r->err)))
        return status;
    return dt_gguf_uint(g, "duotale.packed.group", 1, DT_MAX_DIM, &r->packed_group, r->err);
}

// Copies the name of the layout of packed matrices to the arena, terminated.
static dt_status read_layout(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    const char *layout = NULL;
    size_t length = 0;
    dt_status status = dt_gguf_text(g, "duotale.packed.layout", &layout, &length, r->err);
    if (status || !layout)
        return status;
    if (!length || length > 63)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "duotale.packed.layout has %zu bytes; expected 1 to 63", length);
    char *copy = dt_arena_alloc(r->arena, length + 1, 1);
    r->layout = "";
    if (copy) {
        memcpy(copy, layout, length);
        copy[length] = 0;
        r->layout = copy;
    }
    return DT_OK;
}

// ---- files ----

// Checks that a file is number i of `count`.
static dt_status check_split(const struct dt_gguf_reader *r, const struct dt_gguf *g, uint32_t i,
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
                            "split.no is %u; expected %u: give the files of a model in order", no,
                            i);
    return DT_OK;
}

uint32_t dt_gguf_split_count(const unsigned char *bytes, size_t n)
{
    struct dt_gguf g;
    uint32_t count = 1;
    if (dt_gguf_read(&g, bytes, n, NULL, NULL) ||
        dt_gguf_uint(&g, "split.count", 0, 65535, &count, NULL))
        return 0;
    return count ? count : 1;
}

// Reads what the first file says about the whole model.
static dt_status read_first(struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct dt_model *m = r->model;
    dt_status status;
    m->format = g->version == 2 ? "GGUF v2" : "GGUF v3";
    m->gguf_bytes = g->bytes;
    m->gguf_size = g->n;
    if ((status = dt_foreign_check_gguf(g, r->err)) || (status = read_architecture(r, g)) ||
        (status = dt_gguf_read_hparams(r, g)) || (status = dt_gguf_read_vocab(r, g)))
        return status;
    if (m->vocab.kind == DT_VOCAB_NONE &&
        (status = dt_gguf_number(r, g, "vocab_size", DT_MAX_VOCAB, true, &m->hp.vocab)))
        return status;
    if ((status = read_hints(r, g)) || (status = read_layout(r, g)) ||
        (status = dt_gguf_read_metadata(r, g)))
        return status;
    dt_template_turn_end(&m->vocab, m->chat_template, m->chat_template_length);
    m->layers = dt_arena_alloc(r->arena, m->hp.layers, sizeof *m->layers);
    if (m->layers)
        memset(m->layers, 0, m->hp.layers * sizeof *m->layers);
    else if (!r->measuring)
        return dt_error_set(r->err, DT_NO_MEMORY, g->name, "the table of %u layers needs %zu bytes",
                            m->hp.layers, m->hp.layers * sizeof *m->layers);
    dt_structure_set_layers(m);
    return dt_gguf_read_windows(r, g);
}

dt_status dt_gguf_open(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                       struct dt_model *out, struct dt_error *err)
{
    struct dt_model dropped = {0};
    dropped.vocab.eot = DT_NO_TOKEN;
    struct dt_gguf_reader r = {.arena = arena,
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
        status = dt_gguf_place_all(&r, &g);
    }
    if (status || !out)
        return status;
    if (wanted && wanted != tensors)
        return dt_error_set(err, DT_BAD_INPUT, r.file,
                            "split.tensors.count is %u, but the files have %llu tensors", wanted,
                            (unsigned long long)tensors);
    dt_structure_split(out);
    if ((status = dt_gguf_check_long_rope(&r)))
        return status;
    if ((status = dt_gguf_check_complete(&r)))
        return status;
    out->hp.tied =
        !out->classifier.quants || (r.packed_tied && out->classifier.form == DT_FORM_PACKED);
    if (!out->classifier.quants)
        out->classifier = out->embedding;
    return DT_OK;
}

dt_status dt_gguf_open_vocabulary(const struct dt_model_part *part, struct dt_arena *arena,
                                  struct dt_model *out, struct dt_error *err)
{
    struct dt_model dropped = {0};
    struct dt_gguf_reader r = {.arena = arena,
                               .model = out ? out : &dropped,
                               .err = err,
                               .file = part->name,
                               .measuring = !out};
    struct dt_gguf g;
    dt_status status;
    if ((status = dt_gguf_read(&g, part->bytes, part->n, part->name, err)) ||
        (status = dt_gguf_read_vocab(&r, &g)) ||
        (status = dt_gguf_text(&g, "tokenizer.chat_template", &r.model->chat_template,
                               &r.model->chat_template_length, err)) ||
        (status = dt_gguf_read_metadata(&r, &g)))
        return status;
    r.model->format = g.version == 2 ? "GGUF v2" : "GGUF v3";
    if (r.model->vocab.kind == DT_VOCAB_NONE && out)
        return dt_error_set(err, DT_BAD_INPUT, part->name, "contains no vocabulary");
    if (out)
        dt_template_turn_end(&out->vocab, out->chat_template, out->chat_template_length);
    return DT_OK;
}
