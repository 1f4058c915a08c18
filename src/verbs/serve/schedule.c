// SPDX-License-Identifier: MIT
// The main thread: every pass evaluates one token of each text that is being generated, and the
// next piece of the prompts of those that begin.
//
// Requests get a free session in turn, one text each, in the order in which they came. The session
// is one whose tokens the prompt begins with; where another session has more of them, busy or not,
// they are copied. A text waits while a prompt that it shares more with is being evaluated.
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "verbs/serve/serve.h"

#define PASS_TOKENS 64u // of prompts and texts together
#define COPY_LEAST  8u  // tokens that are worth being copied

// ---- requests ----

static void append_active(struct dt_serve *serve, struct dt_serve_job *job)
{
    struct dt_serve_job **last = &serve->active;
    while (*last)
        last = &(*last)->next;
    job->next = NULL;
    *last = job;
}

static void unlink_active(struct dt_serve *serve, struct dt_serve_job *job)
{
    struct dt_serve_job **at = &serve->active;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
}

static void free_session(struct dt_serve *serve, struct dt_serve_text *text)
{
    if (text->state == DT_SERVE_PREFILL || text->state == DT_SERVE_DECODE) {
        serve->in_session[text->session] = NULL;
        serve->used[text->session] = ++serve->clock;
    }
    text->state = DT_SERVE_FINISHED;
}

static void drop(struct dt_serve *serve, struct dt_serve_job *job)
{
    pthread_mutex_lock(&serve->lock);
    serve->jobs--;
    pthread_mutex_unlock(&serve->lock);
    dt_serve_job_drop(job);
}

// Ends a job of the active ones, whose answer is complete or not wanted.
static void remove_job(struct dt_serve *serve, struct dt_serve_job *job)
{
    for (uint32_t i = 0; i < job->count; i++)
        free_session(serve, &job->texts[i]);
    unlink_active(serve, job);
    drop(serve, job);
}

static void fail_all(struct dt_serve *serve, const struct dt_error *err)
{
    while (serve->active) {
        struct dt_serve_job *job = serve->active;
        dt_serve_job_fail_with(job, err);
        remove_job(serve, job);
    }
}

static void accept_job(struct dt_serve *serve, struct dt_serve_job *job)
{
    struct dt_error err = {0};
    if (dt_serve_job_gone(job)) {
        drop(serve, job);
        return;
    }
    for (uint32_t i = 0; i < job->count; i++)
        job->texts[i] = (struct dt_serve_text){.job = job, .index = i, .stops = job->stops};
    if (dt_serve_make_prompt(serve, job, &err) != DT_OK) {
        dt_serve_job_fail_with(job, &err);
        drop(serve, job);
    } else if (job->kind == DT_SERVE_TOKENIZE) {
        dt_serve_write_tokens(job);
        dt_serve_job_complete(job, 200);
        drop(serve, job);
    } else {
        append_active(serve, job);
        if (job->stream) {
            dt_serve_write_begin(job);
            dt_serve_job_flush(job, true);
        }
    }
}

// Takes new requests over, and drops those whose client has left.
static void update_jobs(struct dt_serve *serve)
{
    struct dt_serve_job *list = NULL;
    pthread_mutex_lock(&serve->lock);
    while (serve->incoming) { // the last first
        struct dt_serve_job *job = serve->incoming;
        serve->incoming = job->next;
        job->next = list;
        list = job;
    }
    pthread_mutex_unlock(&serve->lock);
    while (list) {
        struct dt_serve_job *job = list;
        list = job->next;
        accept_job(serve, job);
    }
    for (struct dt_serve_job *job = serve->active, *next; job; job = next) {
        next = job->next;
        if (dt_serve_job_gone(job))
            remove_job(serve, job);
    }
}

// ---- sessions for texts ----

static struct dt_serve_text *waiting_text(struct dt_serve_job *job)
{
    for (uint32_t i = 0; i < job->count; i++) {
        if (job->texts[i].state == DT_SERVE_WAITING)
            return &job->texts[i];
    }
    return NULL;
}

// Where a prompt can begin.
struct place {
    uint32_t session, prefix; // a free one, and the tokens of the prompt that are in it
    uint32_t from, most;      // that with most of them
    bool found;
};

static uint32_t prefix_in(struct dt_serve *serve, uint32_t session, const struct dt_serve_job *job)
{
    return dt_session_common_prefix(dt_engine_session_at(serve->engine, session), job->tokens,
                                    job->token_count - 1); // the last is evaluated, for its logits
}

static struct place find_place(struct dt_serve *serve, const struct dt_serve_job *job)
{
    struct place best = {0};
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < serve->sessions; i++) {
        uint32_t prefix = prefix_in(serve, i, job);
        if (prefix > best.most) {
            best.most = prefix;
            best.from = i;
        }
        if (serve->in_session[i])
            continue;
        if (!best.found || serve->used[i] < serve->used[oldest])
            oldest = i;
        if (!best.found || prefix > best.prefix) {
            best.session = i;
            best.prefix = prefix;
        }
        best.found = true;
    }
    // a text that is mostly another one is kept for its own continuation
    if (best.found &&
        2 * best.prefix < dt_session_position(dt_engine_session_at(serve->engine, best.session))) {
        best.session = oldest;
        best.prefix = prefix_in(serve, oldest, job);
    }
    return best;
}

