// SPDX-License-Identifier: MIT
// Assigns the tensors of safetensors files to the slots of a model; they stay in the files.
#include "base/format.h"
#include "core/formats/hf_reader.h"

#define TENSORS_MOST (DT_MAX_LAYERS * 32)

// What all architectures with Llama's names share, and QKV of Phi-3.
#define LLAMA_NAMES_BUT_FFN                                                                        \
    [DT_SLOT_ATTENTION_NORM] = "input_layernorm.weight",                                           \
    [DT_SLOT_QKV] = "self_attn.qkv_proj.weight", [DT_SLOT_QUERY] = "self_attn.q_proj.weight",      \
    [DT_SLOT_KEY] = "self_attn.k_proj.weight", [DT_SLOT_VALUE] = "self_attn.v_proj.weight",        \
    [DT_SLOT_QUERY_BIAS] = "self_attn.q_proj.bias", [DT_SLOT_KEY_BIAS] = "self_attn.k_proj.bias",  \
    [DT_SLOT_VALUE_BIAS] = "self_attn.v_proj.bias", [DT_SLOT_OUTPUT] = "self_attn.o_proj.weight",  \
    [DT_SLOT_OUTPUT_BIAS] = "self_attn.o_proj.bias",                                               \
    [DT_SLOT_EMBEDDING] = "model.embed_tokens.weight", [DT_SLOT_FINAL_NORM] = "model.norm.weight", \
    [DT_SLOT_CLASSIFIER] = "lm_head.weight"

// The same with the feed-forward matrices, and GATE_UP of Phi-3.
#define LLAMA_NAMES                                                                                \
    LLAMA_NAMES_BUT_FFN,                                                                           \
        [DT_SLOT_GATE_UP] = "mlp.gate_up_proj.weight", [DT_SLOT_GATE] = "mlp.gate_proj.weight",    \
        [DT_SLOT_GATE_BIAS] = "mlp.gate_proj.bias", [DT_SLOT_UP] = "mlp.up_proj.weight",           \
        [DT_SLOT_UP_BIAS] = "mlp.up_proj.bias", [DT_SLOT_DOWN] = "mlp.down_proj.weight",           \
        [DT_SLOT_DOWN_BIAS] = "mlp.down_proj.bias"

// The names of GPT-2 and of others that begin with "transformer.", which is left out here.
#define GPT_NAMES                                                                                  \
    [DT_SLOT_ATTENTION_NORM] = "ln_1.weight", [DT_SLOT_ATTENTION_NORM_BIAS] = "ln_1.bias",         \
    [DT_SLOT_FFN_NORM] = "ln_2.weight", [DT_SLOT_FFN_NORM_BIAS] = "ln_2.bias",                     \
    [DT_SLOT_DOWN] = "mlp.c_proj.weight", [DT_SLOT_DOWN_BIAS] = "mlp.c_proj.bias",                 \
    [DT_SLOT_EMBEDDING] = "wte.weight", [DT_SLOT_POSITIONS] = "wpe.weight",                        \
    [DT_SLOT_FINAL_NORM] = "ln_f.weight", [DT_SLOT_FINAL_NORM_BIAS] = "ln_f.bias",                 \
    [DT_SLOT_CLASSIFIER] = "lm_head.weight"

#define APART_NAMES                                                                                \
    [DT_SLOT_QUERY] = "attn.attention.q_proj.weight",                                              \
    [DT_SLOT_KEY] = "attn.attention.k_proj.weight",                                                \
    [DT_SLOT_VALUE] = "attn.attention.v_proj.weight",                                              \
    [DT_SLOT_OUTPUT] = "attn.attention.out_proj.weight"

