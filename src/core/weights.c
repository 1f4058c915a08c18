// SPDX-License-Identifier: MIT
#include "core/weights.h"

#include "base/bits.h"

#include <string.h>

#include "core/quant/packed.h"
#include "core/quant/quantise.h"
#include "core/weights_copy.h"

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
    return dt_backend_form_rank(&level->table, form) >= 0;
}

static bool accepts_form(const struct dt_instance *by, uint32_t form, uint32_t group,
                         const struct dt_matrix *w)
{
    if (dt_quantise_bytes(form, w->rows, w->cols, group) == 0)
        return false;
    struct dt_matrix target = dt_quantise_matrix(form, w->rows, w->cols, group, NULL);
    return !by->table.can_matmul || by->table.can_matmul(by->ctx, &target);
}

static dt_status refuse_packed(const struct dt_matrix *w, const struct dt_instance *top,
                               struct dt_error *err)
{
    if (!dt_packed_knows(w->layout))
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "the weights are packed as %s, which this version does not read (it "
                            "reads %s); use the file that it was packed from",
                            w->layout ? w->layout : "(unnamed)", dt_packed_layouts());
    return dt_error_set(err, DT_UNSUPPORTED, NULL,
                        "the weights are packed as %s, which backend %s does not compute",
                        w->layout, top->table.name);
}

// Packs what a matrix is converted to, if the backend has a layout for it.
static void pack_converted(struct dt_copy_plan *out, const struct dt_matrix *w)
{
    const struct dt_backend *b = &out->by->table;
    struct dt_matrix target = dt_quantise_matrix(out->form, w->rows, w->cols, out->group, NULL);
    size_t bytes = b->pack && b->pack_bytes ? b->pack_bytes(out->by->ctx, &target) : 0;
    if (!bytes)
        return;
    out->kind = DT_COPY_CONVERT_PACK;
    out->plain_bytes = out->bytes;
    out->bytes = bytes;
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
                            uint32_t lowest, enum dt_pack_policy pack, struct dt_copy_plan *out)
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
            if (pack == DT_PACK_ALWAYS && i > 0)
                pack_converted(out, w);
            return true;
        }
    }
    return false;
}

// A shape that the top backend refuses is computed by one below it, in place if possible. So is a
// form that it does not have, if a backend below it does: the user chose both. Else it is converted
// because the user chose that backend's arithmetic, where possible to a form that loses nothing.
static dt_status decide(const struct dt_stack *stack, enum dt_pack_policy pack,
                        const struct dt_matrix *w, struct dt_copy_plan *out, struct dt_error *err)
{
    const struct dt_instance *top = top_matmul(stack), *by;
    memset(out, 0, sizeof *out);
    out->by = by = dt_stack_for_matrix(stack, w);
    bool chosen = by && (by == top || by != stack->level[0]);
    if (chosen && pack == DT_PACK_ALWAYS && by->table.pack && by->table.pack_bytes &&
        w->form != DT_FORM_PACKED) {
        out->bytes = by->table.pack_bytes(by->ctx, w);
        if (out->bytes > 0) {
            out->kind = DT_COPY_PACK;
            return DT_OK;
        }
    }
    if (chosen || (by && lists(top, w->form))) {
        out->kind = DT_COPY_NONE;
        return DT_OK;
    }
    struct dt_matrix plain;
    if (w->form == DT_FORM_PACKED) {
        // converted only if it would be too were it not packed
        bool same = top->table.layout && w->layout && strcmp(top->table.layout, w->layout) == 0;
        if (!same || !dt_packed_plain(w, &plain) || lists(top, plain.form))
            return refuse_packed(w, top, err);
        w = &plain;
    }
    out->kind = DT_COPY_CONVERT;
    if (find_conversion(stack, w, bits_of(w->form), 1, pack, out) ||
        find_conversion(stack, w, 0, 0, pack, out))
        return DT_OK;
    return dt_error_set(err, DT_UNSUPPORTED, NULL,
                        "no backend computes a %u x %u matrix of form %s", w->rows, w->cols,
                        dt_form_name(w->form));
}

uint32_t dt_weights_count(const struct dt_model *model)
{
    return model->hp.layers * 7 + 1;
}

const struct dt_matrix *dt_weights_matrix(const struct dt_model *model, uint32_t index)
{
    if (index == model->hp.layers * 7)
        return &model->classifier;
    const struct dt_layer *l = &model->layers[index / 7];
    const struct dt_matrix *const of[7] = {&l->query, &l->key, &l->value, &l->output,
                                           &l->gate,  &l->up,  &l->down};
    return of[index % 7];
}

