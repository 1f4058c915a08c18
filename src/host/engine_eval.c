// SPDX-License-Identifier: MIT
// Evaluating and sampling with an engine's sessions, and speculation: guesses that an evaluation of
// one token tests in the same pass.
#include <limits.h>
#include <string.h>

#include "base/format.h"
#include "host/clock.h"
#include "host/engine_state.h"
#include "host/log.h"

// Between single tokens, files are checked for being written to at most this often: for a small
// model the system calls take a tenth of a token's time.
#define CHECK_NS 50000000u

// Guesses in a pass. More are hardly ever right, and each needs memory for its logits.
#define GUESSES 4u

// With less memory than this left, speculation is for weights that do not fit only: a machine so
// small computes for longer than it reads.
#define MEMORY_LEAST (256u << 20)

// What the model predicts behind wrong guesses is looked at where a column costs less than this
// share of a pass.
#define LOOK_AHEAD_COST 0.1

// ---- speculation ----

enum dt_draft_policy dt_draft_policy_of(const char *text)
{
    return strcmp(text, "off") == 0  ? DT_DRAFT_NEVER
           : strcmp(text, "on") == 0 ? DT_DRAFT_ALWAYS
                                     : DT_DRAFT_AUTO;
}

const char *dt_draft_file_of(const char *text)
{
    bool word = strcmp(text, "off") == 0 || strcmp(text, "on") == 0 || strcmp(text, "auto") == 0;
    return word || !*text ? NULL : text;
}

// The guesses that a pass may have; 0: speculation is off.
static uint32_t guesses_of(const struct dt_engine *e)
{
    uint64_t left = dt_engine_memory_left(e);
    if (e->options.draft == DT_DRAFT_NEVER || dt_engine_sessions(e) > 1)
        return 0;
    bool streams = dt_engine_must_stream(e) || (e->options.weights == DT_WEIGHTS_AUTO &&
                                                dt_model_files_bytes(&e->files) > left);
    bool always = e->options.draft >= DT_DRAFT_ALWAYS || e->options.draft_file;
    return always || streams || left >= MEMORY_LEAST ? GUESSES : 0;
}

// NAME.draft beside NAME.gguf.
static bool find_beside(const struct dt_engine *e, char *out, size_t size)
{
    const char *path = e->files.file[0].path, *name = strrchr(path, '/'),
               *dot = strrchr(name ? name : path, '.');
    int stem = (int)(dot ? dot - path : (ptrdiff_t)strlen(path));
    return dt_format(out, size, "%.*s.draft", stem, path) < size && dt_file_readable(out);
}

dt_status dt_engine_open_draft(struct dt_engine *e, struct dt_error *err)
{
    char found[PATH_MAX];
    struct dt_error local;
    const char *path = e->options.draft_file;
    e->guesses = guesses_of(e);
    if (e->guesses == 0 || (!path && !find_beside(e, found, sizeof found)))
        return DT_OK;
    dt_status status = dt_file_map(&e->draft_file, path ? path : found, &local);
    if (status == DT_OK)
        status = dt_draft_table_open(&e->draft_table, e->draft_file.bytes, e->draft_file.size,
                                     e->draft_file.path, &e->model.vocab, &local);
    if (status == DT_OK) {
        dt_file_advise(&e->draft_file, 0, e->draft_file.size, DT_FILE_RANDOM);
        e->draft_used = e->draft_used || path;
        return DT_OK;
    }
    char line[1024];
    dt_file_unmap(&e->draft_file);
    if (!path || e->draft_used) {
        dt_log(DT_LOG_WARNING, "%s; it is not used", dt_error_line(&local, line, sizeof line));
        return DT_OK;
    }
    if (err)
        *err = local;
    return status;
}

size_t dt_engine_draft_bytes(const struct dt_engine *e)
{
    return e->guesses && dt_engine_sessions(e) == 1 ? dt_draft_measure(e->context) : 0;
}

