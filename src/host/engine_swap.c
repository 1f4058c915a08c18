// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "host/engine_state.h"

dt_status dt_engine_swap_plan(struct dt_engine *e, const char *stack, struct dt_engine_plan *plan,
                              struct dt_error *err)
{
    struct dt_stack_instance *instance;
    if (!e->prepared)
        return dt_error_set(err, DT_FAILED, NULL, "no model is open");
    dt_status status = dt_registry_assemble(e->registry, stack, &e->model, &e->account, e->threads,
                                            &instance, err);
    if (status != DT_OK)
        return status;
    status = dt_engine_make_plan(e, instance, plan, err);
    plan->total = plan->weights.arena_bytes + plan->session.scratch + atomic_load(&instance->bytes);
    dt_stack_instance_free(instance);
    return status;
}

// Stores the wanted stack, for the next model.
static void want_stack(struct dt_engine *e, char *stack)
{
    free(e->stack_wanted);
    e->options.stack = e->stack_wanted = stack;
}

static dt_status no_memory(struct dt_error *err)
{
    return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for a stack of backends");
}

dt_status dt_engine_set_stack(struct dt_engine *e, const char *stack, struct dt_error *err)
{
    struct dt_stack_instance *instance = NULL;
    char *copy = strdup(stack);
    dt_status status = copy ? DT_OK : no_memory(err);
    if (status == DT_OK && e->prepared)
        status = dt_error_set(err, DT_FAILED, NULL, "a model is open; its stack can be swapped");
    if (status == DT_OK && !e->registry)
        status = dt_registry_new(&e->registry, err);
    if (status == DT_OK)
        status = dt_registry_assemble(e->registry, stack, NULL, &e->account, NULL, &instance, err);
    dt_stack_instance_free(instance);
    if (status == DT_OK)
        want_stack(e, copy);
    else
        free(copy);
    return status;
}

dt_status dt_engine_swap(struct dt_engine *e, const char *stack, dt_progress *progress,
                         void *progress_arg, struct dt_error *err)
{
    if (!e->session)
        return dt_error_set(err, DT_FAILED, NULL, "no model is started");
    struct dt_engine_stack fresh = {0};
    struct dt_session_bytes before = e->plan.session;
    char *copy = strdup(stack);
    dt_status status = copy ? DT_OK : no_memory(err);
    if (status == DT_OK)
        status = dt_registry_assemble(e->registry, stack, &e->model, &e->account, e->threads,
                                      &fresh.instance, err);
    if (status == DT_OK)
        status = dt_engine_build(e, &fresh, progress, progress_arg, err);
    if (status == DT_OK && e->stream)
        status = dt_stream_attach(e->stream, fresh.weights, err);
    struct dt_arena scratch = dt_arena_over(fresh.scratch.memory, fresh.scratch.bytes);
    if (status == DT_OK) {
        dt_session_set_shortlist(e->session, NULL);
        status = dt_session_swap(e->session, fresh.weights, &fresh.instance->stack, &scratch, err);
        if (status != DT_OK)
            dt_session_set_shortlist(e->session, e->shortlist_block.memory ? &e->shortlist : NULL);
    }
    if (status != DT_OK) {
        e->plan.session = before;
        dt_engine_stack_free(e, &fresh);
        free(copy);
        return status;
    }
    want_stack(e, copy);
    for (uint32_t i = 0; i < dt_engine_sessions(e); i++)
        e->sampler[i].stack = &fresh.instance->stack;
    dt_engine_stack_free(e, &e->stack);
    e->stack = fresh;
    dt_engine_make_shortlist(e);
    dt_engine_make_draft(e); // passes cost something else now
    dt_engine_report_fallback(e);
    return DT_OK;
}

dt_status dt_engine_set_threads(struct dt_engine *e, uint32_t threads, struct dt_error *err)
{
    if (!e->session) {
        e->options.threads = threads;
        return DT_OK;
    }
    uint32_t count = dt_engine_threads_for(e, threads);
    if (count == dt_threads_count(e->threads)) {
        e->options.threads = threads;
        return DT_OK;
    }
    struct dt_threads *fresh, *old = e->threads;
    dt_status status = dt_threads_new(&fresh, count, err);
    if (status != DT_OK)
        return status;
    // Scratch memory is per worker. The session asks the services for the number of workers.
    struct dt_session_bytes bytes;
    struct dt_session_options options = dt_engine_session_options(e, count);
    struct dt_block block = {0};
    e->threads = fresh;
    status = dt_session_measure(e->stack.weights, &e->stack.instance->stack, &options, &e->services,
                                &bytes, err);
    if (status == DT_OK)
        status = dt_block_alloc(&e->account, &block, bytes.scratch, "scratch memory", err);
    struct dt_arena scratch = dt_arena_over(block.memory, block.bytes);
    if (status == DT_OK)
        status =
            dt_session_swap(e->session, e->stack.weights, &e->stack.instance->stack, &scratch, err);
    if (status != DT_OK) {
        dt_block_free(&e->account, &block);
        e->threads = old;
        dt_threads_free(fresh);
        return status;
    }
    dt_block_free(&e->account, &e->stack.scratch);
    e->stack.scratch = block;
    e->stack.instance->threads = fresh;
    e->options.threads = threads;
    dt_threads_free(old);
    return DT_OK;
}

void dt_engine_set_memory_limit(struct dt_engine *e, size_t bytes)
{
    e->options.memory_limit = bytes;
    e->account.limit = bytes;
}

dt_status dt_engine_set_context(struct dt_engine *e, uint32_t context, struct dt_error *err)
{
    uint32_t before = e->options.context, length = e->context;
    enum dt_context_reason reason = e->context_reason;
    e->options.context = context;
    if (!e->prepared)
        return DT_OK;
    struct dt_block block = {0}, scratch = {0};
    struct dt_session_bytes bytes;
    struct dt_session *fresh = NULL;
    dt_status status = dt_engine_choose_context(e, e->stack.instance, err);
    if (status == DT_OK && !e->session)
        return DT_OK;
    if (status == DT_OK)
        status = dt_engine_check_context(e, false, err);
    struct dt_session_options options = dt_engine_session_options(e, dt_threads_count(e->threads));
    if (status == DT_OK)
        status = dt_session_measure(e->stack.weights, &e->stack.instance->stack, &options,
                                    &e->services, &bytes, err);
    if (status == DT_OK)
        status = dt_block_alloc(&e->account, &scratch, bytes.scratch, "scratch memory", err);
    struct dt_block old_scratch = e->stack.scratch;
    if (status == DT_OK) {
        e->stack.scratch = scratch;
        status = dt_engine_make_session(e, &block, &fresh, err);
    }
    if (status != DT_OK) {
        e->stack.scratch = old_scratch;
        dt_block_free(&e->account, &scratch);
        if (status == DT_NO_MEMORY)
            dt_engine_check_context(e, true, err);
        e->options.context = before;
        e->context = length;
        e->context_reason = reason;
        return status;
    }
    dt_engine_warn_context(e);
    dt_block_free(&e->account, &old_scratch);
    dt_block_free(&e->account, &e->session_block);
    e->session_block = block;
    e->session = fresh;
    dt_session_set_shortlist(fresh, e->shortlist_block.memory ? &e->shortlist : NULL);
    dt_engine_make_draft(e);
    return DT_OK;
}
