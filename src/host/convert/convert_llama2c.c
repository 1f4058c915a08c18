// SPDX-License-Identifier: MIT
// Writes llama2.c's model files and tokenizer.bin in the layout of its exporter.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "core/formats/llama2c.h"
#include "host/convert/convert_matrix.h"

// Refuses a model that the format cannot represent.
static dt_status check(const struct dt_model *m, int version, struct dt_error *err)
{
    const struct dt_hparams *hp = &m->hp;
    const char *why = NULL;
    for (uint32_t l = 0; l < hp->layers && !why; l++) {
        const struct dt_layer *layer = &m->layers[l];
        if (layer->query_bias || layer->key_bias || layer->value_bias || layer->output_bias ||
            layer->gate_bias || layer->up_bias || layer->down_bias)
            why = "the model has biases";
    }
    if (strcmp(m->architecture, "llama") != 0)
        why = "the architecture is not llama";
    else if (hp->window)
        why = "attention has a window";
    else if (hp->heads * hp->head_size != hp->dim)
        why = "the head size is not dim / n_heads";
    else if (hp->rotated != hp->head_size || hp->rope_base != 10000.0f || hp->rope_scale != 1.0f ||
             hp->rope_factors || hp->rope_scaling != DT_ROPE_UNSCALED)
        why = "RoPE is not standard (base 10000, all channels, no scaling)";
    else if (hp->norm_epsilon != 1e-5f)
        why = "the epsilon of the norms is not 1e-5";
    if (why)
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "a llama2.c file of version %d cannot hold this model: %s; convert to "
                            "GGUF instead",
                            version, why);
    return DT_OK;
}

static dt_status put_header(const struct dt_hparams *hp, int version, uint32_t group,
                            struct dt_atomic_file *out, struct dt_error *err)
{
    bool legacy = version == 0;
    uint32_t magic[2] = {DT_LLAMA2C_MAGIC, (uint32_t)version};
    uint32_t fields[7] = {hp->dim,      hp->hidden,
                          hp->layers,   hp->heads,
                          hp->kv_heads, legacy && !hp->tied ? 0u - hp->vocab : hp->vocab,
                          hp->context};
    unsigned char shared = hp->tied;
    dt_status status = DT_OK;
    if (!legacy)
        status = dt_atomic_file_write(out, magic, sizeof magic, err);
    if (!status)
        status = dt_atomic_file_write(out, fields, sizeof fields, err);
    if (!status && !legacy)
        status = dt_atomic_file_write(out, &shared, 1, err);
    if (!status && version == 2)
        status = dt_atomic_file_write(out, &group, sizeof group, err);
    return status || legacy ? status : dt_atomic_file_pad(out, DT_LLAMA2C_HEADER, err);
}

// Writes the RoPE tables at the end of a legacy file: cos, then sin, of position * 10000^(-2i /
// head size), computed in binary32 like the exporter's. Copies the source's tables if it has them,
// because cosf differs between machines in the last bit.
static dt_status put_rope(const struct dt_model *m, struct dt_atomic_file *out,
                          struct dt_error *err)
{
    const struct dt_hparams *hp = &m->hp;
    dt_status status = DT_OK;
    if (m->rope_tables)
        return dt_atomic_file_write(out, m->rope_tables,
                                    (size_t)hp->context * hp->head_size * sizeof(float), err);
    for (int sine = 0; sine <= 1; sine++)
        for (uint32_t position = 0; position < hp->context && !status; position++)
            for (uint32_t i = 0; i < hp->head_size / 2 && !status; i++) {
                float frequency = 1.0f / powf(10000.0f, (float)(2 * i) / (float)hp->head_size);
                float angle = (float)position * frequency;
                float value = sine ? sinf(angle) : cosf(angle);
                status = dt_atomic_file_write(out, &value, sizeof value, err);
            }
    return status;
}

struct writer {
    const struct dt_conversion *c;
    struct dt_convert_work work;
    struct dt_scale_buffer scales;
    struct dt_atomic_file out;
    uint32_t group, pairs;
    struct dt_error *err;
    dt_status status;
};

