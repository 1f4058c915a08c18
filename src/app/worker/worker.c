// SPDX-License-Identifier: MIT
#include "app/worker/worker.h"

#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/thread_start.h"

bool dt_worker_stopped(struct dt_worker *w)
{
    return atomic_load(&w->control->stops) != w->stops;
}

void dt_worker_fail(struct dt_worker *w, const struct dt_error *error)
{
    dt_report_error(w->report, error);
    if (!w->interactive)
        atomic_store(&w->control->exit_code, dt_status_exit_code(error->status));
}

void dt_worker_see_settings(struct dt_worker *w)
{
    unsigned changes = atomic_load(&w->report->changes);
    if (changes == w->settings_seen)
        return;
    w->settings_seen = changes;
    dt_report_settings(w->report, &w->settings);
}

void dt_worker_live_requests(struct dt_worker *w)
{
    struct dt_request *request;
    while ((request = dt_requests_next_live(w->requests)) != NULL) {
        dt_worker_see_settings(w);
        request->run(w, request->text);
        dt_request_free(request);
    }
}

bool dt_worker_has_model(struct dt_worker *w)
{
    if (dt_engine_is_open(w->engine) || w->remote)
        return true;
    dt_report_notice(w->report, DT_NOTICE_ERROR, "No model is open. /model FILE opens one.");
    return false;
}

bool dt_worker_has_turn(struct dt_worker *w, const char *what)
{
    if (w->story.count > 0)
        return true;
    dt_report_notice(w->report, DT_NOTICE_WARNING, "The story is empty: there is nothing to %s.",
                     what);
    return false;
}

uint32_t dt_worker_context(const struct dt_worker *w)
{
    if (!w->remote)
        return dt_session_capacity(dt_engine_session(w->engine));
    uint32_t context = dt_remote_facts(w->remote)->context;
    return context ? context : UINT32_MAX;
}

uint32_t dt_worker_context_used(const struct dt_worker *w)
{
    return w->remote ? w->remote_used : w->story.token_count;
}

bool dt_worker_private(struct dt_worker *w)
{
    return dt_settings_on(&w->settings, DT_SET_PRIVATE);
}

uint64_t dt_worker_new_seed(struct dt_worker *w)
{
    (void)w;
    return dt_clock_seed();
}

// ---- the thread ----

// Reported even if the state did not change: the front end learns that the request is done.
static void on_idle(void *arg)
{
    struct dt_report *report = arg;
    struct dt_app_event event = {.type = DT_EVENT_STATE, .state = DT_APP_IDLE};
    atomic_store(&report->state, DT_APP_IDLE);
    dt_events_post(&report->events, &event, NULL, 0, NULL, NULL);
}

static void *work(void *arg)
{
    struct dt_worker *w = arg;
    for (;;) {
        struct dt_request *request = dt_requests_wait(w->requests, on_idle, w->report);
        if (!request)
            return NULL;
        // a stop concerns this request if it came after the request was made
        w->stops = request->stops;
        atomic_store(&w->control->stopping, 0);
        dt_engine_uncancel(w->engine);
        if (dt_worker_stopped(w)) {
            atomic_store(&w->control->stopping, 1);
            dt_engine_cancel(w->engine);
        }
        w->asked_ns = dt_clock_ns();
        dt_worker_see_settings(w);
        request->run(w, request->text);
        dt_request_free(request);
    }
}

dt_status dt_worker_new(struct dt_worker **out, const struct dt_worker_parts *parts,
                        struct dt_error *err)
{
    struct dt_worker *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for an interactive session");
    w->report = parts->report;
    w->control = parts->control;
    w->requests = parts->requests;
    w->writer = parts->writer;
    w->engine = parts->engine;
    w->interactive = parts->interactive;
    w->force = parts->force;
    w->settings_seen = atomic_load(&w->report->changes) - 1;
    int failed = dt_thread_start(&w->thread, 0, work, w);
    if (failed) {
        free(w);
        return dt_error_set(err, DT_FAILED, NULL, "the worker's thread cannot be started: %s",
                            strerror(failed));
    }
    *out = w;
    return DT_OK;
}

void dt_worker_free(struct dt_worker *w)
{
    if (!w)
        return;
    dt_requests_end(w->requests);
    pthread_join(w->thread, NULL);
    dt_speech_close(w->speech);
    if (w->usual)
        free(w->usual->premise);
    free(w->usual);
    dt_story_free(&w->story);
    dt_chat_close(&w->chat);
    dt_remote_close(w->remote);
    free(w);
}
