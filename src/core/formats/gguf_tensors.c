// SPDX-License-Identifier: MIT
// Assigns GGUF tensors to the slots of a model; they stay where they are in the file.
#include "base/format.h"
#include "core/formats/gguf_reader.h"
#include "core/quant/packed.h"

const struct dt_slot_names dt_gguf_names = {
    .layer = "blk.",
    .slot =
        {
            [DT_SLOT_ATTENTION_NORM] = "attn_norm.weight",
            [DT_SLOT_ATTENTION_NORM_BIAS] = "attn_norm.bias",
            [DT_SLOT_QKV] = "attn_qkv.weight",
            [DT_SLOT_QKV_BIAS] = "attn_qkv.bias",
            [DT_SLOT_QUERY_NORM] = "attn_q_norm.weight",
            [DT_SLOT_KEY_NORM] = "attn_k_norm.weight",
            [DT_SLOT_QUERY] = "attn_q.weight",
            [DT_SLOT_KEY] = "attn_k.weight",
            [DT_SLOT_VALUE] = "attn_v.weight",
            [DT_SLOT_QUERY_BIAS] = "attn_q.bias",
            [DT_SLOT_KEY_BIAS] = "attn_k.bias",
            [DT_SLOT_VALUE_BIAS] = "attn_v.bias",
            [DT_SLOT_OUTPUT] = "attn_output.weight",
            [DT_SLOT_OUTPUT_BIAS] = "attn_output.bias",
            [DT_SLOT_POST_ATTENTION_NORM] = "post_attention_norm.weight",
            [DT_SLOT_FFN_NORM_BIAS] = "ffn_norm.bias",
            [DT_SLOT_GATE_BIAS] = "ffn_gate.bias",
            [DT_SLOT_UP_BIAS] = "ffn_up.bias",
            [DT_SLOT_DOWN_BIAS] = "ffn_down.bias",
            [DT_SLOT_POST_FFN_NORM] = "post_ffw_norm.weight",
            [DT_SLOT_FFN_NORM] = "ffn_norm.weight",
            [DT_SLOT_GATE_UP] = "ffn_up.weight",
            [DT_SLOT_GATE] = "ffn_gate.weight",
            [DT_SLOT_UP] = "ffn_up.weight",
            [DT_SLOT_DOWN] = "ffn_down.weight",
            [DT_SLOT_EMBEDDING] = "token_embd.weight",
            [DT_SLOT_POSITIONS] = "position_embd.weight",
            [DT_SLOT_FINAL_NORM_BIAS] = "output_norm.bias",
            [DT_SLOT_ROPE_LONG] = "rope_factors_long.weight",
            [DT_SLOT_ROPE_SHORT] = "rope_factors_short.weight",
            [DT_SLOT_FINAL_NORM] = "output_norm.weight",
            [DT_SLOT_CLASSIFIER] = "output.weight",
            [DT_SLOT_ROPE_FACTORS] = "rope_freqs.weight",
            [DT_SLOT_ROPE_TABLES] = "duotale.rope_tables",
        },
};

// A tensor of a file, located.
struct found {
    const struct dt_gguf *g;
    struct dt_gguf_tensor t;
    const unsigned char *data;
    uint64_t available; // bytes from data to the end of the file
    char name[DT_GGUF_MAX_NAME + 1];
};

static dt_status cut_short(const struct dt_gguf_reader *r, const struct found *f, uint64_t bytes)
{
    return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                        "truncated: %s needs %llu bytes at %zu, the file has %zu", f->name,
                        (unsigned long long)bytes, (size_t)(f->data - f->g->bytes), f->g->n);
}

static dt_status locate(const struct dt_gguf_reader *r, struct found *f)
{
    const struct dt_gguf *g = f->g;
    if (f->t.offset % g->alignment)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "%s has offset %llu; expected a multiple of %u", f->name,
                            (unsigned long long)f->t.offset, g->alignment);
    if (f->t.offset > g->n - g->data)
        return dt_error_set(r->err, DT_BAD_INPUT, g->name,
                            "%s has offset %llu, the file has %zu bytes of weights", f->name,
                            (unsigned long long)f->t.offset, g->n - g->data);
    f->data = g->bytes + g->data + f->t.offset;
    f->available = g->n - g->data - f->t.offset;
    return DT_OK;
}

static dt_status check_shape(const struct dt_gguf_reader *r, const struct found *f, uint32_t rows,
                             uint32_t cols)
{
    const uint64_t *size = f->t.size;
    if (size[0] == cols && size[1] == rows && size[2] == 1 && size[3] == 1)
        return DT_OK;
    return dt_error_set(r->err, DT_BAD_INPUT, f->g->name, "%s is %llu x %llu%s; expected %u x %u",
                        f->name, (unsigned long long)size[0], (unsigned long long)size[1],
                        size[2] != 1 || size[3] != 1 ? " x more" : "", cols, rows);
}