static uint32_t common(const struct dt_serve_job *a, const struct dt_serve_job *b)
{
    uint32_t n = 0, most = a->token_count < b->token_count ? a->token_count : b->token_count;
    while (n < most && a->tokens[n] == b->tokens[n])
        n++;
    return n;
}

// Whether a prompt that is being evaluated will have more of this one than there is.
static bool waits_for_other(struct dt_serve *serve, const struct dt_serve_job *job, uint32_t prefix)
{
    for (uint32_t i = 0; i < serve->sessions; i++) {
        const struct dt_serve_text *other = serve->in_session[i];
        if (other && other->state == DT_SERVE_PREFILL &&
            common(job, other->job) > prefix + COPY_LEAST)
            return true;
    }
    return false;
}

// Gives the next text a session. False: none waits, none is free, or it is better to wait.
static bool admit(struct dt_serve *serve)
{
    struct dt_serve_job *job = serve->active;
    struct dt_serve_text *text = NULL;
    while (job && !(text = waiting_text(job)))
        job = job->next;
    if (!text)
        return false;
    struct place place = find_place(serve, job);
    if (!place.found || waits_for_other(serve, job, place.most))
        return false;
    struct dt_session *session = dt_engine_session_at(serve->engine, place.session);
    if (place.most >= place.prefix + COPY_LEAST && place.from != place.session) {
        dt_session_copy(session, dt_engine_session_at(serve->engine, place.from), place.most);
        place.prefix = place.most;
    }
    dt_session_truncate(session, place.prefix);
    dt_engine_set_sampling_at(serve->engine, place.session, &job->sampling,
                              job->seed + text->index);
    text->session = place.session;
    text->state = DT_SERVE_PREFILL;
    text->reused = place.prefix;
    text->previous = job->tokens[job->token_count - 1];
    text->clock_ns = dt_clock_ns();
    serve->in_session[place.session] = text;
    unlink_active(serve, job); // the others come first now
    append_active(serve, job);
    pthread_mutex_lock(&serve->lock);
    serve->figures.reused_tokens += place.prefix;
    pthread_mutex_unlock(&serve->lock);
    return true;
}

// ---- passes ----

struct pass {
    struct dt_session_part parts[DT_SESSIONS_MAX];
    struct dt_error errors[DT_SESSIONS_MAX];
    struct dt_serve_text *texts[DT_SESSIONS_MAX];
    uint32_t count, tokens, prompt_tokens;
};

static void add_part(struct dt_serve *serve, struct pass *pass, struct dt_serve_text *text,
                     const uint32_t *tokens, uint32_t n, bool no_logits)
{
    uint32_t i = pass->count++;
    pass->texts[i] = text;
    pass->errors[i] = (struct dt_error){0};
    pass->parts[i] = (struct dt_session_part){
        .session = dt_engine_session_at(serve->engine, text->session),
        .tokens = tokens,
        .count = n,
        .no_logits = no_logits,
        .err = &pass->errors[i],
    };
    pass->tokens += n;
}

static void add_prompt(struct dt_serve *serve, struct pass *pass, struct dt_serve_text *text)
{
    const struct dt_serve_job *job = text->job;
    uint32_t at = dt_session_position(dt_engine_session_at(serve->engine, text->session)),
             left = job->token_count - at, space = PASS_TOKENS - pass->tokens,
             n = left < space ? left : space;
    pass->prompt_tokens += n;
    add_part(serve, pass, text, job->tokens + at, n, n < left);
}

static void gather(struct dt_serve *serve, struct pass *pass)
{
    pass->count = pass->tokens = pass->prompt_tokens = 0;
    for (uint32_t i = 0; i < serve->sessions; i++) {
        struct dt_serve_text *text = serve->in_session[i];
        if (text && text->state == DT_SERVE_DECODE)
            add_part(serve, pass, text, &text->next, 1, false);
    }
    for (uint32_t i = 0; i < serve->sessions; i++) { // prompts that did not fit into the last pass
        struct dt_serve_text *text = serve->in_session[i];
        if (text && text->state == DT_SERVE_PREFILL && pass->tokens < PASS_TOKENS)
            add_prompt(serve, pass, text);
    }
    while (pass->tokens < PASS_TOKENS && admit(serve)) {
        for (uint32_t i = 0; i < serve->sessions; i++) {
            struct dt_serve_text *text = serve->in_session[i];
            bool there = text == NULL || text->state != DT_SERVE_PREFILL;
            for (uint32_t k = 0; k < pass->count && !there; k++)
                there = pass->texts[k] == text;
            if (!there)
                add_prompt(serve, pass, text);
        }
    }
}