struct dt_linear *dt_weights_linear(struct dt_weights *weights, uint32_t index)
{
    if (index == weights->model->hp.layers * 7)
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

const struct dt_matrix *dt_weights_listed(const struct dt_model *model)
{
    bool copy = model->hp.tied && model->classifier.form == DT_FORM_PACKED;
    return copy ? &model->embedding : &model->classifier;
}

dt_status dt_weights_plan(const struct dt_model *model, const struct dt_stack *stack,
                          enum dt_pack_policy pack, struct dt_weights_plan *out,
                          struct dt_error *err)
{
    memset(out, 0, sizeof *out);
    out->arena_bytes = align(model->hp.layers * sizeof(struct dt_weights_layer));
    size_t most_plain = 0;
    uint32_t count = dt_weights_count(model);
    for (uint32_t i = 0; i < count; i++) {
        const struct dt_matrix *w = dt_weights_matrix(model, i);
        struct dt_copy_plan d;
        if (!w->rows) // a structure without this matrix
            continue;
        dt_status status = decide(stack, pack, w, &d, err);
        if (status != DT_OK)
            return status;
        if (d.kind == DT_COPY_NONE) {
            out->in_place_bytes += w->bytes;
            out->mapped_packed_bytes += w->form == DT_FORM_PACKED ? w->bytes : 0;
            continue;
        }
        out->copied_bytes += d.bytes;
        out->arena_bytes += align(d.bytes);
        if (d.kind == DT_COPY_PACK) {
            out->packed_bytes += d.bytes;
            continue;
        }
        if (out->from_form == DT_FORM_NONE) {
            out->from_form = w->form;
            out->to_form = d.form;
        }
        if (d.kind == DT_COPY_CONVERT_PACK)
            out->converted_packed_bytes += d.bytes;
        most_plain = d.plain_bytes > most_plain ? d.plain_bytes : most_plain;
    }
    if (out->from_form != DT_FORM_NONE)
        out->building_bytes = align(most_plain) + dt_copy_rows_bytes(longest_row(model));
    return DT_OK;
}

// A backend with row_products decides itself by which layout rows are listed. For any other, rows
// are read from the file, because the rows of a packed matrix are not contiguous.
static void choose_classifier_rows(struct dt_weights *w, const struct dt_stack *stack)
{
    w->classifier_rows = w->classifier;
    const struct dt_matrix *in_file = dt_weights_listed(w->model);
    if (w->classifier.matrix.form == DT_FORM_PACKED && in_file->form != DT_FORM_PACKED &&
        !w->classifier.by->table.row_products &&
        dt_stack_for_matrix(stack, in_file) == w->classifier.by)
        w->classifier_rows.matrix = *in_file;
}

static dt_status out_of_memory(const struct dt_weights_plan *plan, const struct dt_arena *arena,
                               const struct dt_arena *building, struct dt_error *err)
{
    return dt_error_set(err, DT_NO_MEMORY, NULL,
                        "copies of the weights need %zu bytes, and %zu while they are made; %zu "
                        "and %zu are available",
                        plan->arena_bytes, plan->building_bytes, arena->size,
                        building ? building->size : 0);
}

// Whether computing reads the matrix in the file although it was copied.
static bool read_again(const struct dt_weights *w, const struct dt_matrix *from)
{
    return from->quants == w->model->embedding.quants ||
           from->quants == w->classifier_rows.matrix.quants;
}

void dt_weights_each_copied(struct dt_weights *weights, dt_weights_visit *visit, void *arg)
{
    uint32_t count = dt_weights_count(weights->model);
    for (uint32_t i = 0; i < count; i++) {
        const struct dt_matrix *from = dt_weights_matrix(weights->model, i);
        if (from->rows && dt_weights_linear(weights, i)->matrix.quants != from->quants &&
            !read_again(weights, from))
            visit(arg, from);
    }
}

dt_status dt_weights_build(const struct dt_model *model, const struct dt_stack *stack,
                           enum dt_pack_policy pack, struct dt_arena *arena,
                           struct dt_arena *building, const struct dt_services *services,
                           const struct dt_weights_watch *watch, struct dt_weights *out,
                           struct dt_error *err)
{
    struct dt_weights_plan plan;
    dt_status status = dt_weights_plan(model, stack, pack, &plan, err);
    if (status != DT_OK)
        return status;
    memset(out, 0, sizeof *out);
    out->model = model;
    out->plan = plan;
    out->layers = dt_arena_alloc(arena, model->hp.layers, sizeof *out->layers);
    if (out->layers)
        memset(out->layers, 0, model->hp.layers * sizeof *out->layers);
    struct dt_copy copy = {.services = services, .watch = watch, .total = plan.copied_bytes};
    if (plan.building_bytes && building) {
        copy.longest_row = longest_row(model);
        copy.rows = dt_arena_alloc(building, dt_copy_rows_bytes(copy.longest_row), 1);
        copy.plain =
            dt_arena_alloc(building, plan.building_bytes - dt_copy_rows_bytes(copy.longest_row), 1);
    }
    if (dt_arena_failed(arena) || (plan.building_bytes && !copy.plain))
        return out_of_memory(&plan, arena, building, err);
    out->embedding.matrix = model->embedding;
    out->embedding.by = dt_stack_for_matrix(stack, &model->embedding);
    if (!out->embedding.by || !out->embedding.by->table.embed)
        out->embedding.by = &dt_instance_reference; // reads rows of every form

    uint32_t count = dt_weights_count(model);
    for (uint32_t i = 0; i < count; i++) {
        const struct dt_matrix *from = dt_weights_matrix(model, i);
        struct dt_linear *to = dt_weights_linear(out, i);
        struct dt_copy_plan d;
        if (!from->rows)
            continue;
        decide(stack, pack, from, &d, NULL);
        to->by = d.by;
        to->matrix = *from;
        if (d.kind != DT_COPY_NONE) {
            void *memory = dt_arena_alloc(arena, d.bytes, 1);
            if (!memory)
                return out_of_memory(&plan, arena, building, err);
            status = dt_copy_matrix(&copy, from, &d, memory, &to->matrix, err);
            if (status != DT_OK)
                return status;
        }
        if (i + 1 == count)
            choose_classifier_rows(out, stack);
        if (d.kind != DT_COPY_NONE && watch && watch->copied && !read_again(out, from))
            watch->copied(watch->arg, from);
    }
    return DT_OK;
}
