// SPDX-License-Identifier: MIT
#include "core/formats/open_model.h"

#include <string.h>

#include "core/formats/foreign.h"
#include "core/formats/gguf.h"
#include "core/formats/llama2c.h"
#include "core/formats/reader.h"
#include "core/formats/safetensors.h"
#include "core/slots.h"
#include "core/structure.h"

static bool is_gguf(const unsigned char *bytes, size_t n)
{
    return n >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

// Whether this may be config.json, the first file of a Hugging Face folder.
static bool is_json(const unsigned char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && i < 64 &&
           (bytes[i] == ' ' || bytes[i] == '\n' || bytes[i] == '\r' || bytes[i] == '\t'))
        i++;
    return i < n && bytes[i] == '{';
}

const char *dt_model_recognise(const unsigned char *bytes, size_t n)
{
    struct dt_llama2c_header h;
    if (is_gguf(bytes, n))
        return "GGUF";
    if (n >= 4 && dt_read_u32(bytes) == DT_LLAMA2C_MAGIC)
        return "llama2.c";
    if (dt_safetensors_recognise(bytes, n) || is_json(bytes, n))
        return "safetensors";
    return dt_llama2c_read_header(bytes, n, NULL, &h, NULL) == DT_OK ? "llama2.c legacy" : NULL;
}

uint32_t dt_model_split_count(const unsigned char *bytes, size_t n)
{
    if (is_gguf(bytes, n))
        return dt_gguf_split_count(bytes, n);
    return dt_model_recognise(bytes, n) ? 1 : 0;
}

static dt_status dispatch(const struct dt_model_part *parts, uint32_t count,
                          struct dt_model_found *found, struct dt_arena *arena,
                          struct dt_model *out, struct dt_error *err)
{
    for (uint32_t i = 0; i < count; i++)
        if ((uintptr_t)parts[i].bytes %
            sizeof(float)) // an error of the caller: mappings are aligned
            return dt_error_set(err, DT_FAILED, parts[i].name,
                                "the bytes of a model must be aligned to 4 bytes");
    if (!count)
        return dt_error_set(err, DT_FAILED, NULL, "a model needs at least one file");
    if (is_gguf(parts[0].bytes, parts[0].n))
        return dt_gguf_open(parts, count, arena, out, err);
    if (count > 1 && is_json(parts[0].bytes, parts[0].n))
        return dt_hf_open(parts, count, found, arena, out, err);
    if (dt_safetensors_recognise(parts[0].bytes, parts[0].n) || is_json(parts[0].bytes, parts[0].n))
        return dt_error_set(
            err, DT_BAD_INPUT, parts[0].name,
            "part of a Hugging Face model: open the folder that has it and its config.json");
    dt_status status = dt_foreign_check(&parts[0], err);
    if (status)
        return status;
    if (count != 1)
        return dt_error_set(err, DT_BAD_INPUT, parts[0].name,
                            "not a GGUF file, but one of %u files; only GGUF models can be split",
                            count);
    return dt_llama2c_open(parts, arena, out, err);
}

size_t dt_model_measure_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_model_found *found, struct dt_error *err)
{
    struct dt_arena counting = dt_arena_over(NULL, 0);
    if (dispatch(parts, count, found, &counting, NULL, err))
        return 0;
    if (dt_arena_failed(&counting)) {
        dt_error_set(err, DT_BAD_INPUT, parts[0].name,
                     "its tables need more memory than can be addressed");
        return 0;
    }
    return counting.used;
}

size_t dt_model_measure(const unsigned char *bytes, size_t n, const char *name,
                        struct dt_error *err)
{
    struct dt_model_part part = {bytes, n, name};
    return dt_model_measure_parts(&part, 1, NULL, err);
}

static void clear(struct dt_model *out)
{
    memset(out, 0, sizeof *out);
    out->hints = (struct dt_model_hints){.temperature = DT_UNSET,
                                         .top_p = DT_UNSET,
                                         .top_k = DT_UNSET,
                                         .min_p = DT_UNSET,
                                         .repeat_penalty = DT_UNSET};
    out->vocab.bos = out->vocab.eos = out->vocab.unknown = out->vocab.eot = out->vocab.pad =
        DT_NO_TOKEN;
}

static dt_status dispatch_vocabulary(const struct dt_model_part *parts, uint32_t count,
                                     struct dt_model_found *found, struct dt_arena *arena,
                                     struct dt_model *out, struct dt_error *err)
{
    if (!count)
        return dt_error_set(err, DT_FAILED, NULL, "a vocabulary needs at least one file");
    if (is_gguf(parts[0].bytes, parts[0].n))
        return dt_gguf_open_vocabulary(&parts[0], arena, out, err);
    if (dt_model_recognise(parts[0].bytes, parts[0].n) && !is_json(parts[0].bytes, parts[0].n))
        return dt_error_set(err, DT_UNSUPPORTED, parts[0].name, "contains no vocabulary");
    return dt_hf_open_vocabulary(parts, count, found, arena, out, err);
}

size_t dt_model_measure_vocabulary(const struct dt_model_part *parts, uint32_t count,
                                   struct dt_model_found *found, struct dt_error *err)
{
    struct dt_arena counting = dt_arena_over(NULL, 0);
    dt_status status = dispatch_vocabulary(parts, count, found, &counting, NULL, err);
    return status ? 0 : counting.used + DT_ALIGN;
}