static dt_status unknown_type(const struct dt_gguf_reader *r, const struct found *f)
{
    return dt_error_set(
        r->err, DT_UNSUPPORTED, f->g->name,
        "%s has type %s (%u); expected F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, "
        "Q2_K to Q6_K or IQ4_NL",
        f->name, dt_gguf_type_name(f->t.type), f->t.type);
}

// Checks and describes a tensor of a weight form.
static dt_status blocks(const struct dt_gguf_reader *r, const struct found *f, uint32_t rows,
                        uint32_t cols, struct dt_matrix *out)
{
    uint32_t form = dt_gguf_form(f->t.type), block = dt_form_block(form);
    dt_status status = check_shape(r, f, rows, cols);
    if (status)
        return status;
    if (!block)
        return unknown_type(r, f);
    if (cols % block)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                            "%s has rows of %u values, not a multiple of the block size %u (%s)",
                            f->name, cols, block, dt_gguf_type_name(f->t.type));
    uint64_t bytes = (uint64_t)rows * (cols / block) * dt_form_block_bytes(form); // below 2^42
    if (bytes > f->available)
        return cut_short(r, f, bytes);
    *out = dt_matrix_blocks(form, rows, cols, f->data);
    return DT_OK;
}

static dt_status place_vector(const struct dt_gguf_reader *r, const struct found *f,
                              enum dt_slot slot, uint32_t n, const float **out)
{
    struct dt_matrix w;
    dt_status status = blocks(r, f, 1, n, &w);
    if (status)
        return status;
    const float *values = (const float *)w.quants;
    if (w.form != DT_FORM_F32) { // rare: norms are nearly always F32
        float *copy = dt_arena_alloc(r->arena, n, sizeof *copy);
        if (r->measuring)
            return DT_OK;
        if (!copy)
            return dt_error_set(r->err, DT_NO_MEMORY, f->g->name, "%s needs %zu bytes", f->name,
                                n * sizeof *copy);
        dt_matrix_row(&w, 0, copy);
        values = copy;
    }
    if ((status = dt_reader_check_finite(f->g->name, f->name, values, n, r->err)))
        return status;
    bool divisors =
        slot == DT_SLOT_ROPE_FACTORS || slot == DT_SLOT_ROPE_LONG || slot == DT_SLOT_ROPE_SHORT;
    for (uint32_t i = 0; divisors && i < n; i++)
        if (!(values[i] > 0))
            return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                                "%s: value %u is %g; expected a positive number", f->name, i,
                                (double)values[i]);
    *out = values;
    return DT_OK;
}

static dt_status place_packed(const struct dt_gguf_reader *r, const struct found *f,
                              enum dt_slot slot, uint32_t rows, uint32_t cols,
                              struct dt_matrix *out)
{
    if (slot == DT_SLOT_QKV || slot == DT_SLOT_GATE_UP || slot == DT_SLOT_POSITIONS)
        return dt_error_set(r->err, DT_UNSUPPORTED, f->g->name,
                            "%s is packed as %s; expected rows of its own", f->name, r->layout);
    if (f->t.size[0] > f->available)
        return cut_short(r, f, f->t.size[0]);
    *out = (struct dt_matrix){.form = DT_FORM_PACKED,
                              .rows = rows,
                              .cols = cols,
                              .group = r->packed_group,
                              .quants = f->data,
                              .bytes = (size_t)f->t.size[0],
                              .layout = r->layout};
    struct dt_matrix plain;
    if (!dt_packed_knows(r->layout))
        return DT_OK;
    if (!dt_packed_plain(out, &plain))
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                            "%s: its %zu bytes are not a matrix of %u x %u packed as %s; the file "
                            "is damaged, get it again",
                            f->name, out->bytes, rows, cols, r->layout);
    out->group = plain.group;
    return DT_OK;
}

