// SPDX-License-Identifier: MIT
#include "core/weights.h"

#include <string.h>

#include "core/quant/quantise.h"

// How one matrix is used.
struct decision {
    const struct dt_instance *by;
    enum { IN_PLACE, CONVERT, PACK } kind;
    uint32_t form, group; // CONVERT: the target
    size_t bytes;         // of the copy, 0 in place
};

static const struct dt_instance *top_matmul(const struct dt_stack *stack)
{
    for (uint32_t i = stack->count; i-- > 0;) {
        if (stack->level[i]->table.matmul)
            return stack->level[i];
    }
    return NULL;
}

static bool lists(const struct dt_instance *level, uint32_t form)
{
    for (uint32_t i = 0; i < level->table.form_count; i++) {
        if (level->table.forms[i] == form)
            return true;
    }
    return false;
}

static bool accepts_form(const struct dt_instance *by, uint32_t form, uint32_t group,
                         const struct dt_matrix *w)
{
    if (dt_quantise_bytes(form, w->rows, w->cols, group) == 0)
        return false;
    struct dt_matrix target = dt_quantise_matrix(form, w->rows, w->cols, group, NULL);
    return !by->table.can_matmul || by->table.can_matmul(by->ctx, &target);
}

// A shape that the top backend refuses is computed by one below it, in place if possible. A form
// that the top backend does not have at all is converted to its best form, because the user chose
// that backend's arithmetic.
static dt_status decide(const struct dt_stack *stack, enum dt_pack_policy pack,
                        const struct dt_matrix *w, struct decision *out, struct dt_error *err)
{
    const struct dt_instance *top = top_matmul(stack);
    memset(out, 0, sizeof *out);
    out->by = dt_stack_for_matrix(stack, w);
    if (out->by == top && pack == DT_PACK_ALWAYS && top->table.pack && top->table.pack_bytes &&
        w->form != DT_FORM_PACKED) {
        out->bytes = top->table.pack_bytes(top->ctx, w);
        if (out->bytes > 0) {
            out->kind = PACK;
            return DT_OK;
        }
    }
    if (w->form == DT_FORM_PACKED && !out->by)
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "the weights are packed as %s, which no backend of this stack "
                            "reads; choose the backend that does",
                            w->layout ? w->layout : "(unnamed)");
    if (out->by && (out->by == top || lists(top, w->form))) {
        out->kind = IN_PLACE;
        return DT_OK;
    }
    out->kind = CONVERT;
    for (uint32_t i = stack->count; i-- > 0;) {
        const struct dt_instance *level = stack->level[i];
        for (uint32_t f = 0; level->table.matmul && f < level->table.form_count; f++) {
            uint32_t form = level->table.forms[f];
            uint32_t group = form == DT_FORM_I8 ? dt_quantise_group(w->cols, 32) : 0;
            // the scales of groups below 8 cost more than the quants save
            if ((form == DT_FORM_I8 && group < 8) || !accepts_form(level, form, group, w))
                continue;
            out->by = level;
            out->form = form;
            out->group = group;
            out->bytes = dt_quantise_bytes(form, w->rows, w->cols, group);
            return DT_OK;
        }
    }
    return dt_error_set(err, DT_UNSUPPORTED, NULL,
                        "no backend computes a %u x %u matrix of form %s", w->rows, w->cols,
                        dt_form_name(w->form));
}

// The matrices of products in the order of use: index 0 to 7 * layers - 1, then the classifier.
static const struct dt_matrix *matrix_of(const struct dt_model *model, size_t index)
{
    if (index == (size_t)model->hp.layers * 7)
        return &model->classifier;
    const struct dt_layer *l = &model->layers[index / 7];
    const struct dt_matrix *const of[7] = {&l->query, &l->key, &l->value, &l->output,
                                           &l->gate,  &l->up,  &l->down};
    return of[index % 7];
}

static struct dt_linear *linear_of(struct dt_weights *weights, size_t index)
{
    if (index == (size_t)weights->model->hp.layers * 7)
        return &weights->classifier;
    struct dt_weights_layer *l = &weights->layers[index / 7];
    struct dt_linear *const of[7] = {&l->query, &l->key, &l->value, &l->output,
                                     &l->gate,  &l->up,  &l->down};
    return of[index % 7];
}

// The most columns of any matrix: the floats of a row during conversion.
static uint32_t longest_row(const struct dt_model *model)
{
    uint32_t attended = model->hp.heads * model->hp.head_size;
    uint32_t longest = model->hp.dim > model->hp.hidden ? model->hp.dim : model->hp.hidden;
    return attended > longest ? attended : longest;
}

static size_t align(size_t bytes)
{
    return (bytes + DT_ALIGN - 1) / DT_ALIGN * DT_ALIGN;
}

