// SPDX-License-Identifier: MIT
#include "core/weights.h"

#include "base/bits.h"

#include <string.h>

#include "core/quant/quantise.h"

// How one matrix is used.
struct decision {
    const struct dt_instance *by;
    enum { IN_PLACE, CONVERT, PACK } kind;
    uint32_t form, group; // CONVERT: the target
    size_t bytes;         // of the copy, 0 in place
};

enum dt_pack_policy dt_pack_policy_of(const char *name)
{
    return strcmp(name, "always") == 0  ? DT_PACK_ALWAYS
           : strcmp(name, "never") == 0 ? DT_PACK_NEVER
                                        : DT_PACK_AUTO;
}

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

// Bits of a weight as far as a form has to preserve them: more than 8 make no difference.
static uint32_t bits_of(uint32_t form)
{
    uint32_t block = dt_form_block(form);
    uint32_t bits = block ? dt_form_block_bytes(form) * 8 / block : 8; // I8: without the scales
    return bits < 8 ? bits : 8;
}

// Finds a form of the topmost backend that computes it, of at least so many bits.
static bool find_conversion(const struct dt_stack *stack, const struct dt_matrix *w, uint32_t bits,
                            uint32_t lowest, struct decision *out)
{
    for (uint32_t i = stack->count; i-- > lowest;) {
        const struct dt_instance *level = stack->level[i];
        for (uint32_t f = 0; level->table.matmul && f < level->table.form_count; f++) {
            uint32_t form = level->table.forms[f];
            uint32_t group = form == DT_FORM_I8 ? dt_quantise_group(w->cols, 32) : 0;
            // the scales of groups below 8 cost more than the quants save
            if ((form == DT_FORM_I8 && group < 8) || bits_of(form) < bits ||
                !accepts_form(level, form, group, w))
                continue;
            out->by = level;
            out->form = form;
            out->group = group;
            out->bytes = dt_quantise_bytes(form, w->rows, w->cols, group);
            return true;
        }
    }
    return false;
}

// A shape that the top backend refuses is computed by one below it, in place if possible. So is a
// form that it does not have, if a backend below it does: the user chose both. Else it is converted
// because the user chose that backend's arithmetic, where possible to a form that loses nothing.
static dt_status decide(const struct dt_stack *stack, enum dt_pack_policy pack,
                        const struct dt_matrix *w, struct decision *out, struct dt_error *err)
{
    const struct dt_instance *top = top_matmul(stack), *by;
    memset(out, 0, sizeof *out);
    out->by = by = dt_stack_for_matrix(stack, w);
    bool chosen = by && (by == top || by != stack->level[0]);
    if (chosen && pack == DT_PACK_ALWAYS && by->table.pack && by->table.pack_bytes &&
        w->form != DT_FORM_PACKED) {
        out->bytes = by->table.pack_bytes(by->ctx, w);
        if (out->bytes > 0) {
            out->kind = PACK;
            return DT_OK;
        }
    }
    if (w->form == DT_FORM_PACKED && !by)
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "the weights are packed as %s, which no backend of this stack "
                            "reads; choose the backend that does",
                            w->layout ? w->layout : "(unnamed)");
    if (chosen || (by && lists(top, w->form))) {
        out->kind = IN_PLACE;
        return DT_OK;
    }
    out->kind = CONVERT;
    if (find_conversion(stack, w, bits_of(w->form), 1, out) || find_conversion(stack, w, 0, 0, out))
        return DT_OK;
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
        if (d.kind == PACK)
            out->packed_bytes += d.bytes;
        if (d.kind == CONVERT && out->from_form == DT_FORM_NONE) {
            out->from_form = w->form;
            out->to_form = d.form;
            out->arena_bytes += align(longest_row(model) * sizeof(float));
        }
    }
    return DT_OK;
}

// A part of about this size is converted or packed between two calls of progress.
#define PART_BYTES (4u << 20)

struct conversion {
    const struct dt_matrix *from;
    const struct dt_matrix *to;
    const struct dt_instance *by;
    unsigned char *packed;
    float *row;                // NULL when packing
    uint32_t begin, end, tile; // the part that is packed
};

// DT_BAD_INPUT for a value that is infinite or undefined: quantised, it would look like any other.
static dt_status convert_rows(const struct conversion *c, struct dt_error *err)
{
    for (uint32_t r = c->begin; r < c->end; r++) {
        dt_matrix_row(c->from, r, c->row);
        if (!dt_all_finite(c->row, c->from->cols))
            return dt_error_set(err, DT_BAD_INPUT, NULL,
                                "row %u of a matrix of %u x %u has a value that is infinite or "
                                "undefined: the model is damaged; get it again",
                                r, c->from->rows, c->from->cols);
        dt_quantise_row(c->to, r, c->row);
    }
    return DT_OK;
}

// Packs tiles [begin, end) of the part.
static void pack_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct conversion *c = arg;
    uint32_t last = end * c->tile < c->end - c->begin ? c->begin + end * c->tile : c->end;
    c->by->table.pack(c->by->ctx, c->packed, c->from, c->begin + begin * c->tile, last);
}

static void pack_rows(struct conversion *c, const struct dt_services *services)
{
    uint32_t tiles = (c->end - c->begin + c->tile - 1) / c->tile;
    if (services && services->parallel_for)
        services->parallel_for(services->host, pack_body, c, tiles, 1);
    else
        pack_body(c, 0, tiles, 0);
}

