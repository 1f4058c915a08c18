// SPDX-License-Identifier: MIT
// Which reader takes a file, and what is checked whatever the file.
#include "core/model.h"

#include <string.h>

#include "base/format.h"
#include "core/llama2c.h"
#include "core/reader.h"
#include "core/safetensors.h"

static bool is_gguf(const unsigned char *bytes, size_t n)
{
    return n >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

// config.json, the first file of a Hugging Face folder.
static bool is_json(const unsigned char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && i < 64 && (bytes[i] == ' ' || bytes[i] == '\n' || bytes[i] == '\r' || bytes[i] == '\t'))
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

static dt_status dispatch(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                          struct dt_model *out, struct dt_error *err)
{
    for (uint32_t i = 0; i < count; i++)
        if ((uintptr_t)parts[i].bytes % sizeof(float)) // ours to keep: a mapping is aligned
            return dt_error_set(err, DT_FAILED, parts[i].name,
                                "the bytes of a model must be aligned to 4");
    if (!count)
        return dt_error_set(err, DT_FAILED, NULL, "a model of no files");
    if (is_gguf(parts[0].bytes, parts[0].n))
        return dt_gguf_open(parts, count, arena, out, err);
    if (count > 1 && is_json(parts[0].bytes, parts[0].n))
        return dt_hf_open(parts, count, arena, out, err);
    if (dt_safetensors_recognise(parts[0].bytes, parts[0].n) || is_json(parts[0].bytes, parts[0].n))
        return dt_error_set(err, DT_BAD_INPUT, parts[0].name,
                            "a part of a Hugging Face model: open the folder that holds it and its config.json");
    if (count != 1)
        return dt_error_set(err, DT_BAD_INPUT, parts[0].name,
                            "one of %u files, but only GGUF files can be split", count);
    return dt_llama2c_open(parts, arena, out, err);
}

size_t dt_model_measure_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_error *err)
{
    struct dt_arena counting = dt_arena_over(NULL, 0);
    if (dispatch(parts, count, &counting, NULL, err))
        return 0;
    if (dt_arena_failed(&counting)) {
        dt_error_set(err, DT_BAD_INPUT, parts[0].name,
                     "its tables would need more memory than there can be");
        return 0;
    }
    return counting.used;
}

size_t dt_model_measure(const unsigned char *bytes, size_t n, const char *name,
                        struct dt_error *err)
{
    struct dt_model_part part = {bytes, n, name};
    return dt_model_measure_parts(&part, 1, err);
}

dt_status dt_model_open_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_arena *arena, struct dt_model *out, struct dt_error *err)
{
    size_t before = arena->used;
    memset(out, 0, sizeof *out);
    out->hints = (struct dt_model_hints){.temperature = DT_UNSET,
                                         .top_p = DT_UNSET,
                                         .top_k = DT_UNSET,
                                         .min_p = DT_UNSET,
                                         .repeat_penalty = DT_UNSET};
    out->vocab.bos = out->vocab.eos = out->vocab.unknown = out->vocab.eot = DT_NO_TOKEN;
    dt_status status = dispatch(parts, count, arena, out, err);
    if (status) {
        arena->used = before;
        return status;
    }
    for (uint32_t i = 0; i < count; i++)
        out->file_bytes += parts[i].n;
    const struct dt_hparams *hp = &out->hp;
    size_t vectors = hp->dim;
    out->weight_bytes = out->embedding.bytes + (hp->tied ? 0 : out->classifier.bytes);
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
    return dt_model_open_parts(&part, 1, arena, out, err);
}

dt_status dt_model_each_matrix(const struct dt_model *model, dt_model_visit *visit, void *arg)
{
    char name[64];
    dt_status status = visit(arg, "token_embd.weight", &model->embedding);
    for (uint32_t l = 0; !status && l < model->hp.layers; l++) {
        const struct dt_layer *layer = &model->layers[l];
        const struct {
            const char *name;
            const struct dt_matrix *w;
        } rows[] = {
            {"attn_q", &layer->query},       {"attn_k", &layer->key},    {"attn_v", &layer->value},
            {"attn_output", &layer->output}, {"ffn_gate", &layer->gate}, {"ffn_up", &layer->up},
            {"ffn_down", &layer->down},
        };
        for (size_t i = 0; !status && i < sizeof rows / sizeof *rows; i++) {
            dt_format(name, sizeof name, "blk.%u.%s.weight", l, rows[i].name);
            status = visit(arg, name, rows[i].w);
        }
    }
    if (!status && !model->hp.tied)
        status = visit(arg, "output.weight", &model->classifier);
    return status;
}

static bool not_finite(uint32_t bits)
{
    return (bits & 0x7f800000) == 0x7f800000;
}

size_t dt_reader_first_not_finite(const void *floats, size_t n, size_t stride)
{
    const unsigned char *p = floats;
    size_t i = 0;
    // Whole runs without a branch: compilers vectorise this, and start-up waits for it.
    for (; stride == sizeof(float) && i + 256 <= n; i += 256) {
        uint32_t any = 0;
        for (size_t k = 0; k < 256; k++)
            any |= not_finite(dt_read_u32(p + (i + k) * sizeof(float)));
        if (any)
            break;
    }
    while (i < n && !not_finite(dt_read_u32(p + i * stride)))
        i++;
    return i;
}

dt_status dt_reader_check_finite(const char *file, const char *tensor, const void *floats, size_t n,
                                 struct dt_error *err)
{
    size_t i = dt_reader_first_not_finite(floats, n, sizeof(float));
    if (i == n)
        return DT_OK;
    return dt_error_set(err, DT_BAD_INPUT, file, "%s: value %zu is %g, wanted a finite number",
                        tensor, i,
                        (double)dt_read_f32((const unsigned char *)floats + i * sizeof(float)));
}

static dt_status bad_scale(const char *file, const char *tensor, uint32_t row, uint32_t group,
                           float value, struct dt_error *err)
{
    return dt_error_set(err, DT_BAD_INPUT, file,
                        "%s: scale %u of row %u is %g, wanted a finite number", tensor, group, row,
                        (double)value);
}

dt_status dt_reader_check_scales(const char *file, const char *tensor, const struct dt_matrix *w,
                                 bool all, struct dt_error *err)
{
    if (w->form == DT_FORM_I8) {
        uint32_t groups = w->cols / w->group;
        size_t i = dt_reader_first_not_finite(w->scales, (size_t)w->rows * groups, sizeof(float));
        if (i == (size_t)w->rows * groups)
            return DT_OK;
        return bad_scale(file, tensor, (uint32_t)(i / groups), (uint32_t)(i % groups),
                         dt_read_f32((const unsigned char *)w->scales + i * sizeof(float)), err);
    }
    if (!all || dt_form_scale_at(w->form, 0) < 0)
        return DT_OK;
    uint32_t blocks = w->cols / dt_form_block(w->form), stride = dt_form_block_bytes(w->form);
    // Blocks begin at the quants, but where the scales are described apart (Q8_0, Q4_0).
    const unsigned char *first = w->scales ? w->scales : w->quants;
    for (uint32_t r = 0; r < w->rows; r++) {
        const unsigned char *block = first + r * w->row_stride;
        for (uint32_t b = 0; b < blocks; b++, block += stride)
            for (unsigned which = 0; which < 2 && dt_form_scale_at(w->form, which) >= 0; which++) {
                uint16_t half;
                memcpy(&half, block + dt_form_scale_at(w->form, which), sizeof half);
                if ((half & 0x7c00) == 0x7c00)
                    return bad_scale(file, tensor, r, b, dt_half_to_float(half), err);
            }
    }
    return DT_OK;
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
