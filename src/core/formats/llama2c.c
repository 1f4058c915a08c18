// SPDX-License-Identifier: MIT
// llama2.c's model files, as its export.py writes them: legacy fp32 (no magic), version 1 (fp32)
// and version 2 (int8 groups).
#include "core/formats/llama2c.h"

#include <string.h>

#include "base/format.h"
#include "core/formats/reader.h"
#include "core/structure.h"

#define FIELDS       7
#define COUNT(table) (sizeof(table) / sizeof *(table))

static const char *const field_names[FIELDS] = {"dim",        "hidden_dim", "n_layers",   "n_heads",
                                                "n_kv_heads", "vocab_size", "max_seq_len"};
static const uint32_t field_caps[FIELDS] = {DT_MAX_DIM,    DT_MAX_HIDDEN, DT_MAX_LAYERS,
                                            DT_MAX_HEADS,  DT_MAX_HEADS,  DT_MAX_VOCAB,
                                            DT_MAX_CONTEXT};

// Checks each field and the relations between them.
static dt_status check_fields(const int32_t *f, const char *name, bool legacy, struct dt_error *err)
{
    for (int i = 0; i < FIELDS; i++) {
        int64_t value = f[i];
        if (legacy && i == 5 && value < 0) // legacy: the classifier is not the embedding
            value = -value;
        if (value >= 1 && value <= field_caps[i])
            continue;
        if (legacy)
            return dt_error_set(err, DT_BAD_INPUT, name,
                                "not a model file: no GGUF or llama2.c header (as a legacy "
                                "llama2.c file, %s would be %d; 1 to %u is valid)",
                                field_names[i], (int)f[i], field_caps[i]);
        return dt_error_set(err, DT_BAD_INPUT, name, "%s is %d; expected 1 to %u", field_names[i],
                            (int)f[i], field_caps[i]);
    }
    int dim = f[0], heads = f[3], kv_heads = f[4];
    if (dim % heads)
        return dt_error_set(err, DT_BAD_INPUT, name, "dim is %d, not a multiple of n_heads %d", dim,
                            heads);
    if (dim / heads % 2)
        return dt_error_set(
            err, DT_BAD_INPUT, name,
            "channels per head are dim %d / n_heads %d = %d; expected an even number", dim, heads,
            dim / heads);
    if (kv_heads > heads || heads % kv_heads)
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "n_heads is %d, not a multiple of n_kv_heads %d", heads, kv_heads);
    return DT_OK;
}

dt_status dt_llama2c_read_header(const unsigned char *bytes, size_t n, const char *name,
                                 struct dt_llama2c_header *out, struct dt_error *err)
{
    struct dt_llama2c_header h = {0};
    bool magic = n >= 4 && dt_read_u32(bytes) == DT_LLAMA2C_MAGIC;
    size_t at = magic ? 8 : 0;
    if (n < 4)
        return dt_error_set(err, DT_BAD_INPUT, name, "the file has %zu byte%s, too few for a model",
                            n, n == 1 ? "" : "s");
    if (magic && n >= 8) {
        h.version = dt_read_u32(bytes + 4);
        if (h.version != 1 && h.version != 2)
            return dt_error_set(err, DT_UNSUPPORTED, name,
                                "llama2.c version is %d; expected 1 (fp32) or 2 (int8 groups)",
                                (int)h.version);
    } else if (magic) {
        return dt_error_set(err, DT_BAD_INPUT, name,
                            "truncated header: version needs bytes 4 to 7, the file has %zu", n);
    }

    int32_t f[FIELDS];
    for (int i = 0; i < FIELDS; i++, at += 4) {
        if (n < at + 4)
            return dt_error_set(err, DT_BAD_INPUT, name,
                                "truncated header: %s needs bytes %zu to %zu, the file has %zu",
                                field_names[i], at, at + 3, n);
        f[i] = (int32_t)dt_read_u32(bytes + at);
    }
    dt_status status = check_fields(f, name, !magic, err);
    if (status)
        return status;
    h.dim = (uint32_t)f[0];
    h.hidden = (uint32_t)f[1];
    h.layers = (uint32_t)f[2];
    h.heads = (uint32_t)f[3];
    h.kv_heads = (uint32_t)f[4];
    h.vocab = (uint32_t)(f[5] < 0 ? -f[5] : f[5]);
    h.context = (uint32_t)f[6];
    h.shared = f[5] > 0;
    h.bytes = (uint32_t)at;
    if (magic) {
        if (n < DT_LLAMA2C_HEADER)
            return dt_error_set(err, DT_BAD_INPUT, name,
                                "truncated header: %u bytes are needed, the file has %zu",
                                DT_LLAMA2C_HEADER, n);
        if (bytes[at] > 1)
            return dt_error_set(err, DT_BAD_INPUT, name, "shared_classifier is %d; expected 0 or 1",
                                bytes[at]);
        h.shared = bytes[at];
        h.bytes = DT_LLAMA2C_HEADER;
    }
    if (h.version == 2) {
        int32_t group = (int32_t)dt_read_u32(bytes + at + 1);
        if (group < 1 || (uint32_t)group > h.hidden + h.dim)
            return dt_error_set(err, DT_BAD_INPUT, name,
                                "group_size is %d; expected 1 to the length of a row", (int)group);
        h.group = (uint32_t)group;
    }
    *out = h;
    return DT_OK;
}

