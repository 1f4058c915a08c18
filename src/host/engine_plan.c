// SPDX-License-Identifier: MIT
#include <string.h>

#include "base/format.h"
#include "core/quant/packed.h"
#include "host/engine_tune.h"

// A second thread does not speed up a model smaller than this.
#define ALONE_BYTES        (1536u << 10)
#define THREADS_CHOSEN_MAX 16u

// A packed copy of the weights takes at most this part of the available memory, unless requested.
#define PACK_SHARE 4u

// Sessions whose number is chosen take at most this part of it.
#define SESSIONS_SHARE 8u

// More than the sampler and the tables of a model need.
#define OTHER_BYTES (4u << 20)

uint32_t dt_engine_threads_for(const struct dt_engine *e, uint32_t requested)
{
    if (requested)
        return requested;
    if (e->model.weight_bytes < ALONE_BYTES)
        return 1;
    uint32_t cpus = dt_threads_cpus();
    return cpus < THREADS_CHOSEN_MAX ? cpus : THREADS_CHOSEN_MAX;
}

struct dt_session_options dt_engine_session_options(const struct dt_engine *e, uint32_t threads)
{
    return (struct dt_session_options){
        .context = e->context,
        .batch = e->options.batch,
        .kv_type = e->options.kv_type,
        .threads = threads,
        .sessions = dt_engine_sessions(e),
        .guesses = dt_engine_sessions(e) == 1 ? e->guesses : 0,
    };
}

bool dt_engine_needs_shortlist(const struct dt_engine *e, const struct dt_matrix *classifier,
                               const struct dt_instance *by)
{
    // the bounds of a shortlist are those of logits without a cap
    return !e->options.without_shortlist && !(e->model.hp.logit_cap > 0) &&
           dt_shortlist_pays(classifier, by, e->model.weight_bytes);
}

uint64_t dt_engine_memory_left(const struct dt_engine *e)
{
    uint64_t available = dt_memory_available(NULL), limit = e->account.limit,
             used = atomic_load(&e->account.used);
    if (limit && (limit < used || limit - used < available))
        available = limit < used ? 0 : limit - used;
    return available;
}

uint32_t dt_engine_choose_sessions(struct dt_engine *e, uint32_t most)
{
    struct dt_session_bytes one, two;
    struct dt_session_options options = dt_engine_session_options(e, 1);
    options.sessions = 1;
    dt_status status = dt_session_estimate(&e->model, &options, NULL, &one, NULL);
    options.sessions = 2;
    if (status == DT_OK)
        status = dt_session_estimate(&e->model, &options, NULL, &two, NULL);
    uint64_t number = 1;
    if (status == DT_OK)
        number = dt_engine_memory_left(e) / SESSIONS_SHARE / (two.own - one.own);
    number = number < 1 ? 1 : number;
    e->options.sessions = number < most ? (uint32_t)number : most;
    return e->options.sessions;
}

dt_status dt_engine_plan_weights(const struct dt_engine *e,
                                 const struct dt_stack_instance *instance, enum dt_pack_policy pack,
                                 struct dt_weights_plan *plan, struct dt_error *err)
{
    dt_status status = dt_weights_plan(&e->model, &instance->stack, pack, plan, err);
    const struct dt_matrix *w = dt_registry_main_matrix(&e->model);
    if (status != DT_UNSUPPORTED || w->form != DT_FORM_PACKED || !dt_packed_knows(w->layout))
        return status;
    const char *path = e->files.file[0].path;
    return dt_error_set(err, DT_UNSUPPORTED, path,
                        "its weights are packed as %s, which %s does not compute; choose another "
                        "backend, or unpack them: duotale convert %s -o NEW.gguf",
                        w->layout, instance->name, path);
}

