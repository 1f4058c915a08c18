// SPDX-License-Identifier: MIT
#include "host/convert/calibrate.h"

#include <stdlib.h>
#include <string.h>

#include "core/formats/gguf.h"
#include "core/quant/levels.h"
#include "core/quant/quantise.h"
#include "core/structure.h"
#include "host/convert/calibrate_side.h"
#include "host/convert/calibrate_sums.h"
#include "host/convert/convert_matrix.h"

// The embedding as input: what a row loses is added to the residual stream, whatever its direction.
// Where the classifier is the embedding, this part of the mean of H is added for that.
#define TIED_RIDGE 0.1

// Matrices that read the same activations.
struct stage {
    enum dt_calibrate_matrix first, end;
};

static const struct stage stages[] = {
    {DT_CALIBRATE_QUERY, DT_CALIBRATE_OUTPUT},
    {DT_CALIBRATE_OUTPUT, DT_CALIBRATE_GATE},
    {DT_CALIBRATE_GATE, DT_CALIBRATE_DOWN},
    {DT_CALIBRATE_DOWN, DT_CALIBRATE_MATRICES},
};

#define STAGES (sizeof stages / sizeof *stages)

struct dt_calibration {
    const struct dt_conversion *c;
    struct dt_calibration_options options;
    struct dt_account account;
    struct dt_calibrate_side exact, fitted; // the model, and with what was fitted rounded
    size_t tokens;
    struct dt_calibrate_sums sums;
    struct dt_block block_memory, embedding, classifier;
    unsigned char *blocks[DT_CALIBRATE_MATRICES]; // of the current layer; NULL: not fitted

    bool begun;      // the embedding is fitted, and the streams hold it
    uint32_t layers; // fitted
    bool classified;
    size_t done, total; // work, in tokens evaluated by a layer
};

// ---- memory ----

static uint32_t widest(const struct dt_model *m)
{
    uint32_t attended = m->hp.heads * m->hp.head_size;
    uint32_t most = m->hp.dim > m->hp.hidden ? m->hp.dim : m->hp.hidden;
    return attended > most ? attended : most;
}

// Whether a matrix is fitted, and its form.
static bool is_fitted(const struct dt_conversion *c, const struct dt_matrix *w, enum dt_slot slot,
                      uint32_t *form)
{
    struct dt_convert_matrix m = {.source = w};
    if (!w || !w->rows)
        return false;
    *form = m.form = dt_convert_form(c, slot, w, &m.group);
    return dt_levels_has(m.form) && !dt_convert_copies(&m);
}

static enum dt_slot slot_of(enum dt_calibrate_matrix which)
{
    static const enum dt_slot of[] = {DT_SLOT_QUERY, DT_SLOT_KEY, DT_SLOT_VALUE, DT_SLOT_OUTPUT,
                                      DT_SLOT_GATE,  DT_SLOT_UP,  DT_SLOT_DOWN};
    return of[which];
}

static size_t block_bytes(const struct dt_conversion *c, const struct dt_matrix *w,
                          enum dt_slot slot)
{
    uint32_t form = 0;
    return is_fitted(c, w, slot, &form) ? dt_quantise_bytes(form, w->rows, w->cols, 0) : 0;
}

static const struct dt_matrix *matrix_of(const struct dt_calibration *a, uint32_t layer, int which)
{
    return dt_calibrate_matrix(&a->c->model->layers[layer], (enum dt_calibrate_matrix)which);
}

static dt_status alloc_blocks(struct dt_calibration *a, struct dt_error *err)
{
    const struct dt_model *m = a->c->model;
    size_t bytes = 0, embedding = block_bytes(a->c, &m->embedding, DT_SLOT_EMBEDDING);
    size_t classifier = m->hp.tied ? 0 : block_bytes(a->c, &m->classifier, DT_SLOT_CLASSIFIER);
    dt_status status = DT_OK;
    for (uint32_t l = 0; l < m->hp.layers; l++) { // some may be copied in some layers
        size_t layer = 0;
        for (int i = 0; i < DT_CALIBRATE_MATRICES; i++)
            layer += block_bytes(a->c, matrix_of(a, l, i), slot_of((enum dt_calibrate_matrix)i));
        bytes = layer > bytes ? layer : bytes;
    }
    if (bytes + embedding + classifier == 0)
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "calibration is for q4_0, q4_1, q4_k, q5_0 and q5_1, and no matrix "
                            "becomes one of these; choose another form or leave it out");
    if (bytes)
        status = dt_block_alloc(&a->account, &a->block_memory, bytes, "the rows of a layer", err);
    if (!status && embedding)
        status = dt_block_alloc(&a->account, &a->embedding, embedding, "the embedding", err);
    if (!status && classifier)
        status = dt_block_alloc(&a->account, &a->classifier, classifier, "the classifier", err);
    return status;
}

