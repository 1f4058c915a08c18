// SPDX-License-Identifier: MIT
// duotale profile: measures the time of a token by operator and layer.
#include "verbs/bench/profile.h"

#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "verbs/bench/bandwidth.h"

static uint64_t now(void *arg)
{
    (void)arg;
    return dt_clock_ns();
}

static void record(void *arg, enum dt_operator op, uint32_t layer, uint32_t columns,
                   uint64_t nanoseconds, size_t bytes)
{
    (void)columns;
    struct dt_token_profile *p = arg;
    p->op[op].ns += nanoseconds;
    p->op[op].bytes += bytes;
    if (layer != DT_NO_LAYER) {
        p->layer[layer].ns += nanoseconds;
        p->layer[layer].bytes += bytes;
    }
}

// One round of decoding, with the same tokens every time.
static dt_status round_of(struct dt_token_profile *p, bool hooks, double *seconds,
                          struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(p->engine);
    const struct dt_profile profile = {.arg = p, .now = now, .record = record};
    const struct dt_vocab *vocab = &dt_engine_model(p->engine)->vocab;
    uint32_t size = dt_engine_model(p->engine)->hp.vocab,
             token = vocab->bos < size ? vocab->bos : 1 % size;
    dt_status status = DT_OK;
    dt_session_truncate(session, 0);
    dt_session_fill(session, p->at);
    dt_engine_set_sampling(p->engine, &p->sampling, 1);
    dt_session_set_profile(session, hooks ? &profile : NULL);
    uint64_t begun = dt_clock_ns(), at = begun;
    for (uint32_t i = 0; i < p->gen && status == DT_OK; i++) {
        status = dt_engine_eval(p->engine, &token, 1, err);
        if (status != DT_OK)
            break;
        if (!hooks) {
            token = dt_engine_next(p->engine) % size;
            continue;
        }
        uint64_t sampling = dt_clock_ns(), classifier = p->op[DT_OP_CLASSIFIER].ns;
        token = dt_engine_next(p->engine) % size;
        uint64_t done = dt_clock_ns();
        // where a shortlist did not decide, the sampler had all logits computed, which record()
        // counts as the classifier's
        p->sampler_ns += done - sampling - (p->op[DT_OP_CLASSIFIER].ns - classifier);
        p->token_ns[i] += done - at;
        at = done;
    }
    uint64_t elapsed = dt_clock_ns() - begun;
    dt_session_set_profile(session, NULL);
    *seconds = (double)elapsed / 1e9;
    if (hooks)
        p->elapsed_ns += elapsed;
    return status;
}

static void reset(struct dt_token_profile *p)
{
    memset(p->op, 0, sizeof p->op);
    memset(p->layer, 0, p->layers * sizeof *p->layer);
    memset(p->token_ns, 0, p->gen * sizeof *p->token_ns);
    p->sampler_ns = p->elapsed_ns = 0;
}

static dt_status measure(struct dt_token_profile *p, struct dt_error *err)
{
    double unused;
    dt_status status = round_of(p, true, &unused, err); // warms up: pages and caches
    reset(p);
    struct dt_shortlist_facts before, after;
    for (uint32_t i = 0; i < p->rounds && status == DT_OK; i++) {
        dt_engine_shortlist(p->engine, &before);
        status = round_of(p, true, &p->on[i], err);
        dt_engine_shortlist(p->engine, &after);
        p->listed.used += after.used - before.used;
        p->listed.rows += after.rows - before.rows;
        p->listed.full += after.full - before.full;
        p->listed.frequent = after.frequent;
        p->some += dt_engine_sampler(p->engine)->some;
        p->unsure += dt_engine_sampler(p->engine)->unsure;
        if (status == DT_OK)
            status = round_of(p, false, &p->off[i], err);
    }
    return status;
}

// Bytes of weights that a token reads: every matrix once, except the embedding.
static size_t bytes_per_token(const struct dt_weights *w)
{
    size_t bytes = w->classifier.matrix.bytes;
    for (uint32_t i = 0; i < w->model->hp.layers; i++) {
        const struct dt_weights_layer *l = &w->layers[i];
        bytes += l->query.matrix.bytes + l->key.matrix.bytes + l->value.matrix.bytes +
                 l->output.matrix.bytes + l->gate.matrix.bytes + l->up.matrix.bytes +
                 l->down.matrix.bytes;
    }
    return bytes;
}

// The memory of a matrix: one span, or two where the scales are apart from the quants.
static size_t add_spans(struct dt_span *spans, const struct dt_matrix *w)
{
    size_t quants = w->form == DT_FORM_I8 ? w->rows * w->row_stride : w->bytes;
    spans[0] = (struct dt_span){
        w->quants, quants < 128 ? 0 : quants / 64 * 64 - 64}; // blocks begin before their quants
    if (w->form != DT_FORM_I8)
        return 1;
    spans[1] = (struct dt_span){w->scales, w->rows * w->scale_row_stride / 64 * 64};
    return 2;
}

