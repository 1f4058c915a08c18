// SPDX-License-Identifier: MIT
#include "host/convert/calibrate_side.h"

#include <string.h>

const struct dt_matrix *dt_calibrate_matrix(const struct dt_layer *l,
                                            enum dt_calibrate_matrix which)
{
    const struct dt_matrix *const of[] = {&l->query, &l->key, &l->value, &l->output,
                                          &l->gate,  &l->up,  &l->down};
    return of[which];
}

// The same, to change it.
static struct dt_matrix *place_of(struct dt_layer *l, enum dt_calibrate_matrix which)
{
    struct dt_matrix *const of[] = {&l->query, &l->key, &l->value, &l->output,
                                    &l->gate,  &l->up,  &l->down};
    return of[which];
}

static const struct dt_linear *linear_of(const struct dt_weights_layer *l,
                                         enum dt_calibrate_matrix which)
{
    const struct dt_linear *const of[] = {&l->query, &l->key, &l->value, &l->output,
                                          &l->gate,  &l->up,  &l->down};
    return of[which];
}

static void on_product(void *arg, const struct dt_linear *first, const float *x, size_t stride,
                       uint32_t columns)
{
    struct dt_calibrate_side *side = arg;
    (void)columns;
    if (first != side->wanted)
        return;
    side->seen = x;
    side->seen_stride = stride;
    atomic_store(&side->stop, 1);
}

static size_t matrix_floats(const struct dt_matrix *w)
{
    return ((size_t)w->rows * w->cols + 15) / 16 * 16;
}

static size_t tokens_of(const struct dt_calibration_options *options)
{
    return options->text.begin[options->text.count];
}

static uint32_t longest_of(const struct dt_calibration_options *options)
{
    size_t longest = 1;
    for (size_t i = 0; i < options->text.count; i++) {
        size_t n = options->text.begin[i + 1] - options->text.begin[i];
        longest = n > longest ? n : longest;
    }
    return (uint32_t)longest;
}

// Memory of the forward pass but the weights; called once to count and once to allocate.
static void alloc_work(struct dt_calibrate_side *side, struct dt_arena *arena)
{
    struct dt_forward *f = &side->forward;
    f->frequency =
        dt_arena_alloc(arena, f->model->hp.rotated / 2 * f->ropes + 1, sizeof *f->frequency);
    dt_kv_cache_alloc(&side->cache, arena);
    f->scratch = dt_forward_alloc_scratch(f, dt_forward_act_bytes_most(f), arena);
    f->compute.act = f->scratch.act;
}

static dt_status alloc_matrices(struct dt_calibrate_side *side, struct dt_error *err)
{
    const struct dt_model *m = side->whole;
    size_t floats = 0;
    dt_status status;
    for (int i = 0; i < DT_CALIBRATE_MATRICES; i++)
        floats += matrix_floats(dt_calibrate_matrix(&m->layers[0], (enum dt_calibrate_matrix)i));
    size_t stream = tokens_of(side->options) * m->hp.dim;
    if ((status = dt_block_alloc(side->account, &side->matrices, floats * sizeof(float),
                                 "the matrices of a layer", err)) ||
        (status = dt_block_alloc(side->account, &side->streams, stream * sizeof(float),
                                 "the activations of the text", err)))
        return status;
    side->stream = side->streams.memory;
    float *next = side->matrices.memory;
    for (int i = 0; i < DT_CALIBRATE_MATRICES; i++) {
        side->matrix[i] = next;
        next += matrix_floats(dt_calibrate_matrix(&m->layers[0], (enum dt_calibrate_matrix)i));
    }
    return DT_OK;
}

dt_status dt_calibrate_side_init(struct dt_calibrate_side *side, const struct dt_model *model,
                                 const struct dt_calibration_options *options,
                                 struct dt_account *account, struct dt_error *err)
{
    struct dt_forward *f = &side->forward;
    side->whole = model;
    side->options = options;
    side->account = account;
    side->model = *model;
    side->model.hp.layers = 1;
    side->model.layers = &side->layer;
    memset(&side->model.classifier, 0, sizeof side->model.classifier);
    dt_status status = alloc_matrices(side, err);
    if (status)
        return status;
    dt_calibrate_side_layer(side, 0);
    dt_forward_init(f, &side->model, DT_CALIBRATE_BATCH, longest_of(options));
    dt_kv_cache_init(&side->cache, &side->model.hp, longest_of(options), DT_KV_F32);
    side->run = (struct dt_forward_run){.cache = &side->cache, .finite = &side->finite};
    side->finite.layer = side->finite.lost_in = DT_NO_LAYER;
    f->runs = &side->run;
    f->run_count = 1;
    f->stack = *options->stack;
    f->weights = &side->weights;
    side->observer = (struct dt_observer){on_product, side};
    f->compute = (struct dt_compute){
        .services = options->services,
        .cancel = &side->stop,
        .workers = options->services ? options->services->threads(options->services->host) : 1,
        .split_bytes = dt_compute_split_bytes(model->weight_bytes),
        .observer = &side->observer,
    };
    struct dt_arena counter = dt_arena_over(NULL, 0);
    alloc_work(side, &counter);
    if ((status = dt_block_alloc(account, &side->work, counter.used, "the forward pass", err)))
        return status;
    struct dt_arena arena = dt_arena_over(side->work.memory, counter.used);
    alloc_work(side, &arena);
    dt_forward_set_frequencies(f);
    return dt_calibrate_side_build(side, err);
}