dt_status dt_calibration_new(struct dt_calibration **out, const struct dt_conversion *c,
                             const struct dt_calibration_options *options, struct dt_error *err)
{
    struct dt_calibration *a = calloc(1, sizeof *a);
    *out = NULL;
    if (!a)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory to calibrate");
    a->c = c;
    a->options = *options;
    a->tokens = options->text.begin[options->text.count];
    // each layer is evaluated once for each stage and once for the next layer, and fitted
    size_t evaluations = STAGES + 1 + STAGES, layers = c->model->hp.layers;
    a->total = a->tokens * (layers * evaluations + (c->model->hp.tied ? layers : 0) + 2);
    dt_status status = alloc_blocks(a, err);
    if (!status)
        status =
            dt_calibrate_sums_init(&a->sums, widest(c->model), options->services, &a->account, err);
    if (!status)
        status = dt_calibrate_side_init(&a->exact, c->model, &a->options, &a->account, err);
    if (!status)
        status = dt_calibrate_side_init(&a->fitted, c->model, &a->options, &a->account, err);
    if (status)
        dt_calibration_free(a);
    else
        *out = a;
    return status;
}

void dt_calibration_free(struct dt_calibration *a)
{
    if (!a)
        return;
    dt_calibrate_side_free(&a->exact);
    dt_calibrate_side_free(&a->fitted);
    dt_calibrate_sums_free(&a->sums, &a->account);
    dt_block_free(&a->account, &a->block_memory);
    dt_block_free(&a->account, &a->embedding);
    dt_block_free(&a->account, &a->classifier);
    free(a);
}

size_t dt_calibration_bytes(const struct dt_calibration *a)
{
    return atomic_load(&a->account.used);
}

static dt_status advance(struct dt_calibration *a, size_t work, struct dt_error *err)
{
    a->done = a->done + work < a->total ? a->done + work : a->total;
    if (a->options.progress && a->options.progress(a->options.progress_arg, a->done, a->total))
        return dt_error_set(err, DT_CANCELLED, NULL, "stopped; no file was written");
    return DT_OK;
}

// ---- evaluating ----

// Adds what the exact side (NULL: not) and another have seen.
static void add_seen(struct dt_calibration *a, const struct dt_calibrate_side *x,
                     const struct dt_calibrate_side *y, uint32_t columns)
{
    dt_calibrate_sums_add(&a->sums, x ? x->seen : NULL, x ? x->seen_stride : 0, y->seen,
                          y->seen_stride, columns);
}

// Evaluates a layer for the whole text, on the exact side and with `both` on the fitted one. wanted
// as in dt_calibrate_side_run; the sums receive what is seen.
static dt_status evaluate(struct dt_calibration *a, uint32_t layer, enum dt_calibrate_matrix wanted,
                          bool both, struct dt_error *err)
{
    const struct dt_calibration_text *text = &a->options.text;
    for (size_t i = 0; i < text->count; i++) {
        uint32_t length = (uint32_t)(text->begin[i + 1] - text->begin[i]), step;
        for (uint32_t at = 0; at < length; at += step) {
            step = length - at < DT_CALIBRATE_BATCH ? length - at : DT_CALIBRATE_BATCH;
            dt_calibrate_side_run(&a->exact, text->begin[i] + at, at, step, wanted);
            if (both)
                dt_calibrate_side_run(&a->fitted, text->begin[i] + at, at, step, wanted);
            if (a->exact.finite.lost || a->fitted.finite.lost)
                return dt_error_set(err, DT_BAD_INPUT, NULL,
                                    "layer %u computes infinite or undefined numbers: the model is "
                                    "damaged, or its numbers are too large for 32-bit floats",
                                    layer);
            if (wanted < DT_CALIBRATE_MATRICES)
                add_seen(a, &a->exact, &a->fitted, step);
            dt_status status = advance(a, step, err);
            if (status)
                return status;
        }
    }
    return DT_OK;
}