static void put_vector(struct writer *w, const float *v, uint32_t n)
{
    if (!w->status)
        w->status = dt_atomic_file_write(&w->out, v, n * sizeof *v, w->err);
}

static struct dt_convert_matrix target_of(const struct writer *w, const struct dt_matrix *m,
                                          const char *name, uint32_t pairs)
{
    return (struct dt_convert_matrix){.name = name,
                                      .source = m,
                                      .form = w->group ? DT_FORM_I8 : DT_FORM_F32,
                                      .group = w->group,
                                      .pairs_of = pairs};
}

static void put_matrix(struct writer *w, const struct dt_matrix *m, const char *name,
                       uint32_t pairs)
{
    struct dt_convert_matrix target = target_of(w, m, name, pairs);
    if (!w->status)
        w->status = dt_convert_scales(&w->scales, &target, w->err);
    if (!w->status)
        w->status = dt_convert_write(w->c, &target, &w->work, &w->out, &w->scales, w->err);
    if (!w->status && w->scales.bytes)
        w->status = dt_atomic_file_write(&w->out, w->scales.floats, w->scales.bytes, w->err);
}

// Matrix k of a layer, in the order of the file.
static const struct dt_matrix *matrix_of(const struct dt_layer *l, int k)
{
    const struct dt_matrix *const of[] = {&l->query, &l->key,  &l->value, &l->output,
                                          &l->gate,  &l->down, &l->up};
    return of[k];
}

static void put_kind(struct writer *w, int k)
{
    static const char *const names[] = {"wq", "wk", "wv", "wo", "w1", "w2", "w3"};
    const struct dt_model *m = w->c->model;
    for (uint32_t l = 0; l < m->hp.layers; l++) {
        char name[32];
        dt_format(name, sizeof name, "%s of layer %u", names[k], l);
        put_matrix(w, matrix_of(&m->layers[l], k), name, k < 2 ? w->pairs : 0);
    }
}

static void put_norms(struct writer *w, bool ffn)
{
    const struct dt_model *m = w->c->model;
    for (uint32_t l = 0; l < m->hp.layers; l++)
        put_vector(w, ffn ? m->layers[l].ffn_norm : m->layers[l].attention_norm, m->hp.dim);
}

static size_t all_bytes(const struct writer *w)
{
    const struct dt_model *m = w->c->model;
    struct dt_convert_matrix t = target_of(w, &m->embedding, "", 0);
    size_t total = dt_convert_bytes(&t) * (m->hp.tied ? 1 : 2);
    for (int k = 0; k < 7; k++) {
        t = target_of(w, matrix_of(&m->layers[0], k), "", 0);
        total += dt_convert_bytes(&t) * m->hp.layers;
    }
    return total;
}

// The requested group, halved until it divides every row.
static uint32_t group_for(const struct dt_conversion *c)
{
    const struct dt_hparams *hp = &c->model->hp;
    uint32_t group = c->group ? c->group
                     : c->model->layers[0].query.form == DT_FORM_I8
                         ? c->model->layers[0].query.group
                         : 64;
    while (group > 1 && (hp->dim % group || hp->hidden % group))
        group /= 2;
    return group;
}

