// SPDX-License-Identifier: MIT
// How long the context of a model is: what was asked for, or what the model and memory allow.
#include "base/format.h"
#include "core/kv/kv_cache.h"
#include "host/engine_state.h"
#include "host/log.h"

// A longer context is only made on request: most texts are short, and models that were trained for
// 128 Ki positions would need gigabytes for it.
#define USUAL_CONTEXT 4096u

// Contexts that memory limits are multiples of it, and at least as long.
#define CONTEXT_STEP 64u

// Of the memory that the machine or the cgroup has left, a context takes this part unless asked
// for: the mapped weights need memory too, in the page cache.
#define CONTEXT_SHARE 2u

// Where the weights do not fit either.
#define STREAMED_SHARE 4u

// Of what --mem-limit leaves, one part in so many is kept: longer prompts and another stack need
// memory later.
#define LIMIT_SHARE 8u

uint32_t dt_context_choose(const struct dt_context_limits *l, enum dt_context_reason *reason)
{
    *reason = DT_CONTEXT_ASKED;
    if (l->asked)
        return l->asked;
    uint32_t usual = l->at_least > USUAL_CONTEXT ? l->at_least : USUAL_CONTEXT;
    *reason = l->trained <= usual ? DT_CONTEXT_TRAINED : DT_CONTEXT_USUAL;
    usual = l->trained < usual ? l->trained : usual;
    uint32_t least = usual < CONTEXT_STEP ? usual : CONTEXT_STEP;
    if (l->fits >= usual)
        return usual;
    *reason = DT_CONTEXT_MEMORY;
    return l->fits > least ? l->fits : least;
}

static struct dt_session_options session_options(const struct dt_engine *e)
{
    return dt_engine_session_options(e, e->threads ? dt_threads_count(e->threads)
                                                   : dt_engine_threads_for(e, e->options.threads));
}

// What a session of `context` positions allocates; UINT64_MAX if it is none.
static uint64_t session_bytes(const struct dt_engine *e, uint32_t context)
{
    struct dt_session_bytes bytes;
    struct dt_session_options options = session_options(e);
    options.context = context;
    if (dt_session_estimate(&e->model, &options, &e->services, &bytes, NULL) != DT_OK)
        return UINT64_MAX;
    return (uint64_t)bytes.own + bytes.scratch;
}

// The longest context, up to `most`, whose session takes at most `bytes`; 0: none.
static uint32_t longest_within(const struct dt_engine *e, uint64_t bytes, uint32_t most)
{
    uint32_t low = 0, high = (most + CONTEXT_STEP - 1) / CONTEXT_STEP + 1;
    while (high - low > 1) { // low steps fit, high ones do not
        uint32_t middle = low + (high - low) / 2, context = middle * CONTEXT_STEP;
        if (session_bytes(e, context < most ? context : most) <= bytes)
            low = middle;
        else
            high = middle;
    }
    return low * CONTEXT_STEP < most ? low * CONTEXT_STEP : most;
}

// What --mem-limit leaves; UINT64_MAX without one.
static uint64_t limit_left(const struct dt_engine *e)
{
    return e->account.limit ? dt_engine_rest(e->account.limit, atomic_load(&e->account.used))
                            : UINT64_MAX;
}

// What the machine has left; UINT64_MAX if that is not known.
static uint64_t machine_left(void)
{
    uint64_t total, available = dt_memory_available(&total);
    return total ? available : UINT64_MAX;
}

// What a stack still allocates besides the session. A packed copy that is made where memory allows
// gives way to the context.
static dt_status other_bytes(const struct dt_engine *e, const struct dt_stack_instance *instance,
                             uint64_t *out, struct dt_error *err)
{
    struct dt_weights_plan plan = {0};
    enum dt_pack_policy pack = instance->pack == DT_PACK_AUTO ? e->options.pack : instance->pack;
    dt_status status = DT_OK;
    if (!e->stack.weights_block.memory)
        status = dt_engine_plan_weights(e, instance, pack == DT_PACK_AUTO ? DT_PACK_NEVER : pack,
                                        &plan, err);
    *out = plan.arena_bytes;
    if (!e->sampler_block.memory)
        *out += dt_sampler_measure(e->model.hp.vocab);
    return status;
}