// Sums what the classifier reads: on the exact side alone, or on both.
static void sum_final(struct dt_calibration *a, bool both)
{
    for (size_t at = 0; at < a->tokens; at += DT_CALIBRATE_BATCH) {
        uint32_t n =
            (uint32_t)(a->tokens - at < DT_CALIBRATE_BATCH ? a->tokens - at : DT_CALIBRATE_BATCH);
        dt_calibrate_side_final(&a->exact, at, n);
        if (both)
            dt_calibrate_side_final(&a->fitted, at, n);
        add_seen(a, both ? &a->exact : NULL, both ? &a->fitted : &a->exact, n);
    }
}

// ---- fitting ----

static void name_of(enum dt_slot slot, uint32_t layer, char name[64])
{
    dt_slot_name(&dt_gguf_names, slot, layer, name, 64);
}

static dt_status check_rows(struct dt_calibration *a, enum dt_slot slot, uint32_t layer,
                            struct dt_error *err)
{
    char name[64];
    struct dt_convert_matrix m = {.name = name, .source = dt_slot_matrix(a->c->model, slot, layer)};
    dt_status status = DT_OK;
    name_of(slot, layer, name);
    for (uint32_t r = 0; m.source && r < m.source->rows && !status; r++)
        status = dt_convert_check_finite(m.name, m.source, r, (float *)(void *)a->sums.work, err);
    return status;
}

// Before anything is computed from them, so that the error names the tensor.
static dt_status check_weights(struct dt_calibration *a, struct dt_error *err)
{
    const struct dt_model *m = a->c->model;
    dt_status status = check_rows(a, DT_SLOT_EMBEDDING, 0, err);
    if (!status && !m->hp.tied)
        status = check_rows(a, DT_SLOT_CLASSIFIER, 0, err);
    for (uint32_t l = 0; l < m->hp.layers; l++)
        for (int i = 0; i < DT_CALIBRATE_MATRICES && !status; i++)
            status = check_rows(a, slot_of((enum dt_calibrate_matrix)i), l, err);
    return status;
}

// The progress of fitting, as part of the whole.
struct share {
    struct dt_calibration *a;
    size_t before, work;
};

static int on_rows(void *arg, size_t done, size_t total)
{
    const struct share *s = arg;
    struct dt_error err = {0};
    s->a->done = s->before;
    return advance(s->a, (size_t)((double)s->work * (double)done / (double)total), &err);
}

static dt_status fit_jobs(struct dt_calibration *a, const struct dt_calibrate_job *jobs,
                          size_t count, uint32_t form, bool crossed, struct dt_error *err)
{
    struct share share = {a, a->done, a->tokens};
    return dt_calibrate_sums_fit(&a->sums, jobs, count, form, crossed, on_rows, &share, err);
}

// Rounds the fitted side's matrix as the file will have it.
static void round_matrix(struct dt_calibration *a, enum dt_calibrate_matrix which, uint32_t layer)
{
    const struct dt_matrix *w = matrix_of(a, layer, which);
    struct dt_convert_matrix m = {.source = w};
    float *to = a->fitted.matrix[which];
    m.form = dt_convert_form(a->c, slot_of(which), w, &m.group);
    if (a->blocks[which]) {
        struct dt_matrix blocks = dt_matrix_blocks(m.form, w->rows, w->cols, a->blocks[which]);
        for (uint32_t r = 0; r < w->rows; r++)
            dt_matrix_row(&blocks, r, to + (size_t)r * w->cols);
        return;
    }
    struct dt_matrix row = dt_quantise_matrix(m.form, 1, w->cols, m.group, a->sums.work);
    for (uint32_t r = 0; r < w->rows && !dt_convert_copies(&m); r++) {
        dt_quantise_row(&row, 0, to + (size_t)r * w->cols);
        dt_matrix_row(&row, 0, to + (size_t)r * w->cols);
    }
}

