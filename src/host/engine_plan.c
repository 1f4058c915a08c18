// SPDX-License-Identifier: MIT
#include <string.h>

#include "base/format.h"
#include "host/engine_state.h"

// A second thread does not speed up a model smaller than this.
#define ALONE_BYTES        (1536u << 10)
#define THREADS_CHOSEN_MAX 16u

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
        .context = e->options.context,
        .batch = e->options.batch,
        .kv_type = e->options.kv_type,
        .threads = threads,
    };
}

bool dt_engine_needs_shortlist(const struct dt_engine *e, const struct dt_matrix *classifier,
                               const struct dt_instance *by)
{
    // the bounds of a shortlist are those of logits without a cap
    return !e->options.without_shortlist && !(e->model.hp.logit_cap > 0) &&
           dt_shortlist_pays(classifier, by, e->model.weight_bytes);
}

dt_status dt_engine_make_plan(struct dt_engine *e, const struct dt_stack_instance *instance,
                              struct dt_engine_plan *plan, struct dt_error *err)
{
    memset(plan, 0, sizeof *plan);
    dt_status status =
        dt_weights_plan(&e->model, &instance->stack, e->options.pack, &plan->weights, err);
    if (status != DT_OK)
        return status;
    plan->threads =
        e->threads ? dt_threads_count(e->threads) : dt_engine_threads_for(e, e->options.threads);
    struct dt_session_options options = dt_engine_session_options(e, plan->threads);
    status = dt_session_estimate(&e->model, &options, &e->services, &plan->session, err);
    if (status != DT_OK)
        return status;
    plan->file_bytes = dt_model_files_bytes(&e->files);
    plan->model_tables = e->model_block.bytes + e->vocab_block.bytes;
    plan->tokenizer = e->tokenizer_block.bytes;
    plan->sampler = dt_sampler_measure(e->model.hp.vocab);
    if (dt_engine_needs_shortlist(e, &e->model.classifier,
                                  dt_stack_for_matrix(&instance->stack, &e->model.classifier)))
        plan->shortlist = dt_shortlist_measure(e->model.hp.vocab, e->model.hp.dim);
    plan->total = plan->weights.arena_bytes + plan->model_tables + plan->tokenizer + plan->sampler +
                  plan->shortlist + plan->session.own + plan->session.scratch +
                  atomic_load(&instance->bytes);
    plan->context = e->options.context ? e->options.context : e->model.hp.context;
    dt_format(plan->stack, sizeof plan->stack, "%s", instance->name);
    return DT_OK;
}