static const struct dt_slot_names names_of[DT_HF_NAMES_COUNT] = {
    [DT_HF_LLAMA] = {"model.layers.",
                     {LLAMA_NAMES, [DT_SLOT_QUERY_NORM] = "self_attn.q_norm.weight",
                      [DT_SLOT_KEY_NORM] = "self_attn.k_norm.weight",
                      [DT_SLOT_FFN_NORM] = "post_attention_layernorm.weight"}},
    [DT_HF_SANDWICH] = {"model.layers.",
                        {LLAMA_NAMES, [DT_SLOT_QUERY_NORM] = "self_attn.q_norm.weight",
                         [DT_SLOT_KEY_NORM] = "self_attn.k_norm.weight",
                         [DT_SLOT_POST_ATTENTION_NORM] = "post_attention_layernorm.weight",
                         [DT_SLOT_FFN_NORM] = "pre_feedforward_layernorm.weight",
                         [DT_SLOT_POST_FFN_NORM] = "post_feedforward_layernorm.weight"}},
    [DT_HF_HUNYUAN] = {"model.layers.",
                       {LLAMA_NAMES, [DT_SLOT_QUERY_NORM] = "self_attn.query_layernorm.weight",
                        [DT_SLOT_KEY_NORM] = "self_attn.key_layernorm.weight",
                        [DT_SLOT_FFN_NORM] = "post_attention_layernorm.weight"}},
    [DT_HF_SHARED_MLP] =
        {"model.layers.",
         {LLAMA_NAMES_BUT_FFN, [DT_SLOT_FFN_NORM] = "post_attention_layernorm.weight",
          [DT_SLOT_GATE_UP] = "shared_mlp.input_linear.weight",
          [DT_SLOT_DOWN] = "shared_mlp.output_linear.weight"}},
    [DT_HF_EXAONE] =
        {"h.",
         {GPT_NAMES,
          APART_NAMES, [DT_SLOT_GATE] = "mlp.c_fc_0.weight", [DT_SLOT_UP] = "mlp.c_fc_1.weight"}},
    [DT_HF_GPT2] =
        {"h.",
         {GPT_NAMES, [DT_SLOT_QKV] = "attn.c_attn.weight", [DT_SLOT_QKV_BIAS] = "attn.c_attn.bias",
          [DT_SLOT_OUTPUT] = "attn.c_proj.weight", [DT_SLOT_OUTPUT_BIAS] = "attn.c_proj.bias",
          [DT_SLOT_UP] = "mlp.c_fc.weight", [DT_SLOT_UP_BIAS] = "mlp.c_fc.bias"}},
    [DT_HF_GPT_NEO] = {"h.",
                       {GPT_NAMES,
                        APART_NAMES, [DT_SLOT_OUTPUT_BIAS] = "attn.attention.out_proj.bias",
                        [DT_SLOT_UP] = "mlp.c_fc.weight", [DT_SLOT_UP_BIAS] = "mlp.c_fc.bias"}},
};

static bool ends_with(const char *name, size_t n, const char *end)
{
    size_t length = strlen(end);
    return n > length && memcmp(name + n - length, end, length) == 0;
}

// Tensors without information: tables of RoPE, and causal masks of GPT-2 and GPT-Neo.
static bool redundant(const struct dt_structure *s, const char *name, size_t n)
{
    if (s->no_rope)
        return ends_with(name, n, ".attn.bias") || ends_with(name, n, ".attention.bias") ||
               ends_with(name, n, ".masked_bias");
    return ends_with(name, n, ".inv_freq");
}

const struct dt_slot_names *dt_hf_names(const struct dt_structure *s)
{
    return &names_of[s->hf_names];
}

const char *dt_hf_tensor_name(const struct dt_structure *s, const char *name, size_t *n)
{
    if (redundant(s, name, *n))
        return NULL;
    bool prefixed = *n > 12 && memcmp(name, "transformer.", 12) == 0; // GPT-2's own files lack it
    *n -= prefixed ? 12 : 0;
    return name + (prefixed ? 12 : 0);
}

static bool is_norm(enum dt_slot slot)
{
    return slot == DT_SLOT_ATTENTION_NORM || slot == DT_SLOT_FFN_NORM ||
           slot == DT_SLOT_POST_ATTENTION_NORM || slot == DT_SLOT_POST_FFN_NORM ||
           slot == DT_SLOT_QUERY_NORM || slot == DT_SLOT_KEY_NORM || slot == DT_SLOT_FINAL_NORM;
}

// The matrix (cols, rows) at t as (rows, cols), copied into the arena; NULL when measuring.
static dt_status transpose(const struct dt_hf_reader *r, const struct dt_safetensors *s,
                           const struct dt_safetensor *t, uint32_t rows, uint32_t cols,
                           const unsigned char **out)
{
    size_t size = t->form == DT_FORM_F32 ? 4 : 2;
    unsigned char *copy = dt_arena_alloc(r->arena, (size_t)rows * cols, size);
    *out = copy;
    if (!copy && !r->measuring)
        return dt_error_set(r->err, DT_NO_MEMORY, s->name, "%.*s needs %zu bytes, transposed",
                            t->name.n < 100 ? (int)t->name.n : 100, t->name.at,
                            (size_t)rows * cols * size);
    const unsigned char *from = t->data;
    for (uint32_t c = 0; copy && c < cols; c++)
        for (uint32_t i = 0; i < rows; i++, from += size)
            memcpy(copy + ((size_t)i * cols + c) * size, from, size);
    return DT_OK;
}