static dt_status fit_stage(struct dt_calibration *a, uint32_t layer, const struct stage *s,
                           struct dt_error *err)
{
    struct dt_calibrate_job jobs[3];
    char names[3][64];
    uint32_t form = DT_FORM_NONE;
    size_t count = 0;
    int first = (int)s->first;
    if (!matrix_of(a, layer, first)->rows) // without a gate
        first++;
    dt_calibrate_sums_clear(&a->sums, matrix_of(a, layer, first)->cols);
    dt_status status = evaluate(a, layer, (enum dt_calibrate_matrix)first, true, err);
    dt_calibrate_sums_end(&a->sums, 0, 0);
    for (int i = first; i < (int)s->end && !status; i++) {
        enum dt_slot slot = slot_of((enum dt_calibrate_matrix)i);
        const struct dt_matrix *w = matrix_of(a, layer, i);
        if (!is_fitted(a->c, w, slot, &form))
            continue;
        name_of(slot, layer, names[count]);
        jobs[count] = (struct dt_calibrate_job){w, names[count], a->blocks[i]};
        count++;
    }
    if (!status)
        status = fit_jobs(a, jobs, count, form, true, err);
    if (status)
        return status;
    for (int i = first; i < (int)s->end; i++)
        round_matrix(a, (enum dt_calibrate_matrix)i, layer);
    return dt_calibrate_side_build(&a->fitted, err);
}

// The memory of each matrix of a layer. Those that a file may have in one follow each other.
static void place_blocks(struct dt_calibration *a, uint32_t layer)
{
    unsigned char *next = a->block_memory.memory;
    for (int i = 0; i < DT_CALIBRATE_MATRICES; i++) {
        enum dt_calibrate_matrix which = (enum dt_calibrate_matrix)i;
        size_t bytes = block_bytes(a->c, matrix_of(a, layer, i), slot_of(which));
        a->blocks[i] = bytes ? next : NULL;
        next += bytes;
    }
}

static dt_status fit_layer(struct dt_calibration *a, uint32_t layer, struct dt_error *err)
{
    dt_status status;
    dt_calibrate_side_layer(&a->exact, layer);
    dt_calibrate_side_layer(&a->fitted, layer);
    if ((status = dt_calibrate_side_build(&a->exact, err)) ||
        (status = dt_calibrate_side_build(&a->fitted, err)))
        return status;
    place_blocks(a, layer);
    for (size_t i = 0; i < STAGES; i++)
        if ((status = fit_stage(a, layer, &stages[i], err)))
            return status;
    status = evaluate(a, layer, DT_CALIBRATE_MATRICES, true, err);
    a->layers = layer + 1;
    return status;
}

// ---- embedding and classifier ----

// Fills the streams with the embedding: on the fitted side as the file will have it.
static void embed(struct dt_calibration *a)
{
    const struct dt_model *m = a->c->model;
    const struct dt_calibration_text *text = &a->options.text;
    size_t dim = m->hp.dim;
    struct dt_convert_matrix e = {.source = &m->embedding};
    e.form = dt_convert_form(a->c, DT_SLOT_EMBEDDING, &m->embedding, &e.group);
    struct dt_matrix row = dt_quantise_matrix(e.form, 1, m->hp.dim, e.group, a->sums.work);
    float *before = (float *)(void *)(a->sums.work + dim), *after = a->exact.forward.scratch.normed;
    float scale = m->hp.embedding_scale != 0 ? m->hp.embedding_scale : 1;
    for (size_t i = 0; i < text->count; i++) {
        for (size_t t = text->begin[i]; t < text->begin[i + 1]; t++) {
            uint32_t token = text->tokens[t];
            float *x = a->exact.stream + t * dim, *y = a->fitted.stream + t * dim;
            dt_calibrate_side_embed(&a->exact, t, (uint32_t)(t - text->begin[i]), 1);
            memcpy(y, x, dim * sizeof *x);
            if (dt_convert_copies(&e))
                continue;
            dt_matrix_row(&m->embedding, token, before);
            if (a->embedding.memory)
                row = dt_matrix_blocks(e.form, 1, m->hp.dim,
                                       (unsigned char *)a->embedding.memory + token * row.bytes);
            else
                dt_quantise_row(&row, 0, before);
            dt_matrix_row(&row, 0, after);
            for (size_t k = 0; k < dim; k++)
                y[k] += (after[k] - before[k]) * scale;
        }
    }
}

