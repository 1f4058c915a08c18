// SPDX-License-Identifier: MIT
#include "core/slots.h"

#include <string.h>

#include "base/format.h"
#include "base/bytes.h"
#include "core/structure.h"

enum size_of {
    ONE,
    DIM,
    HIDDEN,
    HIDDEN_TWICE,
    VOCAB,
    CONTEXT,
    QUERIES,
    KEYS,
    QKV,
    QUERY_NORM,
    KEY_NORM,
    FACTORS,
    TABLES
};

static uint32_t size_of(const struct dt_hparams *hp, enum size_of what)
{
    switch (what) {
    case ONE:
        return 1;
    case DIM:
        return hp->dim;
    case HIDDEN:
        return hp->hidden;
    case HIDDEN_TWICE:
        return 2 * hp->hidden;
    case CONTEXT:
        return hp->context;
    case QKV:
        return (hp->heads + 2 * hp->kv_heads) * hp->head_size;
    case QUERY_NORM:
        return hp->structure->qk_norm == DT_QK_NORM_WHOLE ? hp->heads * hp->head_size
                                                          : hp->head_size;
    case KEY_NORM:
        return hp->structure->qk_norm == DT_QK_NORM_WHOLE ? hp->kv_heads * hp->head_size
                                                          : hp->head_size;
    case VOCAB:
        return hp->vocab;
    case QUERIES:
        return hp->heads * hp->head_size;
    case KEYS:
        return hp->kv_heads * hp->head_size;
    case FACTORS:
        return hp->rotated / 2;
    case TABLES:
        return (uint64_t)hp->context * hp->head_size > UINT32_MAX ? 0 : hp->context * hp->head_size;
    }
    return 0;
}

struct entry {
    size_t at; // offset in struct dt_layer or struct dt_model
    bool vector;
    enum size_of rows, cols;
};

#define LAYER(member) .at = offsetof(struct dt_layer, member)
#define MODEL(member) .at = offsetof(struct dt_model, member)
#define VECTOR(size)  .vector = true, .rows = ONE, .cols = size
#define MATRIX(r, c)  .rows = r, .cols = c