// A position in the weights of a file.
struct cursor {
    const struct dt_model_part *file;
    struct dt_error *err;
    uint64_t at;
    uint32_t group;   // version 2
    dt_status status; // the first error; later calls do nothing
};

// The name of a tensor in messages: "w2 of layer 3", or "w2" where layer < 0.
static const char *label(char *out, size_t size, const char *tensor, int layer)
{
    if (layer >= 0)
        dt_format(out, size, "%s of layer %d", tensor, layer);
    else
        dt_format(out, size, "%s", tensor);
    return out;
}

// The next count bytes; NULL and an error if the file is shorter. The caps keep every count below
// 2^50, so no sum overflows.
static const unsigned char *next_bytes(struct cursor *c, uint64_t count, const char *tensor,
                                       int layer)
{
    if (c->status)
        return NULL;
    if (count > c->file->n - c->at) {
        char what[64];
        c->status = dt_error_set(c->err, DT_BAD_INPUT, c->file->name,
                                 "truncated: %s needs bytes %llu to %llu, the file has %zu",
                                 label(what, sizeof what, tensor, layer), (unsigned long long)c->at,
                                 (unsigned long long)(c->at + count - 1), c->file->n);
        return NULL;
    }
    const unsigned char *p = c->file->bytes + c->at;
    c->at += count;
    return p;
}

// A norm's weights: finite floats, at a multiple of 4 bytes in every version.
static const float *next_norm(struct cursor *c, uint32_t dim, const char *tensor, int layer)
{
    const unsigned char *p = next_bytes(c, (uint64_t)dim * sizeof(float), tensor, layer);
    char what[64];
    if (p)
        c->status = dt_reader_check_finite(c->file->name, label(what, sizeof what, tensor, layer),
                                           p, dim, c->err);
    return (const float *)(const void *)p;
}

static struct dt_matrix next_matrix(struct cursor *c, uint32_t rows, uint32_t cols,
                                    const char *tensor, int layer)
{
    struct dt_matrix none = {0};
    uint64_t count = (uint64_t)rows * cols;
    char what[64];
    if (!c->group) {
        const unsigned char *p = next_bytes(c, count * sizeof(float), tensor, layer);
        return p ? dt_matrix_blocks(DT_FORM_F32, rows, cols, p) : none;
    }
    if (!c->status && cols % c->group)
        c->status = dt_error_set(c->err, DT_BAD_INPUT, c->file->name,
                                 "%s has rows of %u values, not a multiple of the group size %u",
                                 label(what, sizeof what, tensor, layer), cols, c->group);
    const unsigned char *quants = next_bytes(c, count, tensor, layer);
    const unsigned char *scales = next_bytes(c, count / c->group * sizeof(float), tensor, layer);
    if (!scales)
        return none;
    struct dt_matrix w = dt_matrix_i8(rows, cols, c->group, quants, scales);
    c->status = dt_reader_check_scales(c->file->name, label(what, sizeof what, tensor, layer), &w,
                                       false, c->err);
    return w;
}

// The names in llama2.c, for messages.
static const char *const slot_names[DT_SLOT_COUNT] = {
    [DT_SLOT_ATTENTION_NORM] = "rms_att_weight",
    [DT_SLOT_QUERY] = "wq",
    [DT_SLOT_KEY] = "wk",
    [DT_SLOT_VALUE] = "wv",
    [DT_SLOT_OUTPUT] = "wo",
    [DT_SLOT_FFN_NORM] = "rms_ffn_weight",
    [DT_SLOT_GATE] = "w1",
    [DT_SLOT_DOWN] = "w2",
    [DT_SLOT_UP] = "w3",
    [DT_SLOT_EMBEDDING] = "token_embedding_table",
    [DT_SLOT_FINAL_NORM] = "rms_final_weight",
    [DT_SLOT_CLASSIFIER] = "wcls",
};