// Sums for the embedding: where it is the classifier too, what that reads on the exact side; else
// every direction counts the same.
static dt_status sum_embedding(struct dt_calibration *a, struct dt_error *err)
{
    const struct dt_model *m = a->c->model;
    dt_status status;
    for (uint32_t l = 0; m->hp.tied && l < m->hp.layers; l++) {
        dt_calibrate_side_layer(&a->exact, l);
        if ((status = dt_calibrate_side_build(&a->exact, err)) ||
            (status = evaluate(a, l, DT_CALIBRATE_MATRICES, false, err)))
            return status;
    }
    dt_calibrate_sums_clear(&a->sums, m->hp.dim);
    if (m->hp.tied)
        sum_final(a, false);
    dt_calibrate_sums_end(&a->sums, m->hp.tied ? TIED_RIDGE : 0, m->hp.tied ? 0 : 1);
    return DT_OK;
}

static dt_status begin(struct dt_calibration *a, struct dt_error *err)
{
    const struct dt_matrix *w = &a->c->model->embedding;
    bool tied = a->c->model->hp.tied;
    uint32_t form = 0;
    char name[64];
    dt_status status;
    name_of(DT_SLOT_EMBEDDING, 0, name);
    if ((status = check_weights(a, err)))
        return status;
    a->begun = true;
    embed(a);
    if (!a->embedding.memory) {
        a->total -= tied ? a->tokens * a->c->model->hp.layers : 0;
        return DT_OK;
    }
    is_fitted(a->c, w, DT_SLOT_EMBEDDING, &form);
    struct dt_calibrate_job job = {w, name, a->embedding.memory};
    if ((status = sum_embedding(a, err)) || (status = fit_jobs(a, &job, 1, form, false, err)))
        return status;
    embed(a);
    return DT_OK;
}

static dt_status fit_classifier(struct dt_calibration *a, struct dt_error *err)
{
    const struct dt_matrix *w = &a->c->model->classifier;
    uint32_t form = 0;
    char name[64];
    a->classified = true;
    if (!a->classifier.memory)
        return DT_OK;
    name_of(DT_SLOT_CLASSIFIER, 0, name);
    is_fitted(a->c, w, DT_SLOT_CLASSIFIER, &form);
    struct dt_calibrate_job job = {w, name, a->classifier.memory};
    dt_calibrate_sums_clear(&a->sums, w->cols);
    sum_final(a, true);
    dt_calibrate_sums_end(&a->sums, 0, 0);
    return fit_jobs(a, &job, 1, form, true, err);
}

static enum dt_calibrate_matrix matrix_in(enum dt_slot slot)
{
    if (slot == DT_SLOT_QKV)
        return DT_CALIBRATE_QUERY;
    if (slot == DT_SLOT_GATE_UP)
        return DT_CALIBRATE_GATE;
    int i = 0;
    while (i < DT_CALIBRATE_MATRICES && slot_of((enum dt_calibrate_matrix)i) != slot)
        i++;
    return (enum dt_calibrate_matrix)i;
}

dt_status dt_calibration_blocks(struct dt_calibration *a, enum dt_slot slot, uint32_t layer,
                                const unsigned char **blocks, struct dt_error *err)
{
    dt_status status = a->begun ? DT_OK : begin(a, err);
    enum dt_calibrate_matrix which = matrix_in(slot);
    *blocks = NULL;
    if (which < DT_CALIBRATE_MATRICES) {
        while (!status && a->layers <= layer)
            status = fit_layer(a, a->layers, err);
        *blocks = a->blocks[which];
    } else if (slot == DT_SLOT_EMBEDDING) {
        *blocks = a->embedding.memory;
    } else if (slot == DT_SLOT_CLASSIFIER) {
        while (!status && a->layers < a->c->model->hp.layers)
            status = fit_layer(a, a->layers, err);
        if (!status && !a->classified)
            status = fit_classifier(a, err);
        *blocks = a->classifier.memory;
    }
    return status;
}
