// SPDX-License-Identifier: MIT
// duotale run --sequences: several stories from one prompt, evaluated in one pass a token.
#include <stdio.h>

#include "host/clock.h"
#include "verbs/run/run.h"

#define SEPARATOR "<|endoftext|>\n"

struct stories {
    struct dt_run *runs;
    uint32_t count, shown; // the story that is written as it comes
    struct dt_string_buffer held[DT_SESSIONS_MAX];
    bool finished[DT_SESSIONS_MAX];
    uint32_t next[DT_SESSIONS_MAX]; // the tokens to evaluate
};

static dt_status closed(struct dt_error *err)
{
    return dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
}

// Ends a story, and writes the ones behind it that wait for it.
static dt_status finish(struct stories *s, uint32_t i, struct dt_error *err)
{
    s->finished[i] = true;
    if (!dt_run_finish_text(&s->runs[i]))
        return closed(err);
    while (s->shown < s->count && s->finished[s->shown]) {
        if (++s->shown == s->count)
            break;
        struct dt_run *run = &s->runs[s->shown];
        bool text = !run->options->json && !run->options->ids;
        if (text && !dt_sink_write(&s->runs[0].sink, SEPARATOR, sizeof SEPARATOR - 1))
            return closed(err);
        if (!dt_sink_hold(&run->sink, NULL))
            return closed(err);
    }
    return DT_OK;
}

// Evaluates the prompt once, and its last token in every session, so that each has logits.
static dt_status begin(struct stories *s, const char *text, size_t n, bool *cut,
                       struct dt_error *err)
{
    struct dt_engine *engine = s->runs[0].engine;
    struct dt_session_part part[DT_SESSIONS_MAX] = {{0}};
    const uint32_t *tokens;
    size_t count;
    uint32_t use;
    dt_status status = dt_run_encode(&s->runs[0], text, n, &tokens, &count, &use, err);
    for (uint32_t i = 0; i < s->count && status == DT_OK; i++)
        status = dt_run_print_prompt(&s->runs[i], tokens, count, use, err);
    for (uint32_t i = 0; i < s->count && status == DT_OK; i++)
        status = dt_run_begin_overflow(&s->runs[i], use, err);
    if (status == DT_OK) {
        part[0] = (struct dt_session_part){.session = dt_engine_session(engine),
                                           .tokens = tokens,
                                           .count = use - 1,
                                           .no_logits = true,
                                           .err = err};
        status = dt_engine_eval_parts(engine, part, 1, err);
    }
    for (uint32_t i = 0; i < s->count && status == DT_OK; i++) {
        part[i] = (struct dt_session_part){.session = dt_engine_session_at(engine, i),
                                           .tokens = tokens + use - 1,
                                           .count = 1,
                                           .err = err};
        dt_session_copy(part[i].session, dt_engine_session(engine), use - 1);
    }
    if (status == DT_OK)
        status = dt_engine_eval_parts(engine, part, s->count, err);
    *cut = status == DT_OK && dt_run_is_cut(&s->runs[0], count, use);
    return status;
}

// Samples a token for every story that goes on, and evaluates them together.
static dt_status step(struct stories *s, bool *going, struct dt_error *err)
{
    struct dt_engine *engine = s->runs[0].engine;
    struct dt_session_part part[DT_SESSIONS_MAX];
    uint32_t n = 0;
    if (dt_engine_cancelled(engine))
        return dt_error_set(err, DT_CANCELLED, NULL, "interrupted");
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->finished[i])
            continue;
        dt_status status = dt_run_step(&s->runs[i], &s->next[i], err);
        if (status == DT_OK && s->next[i] == DT_NO_TOKEN)
            status = finish(s, i, err);
        else if (status == DT_OK)
            part[n++] = (struct dt_session_part){.session = dt_engine_session_at(engine, i),
                                                 .tokens = &s->next[i],
                                                 .count = 1,
                                                 .err = err};
        if (status != DT_OK)
            return status;
    }
    *going = n > 0;
    dt_status status = dt_engine_eval_parts(engine, part, n, err);
    if (status == DT_OK)
        s->runs[0].decoded += n;
    return status;
}

dt_status dt_run_stories(struct dt_run *runs, const char *text, size_t n, struct dt_error *err)
{
    struct stories s = {.runs = runs, .count = runs->options->sequences};
    for (uint32_t i = 0; i < s.count; i++) {
        runs[i].stops = runs->options->stops;
        dt_sink_hold(&runs[i].sink, i ? &s.held[i] : NULL);
    }
    bool cut = false;
    dt_status status = begin(&s, text, n, &cut, err);
    if (status == DT_CONTEXT_FULL) {
        runs->ended = "context";
        return status;
    }
    dt_engine_trim(runs->engine);
    uint64_t begun = dt_clock_ns();
    for (bool going = status == DT_OK && !cut; going && status == DT_OK;)
        status = step(&s, &going, err);
    runs->decode_ns += dt_clock_ns() - begun;
    dt_status written = DT_OK;
    for (uint32_t i = 0; i < s.count && written == DT_OK;
         i++) { // all that there is, if interrupted
        if (status == DT_CANCELLED && !s.finished[i])
            runs[i].ended = "interrupted";
        if (!s.finished[i])
            written = finish(&s, i, status == DT_OK ? err : NULL);
    }
    for (uint32_t i = 0; i < s.count; i++) {
        if (i > 0)
            runs->generated += runs[i].generated;
        if (runs[i].sink.failure)
            dt_sink_fail(&runs->sink, runs[i].sink.failure);
        dt_string_buffer_free(&s.held[i]);
    }
    return status == DT_OK ? written : status;
}