dt_status dt_engine_choose_context(struct dt_engine *e, const struct dt_stack_instance *instance,
                                   struct dt_error *err)
{
    struct dt_context_limits limits = {
        .trained = e->model.hp.context,
        .asked = e->options.context,
        .at_least = e->options.context_at_least,
    };
    uint64_t others, machine = machine_left(), limit = limit_left(e);
    dt_status status = other_bytes(e, instance, &others, err);
    if (status != DT_OK)
        return status;
    uint64_t least = machine < limit ? machine : limit, most = UINT64_MAX;
    if (e->options.weights != DT_WEIGHTS_MAPPED && dt_model_files_bytes(&e->files) > least)
        most = least / STREAMED_SHARE;
    if (machine != UINT64_MAX)
        machine = dt_engine_rest(machine, others) / CONTEXT_SHARE;
    if (limit != UINT64_MAX)
        limit = dt_engine_rest(limit, others) / LIMIT_SHARE * (LIMIT_SHARE - 1);
    least = machine < limit ? machine : limit;
    if (!limits.asked)
        limits.fits = longest_within(e, most < least ? most : least, limits.trained);
    e->context = dt_context_choose(&limits, &e->context_reason);
    return DT_OK;
}

dt_status dt_engine_check_context(const struct dt_engine *e, bool failed, struct dt_error *err)
{
    struct dt_session_bytes bytes;
    struct dt_session_options options = session_options(e);
    struct dt_error ignored;
    uint64_t others, machine = machine_left(), limit = limit_left(e),
                     left = machine < limit ? machine : limit;
    if (other_bytes(e, e->stack.instance, &others, &ignored) != DT_OK ||
        dt_session_estimate(&e->model, &options, &e->services, &bytes, &ignored) != DT_OK)
        return DT_OK;
    // the estimate of the scratch memory is an upper bound
    if (others + bytes.own + (failed ? bytes.scratch : 0) <= left)
        return DT_OK;
    uint32_t fits = longest_within(e, dt_engine_rest(left, others), options.context);
    if (fits == 0) // something else is too large
        return DT_OK;
    uint64_t for_it = dt_engine_rest(left, others + (bytes.own - bytes.kv) + bytes.scratch);
    if (limit < machine)
        return dt_error_set(err, DT_NO_MEMORY, NULL,
                            "the KV cache needs %zu bytes for a context of %u positions; %llu of "
                            "the %zu bytes of --mem-limit are left for it; -c %u fits (in a "
                            "session: /set context %u)",
                            bytes.kv, options.context, (unsigned long long)for_it, e->account.limit,
                            fits, fits);
    return dt_error_set(err, DT_NO_MEMORY, NULL,
                        "the KV cache needs %zu bytes for a context of %u positions; %llu bytes "
                        "are available for it; -c %u fits (in a session: /set context %u)",
                        bytes.kv, options.context, (unsigned long long)for_it, fits, fits);
}

// ---- notes for the user ----

static bool rope_is_scaled(const struct dt_hparams *hp)
{
    return hp->rope_scaling != DT_ROPE_UNSCALED || hp->rope_scale != 1.0f || hp->rope_factors;
}

// Bytes of the KV caches for each position.
static uint64_t position_bytes(const struct dt_engine *e)
{
    struct dt_kv_cache cache;
    dt_kv_cache_init(&cache, &e->model.hp, 1, e->options.kv_type);
    return (uint64_t)cache.layers * dt_kv_cache_layer_bytes(&cache, 1) * dt_engine_sessions(e);
}

const char *dt_engine_context_note(const struct dt_engine *e, char *out, size_t size)
{
    uint32_t context = e->context, trained = e->model.hp.context;
    out[0] = 0;
    if (!e->prepared || context == trained)
        return out;
    if (e->context_reason == DT_CONTEXT_USUAL)
        dt_format(
            out, size,
            "the context has %u of the model's %u positions; -c N (in a session: /set context "
            "N) makes it longer, at %llu bytes each",
            context, trained, (unsigned long long)position_bytes(e));
    else if (e->context_reason == DT_CONTEXT_MEMORY)
        dt_format(out, size,
                  "the context has %u of the model's %u positions, because memory is short: each "
                  "needs %llu bytes%s",
                  context, trained, (unsigned long long)position_bytes(e),
                  e->options.kv_type == DT_KV_I8    ? ""
                  : e->options.kv_type == DT_KV_F16 ? ", and about half of that with --kv i8"
                                                    : ", half of that with --kv f16, and about a "
                                                      "quarter with --kv i8");
    else if (context > trained)
        dt_format(out, size,
                  "the context has %u positions, but the model was trained for %u%s: expect "
                  "the text beyond them to make no sense; use a model that was made for long "
                  "contexts",
                  context, trained,
                  rope_is_scaled(&e->model.hp) ? ", its RoPE scaling included"
                                               : ", and has no RoPE scaling");
    return out;
}

void dt_engine_warn_context(const struct dt_engine *e)
{
    char line[512];
    if (e->context_reason != DT_CONTEXT_USUAL && *dt_engine_context_note(e, line, sizeof line))
        dt_log(DT_LOG_WARNING, "%s", line);
}