// c->model has no packed matrices.
static dt_status write_model(const struct dt_conversion *c, int version, const char *path,
                             struct dt_error *err)
{
    const struct dt_model *m = c->model;
    const struct dt_hparams *hp = &m->hp;
    struct writer w = {.c = c,
                       .err = err,
                       .out = {.file = -1},
                       .group = version == 2 ? group_for(c) : 0,
                       .pairs = hp->rope_style == DT_ROPE_HALVES ? hp->head_size : 0};
    dt_status status = check(m, version, err);
    if (status)
        return status;
    size_t matrices = all_bytes(&w), norms = (2 * (size_t)hp->layers + 1) * hp->dim * sizeof(float);
    size_t tables = version ? 0 : (size_t)hp->context * hp->head_size * sizeof(float);
    if ((w.status = dt_convert_begin(&w.work, m, matrices, err)) ||
        (w.status = dt_atomic_file_open(
             &w.out, path, (version ? DT_LLAMA2C_HEADER : 28) + matrices + norms + tables, err)) ||
        (w.status = put_header(hp, version, w.group, &w.out, err)))
        goto out;
    if (version) {
        put_norms(&w, false);
        put_norms(&w, true);
        put_vector(&w, m->final_norm, hp->dim);
        put_matrix(&w, &m->embedding, "token_embedding_table", 0);
        for (int k = 0; k < 7; k++)
            put_kind(&w, k);
    } else {
        put_matrix(&w, &m->embedding, "token_embedding_table", 0);
        put_norms(&w, false);
        for (int k = 0; k < 4; k++)
            put_kind(&w, k);
        put_norms(&w, true);
        for (int k = 4; k < 7; k++)
            put_kind(&w, k);
        put_vector(&w, m->final_norm, hp->dim);
        if (!w.status)
            w.status = put_rope(m, &w.out, err);
    }
    if (!hp->tied)
        put_matrix(&w, &m->classifier, "wcls", 0);
    if (!w.status)
        w.status = dt_convert_commit(&w.out, err);
out:
    dt_atomic_file_abandon(&w.out);
    dt_convert_end(&w.work);
    free(w.scales.floats);
    return w.status;
}

dt_status dt_convert_llama2c(const struct dt_conversion *c, int version, const char *path,
                             struct dt_error *err)
{
    struct dt_conversion plain = *c;
    struct dt_model model;
    struct dt_layer *layers;
    dt_status status = dt_convert_unpacked(c->model, &model, &layers, err);
    if (status)
        return status;
    plain.model = &model;
    status = write_model(&plain, version, path, err);
    free(layers);
    return status;
}

// Writes a piece in tokenizer.bin's form: plain spaces, newlines around BOS and EOS.
static size_t plain_piece(const struct dt_vocab *v, uint32_t id, char out[DT_PIECE_MAX + 8])
{
    size_t n, written = 0;
    const unsigned char *piece = dt_vocab_piece(v, id, &n);
    if (v->types && (id == v->bos || id == v->eos))
        return dt_format(out, DT_PIECE_MAX + 8, "\n%s\n", id == v->bos ? "<s>" : "</s>");
    for (size_t i = 0; i < n; i++) {
        bool space = v->meta_space && n - i >= 3 && memcmp(piece + i, "\xe2\x96\x81", 3) == 0;
        out[written++] = space ? ' ' : (char)piece[i];
        i += space ? 2 : 0;
    }
    return written;
}

dt_status dt_convert_tokenizer(const struct dt_model *m, const char *path, struct dt_error *err)
{
    const struct dt_vocab *v = &m->vocab;
    struct dt_atomic_file out;
    char piece[DT_PIECE_MAX + 8];
    uint32_t longest = 0;
    if (v->kind != DT_VOCAB_SPM)
        return dt_error_set(
            err, DT_UNSUPPORTED, NULL,
            "tokenizer.bin can only hold a SentencePiece vocabulary; this one is %s",
            v->kind == DT_VOCAB_BPE ? "byte-level BPE" : "missing");
    if (v->bos != 1 || v->eos != 2)
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "tokenizer.bin requires BOS 1 and EOS 2; this vocabulary has %d and %d",
                            (int)v->bos, (int)v->eos);
    dt_status status = dt_atomic_file_open(&out, path, 0, err);
    if (status)
        return status;
    for (uint32_t i = 0; i < v->size; i++) {
        uint32_t n = (uint32_t)plain_piece(v, i, piece);
        longest = n > longest ? n : longest;
    }
    status = dt_atomic_file_write(&out, &longest, sizeof longest, err);
    for (uint32_t i = 0; i < v->size && !status; i++) {
        float score = dt_vocab_score(v, i);
        uint32_t n = (uint32_t)plain_piece(v, i, piece);
        status = dt_atomic_file_write(&out, &score, sizeof score, err);
        if (!status)
            status = dt_atomic_file_write(&out, &n, sizeof n, err);
        if (!status)
            status = dt_atomic_file_write(&out, piece, n, err);
    }
    if (!status)
        status = dt_convert_commit(&out, err);
    dt_atomic_file_abandon(&out);
    return status;
}