// Measures the bandwidth at which the threads of the engine read these weights in place, and that
// of as many bytes of private memory, which can have larger pages than a mapped file.
static void measure_bandwidth(struct dt_token_profile *p)
{
    const struct dt_weights *w = dt_engine_weights(p->engine);
    struct dt_span *spans = calloc((size_t)p->layers * 14 + 2, sizeof *spans);
    if (!spans)
        return;
    size_t n = add_spans(spans, &w->classifier.matrix);
    for (uint32_t i = 0; i < p->layers; i++) {
        const struct dt_weights_layer *l = &w->layers[i];
        const struct dt_linear *all[] = {&l->query, &l->key, &l->value, &l->output,
                                         &l->gate,  &l->up,  &l->down};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            n += add_spans(spans + n, &all[k]->matrix);
    }
    uint32_t threads = dt_engine_threads(p->engine);
    p->in_place = dt_bandwidth_read(spans, n, threads);
    p->in_private = dt_bandwidth_of_size(p->token_bytes, threads);
    free(spans);
}

static dt_status prepare(struct dt_token_profile *p, struct dt_verb_model *model,
                         struct dt_error *err)
{
    model->engine.without_vocabulary = true;
    model->engine.context_at_least = p->at + p->gen;
    dt_status status = dt_verb_model_path(model, err);
    if (status == DT_OK)
        status = dt_engine_new(&p->engine, &model->engine, err);
    if (status == DT_OK)
        status = dt_engine_open(p->engine, model->path, model->tokenizer, err);
    if (status != DT_OK)
        return status;
    uint32_t capacity = dt_session_capacity(dt_engine_session(p->engine));
    if (p->at >= capacity || p->gen > capacity - p->at)
        return dt_error_set(err, DT_USAGE, model->path,
                            "%u tokens from position %u exceed the context of %u; use a smaller "
                            "--gen or --at",
                            p->gen, p->at, capacity);
    p->layers = dt_engine_model(p->engine)->hp.layers;
    p->layer = calloc(p->layers, sizeof *p->layer);
    p->token_ns = calloc(p->gen, sizeof *p->token_ns);
    p->on = calloc(p->rounds, sizeof *p->on);
    p->off = calloc(p->rounds, sizeof *p->off);
    if (!p->layer || !p->token_ns || !p->on || !p->off)
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "not enough memory for the figures of %u tokens", p->gen);
    p->token_bytes = bytes_per_token(dt_engine_weights(p->engine));
    return DT_OK;
}

static void close_profile(struct dt_token_profile *p)
{
    dt_engine_free(p->engine);
    free(p->layer);
    free(p->token_ns);
    free(p->on);
    free(p->off);
}

struct request {
    struct dt_verb_model model;
    struct dt_token_profile profile;
    bool json, by_layers;
    const char *svg; // NULL: no chart
};

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct request *r = arg;
    struct dt_token_profile *p = &r->profile;
    switch (id) {
    case DT_OPTION_TEMPERATURE:
        p->sampling.temperature = (float)value->number;
        return 0;
    case DT_OPTION_TOP_P:
        p->sampling.top_p = (float)value->number;
        return 0;
    case DT_OPTION_GEN:
        p->gen = (uint32_t)value->integer;
        return 0;
    case DT_OPTION_AT:
        p->at = (uint32_t)value->integer;
        return 0;
    case DT_OPTION_ROUNDS:
        p->rounds = (uint32_t)value->integer;
        return 0;
    case DT_OPTION_LAYERS:
        r->by_layers = true;
        return 0;
    case DT_OPTION_JSON:
        r->json = true;
        return 0;
    case DT_OPTION_SVG:
        r->svg = value->text;
        return 0;
    default:
        return dt_verb_model_option(DT_VERB_PROFILE, &r->model, id, value);
    }
}

int dt_verb_profile(int argc, char **argv)
{
    struct request r = {
        .profile = {.gen = 128, .rounds = 5, .sampling = {.top_p = 0.9f, .repeat_penalty = 1}}};
    struct dt_token_profile *p = &r.profile;
    int code = dt_options_read(DT_VERB_PROFILE, argc, argv, on_option, &r);
    if (code >= 0)
        return code;
    if (optind < argc)
        r.model.path = argv[optind++];
    if (optind < argc)
        return dt_options_usage(DT_VERB_PROFILE, "%s: only one model can be given", argv[optind]);
    struct dt_error err = {0};
    dt_status status = prepare(p, &r.model, &err);
    if (status == DT_OK)
        measure_bandwidth(p);
    if (status == DT_OK)
        status = measure(p, &err);
    if (status == DT_OK) {
        if (r.json)
            dt_profile_json(p);
        else
            dt_profile_print(p, r.by_layers);
        code = r.svg ? dt_profile_chart(p, r.svg) : 0;
        if (dt_verb_flush())
            code = 1;
    } else {
        code = dt_verb_fail(&err);
    }
    close_profile(p);
    return code;
}