// What follows from a part of a pass, for its text.
static void settle(struct dt_serve *serve, struct dt_session_part *part, struct dt_serve_text *text)
{
    struct dt_serve_job *job = text->job;
    if (text->state == DT_SERVE_FINISHED) // with a sister that failed
        return;
    if (part->status != DT_OK) {
        dt_serve_job_fail_with(job, part->err);
        for (uint32_t i = 0; i < job->count; i++)
            free_session(serve, &job->texts[i]);
        return;
    }
    if (part->no_logits)
        return;
    if (text->state == DT_SERVE_PREFILL) {
        text->prompt_ns = dt_clock_ns() - text->clock_ns;
        text->clock_ns += text->prompt_ns;
        text->state = DT_SERVE_DECODE;
    }
    dt_serve_take_token(serve, text);
    if (text->state == DT_SERVE_FINISHED) {
        serve->in_session[text->session] = NULL;
        serve->used[text->session] = ++serve->clock;
    }
}

static bool is_finished(const struct dt_serve_job *job)
{
    for (uint32_t i = 0; i < job->count; i++) {
        if (job->texts[i].state != DT_SERVE_FINISHED)
            return false;
    }
    return true;
}

// Sends what the pass has written.
static void deliver(struct dt_serve *serve)
{
    for (struct dt_serve_job *job = serve->active, *next; job; job = next) {
        next = job->next;
        if (is_finished(job)) {
            if (!job->complete) { // else it failed
                dt_serve_write_end(job);
                dt_serve_job_complete(job, 200);
            }
            remove_job(serve, job);
        } else if (job->stream) {
            dt_serve_job_flush(job, true);
        }
    }
    serve->module->wake(serve->server);
}

static void count_pass(struct dt_serve *serve, const struct pass *pass, uint64_t ns)
{
    struct dt_serve_figures *f = &serve->figures;
    uint32_t tokens = 0;
    for (uint32_t i = 0; i < pass->count; i++)
        tokens += pass->parts[i].status == DT_OK && !pass->parts[i].no_logits;
    pthread_mutex_lock(&serve->lock);
    *(pass->prompt_tokens ? &f->prompt_ns : &f->decode_ns) += ns;
    f->prompt_tokens += pass->prompt_tokens;
    f->tokens += tokens;
    f->passes++;
    f->pass_texts += pass->count;
    pthread_mutex_unlock(&serve->lock);
}

static void evaluate(struct dt_serve *serve, struct pass *pass)
{
    struct dt_error err = {0};
    uint64_t begun = dt_clock_ns();
    dt_status status = dt_engine_eval_parts(serve->engine, pass->parts, pass->count, &err);
    bool of_parts = status == DT_OK;
    for (uint32_t i = 0; i < pass->count; i++)
        of_parts |= pass->parts[i].status != DT_OK;
    if (!of_parts || status == DT_CANCELLED) { // the model's file, or the end
        if (status == DT_CANCELLED)
            dt_error_set(&err, DT_CANCELLED, NULL, "the server is being stopped");
        fail_all(serve, &err);
        serve->module->wake(serve->server);
        return;
    }
    bool finished = false;
    for (uint32_t i = 0; i < pass->count; i++) {
        settle(serve, &pass->parts[i], pass->texts[i]);
        finished |= pass->texts[i]->state == DT_SERVE_FINISHED;
    }
    if (finished && dt_engine_check(serve->engine, &err) != DT_OK) {
        fail_all(serve, &err);
        serve->module->wake(serve->server);
        return;
    }
    count_pass(serve, pass, dt_clock_ns() - begun);
    deliver(serve);
}

static void count_texts(struct dt_serve *serve)
{
    uint32_t running = 0, waiting = 0;
    for (const struct dt_serve_job *job = serve->active; job; job = job->next) {
        for (uint32_t i = 0; i < job->count; i++) {
            enum dt_serve_state state = job->texts[i].state;
            running += state == DT_SERVE_PREFILL || state == DT_SERVE_DECODE;
            waiting += state == DT_SERVE_WAITING;
        }
    }
    pthread_mutex_lock(&serve->lock);
    serve->figures.running = running;
    serve->figures.waiting = waiting;
    pthread_mutex_unlock(&serve->lock);
}

void dt_serve_schedule(struct dt_serve *serve)
{
    struct pass pass;
    while (!atomic_load(&serve->stopping)) {
        struct pollfd bell = {.fd = serve->bell, .events = POLLIN};
        uint64_t rung;
        update_jobs(serve);
        gather(serve, &pass);
        count_texts(serve);
        if (pass.count) {
            evaluate(serve, &pass);
            continue;
        }
        serve->module->wake(serve->server); // refusals
        if (poll(&bell, 1, -1) > 0 && read(serve->bell, &rung, sizeof rung) < 0)
            continue;
    }
    struct dt_error err = {.status = DT_CANCELLED};
    dt_error_set(&err, DT_CANCELLED, NULL, "the server is being stopped");
    update_jobs(serve);
    fail_all(serve, &err);
    serve->module->wake(serve->server);
}
