// SPDX-License-Identifier: MIT
// duotale run --overflow: stories that are longer than the context.
#include <stdlib.h>
#include <string.h>

#include "core/kv/overflow.h"
#include "verbs/run/run.h"

uint32_t dt_run_position(const struct dt_run *run)
{
    const struct dt_session *session = dt_engine_session_at(run->engine, run->sequence);
    return dt_session_position(session) + dt_session_dropped(session) + run->shifted;
}

dt_status dt_run_begin_overflow(struct dt_run *run, size_t prompt, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session_at(run->engine, run->sequence);
    uint32_t capacity = dt_session_capacity(session);
    if (run->options->overflow == DT_OVERFLOW_STOP)
        return DT_OK;
    run->pinned = dt_overflow_pinned(capacity, prompt);
    if (run->options->overflow == DT_OVERFLOW_SHIFT)
        return DT_OK;
    if (!dt_session_can_drop(session))
        return dt_error_set(err, DT_UNSUPPORTED, dt_engine_path(run->engine),
                            "the positions of this model's keys cannot be changed; use --overflow "
                            "shift");
    dt_session_set_window(
        session, &(struct dt_session_window){run->pinned, dt_overflow_drop(capacity, run->pinned)});
    return DT_OK;
}

// Drops the older half of what is not pinned, and evaluates the rest again.
static dt_status shift(struct dt_run *run, struct dt_session *session, struct dt_error *err)
{
    uint32_t count = dt_session_position(session), drop = (count - run->pinned + 1) / 2,
             kept = count - run->pinned - drop;
    uint32_t *rest = malloc((kept + 1) * sizeof *rest);
    if (!rest)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for %u tokens", kept);
    memcpy(rest, dt_session_tokens(session) + run->pinned + drop, kept * sizeof *rest);
    dt_session_truncate(session, run->pinned);
    run->shifted += drop;
    struct dt_session_part part = {
        .session = session, .tokens = rest, .count = kept, .no_logits = true, .err = err};
    dt_status status = dt_engine_eval_parts(run->engine, &part, 1, err);
    free(rest);
    return status;
}

dt_status dt_run_make_space(struct dt_run *run, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session_at(run->engine, run->sequence);
    if (run->options->overflow != DT_OVERFLOW_SHIFT ||
        dt_session_position(session) < dt_session_capacity(session))
        return DT_OK;
    return shift(run, session, err);
}