dt_status dt_model_open_vocabulary(const struct dt_model_part *parts, uint32_t count,
                                   struct dt_model_found *found, struct dt_arena *arena,
                                   struct dt_model *out, struct dt_error *err)
{
    clear(out);
    dt_status status = dispatch_vocabulary(parts, count, found, arena, out, err);
    if (!status)
        dt_vocab_find_ends(&out->vocab);
    return status;
}

// The name of a file without its folder; of a file in a model's folder, that of the folder.
static struct dt_dialogue_name name_of(const struct dt_model_part *part, bool folder)
{
    size_t end = strlen(part->name), begin;
    for (int k = 0; k <= (int)folder; k++) {
        while (k && end && part->name[end - 1] == '/')
            end--;
        for (begin = end; begin && part->name[begin - 1] != '/';)
            begin--;
        if (k < (int)folder)
            end = begin;
    }
    return (struct dt_dialogue_name){part->name + begin, end - begin};
}

static void decide_dialogue(const struct dt_model_part *part, struct dt_model *m)
{
    struct dt_dialogue_name names[5] = {{m->name, m->name_length}};
    size_t count = m->name ? 1 : 0;
    bool folder = strcmp(m->format, "safetensors") == 0;
    names[count++] = name_of(part, folder);
    for (uint32_t i = 0; i < m->fact_count && count < 5; i++) {
        const struct dt_model_fact *f = &m->facts[i];
        if (dt_read_is(f->key, f->key_length, "general.finetune") ||
            dt_read_is(f->key, f->key_length, "general.basename"))
            names[count++] = (struct dt_dialogue_name){f->text, f->length};
    }
    // A GGUF file's list of ends may have been found by their texts.
    dt_dialogue_decide(&m->vocab, m->chat_template, m->chat_template_length, names, count,
                       folder ? m->vocab.ends : &m->vocab.eos, folder ? m->vocab.end_count : 1,
                       m->hp.structure && m->hp.structure->base_named ? m->architecture : NULL,
                       &m->dialogue);
    if (m->hints.chat_stated)
        m->dialogue = (struct dt_dialogue){m->hints.chat, "the file says so"};
}

dt_status dt_model_open_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_model_found *found, struct dt_arena *arena,
                              struct dt_model *out, struct dt_error *err)
{
    size_t before = arena->used;
    clear(out);
    dt_status status = dispatch(parts, count, found, arena, out, err);
    if (status) {
        arena->used = before;
        return status;
    }
    decide_dialogue(&parts[0], out);
    dt_vocab_find_ends(&out->vocab);
    for (uint32_t i = 0; i < count; i++)
        out->file_bytes += parts[i].n;
    const struct dt_hparams *hp = &out->hp;
    size_t vectors = hp->dim;
    out->weight_bytes =
        out->embedding.bytes + out->positions.bytes + (hp->tied ? 0 : out->classifier.bytes);
    for (uint32_t l = 0; l < hp->layers; l++) {
        const struct dt_layer *layer = &out->layers[l];
        out->weight_bytes += layer->query.bytes + layer->key.bytes + layer->value.bytes +
                             layer->output.bytes + layer->gate.bytes + layer->down.bytes +
                             layer->up.bytes;
        vectors += 2 * (size_t)hp->dim;
    }
    out->weight_bytes += vectors * sizeof(float);
    return DT_OK;
}

dt_status dt_model_open(const unsigned char *bytes, size_t n, const char *name,
                        struct dt_arena *arena, struct dt_model *out, struct dt_error *err)
{
    struct dt_model_part part = {bytes, n, name};
    return dt_model_open_parts(&part, 1, NULL, arena, out, err);
}

dt_status dt_model_each_matrix(const struct dt_model *model, dt_model_visit *visit, void *arg)
{
    char name[64];
    dt_status status = visit(arg, dt_gguf_names.slot[DT_SLOT_EMBEDDING], &model->embedding);
    for (uint32_t l = 0; l < model->hp.layers; l++)
        for (int s = 0; s < DT_SLOT_LAYER_END && !status; s++) {
            const struct dt_matrix *w = dt_slot_matrix(model, (enum dt_slot)s, l);
            dt_slot_name(&dt_gguf_names, (enum dt_slot)s, l, name, sizeof name);
            // parts of a fused matrix are visited, the whole is not
            if (w && w->rows && s != DT_SLOT_QKV && s != DT_SLOT_GATE_UP)
                status = visit(arg, name, w);
        }
    if (!status && model->classifier.quants != model->embedding.quants)
        status = visit(arg, dt_gguf_names.slot[DT_SLOT_CLASSIFIER], &model->classifier);
    return status;
}

struct scale_check {
    const char *file;
    struct dt_error *err;
};

static dt_status check_scales_of(void *arg, const char *tensor, const struct dt_matrix *w)
{
    const struct scale_check *check = arg;
    return dt_reader_check_scales(check->file, tensor, w, true, check->err);
}

dt_status dt_model_check_scales(const struct dt_model *model, const char *name,
                                struct dt_error *err)
{
    struct scale_check check = {name, err};
    return dt_model_each_matrix(model, check_scales_of, &check);
}
