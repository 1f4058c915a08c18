// SPDX-License-Identifier: MIT
// Evaluating and sampling with an engine's sessions.
#include "host/clock.h"
#include "host/engine_state.h"

// Between single tokens, files are checked for being written to at most this often: for a small
// model the system calls take a tenth of a token's time.
#define CHECK_NS 50000000u

static dt_status check_files(struct dt_engine *e, bool now, struct dt_error *err)
{
    uint64_t time = dt_clock_ns();
    if (now || time - e->checked_ns >= CHECK_NS) {
        e->checked_ns = time;
        return dt_engine_check(e, err);
    }
    dt_status status = dt_model_files_check_lost(&e->files, err);
    return status == DT_OK ? dt_file_check_lost(&e->tokenizer_file, err) : status;
}

// The result of an evaluation, in which `session` may have failed with *err. single: of one token
// of each session.
static dt_status check_evaluated(struct dt_engine *e, const struct dt_session *session, bool single,
                                 dt_status status, struct dt_error *err)
{
    // the causes of other errors
    dt_status files = check_files(e, !single || status != DT_OK, err);
    if (files == DT_OK && e->stream)
        files = dt_stream_check(e->stream, err);
    if (files == DT_OK && status == DT_BAD_INPUT && !dt_session_is_finite(session))
        dt_engine_name_damage(e, err);
    return files != DT_OK ? files : status;
}

dt_status dt_engine_eval(struct dt_engine *e, const uint32_t *tokens, uint32_t count,
                         struct dt_error *err)
{
    dt_session_set_bound(e->session, dt_sampler_bound(&e->sampler[0]));
    return dt_engine_score(e, tokens, count, NULL, NULL, err);
}

dt_status dt_engine_score(struct dt_engine *e, const uint32_t *tokens, uint32_t count,
                          dt_session_logits_sink *sink, void *sink_arg, struct dt_error *err)
{
    uint32_t position = dt_session_position(e->session);
    uint64_t begun = e->stream ? dt_clock_ns() : 0;
    dt_status status = dt_session_eval(e->session, tokens, count, sink, sink_arg, err);
    e->stream_ns += e->stream ? dt_clock_ns() - begun : 0;
    dt_status checked = check_evaluated(e, e->session, count == 1, status, err);
    if (checked != status) // another attempt may succeed
        dt_session_truncate(e->session, position);
    return checked;
}

dt_status dt_engine_eval_parts(struct dt_engine *e, struct dt_session_part *parts, uint32_t count,
                               struct dt_error *err)
{
    for (uint32_t i = 0; i < dt_engine_sessions(e); i++)
        dt_session_set_bound(dt_session_in_group(e->session, i), dt_sampler_bound(&e->sampler[i]));
    uint32_t position[DT_SESSIONS_MAX];
    uint64_t begun = e->stream ? dt_clock_ns() : 0;
    for (uint32_t i = 0; i < count; i++)
        position[i] = dt_session_position(parts[i].session);
    dt_status status = dt_session_eval_parts(parts, count);
    e->stream_ns += e->stream ? dt_clock_ns() - begun : 0;
    struct dt_session *failed = e->session;
    bool single = true;
    for (uint32_t i = 0; i < count; i++)
        single &= parts[i].count <= 1;
    for (uint32_t i = 0; i < count && status != DT_OK; i++) {
        if (parts[i].status == DT_OK)
            continue;
        failed = parts[i].session;
        if (err && parts[i].err && err != parts[i].err)
            *err = *parts[i].err;
        break;
    }
    dt_status checked = check_evaluated(e, failed, single, status, err);
    for (uint32_t i = 0; i < count && checked != status; i++)
        dt_session_truncate(parts[i].session, position[i]);
    return checked;
}

uint32_t dt_engine_next(struct dt_engine *e)
{
    return dt_engine_next_at(e, 0);
}

uint32_t dt_engine_next_at(struct dt_engine *e, uint32_t index)
{
    struct dt_session *session = dt_session_in_group(e->session, index);
    struct dt_sampler *sampler = &e->sampler[index];
    struct dt_candidates candidates;
    if (dt_session_candidates(session, &candidates)) {
        uint32_t token = dt_sampler_some(sampler, &candidates);
        if (token == DT_SAMPLER_UNSURE && dt_session_widen_candidates(session, &candidates)) {
            sampler->unsure--; // a token counts once
            token = dt_sampler_some(sampler, &candidates);
        }
        if (token != DT_SAMPLER_UNSURE)
            return token;
    }
    return dt_sampler_next(sampler, dt_session_logits(session), dt_session_tokens(session),
                           dt_session_position(session));
}

void dt_engine_set_sampling(struct dt_engine *e, const struct dt_sampling *settings, uint64_t seed)
{
    dt_engine_set_sampling_at(e, 0, settings, seed);
}

void dt_engine_set_sampling_at(struct dt_engine *e, uint32_t index,
                               const struct dt_sampling *settings, uint64_t seed)
{
    // the memory is scratch, which samplers of one thread can share
    dt_sampler_init(&e->sampler[index], e->model.hp.vocab, &e->stack.instance->stack, settings,
                    seed, e->sampler_block.memory);
}
