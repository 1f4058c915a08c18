// SPDX-License-Identifier: MIT
// Whether and how an engine's weights are streamed.
#include <string.h>

#include "base/format.h"
#include "host/engine_state.h"

// While streaming, this part of the memory that is left is not used, and at least so many bytes.
#define RESERVE_SHARE 16u
#define RESERVE_LEAST (3u << 20)

// Wider batches take at most this part of what stays in memory.
#define BATCH_SHARE 16u

enum dt_weights_place dt_weights_place_of(const char *name)
{
    return strcmp(name, "mapped") == 0     ? DT_WEIGHTS_MAPPED
           : strcmp(name, "streamed") == 0 ? DT_WEIGHTS_STREAMED
                                           : DT_WEIGHTS_AUTO;
}

bool dt_engine_must_stream(const struct dt_engine *e)
{
    return e->stream || e->options.weights == DT_WEIGHTS_STREAMED;
}

// What a plan allocates besides what is allocated already.
static uint64_t others_of(const struct dt_engine_plan *plan)
{
    return plan->weights.arena_bytes + plan->sampler + plan->shortlist + plan->draft +
           plan->session.own + plan->session.scratch;
}

// What is left for the weights.
static struct dt_stream_limits limits_of(const struct dt_engine *e,
                                         const struct dt_engine_plan *plan)
{
    struct dt_stream_limits limits = {0};
    uint64_t left = dt_engine_memory_left(e),
             machine = dt_engine_rest(dt_memory_available(NULL), plan->draft_table);
    left = left < machine ? left : machine;
    uint64_t reserve = left / RESERVE_SHARE;
    if (e->options.stream)
        limits = e->options.stream->limits;
    if (!limits.budget)
        limits.budget = dt_engine_rest(dt_engine_rest(left, others_of(plan)),
                                       reserve < RESERVE_LEAST ? RESERVE_LEAST : reserve);
    return limits;
}

dt_status dt_engine_refuse_copy(const struct dt_engine *e, const char *stack, size_t bytes,
                                struct dt_error *err)
{
    const char *path = dt_engine_path(e);
    if (e->options.pack == DT_PACK_ALWAYS)
        return dt_error_set(err, DT_USAGE, NULL,
                            "--pack always copies the weights into memory, and --weights streamed "
                            "does not; use one of them");
    return dt_error_set(err, DT_UNSUPPORTED, path,
                        "%s computes a converted copy of the weights, of %zu bytes, but they are "
                        "streamed; convert the file first: duotale convert %s -f q8_0 -o NEW.gguf",
                        stack, bytes, path);
}

dt_status dt_engine_plan_stream(const struct dt_engine *e, struct dt_engine_plan *plan,
                                struct dt_error *err)
{
    bool wanted = e->options.weights == DT_WEIGHTS_STREAMED;
    struct dt_error local;
    memset(&plan->stream, 0, sizeof plan->stream);
    if (e->stream) {
        plan->stream = *dt_stream_plan_of(e->stream);
        return DT_OK;
    }
    if (e->options.weights == DT_WEIGHTS_MAPPED)
        return DT_OK;
    if (plan->weights.copied_bytes || (wanted && e->options.pack == DT_PACK_ALWAYS))
        return wanted ? dt_engine_refuse_copy(e, plan->stack, plan->weights.copied_bytes, err)
                      : DT_OK;
    uint64_t left = dt_engine_memory_left(e);
    struct dt_stream_limits limits = limits_of(e, plan);
    if (!wanted && (left == 0 || plan->file_bytes + others_of(plan) <= left))
        return DT_OK;
    dt_status status =
        dt_stream_make_plan(&e->model, &e->files, &limits, &plan->stream, NULL, &local);
    if (status != DT_OK) {
        memset(&plan->stream, 0, sizeof plan->stream);
        if (wanted && err)
            *err = local;
        return wanted ? status : DT_OK;
    }
    plan->stream.cached = !wanted && plan->file_bytes + plan->total <= dt_memory_available(NULL);
    plan->total += plan->stream.pinned_bytes + plan->stream.buffers * plan->stream.buffer_bytes;
    return DT_OK;
}

dt_status dt_engine_widen_batch(struct dt_engine *e, struct dt_error *err)
{
    uint32_t before = e->options.batch;
    for (uint32_t batch = 256; batch > before; batch /= 2) {
        struct dt_session_bytes bytes;
        e->options.batch = batch;
        struct dt_session_options options = dt_engine_session_options(e, e->plan.threads);
        if (dt_session_estimate(&e->model, &options, &e->services, &bytes, NULL) == DT_OK &&
            bytes.scratch <= e->plan.stream.pinned_bytes / BATCH_SHARE)
            return dt_engine_make_plan(e, e->stack.instance, &e->plan, err);
    }
    e->options.batch = before;
    return DT_OK;
}

dt_status dt_engine_start_stream(struct dt_engine *e, dt_progress *progress, void *progress_arg,
                                 struct dt_error *err)
{
    const struct dt_stream_plan *plan = &e->plan.stream;
    struct dt_stream_options options = {
        .medium = e->options.stream ? e->options.stream->medium : NULL,
        .cached = plan->cached,
        .cancel = &e->cancel,
        .progress = progress,
        .progress_arg = progress_arg,
    };
    if (e->options.stream)
        options.limits = e->options.stream->limits;
    // as planned: memory that was allocated since counts as free until it is used
    if (!options.limits.budget)
        options.limits.budget = plan->budget;
    e->stream_ns = 0;
    dt_status status = dt_stream_new(&e->stream, &e->model, &e->files, &e->account, &options, err);
    if (status == DT_OK)
        status = dt_stream_attach(e->stream, e->stack.weights, err);
    if (status != DT_OK) {
        dt_stream_free(e->stream);
        e->stream = NULL;
    }
    return status;
}

bool dt_engine_stream(const struct dt_engine *e, struct dt_stream_plan *plan,
                      struct dt_stream_facts *facts)
{
    if (!e->stream)
        return false;
    if (plan)
        *plan = *dt_stream_plan_of(e->stream);
    dt_stream_facts(e->stream, facts);
    facts->eval_ns = e->stream_ns;
    return true;
}

const char *dt_engine_weights_now(const struct dt_engine *e, char *out, size_t size)
{
    struct dt_stream_facts f;
    struct dt_stream_plan plan;
    if (!dt_engine_stream(e, &plan, &f))
        return dt_engine_weights_text(&e->stack.weights->plan, out, size);
    size_t n = dt_format(out, size, "streamed: %.0f%% in memory",
                         100 * (double)plan.pinned_weights / (double)plan.weight_bytes);
    if (f.passes && f.eval_ns)
        dt_format(out + n, size - n, ", %.1f MB/token, %.0f%% waiting",
                  (double)f.read_bytes / 1e6 / (double)(f.passes + e->draft.facts.right),
                  100 * (double)f.waited_ns / (double)f.eval_ns);
    return out;
}

const char *dt_engine_stream_text(const struct dt_stream_plan *plan, char *out, size_t size)
{
    dt_format(out, size, "streamed (%.1f of %.1f MB in memory)", (double)plan->pinned_weights / 1e6,
              (double)plan->weight_bytes / 1e6);
    return out;
}