dt_status dt_weights_plan(const struct dt_model *model, const struct dt_stack *stack,
                          enum dt_pack_policy pack, struct dt_weights_plan *out,
                          struct dt_error *err)
{
    memset(out, 0, sizeof *out);
    out->arena_bytes = align(model->hp.layers * sizeof(struct dt_weights_layer));
    size_t count = (size_t)model->hp.layers * 7 + 1;
    for (size_t i = 0; i < count; i++) {
        const struct dt_matrix *w = matrix_of(model, i);
        struct decision d;
        if (!w->rows) // a structure without this matrix
            continue;
        dt_status status = decide(stack, pack, w, &d, err);
        if (status != DT_OK)
            return status;
        if (d.kind == IN_PLACE) {
            out->in_place_bytes += w->bytes;
            continue;
        }
        out->copied_bytes += d.bytes;
        out->arena_bytes += align(d.bytes);
        out->packed |= d.kind == PACK;
        if (d.kind == CONVERT && out->from_form == DT_FORM_NONE) {
            out->from_form = w->form;
            out->to_form = d.form;
            out->arena_bytes += align(longest_row(model) * sizeof(float));
        }
    }
    return DT_OK;
}

struct conversion {
    const struct dt_matrix *from;
    const struct dt_matrix *to;
    const struct dt_instance *by;
    unsigned char *packed;
    float *row; // NULL when packing
};

// Converts or packs some rows of a matrix. Reading the file takes most of the time, so one thread
// is enough.
static void convert_rows(const struct conversion *c, uint32_t begin, uint32_t end)
{
    if (!c->row) {
        c->by->table.pack(c->by->ctx, c->packed, c->from, begin, end);
        return;
    }
    for (uint32_t r = begin; r < end; r++) {
        dt_matrix_row(c->from, r, c->row);
        dt_quantise_row(c->to, r, c->row);
    }
}

struct pack_loop {
    const struct conversion *conversion;
    uint32_t tile, rows;
};

static void pack_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct pack_loop *loop = arg;
    uint32_t last = end * loop->tile < loop->rows ? end * loop->tile : loop->rows;
    convert_rows(loop->conversion, begin * loop->tile, last);
}

dt_status dt_weights_build(const struct dt_model *model, const struct dt_stack *stack,
                           enum dt_pack_policy pack, struct dt_arena *arena,
                           const struct dt_services *services, dt_progress *progress,
                           void *progress_arg, struct dt_weights *out, struct dt_error *err)
{
    struct dt_weights_plan plan;
    dt_status status = dt_weights_plan(model, stack, pack, &plan, err);
    if (status != DT_OK)
        return status;
    memset(out, 0, sizeof *out);
    out->model = model;
    out->in_place_bytes = plan.in_place_bytes;
    out->copied_bytes = plan.copied_bytes;
    out->layers = dt_arena_alloc(arena, model->hp.layers, sizeof *out->layers);
    if (out->layers)
        memset(out->layers, 0, model->hp.layers * sizeof *out->layers);
    float *row = NULL;
    if (plan.from_form != DT_FORM_NONE)
        row = dt_arena_alloc(arena, longest_row(model), sizeof *row);
    if (dt_arena_failed(arena))
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "converted weights need %zu bytes; %zu are available", plan.arena_bytes,
                            arena->size);
    out->embedding.matrix = model->embedding;
    out->embedding.by = dt_stack_for_matrix(stack, &model->embedding);
    if (!out->embedding.by || !out->embedding.by->table.embed)
        // it reads rows of every form except packed ones
        out->embedding.by = &dt_instance_reference;

    size_t count = (size_t)model->hp.layers * 7 + 1, done = 0;
    for (size_t i = 0; i < count; i++) {
        const struct dt_matrix *from = matrix_of(model, i);
        struct dt_linear *to = linear_of(out, i);
        struct decision d;
        if (!from->rows)
            continue;
        decide(stack, pack, from, &d, NULL);
        to->by = d.by;
        if (d.kind == IN_PLACE) {
            to->matrix = *from;
            continue;
        }
        unsigned char *copy = dt_arena_alloc(arena, d.bytes, 1);
        if (!copy)
            return dt_error_set(err, DT_NO_MEMORY, NULL,
                                "converted weights need %zu bytes; %zu are available",
                                plan.arena_bytes, arena->size);
        if (d.kind == PACK) {
            to->matrix = *from;
            to->matrix.form = DT_FORM_PACKED;
            to->matrix.layout = d.by->table.layout;
            to->matrix.quants = copy;
            to->matrix.bytes = d.bytes;
        } else {
            to->matrix = dt_quantise_matrix(d.form, from->rows, from->cols, d.group, copy);
        }
        struct conversion c = {from, &to->matrix, d.by, copy, d.kind == PACK ? NULL : row};
        // in parts of about 1 MB, so that it stops soon when cancelled
        uint32_t tile = d.kind == PACK ? d.by->table.row_tile : 1;
        uint32_t step = (uint32_t)((1u << 20) / ((from->bytes / from->rows + 1) * tile) + 1) * tile;
        for (uint32_t r = 0; r < from->rows; r += step) {
            uint32_t end = from->rows - r < step ? from->rows : r + step;
            if (d.kind == PACK && services && services->parallel_for && r == 0 &&
                end == from->rows) {
                struct pack_loop loop = {&c, tile, from->rows};
                services->parallel_for(services->host, pack_body, &loop,
                                       (from->rows + tile - 1) / tile, 4);
            } else {
                convert_rows(&c, r, end);
            }
            size_t part = (size_t)((double)d.bytes * end / from->rows);
            if (progress && progress(progress_arg, done + part, plan.copied_bytes))
                return dt_error_set(err, DT_CANCELLED, NULL, "stopped while converting weights");
        }
        done += d.bytes;
    }
    return DT_OK;
}
