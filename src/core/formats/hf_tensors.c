// SPDX-License-Identifier: MIT
// Assigns the tensors of safetensors files to the slots of a model; they stay in the files.
#include "base/format.h"
#include "core/formats/hf_reader.h"
#include "core/slots.h"

#define TENSORS_MOST (DT_MAX_LAYERS * 16)

static const struct dt_slot_names names = {
    .layer = "model.layers.",
    .slot =
        {
            [DT_SLOT_ATTENTION_NORM] = "input_layernorm.weight",
            [DT_SLOT_QUERY] = "self_attn.q_proj.weight",
            [DT_SLOT_KEY] = "self_attn.k_proj.weight",
            [DT_SLOT_VALUE] = "self_attn.v_proj.weight",
            [DT_SLOT_QUERY_BIAS] = "self_attn.q_proj.bias",
            [DT_SLOT_KEY_BIAS] = "self_attn.k_proj.bias",
            [DT_SLOT_VALUE_BIAS] = "self_attn.v_proj.bias",
            [DT_SLOT_OUTPUT] = "self_attn.o_proj.weight",
            [DT_SLOT_FFN_NORM] = "post_attention_layernorm.weight",
            [DT_SLOT_GATE] = "mlp.gate_proj.weight",
            [DT_SLOT_UP] = "mlp.up_proj.weight",
            [DT_SLOT_DOWN] = "mlp.down_proj.weight",
            [DT_SLOT_EMBEDDING] = "model.embed_tokens.weight",
            [DT_SLOT_FINAL_NORM] = "model.norm.weight",
            [DT_SLOT_CLASSIFIER] = "lm_head.weight",
        },
};

static dt_status place(const struct dt_hf_reader *r, const struct dt_safetensors *s,
                       const struct dt_safetensor *t)
{
    struct dt_model *m = r->model;
    const char *name = t->name.at + 1; // known names have no escapes
    size_t n = t->name.n - 2;
    int shown = t->name.n < 100 ? (int)t->name.n : 100;
    if (n > 20 && memcmp(name + n - 19, "rotary_emb.inv_freq", 19) == 0)
        return DT_OK; // redundant: it follows from the RoPE base
    int64_t layer;
    enum dt_slot slot = dt_slot_find(&names, name, n, &layer);
    if (layer >= (int64_t)m->hp.layers)
        return dt_error_set(r->err, DT_BAD_INPUT, s->name,
                            "%.*s belongs to layer %lld, but num_hidden_layers is %u", shown,
                            t->name.at, (long long)layer, m->hp.layers);
    if (slot == DT_SLOT_COUNT)
        return dt_error_set(r->err, DT_UNSUPPORTED, s->name,
                            "tensor %.*s is not part of a %s model", shown, t->name.at,
                            m->architecture);
    bool vector = dt_slot_is_vector(slot);
    uint32_t rows, cols;
    dt_slot_shape(&m->hp, slot, &rows, &cols);
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

    struct dt_matrix w = dt_matrix_blocks(t->form, rows, cols, t->data);
    const float *values = (const float *)(const void *)t->data;
    if (vector && t->form != DT_FORM_F32) {
        float *copy = dt_arena_alloc(r->arena, cols, sizeof *copy);
        if (!r->measuring && !copy)
            return dt_error_set(r->err, DT_NO_MEMORY, s->name, "%.*s needs %zu bytes", shown,
                                t->name.at, cols * sizeof *copy);
        if (copy)
            dt_matrix_row(&w, 0, copy);
        values = copy;
    }
    if (r->measuring)
        return DT_OK;
    void *at = dt_slot_place(m, slot, (uint32_t)layer);
    bool twice = vector ? *(const float **)at != NULL : ((struct dt_matrix *)at)->quants != NULL;
    if (twice)
        return dt_error_set(r->err, DT_BAD_INPUT, s->name, "%.*s appears twice", shown, t->name.at);
    if (!vector) {
        *(struct dt_matrix *)at = w;
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
    if (!dt_slot_missing(r->model, &names, name, sizeof name))
        return DT_OK;
    return dt_error_set(r->err, DT_BAD_INPUT, r->config_name, "tensor %s is in none of the files",
                        name);
}