static const struct entry table[DT_SLOT_COUNT] = {
    [DT_SLOT_ATTENTION_NORM] = {LAYER(attention_norm), VECTOR(DIM)},
    [DT_SLOT_ATTENTION_NORM_BIAS] = {LAYER(attention_norm_bias), VECTOR(DIM)},
    [DT_SLOT_QKV] = {LAYER(qkv), MATRIX(QKV, DIM)},
    [DT_SLOT_QKV_BIAS] = {LAYER(qkv_bias), VECTOR(QKV)},
    [DT_SLOT_QUERY] = {LAYER(query), MATRIX(QUERIES, DIM)},
    [DT_SLOT_KEY] = {LAYER(key), MATRIX(KEYS, DIM)},
    [DT_SLOT_VALUE] = {LAYER(value), MATRIX(KEYS, DIM)},
    [DT_SLOT_QUERY_BIAS] = {LAYER(query_bias), VECTOR(QUERIES)},
    [DT_SLOT_KEY_BIAS] = {LAYER(key_bias), VECTOR(KEYS)},
    [DT_SLOT_VALUE_BIAS] = {LAYER(value_bias), VECTOR(KEYS)},
    [DT_SLOT_QUERY_NORM] = {LAYER(query_norm), VECTOR(QUERY_NORM)},
    [DT_SLOT_KEY_NORM] = {LAYER(key_norm), VECTOR(KEY_NORM)},
    [DT_SLOT_OUTPUT] = {LAYER(output), MATRIX(DIM, QUERIES)},
    [DT_SLOT_OUTPUT_BIAS] = {LAYER(output_bias), VECTOR(DIM)},
    [DT_SLOT_POST_ATTENTION_NORM] = {LAYER(post_attention_norm), VECTOR(DIM)},
    [DT_SLOT_FFN_NORM] = {LAYER(ffn_norm), VECTOR(DIM)},
    [DT_SLOT_FFN_NORM_BIAS] = {LAYER(ffn_norm_bias), VECTOR(DIM)},
    [DT_SLOT_GATE_UP] = {LAYER(gate_up), MATRIX(HIDDEN_TWICE, DIM)},
    [DT_SLOT_GATE] = {LAYER(gate), MATRIX(HIDDEN, DIM)},
    [DT_SLOT_GATE_BIAS] = {LAYER(gate_bias), VECTOR(HIDDEN)},
    [DT_SLOT_UP] = {LAYER(up), MATRIX(HIDDEN, DIM)},
    [DT_SLOT_UP_BIAS] = {LAYER(up_bias), VECTOR(HIDDEN)},
    [DT_SLOT_DOWN] = {LAYER(down), MATRIX(DIM, HIDDEN)},
    [DT_SLOT_DOWN_BIAS] = {LAYER(down_bias), VECTOR(DIM)},
    [DT_SLOT_POST_FFN_NORM] = {LAYER(post_ffn_norm), VECTOR(DIM)},
    [DT_SLOT_EMBEDDING] = {MODEL(embedding), MATRIX(VOCAB, DIM)},
    [DT_SLOT_POSITIONS] = {MODEL(positions), MATRIX(CONTEXT, DIM)},
    [DT_SLOT_FINAL_NORM] = {MODEL(final_norm), VECTOR(DIM)},
    [DT_SLOT_FINAL_NORM_BIAS] = {MODEL(final_norm_bias), VECTOR(DIM)},
    [DT_SLOT_CLASSIFIER] = {MODEL(classifier), MATRIX(VOCAB, DIM)},
    [DT_SLOT_ROPE_FACTORS] = {MODEL(hp.rope_factors), VECTOR(FACTORS)},
    [DT_SLOT_ROPE_LONG] = {MODEL(hp.rope_long), VECTOR(FACTORS)},
    [DT_SLOT_ROPE_SHORT] = {MODEL(hp.rope_short), VECTOR(FACTORS)},
    [DT_SLOT_ROPE_TABLES] = {MODEL(rope_tables), VECTOR(TABLES)},
};

// Splits "blk.12.attn_q.weight": returns 12 and moves *name to the rest. Returns -1 and moves
// nothing if the name has no layer.
static int64_t layer_of(const char *prefix, const char **name, size_t *n)
{
    size_t begin = strlen(prefix), i = begin;
    int64_t layer = 0;
    if (*n <= begin || memcmp(*name, prefix, begin) != 0)
        return -1;
    for (; i < *n && (*name)[i] >= '0' && (*name)[i] <= '9' && layer < INT32_MAX; i++)
        layer = layer * 10 + ((*name)[i] - '0');
    if (i == begin || i == *n || (*name)[i] != '.')
        return -1;
    *name += i + 1;
    *n -= i + 1;
    return layer;
}

enum dt_slot dt_slot_find(const struct dt_slot_names *names, const char *name, size_t n,
                          int64_t *layer)
{
    *layer = layer_of(names->layer, &name, &n);
    int first = *layer >= 0 ? 0 : DT_SLOT_LAYER_END;
    int end = *layer >= 0 ? DT_SLOT_LAYER_END : DT_SLOT_COUNT;
    for (int s = first; s < end; s++)
        if (names->slot[s] && dt_read_is(name, n, names->slot[s]))
            return (enum dt_slot)s;
    return DT_SLOT_COUNT;
}

void dt_slot_name(const struct dt_slot_names *names, enum dt_slot slot, uint32_t layer, char *out,
                  size_t size)
{
    if (slot < DT_SLOT_LAYER_END)
        dt_format(out, size, "%s%u.%s", names->layer, layer,
                  names->slot[slot] ? names->slot[slot] : "");
    else
        dt_format(out, size, "%s", names->slot[slot] ? names->slot[slot] : "");
}

bool dt_slot_is_vector(enum dt_slot slot)
{
    return table[slot].vector;
}

void dt_slot_shape(const struct dt_hparams *hp, enum dt_slot slot, uint32_t *rows, uint32_t *cols)
{
    *rows = size_of(hp, table[slot].rows);
    *cols = size_of(hp, table[slot].cols);
}