// llama2.c's int8 groups: quants and scales are two tensors in any order. Until both are found,
// `group` is 0 and `quants` or `scales` is NULL.
static dt_status place_groups(const struct dt_gguf_reader *r, const struct found *f, uint32_t rows,
                              uint32_t cols, bool scales, struct dt_matrix *out)
{
    dt_status status;
    if (scales) {
        if (f->t.type != dt_gguf_type_of_form(DT_FORM_F32))
            return dt_error_set(r->err, DT_BAD_INPUT, f->g->name, "%s has type %s; expected F32",
                                f->name, dt_gguf_type_name(f->t.type));
        if (!f->t.size[0] || f->t.size[0] > cols || cols % f->t.size[0])
            return dt_error_set(
                r->err, DT_BAD_INPUT, f->g->name,
                "%s has %llu scales for each row, which do not divide its %u values", f->name,
                (unsigned long long)f->t.size[0], cols);
        uint32_t groups = (uint32_t)f->t.size[0];
        if ((status = check_shape(r, f, rows, groups)))
            return status;
        if ((uint64_t)rows * groups * sizeof(float) > f->available)
            return cut_short(r, f, (uint64_t)rows * groups * sizeof(float));
        out->scales = f->data;
        out->group = cols / groups;
    } else {
        if ((status = check_shape(r, f, rows, cols)))
            return status;
        if ((uint64_t)rows * cols > f->available)
            return cut_short(r, f, (uint64_t)rows * cols);
        out->quants = f->data;
    }
    out->form = DT_FORM_I8;
    if (out->quants && out->scales) {
        *out = dt_matrix_i8(rows, cols, out->group, out->quants, out->scales);
        return dt_reader_check_scales(f->g->name, f->name, out, false, r->err);
    }
    return DT_OK;
}

static dt_status place(const struct dt_gguf_reader *r, struct found *f)
{
    static const char suffix[] = "_scales";
    struct dt_model *m = r->model;
    const char *name = f->t.name;
    size_t length = f->t.name_length;
    dt_format(f->name, sizeof f->name, "%.*s", (int)length, name);
    dt_status status = locate(r, f);
    if (status)
        return status;

    bool scales = length > sizeof suffix &&
                  memcmp(name + length - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0;
    int64_t layer;
    enum dt_slot slot =
        dt_slot_find(&dt_gguf_names, name, length - (scales ? sizeof suffix - 1 : 0), &layer);
    if (layer >= (int64_t)m->hp.layers)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                            "%s belongs to layer %lld, but block_count is %u", f->name,
                            (long long)layer, m->hp.layers);
    // phi3 has the gate in ffn_up, before the rows of up
    if (slot == DT_SLOT_GATE_UP && (!dt_structure_has(m->hp.structure, DT_SLOT_GATE_UP) ||
                                    f->t.size[1] != 2 * (uint64_t)m->hp.hidden))
        slot = DT_SLOT_UP;
    if (slot == DT_SLOT_COUNT || (scales && dt_slot_is_vector(slot)) ||
        !dt_structure_has(m->hp.structure, slot))
        return dt_error_set(r->err, DT_UNSUPPORTED, f->g->name,
                            "tensor %s is not part of a %s model", f->name, m->architecture);

    uint32_t rows, cols;
    dt_slot_shape(&m->hp, slot, &rows, &cols);
    struct dt_matrix no_matrix = {0}; // where only measuring
    const float *no_vector = NULL;
    void *at = r->measuring ? NULL : dt_slot_place(m, slot, (uint32_t)layer);
    if (dt_slot_is_vector(slot)) {
        const float **out = at ? at : &no_vector;
        if (*out)
            return dt_error_set(r->err, DT_BAD_INPUT, f->g->name, "%s appears twice", f->name);
        return place_vector(r, f, slot, cols, out);
    }
    struct dt_matrix *out = at ? at : &no_matrix;
    if (scales ? out->scales != NULL : out->quants != NULL)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name, "%s appears twice", f->name);
    if (scales && out->quants && out->form != DT_FORM_I8)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                            "%s: scales, but the tensor has form %s", f->name,
                            dt_form_name(out->form));
    if (r->layout && f->t.type == DT_GGUF_TENSOR_I8 && f->t.dims == 1)
        return place_packed(r, f, slot, rows, cols, out);
    if (scales || f->t.type == DT_GGUF_TENSOR_I8)
        return place_groups(r, f, rows, cols, scales, out);
    if (out->scales)
        return dt_error_set(r->err, DT_BAD_INPUT, f->g->name,
                            "%s has type %s, but there is also %s_scales", f->name,
                            dt_gguf_type_name(f->t.type), f->name);
    return blocks(r, f, rows, cols, out);
}

dt_status dt_gguf_place_all(const struct dt_gguf_reader *r, const struct dt_gguf *g)
{
    struct found f = {.g = g};
    size_t at = g->infos;
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < g->tensors && !status; i++)
        if (!(status = dt_gguf_tensor(g, &at, &f.t, r->err)))
            status = place(r, &f);
    return status;
}

dt_status dt_gguf_check_complete(const struct dt_gguf_reader *r)
{
    char name[64];
    if (!dt_slot_missing(r->model, &dt_gguf_names, name, sizeof name))
        return DT_OK;
    return dt_error_set(r->err, DT_BAD_INPUT, r->file, "tensor %s is missing", name);
}
