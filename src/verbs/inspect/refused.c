// SPDX-License-Identifier: MIT
// What inspect shows of a model that cannot be used.
#include <stdio.h>
#include <stdlib.h>

#include "core/formats/describe.h"
#include "host/model_files.h"
#include "host/print.h"
#include "verbs/inspect/inspect.h"

static void print_sizes(const struct dt_hparams *hp)
{
    const struct {
        const char *format;
        uint32_t value;
    } rows[] = {
        {"dim %u", hp->dim},           {"hidden %u", hp->hidden},
        {"%u layers", hp->layers},     {"%u heads", hp->heads},
        {"%u KV heads", hp->kv_heads}, {"%u channels per head", hp->head_size},
        {"vocabulary %u", hp->vocab},  {"context %u", hp->context},
        {"windows of %u", hp->window},
    };
    bool any = false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        if (!rows[i].value)
            continue;
        snprintf(text, sizeof text, rows[i].format, rows[i].value);
        dt_print(stdout, "%s%s", any ? ", " : "", text);
        any = true;
    }
    if (any)
        dt_print(stdout, "\n");
}

static void print_names(const char *what, const struct dt_described_names *names)
{
    if (!names->count)
        return;
    dt_print(stdout, "%s: %llu (", what, (unsigned long long)names->count);
    for (uint64_t i = 0; i < names->count && i < DT_DESCRIBED_NAMES; i++)
        dt_print(stdout, "%s%s", i ? ", " : "", names->name[i]);
    dt_print(stdout, "%s)\n", names->count > DT_DESCRIBED_NAMES ? ", ..." : "");
}

static const char *pretokenizer_of(const struct dt_description *d)
{
    if (d->pretokenizer[0] && d->model.vocab.kind != DT_VOCAB_SPM)
        return d->pretokenizer;
    return dt_inspect_pretokenizer(&d->model.vocab);
}

static void as_text(const struct dt_description *d, const char *path, size_t bytes,
                    const struct dt_error *err)
{
    const struct dt_model *m = &d->model;
    dt_print(stdout, "%s: %s", path, d->format ? d->format : "no model that duotale knows");
    if (d->architecture[0])
        dt_print(stdout, ", architecture %s", d->architecture);
    dt_print(stdout, ", %zu bytes\n", bytes);
    if (d->architecture[0] && !d->supported)
        dt_print(stdout, "not supported: %s\n",
                 d->lacks ? d->lacks : "an architecture that duotale does not know");
    dt_inspect_print_facts(m);
    print_sizes(&m->hp);
    for (uint32_t i = 0; i < d->types; i++) {
        dt_print(stdout, "%u tensors in %s: %llu values", d->type[i].tensors, d->type[i].name,
                 (unsigned long long)d->type[i].values);
        if (d->type[i].bytes)
            dt_print(stdout, ", %llu bytes", (unsigned long long)d->type[i].bytes);
        dt_print(stdout, "\n");
    }
    print_names("missing tensors", &d->missing);
    print_names("tensors that are not part of this architecture", &d->unknown);
    dt_print(stdout, "vocabulary: %s", dt_inspect_kind(&m->vocab));
    if (m->vocab.kind != DT_VOCAB_NONE)
        dt_print(stdout, ", %u pieces", m->vocab.size);
    dt_print(stdout, "\n");
    dt_inspect_print_words(&m->vocab, pretokenizer_of(d));
    if (m->chat_template)
        dt_print(stdout, "chat template: %zu bytes\n", m->chat_template_length);
    dt_inspect_print_templates(m);
    dt_print(stdout, "refused: %s\n", err->message);
}

static void put_size(struct dt_json *j, const char *name, uint32_t value)
{
    if (value)
        dt_json_put_uint(j, name, value);
}

static void put_sizes(struct dt_json *j, const struct dt_hparams *hp)
{
    dt_json_name(j, "hyperparameters");
    dt_json_object(j);
    put_size(j, "dim", hp->dim);
    put_size(j, "hidden", hp->hidden);
    put_size(j, "layers", hp->layers);
    put_size(j, "heads", hp->heads);
    put_size(j, "kv_heads", hp->kv_heads);
    put_size(j, "head_size", hp->head_size);
    put_size(j, "vocab", hp->vocab);
    put_size(j, "context", hp->context);
    put_size(j, "window", hp->window);
    dt_json_end(j);
}