void *dt_slot_place(struct dt_model *m, enum dt_slot slot, uint32_t layer)
{
    void *base = slot < DT_SLOT_LAYER_END ? (void *)&m->layers[layer] : (void *)m;
    return (unsigned char *)base + table[slot].at;
}

static const void *value_at(const struct dt_model *m, enum dt_slot slot, uint32_t layer)
{
    const void *base = slot < DT_SLOT_LAYER_END ? (const void *)&m->layers[layer] : (const void *)m;
    return (const unsigned char *)base + table[slot].at;
}

const struct dt_matrix *dt_slot_matrix(const struct dt_model *m, enum dt_slot slot, uint32_t layer)
{
    return table[slot].vector ? NULL : value_at(m, slot, layer);
}

const float *dt_slot_vector(const struct dt_model *m, enum dt_slot slot, uint32_t layer)
{
    return table[slot].vector ? *(const float *const *)value_at(m, slot, layer) : NULL;
}

// Calls copy for the place of each vector of n floats that computing reads.
static bool each_vector(struct dt_model *m, bool (*copy)(void *arg, const float **place, size_t n),
                        void *arg)
{
    bool done = true;
    for (int s = 0; s <= DT_SLOT_FINAL_NORM_BIAS; s++) {
        uint32_t rows, cols, count = s < DT_SLOT_LAYER_END ? m->hp.layers : 1;
        dt_slot_shape(&m->hp, (enum dt_slot)s, &rows, &cols);
        for (uint32_t l = 0; l < count && table[s].vector; l++) {
            const float **place = dt_slot_place(m, (enum dt_slot)s, l);
            done = done && (!*place || copy(arg, place, cols));
        }
    }
    return done;
}

static bool copy_vector(void *arg, const float **place, size_t n)
{
    float *to = dt_arena_alloc(arg, n, sizeof *to);
    if (to)
        *place = memcpy(to, *place, n * sizeof *to);
    return to != NULL;
}

static bool count_vector(void *arg, const float **place, size_t n)
{
    (void)place;
    (void)dt_arena_alloc(arg, n, sizeof(float));
    return true;
}

size_t dt_slot_vector_bytes(const struct dt_model *m)
{
    struct dt_model copy = *m; // its layers are not changed
    struct dt_arena counter = dt_arena_over(NULL, 0);
    each_vector(&copy, count_vector, &counter);
    return counter.wanted;
}

dt_status dt_slot_copy_vectors(struct dt_model *m, struct dt_arena *arena, struct dt_error *err)
{
    if (each_vector(m, copy_vector, arena))
        return DT_OK;
    return dt_error_set(err, DT_NO_MEMORY, NULL,
                        "norms and biases need %zu bytes; %zu are available", arena->wanted,
                        arena->size);
}

static bool missing(const struct dt_model *m, const struct dt_slot_names *names, enum dt_slot slot,
                    uint32_t layer, char *out, size_t size)
{
    const struct dt_matrix *w = dt_slot_matrix(m, slot, layer);
    bool half = w && w->form == DT_FORM_I8 && !w->quants != !w->scales;
    bool there = w ? w->quants != NULL : dt_slot_vector(m, slot, layer) != NULL;
    if (!half && (there || !dt_structure_needs(m->hp.structure, slot)))
        return false;
    dt_slot_name(names, slot, layer, out, size);
    if (half && there)
        dt_format(out + strlen(out), size - strlen(out), "_scales");
    return true;
}

bool dt_slot_missing(const struct dt_model *m, const struct dt_slot_names *names, char *out,
                     size_t size)
{
    for (int s = DT_SLOT_LAYER_END; s < DT_SLOT_COUNT; s++)
        if (missing(m, names, (enum dt_slot)s, 0, out, size))
            return true;
    for (uint32_t l = 0; l < m->hp.layers; l++)
        for (int s = 0; s < DT_SLOT_LAYER_END; s++)
            if (missing(m, names, (enum dt_slot)s, l, out, size))
                return true;
    return false;
}