// The floats of a vector: in the file, or in the arena where they are converted or, with plus_one,
// increased by 1. *out is NULL when measuring a copy.
static dt_status read_vector(const struct dt_hf_reader *r, const struct dt_safetensors *s,
                             const struct dt_safetensor *t, uint32_t n, bool plus_one,
                             const float **out)
{
    *out = (const float *)(const void *)t->data;
    if (t->form == DT_FORM_F32 && !plus_one)
        return DT_OK;
    struct dt_matrix w = dt_matrix_blocks(t->form, 1, n, t->data);
    float *copy = dt_arena_alloc(r->arena, n, sizeof *copy);
    *out = copy;
    if (!r->measuring && !copy)
        return dt_error_set(r->err, DT_NO_MEMORY, s->name, "%.*s needs %zu bytes",
                            t->name.n < 100 ? (int)t->name.n : 100, t->name.at, n * sizeof *copy);
    if (copy)
        dt_matrix_row(&w, 0, copy);
    for (uint32_t i = 0; copy && plus_one && i < n; i++)
        copy[i] += 1;
    return DT_OK;
}

static dt_status check_shape(const struct dt_hf_reader *r, const struct dt_safetensors *s,
                             const struct dt_safetensor *t, bool vector, uint32_t rows,
                             uint32_t cols)
{
    int shown = t->name.n < 100 ? (int)t->name.n : 100;
    bool fits = vector ? t->dims == 1 && t->size[0] == cols
                       : t->dims == 2 && t->size[0] == rows && t->size[1] == cols;
    if (!fits)
        return dt_error_set(r->err, DT_BAD_INPUT, s->name, "%.*s is %llu x %llu; expected %u x %u",
                            shown, t->name.at, (unsigned long long)t->size[0],
                            (unsigned long long)t->size[1], vector ? cols : rows,
                            vector ? 1 : cols);
    if (t->form == DT_FORM_NONE)
        return dt_error_set(r->err, DT_UNSUPPORTED, s->name,
                            "%.*s has dtype %s; expected F32, F16 or BF16", shown, t->name.at,
                            t->type);
    return DT_OK;
}

static dt_status place(const struct dt_hf_reader *r, const struct dt_safetensors *s,
                       const struct dt_safetensor *t)
{
    struct dt_model *m = r->model;
    const struct dt_structure *structure = m->hp.structure;
    size_t n = t->name.n - 2; // known names have no escapes
    const char *name = dt_hf_tensor_name(structure, t->name.at + 1, &n);
    int shown = t->name.n < 100 ? (int)t->name.n : 100;
    if (!name)
        return DT_OK;
    int64_t layer;
    enum dt_slot slot = dt_slot_find(&names_of[structure->hf_names], name, n, &layer);
    if (layer >= (int64_t)m->hp.layers)
        return dt_error_set(r->err, DT_BAD_INPUT, s->name,
                            "%.*s belongs to layer %lld, but num_hidden_layers is %u", shown,
                            t->name.at, (long long)layer, m->hp.layers);
    if (slot == DT_SLOT_COUNT || !dt_structure_has(structure, slot))
        return dt_error_set(r->err, DT_UNSUPPORTED, s->name,
                            "tensor %.*s is not part of a %s model", shown, t->name.at,
                            m->architecture);
    bool vector = dt_slot_is_vector(slot);
    bool columns = structure->hf_columns && !vector && slot < DT_SLOT_LAYER_END;
    uint32_t rows, cols;
    dt_slot_shape(&m->hp, slot, &rows, &cols);
    dt_status status = check_shape(r, s, t, vector, columns ? cols : rows, columns ? rows : cols);
    if (status)
        return status;
    const float *values = NULL;
    const unsigned char *data = t->data;
    if (vector)
        status = read_vector(r, s, t, cols, structure->hf_norm_plus_one && is_norm(slot), &values);
    else if (columns)
        status = transpose(r, s, t, rows, cols, &data);
    if (status || r->measuring)
        return status;
    void *at = dt_slot_place(m, slot, (uint32_t)layer);
    bool twice = vector ? *(const float **)at != NULL : ((struct dt_matrix *)at)->quants != NULL;
    if (twice)
        return dt_error_set(r->err, DT_BAD_INPUT, s->name, "%.*s appears twice", shown, t->name.at);
    if (!vector) {
        *(struct dt_matrix *)at = dt_matrix_blocks(t->form, rows, cols, data);
        return DT_OK;
    }
    *(const float **)at = values;
    char label[100];
    dt_format(label, sizeof label, "%.*s", shown, t->name.at);
    return dt_reader_check_finite(s->name, label, values, cols, r->err);
}