dt_status dt_engine_choose_pack(struct dt_engine *e, struct dt_stack_instance *instance,
                                struct dt_error *err)
{
    if (instance->pack == DT_PACK_AUTO)
        instance->pack = dt_engine_must_stream(e) ? DT_PACK_NEVER : e->options.pack;
    if (instance->pack != DT_PACK_AUTO)
        return DT_OK;
    struct dt_weights_plan plan;
    dt_status status = dt_engine_plan_weights(e, instance, DT_PACK_ALWAYS, &plan, err);
    if (status != DT_OK)
        return status;
    uint64_t available = dt_engine_memory_left(e);
    struct dt_session_bytes session;
    struct dt_session_options options =
        dt_engine_session_options(e, e->threads ? dt_threads_count(e->threads)
                                                : dt_engine_threads_for(e, e->options.threads));
    status = dt_session_estimate(&e->model, &options, &e->services, &session, err);
    if (status != DT_OK)
        return status;
    // all the rest must fit too
    size_t rest = e->session ? 0 : session.own + session.scratch + OTHER_BYTES;
    bool fits = plan.packed_bytes <= available / PACK_SHARE &&
                plan.arena_bytes + plan.building_bytes + rest <= available;
    instance->pack = fits ? DT_PACK_ALWAYS : DT_PACK_NEVER;
    return DT_OK;
}

const char *dt_engine_weights_text(const struct dt_weights_plan *plan, char *out, size_t size)
{
    bool converted = plan->from_form != DT_FORM_NONE;
    bool packed = plan->packed_bytes || plan->converted_packed_bytes;
    if (converted || packed)
        dt_format(out, size, "%s%s%s (copy, %.1f MB)", converted ? "converted" : "",
                  converted && packed ? " and " : "", packed ? "packed" : "",
                  (double)plan->copied_bytes / 1e6);
    else
        dt_format(out, size, plan->mapped_packed_bytes ? "packed (file)" : "in place");
    return out;
}

// As dt_weights_build chooses the rows of the classifier.
static size_t shortlist_bytes(const struct dt_engine *e, const struct dt_stack_instance *instance)
{
    const struct dt_matrix *whole = &e->model.classifier, *listed = dt_weights_listed(&e->model);
    const struct dt_instance *by = dt_stack_for_matrix(&instance->stack, whole);
    if (by && by->table.row_products)
        listed = whole;
    struct dt_linear classifier = {.matrix = *listed,
                                   .by = dt_stack_for_matrix(&instance->stack, listed)};
    bool packed = instance->pack == DT_PACK_ALWAYS || listed->form == DT_FORM_PACKED;
    return dt_engine_needs_shortlist(e, &classifier.matrix, classifier.by)
               ? dt_shortlist_measure(&classifier, packed, dt_engine_sessions(e))
               : 0;
}

dt_status dt_engine_make_plan(struct dt_engine *e, struct dt_stack_instance *instance,
                              struct dt_engine_plan *plan, struct dt_error *err)
{
    memset(plan, 0, sizeof *plan);
    dt_status status = dt_engine_choose_pack(e, instance, err);
    struct dt_engine_stack not_built = {.instance = instance};
    if (status == DT_OK)
        dt_engine_tune(e, &not_built);
    if (status == DT_OK)
        status = dt_engine_plan_weights(e, instance, instance->pack, &plan->weights, err);
    if (status != DT_OK)
        return status;
    plan->threads =
        e->threads ? dt_threads_count(e->threads) : dt_engine_threads_for(e, e->options.threads);
    struct dt_session_options options = dt_engine_session_options(e, plan->threads);
    status = dt_session_estimate(&e->model, &options, &e->services, &plan->session, err);
    if (status != DT_OK)
        return status;
    plan->file_bytes = dt_model_files_bytes(&e->files);
    plan->model_tables = e->model_block.bytes + e->vectors_block.bytes + e->vocab_block.bytes;
    plan->tokenizer = e->tokenizer_block.bytes;
    plan->sampler = dt_sampler_measure(e->model.hp.vocab);
    plan->shortlist = shortlist_bytes(e, instance);
    plan->draft = dt_engine_draft_bytes(e);
    plan->draft_table = e->draft_file.size;
    plan->total = plan->weights.arena_bytes + plan->model_tables + plan->tokenizer + plan->sampler +
                  plan->shortlist + plan->draft + plan->session.own + plan->session.scratch +
                  atomic_load(&instance->bytes);
    plan->context = e->context;
    plan->context_reason = e->context_reason;
    dt_format(plan->stack, sizeof plan->stack, "%s", instance->name);
    return dt_engine_plan_stream(e, plan, err);
}