struct build {
    const struct dt_services *services;
    const struct dt_weights_watch *watch;
    float *row;
    size_t done, total;
};

// Converts or packs a matrix, in parts, so that it stops soon when cancelled.
static dt_status copy_matrix(struct build *b, const struct dt_matrix *from,
                             const struct dt_linear *to, const struct decision *d,
                             unsigned char *copy, struct dt_error *err)
{
    struct conversion c = {.from = from, .to = &to->matrix, .by = d->by, .packed = copy};
    c.tile = d->kind == PACK ? d->by->table.row_tile : 1;
    c.row = b->row;
    size_t tile_bytes = (from->bytes / from->rows + 1) * c.tile;
    uint32_t step = (uint32_t)(PART_BYTES / tile_bytes + 1) * c.tile;
    dt_status status = DT_OK;
    for (uint32_t r = 0; r < from->rows; r += step) {
        c.begin = r;
        c.end = from->rows - r < step ? from->rows : r + step;
        if (d->kind == PACK)
            pack_rows(&c, b->services);
        else
            status = convert_rows(&c, err);
        if (status != DT_OK)
            return status;
        size_t part = (size_t)((double)d->bytes * c.end / from->rows);
        if (b->watch && b->watch->progress &&
            b->watch->progress(b->watch->arg, b->done + part, b->total))
            return dt_error_set(err, DT_CANCELLED, NULL, "stopped while converting weights");
    }
    b->done += d->bytes;
    return DT_OK;
}

// Describes the copy of a matrix.
static struct dt_matrix matrix_of_copy(const struct dt_matrix *from, const struct decision *d,
                                       unsigned char *copy)
{
    if (d->kind == CONVERT)
        return dt_quantise_matrix(d->form, from->rows, from->cols, d->group, copy);
    struct dt_matrix to = *from;
    to.form = DT_FORM_PACKED;
    to.layout = d->by->table.layout;
    to.quants = copy;
    to.bytes = d->bytes;
    return to;
}

// A backend with row_products decides itself by which layout rows are listed. For any other, rows
// are read from the file, because the rows of a packed matrix are not contiguous.
static void choose_classifier_rows(struct dt_weights *w, const struct dt_stack *stack)
{
    w->classifier_rows = w->classifier;
    const struct dt_matrix *in_file = &w->model->classifier;
    if (w->classifier.matrix.form == DT_FORM_PACKED && in_file->form != DT_FORM_PACKED &&
        !w->classifier.by->table.row_products &&
        dt_stack_for_matrix(stack, in_file) == w->classifier.by)
        w->classifier_rows.matrix = *in_file;
}

static dt_status out_of_memory(const struct dt_weights_plan *plan, const struct dt_arena *arena,
                               struct dt_error *err)
{
    return dt_error_set(err, DT_NO_MEMORY, NULL,
                        "copies of the weights need %zu bytes; %zu are available",
                        plan->arena_bytes, arena->size);
}

dt_status dt_weights_build(const struct dt_model *model, const struct dt_stack *stack,
                           enum dt_pack_policy pack, struct dt_arena *arena,
                           const struct dt_services *services, const struct dt_weights_watch *watch,
                           struct dt_weights *out, struct dt_error *err)
{
    struct dt_weights_plan plan;
    dt_status status = dt_weights_plan(model, stack, pack, &plan, err);
    if (status != DT_OK)
        return status;
    memset(out, 0, sizeof *out);
    out->model = model;
    out->in_place_bytes = plan.in_place_bytes;
    out->copied_bytes = plan.copied_bytes;
    out->packed_bytes = plan.packed_bytes;
    out->layers = dt_arena_alloc(arena, model->hp.layers, sizeof *out->layers);
    if (out->layers)
        memset(out->layers, 0, model->hp.layers * sizeof *out->layers);
    struct build b = {.services = services, .watch = watch, .total = plan.copied_bytes};
    if (plan.from_form != DT_FORM_NONE)
        b.row = dt_arena_alloc(arena, longest_row(model), sizeof *b.row);
    if (dt_arena_failed(arena))
        return out_of_memory(&plan, arena, err);
    out->embedding.matrix = model->embedding;
    out->embedding.by = dt_stack_for_matrix(stack, &model->embedding);
    if (!out->embedding.by || !out->embedding.by->table.embed)
        // it reads rows of every form except packed ones
        out->embedding.by = &dt_instance_reference;

    size_t count = (size_t)model->hp.layers * 7 + 1;
    for (size_t i = 0; i < count; i++) {
        const struct dt_matrix *from = matrix_of(model, i);
        struct dt_linear *to = linear_of(out, i);
        struct decision d;
        if (!from->rows)
            continue;
        decide(stack, pack, from, &d, NULL);
        to->by = d.by;
        to->matrix = *from;
        if (d.kind != IN_PLACE) {
            unsigned char *copy = dt_arena_alloc(arena, d.bytes, 1);
            if (!copy)
                return out_of_memory(&plan, arena, err);
            to->matrix = matrix_of_copy(from, &d, copy);
            status = copy_matrix(&b, from, to, &d, copy, err);
            if (status != DT_OK)
                return status;
        }
        if (i + 1 == count)
            choose_classifier_rows(out, stack);
        bool read_again = from->quants == model->embedding.quants ||
                          (i + 1 == count && out->classifier_rows.matrix.quants == from->quants);
        if (d.kind != IN_PLACE && !read_again && watch && watch->copied)
            watch->copied(watch->arg, from);
    }
    return DT_OK;
}