void dt_engine_make_draft(struct dt_engine *e)
{
    size_t bytes = dt_engine_draft_bytes(e);
    dt_block_free(&e->account, &e->draft_block);
    if (bytes == 0 || dt_block_alloc(&e->account, &e->draft_block, bytes,
                                     "the index of speculation", NULL) != DT_OK)
        return;
    dt_draft_init(&e->draft, dt_session_capacity(e->session), e->draft_block.memory);
    e->draft.table = e->draft_table;
    e->draft.forced = e->options.draft == DT_DRAFT_FORCED;
    e->draft.free_columns = e->stream && dt_stream_plan_of(e->stream)->reads > 0 &&
                            !dt_stream_plan_of(e->stream)->cached;
}

// The guesses from the session's position on were wrong: what the model would have said behind
// them.
static void look_ahead(struct dt_engine *e, uint32_t held)
{
    const struct dt_instance *by = e->stack.instance->stack.argmax;
    uint32_t position = dt_session_position(e->session);
    if (e->draft.cost.column > LOOK_AHEAD_COST)
        return;
    for (uint32_t i = 0; i < held; i++) {
        const float *logits = dt_session_guess_logits(e->session, i);
        if (logits)
            dt_draft_predicted(&e->draft, dt_session_tokens(e->session), position + i + 1,
                               by->table.argmax(by->ctx, logits, e->model.hp.vocab));
    }
}

// Evaluates one token with e->draft, as dt_session_eval does; the files are not checked.
static dt_status eval_drafted(struct dt_engine *e, uint32_t token, struct dt_error *err)
{
    struct dt_session *s = e->session;
    struct dt_draft *d = &e->draft;
    uint32_t position = dt_session_position(s), held = dt_session_guesses(s);
    const uint32_t *text = dt_session_tokens(s);
    bool right = held > 0 && text[position] == token;
    if (held > 0 && !right) {
        look_ahead(e, held);
        dt_draft_wrong(d);
    }
    uint64_t begun = dt_clock_ns();
    dt_status status;
    if (right) {
        status = dt_session_eval(s, &token, 1, NULL, NULL, err);
    } else {
        uint32_t guesses[DT_DRAFT_MOST];
        dt_draft_truncate(d, position);
        dt_draft_guess(d, text, position, token, e->guesses);
        for (uint32_t i = 0; i < d->count; i++)
            guesses[i] = d->guess[i].token;
        status = dt_session_eval_guessing(s, token, guesses, d->count, err);
        d->count = dt_session_guesses(s);
    }
    uint64_t ns = dt_clock_ns() - begun;
    if (status == DT_OK && right)
        dt_draft_right(d, ns);
    else if (status == DT_OK)
        dt_draft_passed(d, ns);
    e->stream_ns += e->stream ? ns : 0;
    return status;
}

bool dt_engine_draft(const struct dt_engine *e, struct dt_draft_facts *facts)
{
    bool used = e->session && e->draft_block.memory;
    *facts = used ? e->draft.facts : (struct dt_draft_facts){0};
    return used;
}

double dt_engine_tokens_per_pass(const struct dt_engine *e)
{
    struct dt_draft_facts f;
    return dt_engine_draft(e, &f) && f.guessed ? (double)(f.passes + f.right) / (double)f.passes
                                               : 0;
}

// ---- evaluation ----

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
    if (count != 1 || !e->draft_block.memory)
        return dt_engine_score(e, tokens, count, NULL, NULL, err);
    uint32_t position = dt_session_position(e->session);
    dt_status status = eval_drafted(e, tokens[0], err);
    dt_status checked = check_evaluated(e, e->session, true, status, err);
    if (checked != status)
        dt_session_truncate(e->session, position);
    return checked;
}

dt_status dt_engine_score(struct dt_engine *e, const uint32_t *tokens, uint32_t count,
                          dt_session_logits_sink *sink, void *sink_arg, struct dt_error *err)
{
    uint32_t position = dt_session_position(e->session);
    uint64_t begun = e->stream ? dt_clock_ns() : 0;
    dt_draft_truncate(&e->draft, position);
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
    dt_draft_truncate(&e->draft, 0);
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
