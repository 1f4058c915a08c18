// SPDX-License-Identifier: MIT
#include "app/worker/change_engine.h"

#include <stdlib.h>
#include <string.h>

#include "app/worker/worker_events.h"

static int on_swap(void *arg, size_t done, size_t total)
{
    struct dt_worker *w = arg;
    dt_worker_post_progress(w, done, total, -1, true);
    return dt_worker_stopped(w);
}

void dt_change_backend(struct dt_worker *w, const char *stack)
{
    struct dt_error err = {0};
    struct dt_engine_plan plan;
    char before[128];
    if (!dt_engine_is_open(w->engine) || strcmp(stack, w->stack_asked) == 0)
        return;
    snprintf(before, sizeof before, "%s", dt_engine_stack_name(w->engine));
    enum dt_app_state state = (enum dt_app_state)atomic_load(&w->report->state);
    dt_report_state(w->report, DT_APP_SWAPPING);
    dt_worker_begin_progress(w, "preparing the kernels");
    dt_status status = dt_engine_swap_plan(w->engine, stack, &plan, &err);
    if (status == DT_OK) {
        if (plan.weights.copied_bytes)
            dt_report_notice(w->report, DT_NOTICE_INFO,
                             "%s: %.1f MB of weights are %s; this needs %.1f MB of memory beside "
                             "the backend in use.",
                             plan.stack, (double)plan.weights.copied_bytes / 1e6,
                             plan.weights.from_form == DT_FORM_NONE ? "packed" : "converted",
                             (double)plan.total / 1e6);
        status = dt_engine_swap(w->engine, stack, on_swap, w, &err);
    }
    if (status == DT_OK) {
        snprintf(w->stack_asked, sizeof w->stack_asked, "%s", stack);
        dt_report_notice(w->report, DT_NOTICE_INFO, "Now computing with %s (was %s)%s.",
                         dt_engine_stack_name(w->engine), before,
                         plan.weights.copied_bytes ? ""
                                                   : ", with the weights as they are in the file");
    } else {
        if (status != DT_CANCELLED)
            dt_report_error(w->report, &err);
        dt_report_notice(w->report, DT_NOTICE_INFO, "Still computing with %s.", before);
        dt_report_set(w->report, DT_SET_BACKEND, w->stack_asked, DT_FROM_USER, NULL);
    }
    dt_report_state(w->report, state);
    dt_worker_post_model(w);
}

void dt_change_threads(struct dt_worker *w, const char *threads)
{
    struct dt_error err = {0};
    char text[16];
    if (!dt_engine_is_open(w->engine))
        return;
    if (dt_engine_set_threads(w->engine, (uint32_t)strtoul(threads, NULL, 10), &err) != DT_OK) {
        dt_report_error(w->report, &err);
        snprintf(text, sizeof text, "%u", dt_engine_threads(w->engine));
        dt_report_set(w->report, DT_SET_THREADS, text, DT_FROM_USER, NULL);
        return;
    }
    uint32_t count = dt_engine_threads(w->engine);
    dt_report_notice(w->report, DT_NOTICE_INFO, "Now computing with %u thread%s.", count,
                     count == 1 ? "" : "s");
    dt_worker_post_model(w);
}

void dt_change_context(struct dt_worker *w, const char *unused)
{
    (void)unused;
    struct dt_error err = {0};
    char text[16];
    if (!dt_engine_is_open(w->engine))
        return;
    dt_status status = dt_engine_set_context(
        w->engine, (uint32_t)dt_settings_uint(&w->settings, DT_SET_CONTEXT), &err);
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine));
    if (status != DT_OK) {
        dt_report_error(w->report, &err);
        snprintf(text, sizeof text, "%u", capacity);
        dt_report_set(w->report, DT_SET_CONTEXT, text, DT_FROM_USER, NULL);
    } else if (w->story.count > 0) {
        w->story.stale = true;
        dt_report_notice(
            w->report, DT_NOTICE_INFO,
            "The context has %u tokens now. The story is evaluated again with the next "
            "turn.",
            capacity);
    }
    dt_worker_post_figures(w, true);
}