void dt_calibrate_side_free(struct dt_calibrate_side *side)
{
    dt_block_free(side->account, &side->matrices);
    dt_block_free(side->account, &side->streams);
    dt_block_free(side->account, &side->packed);
    dt_block_free(side->account, &side->work);
}

void dt_calibrate_side_layer(struct dt_calibrate_side *side, uint32_t layer)
{
    const struct dt_layer *from = &side->whole->layers[layer];
    side->layer = *from;
    memset(&side->layer.qkv, 0, sizeof side->layer.qkv);
    memset(&side->layer.gate_up, 0, sizeof side->layer.gate_up);
    for (int i = 0; i < DT_CALIBRATE_MATRICES; i++) {
        const struct dt_matrix *w = dt_calibrate_matrix(from, (enum dt_calibrate_matrix)i);
        if (!w->rows)
            continue;
        for (uint32_t r = 0; r < w->rows; r++)
            dt_matrix_row(w, r, side->matrix[i] + (size_t)r * w->cols);
        *place_of(&side->layer, (enum dt_calibrate_matrix)i) =
            dt_matrix_blocks(DT_FORM_F32, w->rows, w->cols, side->matrix[i]);
    }
}

dt_status dt_calibrate_side_build(struct dt_calibrate_side *side, struct dt_error *err)
{
    const struct dt_calibration_options *o = side->options;
    struct dt_weights_plan plan;
    dt_status status = dt_weights_plan(&side->model, o->stack, DT_PACK_ALWAYS, &plan, err);
    if (status)
        return status;
    size_t bytes = plan.arena_bytes + plan.building_bytes;
    if (side->packed.bytes < bytes) {
        dt_block_free(side->account, &side->packed);
        status = dt_block_alloc(side->account, &side->packed, bytes,
                                "the packed matrices of a layer", err);
        if (status)
            return status;
    }
    struct dt_arena arena = dt_arena_over(side->packed.memory, plan.arena_bytes);
    struct dt_arena building =
        dt_arena_over((char *)side->packed.memory + plan.arena_bytes, plan.building_bytes);
    return dt_weights_build(&side->model, o->stack, DT_PACK_ALWAYS, &arena, &building, o->services,
                            NULL, &side->weights, err);
}

// Makes the run of these tokens.
static void set_run(struct dt_calibrate_side *side, size_t first, uint32_t position,
                    uint32_t columns)
{
    side->run.tokens = side->options->text.tokens + first;
    side->run.position = position;
    side->run.columns = side->forward.columns = columns;
}

static void load(struct dt_calibrate_side *side, size_t first, uint32_t columns)
{
    struct dt_forward *f = &side->forward;
    size_t dim = side->model.hp.dim;
    for (uint32_t c = 0; c < columns; c++)
        memcpy(f->scratch.x + c * f->dim_stride, side->stream + (first + c) * dim,
               dim * sizeof(float));
}

static void store(struct dt_calibrate_side *side, size_t first, uint32_t columns)
{
    struct dt_forward *f = &side->forward;
    size_t dim = side->model.hp.dim;
    for (uint32_t c = 0; c < columns; c++)
        memcpy(side->stream + (first + c) * dim, f->scratch.x + c * f->dim_stride,
               dim * sizeof(float));
}

void dt_calibrate_side_run(struct dt_calibrate_side *side, size_t first, uint32_t position,
                           uint32_t columns, enum dt_calibrate_matrix wanted)
{
    struct dt_forward *f = &side->forward;
    bool whole = wanted == DT_CALIBRATE_MATRICES;
    load(side, first, columns);
    atomic_store(&side->stop, 0);
    side->wanted = whole ? NULL : linear_of(&side->weights.layers[0], wanted);
    set_run(side, first, position, columns);
    dt_forward_prepare_rope(f);
    dt_forward_layer(f, 0);
    if (whole)
        store(side, first, columns);
}

void dt_calibrate_side_embed(struct dt_calibrate_side *side, size_t first, uint32_t position,
                             uint32_t columns)
{
    set_run(side, first, position, columns);
    dt_forward_embed(&side->forward);
    store(side, first, columns);
}

void dt_calibrate_side_final(struct dt_calibrate_side *side, size_t first, uint32_t columns)
{
    struct dt_forward *f = &side->forward;
    const struct dt_model *m = side->whole;
    load(side, first, columns);
    dt_forward_norm(f, f->scratch.normed, f->scratch.x, m->final_norm, m->final_norm_bias, columns);
    for (uint32_t c = 0; c < columns; c++)
        dt_forward_scale(f->scratch.normed + c * f->dim_stride, m->hp.dim, m->hp.logit_scale);
    side->seen = f->scratch.normed;
    side->seen_stride = f->dim_stride;
}