// Legacy: in the order of evaluation.
static const enum dt_slot legacy_order[] = {
    DT_SLOT_EMBEDDING,  DT_SLOT_ATTENTION_NORM, DT_SLOT_QUERY, DT_SLOT_KEY,  DT_SLOT_VALUE,
    DT_SLOT_OUTPUT,     DT_SLOT_FFN_NORM,       DT_SLOT_GATE,  DT_SLOT_DOWN, DT_SLOT_UP,
    DT_SLOT_FINAL_NORM,
};
// Versions 1 and 2: all norms, then all matrices.
static const enum dt_slot versioned_order[] = {
    DT_SLOT_ATTENTION_NORM, DT_SLOT_FFN_NORM, DT_SLOT_FINAL_NORM, DT_SLOT_EMBEDDING,
    DT_SLOT_QUERY,          DT_SLOT_KEY,      DT_SLOT_VALUE,      DT_SLOT_OUTPUT,
    DT_SLOT_GATE,           DT_SLOT_DOWN,     DT_SLOT_UP,
};

// The tensor of a slot; for a slot of a layer, the tensors of all layers, which are contiguous.
static void next_slot(struct cursor *c, struct dt_model *m, enum dt_slot slot)
{
    bool in_layer = slot < DT_SLOT_LAYER_END;
    uint32_t rows, cols;
    dt_slot_shape(&m->hp, slot, &rows, &cols);
    for (uint32_t l = 0; l < (in_layer ? m->hp.layers : 1); l++) {
        void *at = dt_slot_place(m, slot, l);
        int layer = in_layer ? (int)l : -1;
        if (dt_slot_is_vector(slot))
            *(const float **)at = next_norm(c, cols, slot_names[slot], layer);
        else
            *(struct dt_matrix *)at = next_matrix(c, rows, cols, slot_names[slot], layer);
    }
}

// Legacy files end with RoPE's cosines and sines. They are not used, only kept for conversion.
static void next_tables(struct cursor *c, struct dt_model *m)
{
    uint64_t half = (uint64_t)m->hp.context * m->hp.head_size / 2 * sizeof(float);
    const unsigned char *tables = next_bytes(c, half, "freq_cis_real", -1);
    m->rope_tables = (const float *)(const void *)tables;
    next_bytes(c, half, "freq_cis_imag", -1);
}

dt_status dt_llama2c_open(const struct dt_model_part *file, struct dt_arena *arena,
                          struct dt_model *out, struct dt_error *err)
{
    static const char *const formats[] = {"llama2.c legacy", "llama2.c version 1",
                                          "llama2.c version 2"};
    struct dt_llama2c_header h;
    dt_status status = dt_llama2c_read_header(file->bytes, file->n, file->name, &h, err);
    if (status)
        return status;
    struct dt_layer *layers = dt_arena_alloc(arena, h.layers, sizeof *layers);
    if (!out)
        return DT_OK;
    if (!layers)
        return dt_error_set(err, DT_NO_MEMORY, file->name, "the table of %u layers needs %zu bytes",
                            h.layers, h.layers * sizeof *layers);
    memset(layers, 0, h.layers * sizeof *layers);

    out->format = formats[h.version];
    out->architecture = "llama";
    out->layers = layers;
    out->hp = (struct dt_hparams){
        .structure = dt_structure_find("llama", 5),
        .dim = h.dim,
        .hidden = h.hidden,
        .layers = h.layers,
        .heads = h.heads,
        .kv_heads = h.kv_heads,
        .head_size = h.dim / h.heads,
        .vocab = h.vocab,
        .context = h.context,
        .rotated = h.dim / h.heads,
        .rope_style = DT_ROPE_PAIRS,
        .rope_base = 10000.0f,
        .rope_scale = 1.0f,
        .norm_epsilon = 1e-5f,
        .tied = h.shared,
    };
    struct cursor c = {.file = file, .err = err, .at = h.bytes, .group = h.group};
    for (size_t i = 0; h.version && i < COUNT(versioned_order); i++)
        next_slot(&c, out, versioned_order[i]);
    for (size_t i = 0; !h.version && i < COUNT(legacy_order); i++)
        next_slot(&c, out, legacy_order[i]);
    if (!h.version)
        next_tables(&c, out);
    if (h.shared)
        out->classifier = out->embedding;
    else
        next_slot(&c, out, DT_SLOT_CLASSIFIER);
    return c.status;
}