static void put_names(struct dt_json *j, const char *what, const struct dt_described_names *names)
{
    dt_json_name(j, what);
    dt_json_object(j);
    dt_json_put_uint(j, "count", names->count);
    dt_json_name(j, "first");
    dt_json_array(j);
    for (uint64_t i = 0; i < names->count && i < DT_DESCRIBED_NAMES; i++)
        dt_json_text(j, names->name[i]);
    dt_json_end(j);
    dt_json_end(j);
}

static void as_json(const struct dt_description *d, const char *path, size_t bytes,
                    const struct dt_error *err)
{
    const struct dt_vocab *v = &d->model.vocab;
    struct dt_json j;
    dt_json_init(&j, stdout, 2);
    dt_json_object(&j);
    dt_json_put_text(&j, "model", path);
    dt_json_put_text(&j, "format", d->format);
    dt_json_put_text(&j, "architecture", d->architecture[0] ? d->architecture : NULL);
    dt_json_put_bool(&j, "supported", d->supported);
    dt_json_put_text(&j, "lacks", d->lacks);
    dt_inspect_put_facts(&j, &d->model);
    dt_json_put_uint(&j, "file_bytes", bytes);
    put_sizes(&j, &d->model.hp);
    dt_json_name(&j, "forms");
    dt_json_array(&j);
    for (uint32_t i = 0; i < d->types; i++) {
        dt_json_object(&j);
        dt_json_put_text(&j, "form", d->type[i].name);
        dt_json_put_uint(&j, "tensors", d->type[i].tensors);
        dt_json_put_uint(&j, "parameters", d->type[i].values);
        dt_json_put_uint(&j, "bytes", d->type[i].bytes);
        dt_json_end(&j);
    }
    dt_json_end(&j);
    put_names(&j, "missing", &d->missing);
    put_names(&j, "unknown", &d->unknown);
    dt_json_name(&j, "vocabulary");
    dt_json_object(&j);
    dt_json_put_text(&j, "kind", dt_inspect_kind(v));
    dt_json_put_uint(&j, "size", v->size);
    dt_inspect_put_token(&j, "bos", v->bos);
    dt_inspect_put_token(&j, "eos", v->eos);
    dt_inspect_put_token(&j, "eot", v->eot);
    dt_inspect_put_words(&j, v, pretokenizer_of(d));
    dt_json_end(&j);
    dt_json_put_uint(&j, "chat_template_bytes", d->model.chat_template_length);
    dt_inspect_put_templates(&j, &d->model);
    dt_json_put_text(&j, "error", err->message);
    dt_json_end(&j);
}

void dt_inspect_refused(const char *path, bool json, const struct dt_error *err)
{
    struct dt_model_files *files = calloc(1, sizeof *files);
    struct dt_description *d = calloc(1, sizeof *d);
    struct dt_model_part *parts = calloc(DT_MODEL_FILES_MAX, sizeof *parts);
    void *memory = NULL;
    if (!files || !d || !parts)
        goto out;
    struct dt_error ignored;
    (void)dt_model_files_map(files, path, &ignored);
    if (!files->count)
        (void)dt_model_files_map_vocabulary(files, path, &ignored);
    uint32_t count = dt_model_files_parts(files, parts);
    if (!count && !dt_model_files_present(path))
        goto out;
    size_t bytes = dt_model_describe_measure(parts, count) + DT_ALIGN;
    memory = aligned_alloc(DT_ALIGN, bytes / DT_ALIGN * DT_ALIGN);
    if (!memory)
        goto out;
    struct dt_arena arena = dt_arena_over(memory, bytes / DT_ALIGN * DT_ALIGN);
    dt_model_describe(parts, count, &arena, d);
    (json ? as_json : as_text)(d, path, dt_model_files_bytes(files), err);
    fflush(stdout);
out:
    if (files)
        dt_model_files_unmap(files);
    free(files);
    free(d);
    free(parts);
    free(memory);
}