struct extent {
    uint64_t begin, end;
};

static void sift(struct extent *heap, size_t root, size_t n)
{
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        child += child + 1 < n && heap[child + 1].begin > heap[child].begin;
        if (heap[root].begin >= heap[child].begin)
            return;
        struct extent swap = heap[root];
        heap[root] = heap[child];
        heap[child] = swap;
    }
}

static dt_status check_overlaps(const struct dt_hf_reader *r, const struct dt_safetensors *s,
                                struct extent *e, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(e, i, n);
    for (size_t left = n; left > 1; left--) {
        struct extent largest = e[0];
        e[0] = e[left - 1];
        e[left - 1] = largest;
        sift(e, 0, left - 1);
    }
    for (size_t i = 1; i < n; i++)
        if (e[i].begin < e[i - 1].end)
            return dt_error_set(r->err, DT_BAD_INPUT, s->name,
                                "two tensors overlap: bytes %llu to %llu, and from %llu",
                                (unsigned long long)e[i - 1].begin,
                                (unsigned long long)e[i - 1].end, (unsigned long long)e[i].begin);
    return DT_OK;
}

// Checks that the index places a tensor in this file.
static dt_status check_index(const struct dt_hf_reader *r, const struct dt_safetensors *s,
                             const struct dt_safetensor *t)
{
    struct dt_json_value map = dt_json_find(r->index, "weight_map"), key, item;
    struct dt_json_walk walk = {0};
    const char *base = s->name; // without the folder
    for (const char *c = s->name; *c; c++)
        base = *c == '/' ? c + 1 : base;
    int shown = t->name.n < 100 ? (int)t->name.n : 100;
    while (dt_json_next(map, &walk, &key, &item)) {
        if (key.n != t->name.n || memcmp(key.at, t->name.at, key.n) != 0)
            continue;
        if (dt_json_is_text(item) && dt_read_is(item.at + 1, item.n - 2, base))
            return DT_OK;
        return dt_error_set(r->err, DT_BAD_INPUT, r->index_name,
                            "weight_map says %.*s is in %.*s, but it is in %s", shown, t->name.at,
                            item.n < 100 ? (int)item.n : 100, item.at, base);
    }
    return dt_error_set(r->err, DT_BAD_INPUT, r->index_name,
                        "weight_map does not list %.*s, which is in %s", shown, t->name.at, base);
}

dt_status dt_hf_place_all(const struct dt_hf_reader *r, const struct dt_model_part *part,
                          size_t *tensors)
{
    struct dt_safetensors s;
    struct dt_safetensor t;
    struct dt_json_walk walk = {0};
    bool more;
    dt_status status = dt_safetensors_read(&s, part->bytes, part->n, part->name, r->err);
    if (status)
        return status;
    if (s.tensors > TENSORS_MOST)
        return dt_error_set(r->err, DT_BAD_INPUT, s.name, "it has %u tensors; expected at most %u",
                            s.tensors, TENSORS_MOST);
    struct extent *extents = dt_arena_alloc(r->arena, s.tensors, sizeof *extents);
    size_t n = 0;
    while (!(status = dt_safetensors_next(&s, &walk, &t, &more, r->err)) && more) {
        if (extents && n < s.tensors)
            extents[n++] = (struct extent){t.begin, t.end};
        if ((r->index.n && (status = check_index(r, &s, &t))) || (status = place(r, &s, &t)))
            return status;
    }
    *tensors += s.tensors;
    return status || !extents ? status : check_overlaps(r, &s, extents, n);
}

dt_status dt_hf_check_complete(const struct dt_hf_reader *r)
{
    char name[64];
    const struct dt_slot_names *names = &names_of[r->model->hp.structure->hf_names];
    if (!dt_slot_missing(r->model, names, name, sizeof name))
        return DT_OK;
    return dt_error_set(r->err, DT_BAD_INPUT, r->config_name, "tensor %s is in none of the files",
                        name);
}
