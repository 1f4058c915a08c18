// SPDX-License-Identifier: MIT
#include "app/worker/change_engine.h"

#include <stdlib.h>
#include <string.h>

#include "app/worker/worker_events.h"

// Says that a setting concerns other models than the one on a server, if that is open.
static void report_remote(struct dt_worker *w, const char *what)
{
    if (w->remote)
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "%s computes: the %s is that of local models, and is kept for them.",
                         dt_remote_address(w->remote), what);
}

static int on_swap(void *arg, size_t done, size_t total)
{
    struct dt_worker *w = arg;
    dt_worker_post_progress(w, done, total, -1, true);
    return dt_worker_stopped(w);
}

// Swaps the stack of the open model.
static dt_status swap(struct dt_worker *w, const char *stack, struct dt_engine_plan *plan,
                      struct dt_error *err)
{
    dt_status status = dt_engine_swap_plan(w->engine, stack, plan, err);
    if (status != DT_OK)
        return status;
    if (plan->weights.copied_bytes)
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "%s: %.1f MB of weights are %s; this needs %.1f MB of memory beside "
                         "the backend in use.",
                         plan->stack, (double)plan->weights.copied_bytes / 1e6,
                         plan->weights.from_form == DT_FORM_NONE ? "packed" : "converted",
                         (double)plan->total / 1e6);
    return dt_engine_swap(w->engine, stack, on_swap, w, err);
}

static void change_open_backend(struct dt_worker *w, const struct dt_setting_value *value)
{
    struct dt_error err = {0};
    struct dt_engine_plan plan;
    char before[128];
    snprintf(before, sizeof before, "%s", dt_engine_stack_name(w->engine));
    enum dt_app_state state = (enum dt_app_state)atomic_load(&w->report->state);
    dt_report_state(w->report, DT_APP_SWAPPING);
    dt_worker_begin_progress(w, "preparing the kernels");
    dt_status status = swap(w, value->text, &plan, &err);
    if (status == DT_OK) {
        dt_report_put_value(w->report, DT_SET_BACKEND, value);
        dt_report_notice(w->report, DT_NOTICE_INFO, "Now computing with %s (was %s)%s.",
                         dt_engine_stack_name(w->engine), before,
                         plan.weights.copied_bytes ? ""
                                                   : ", with the weights as they are in the file");
    } else {
        if (status != DT_CANCELLED)
            dt_report_error(w->report, &err);
        dt_report_notice(w->report, DT_NOTICE_INFO, "Still computing with %s.", before);
    }
    dt_report_state(w->report, state);
    dt_worker_post_model(w);
}

void dt_change_backend(struct dt_worker *w, const char *text)
{
    struct dt_error err = {0};
    struct dt_setting_value value;
    bool open = dt_engine_is_open(w->engine);
    if (dt_settings_value(DT_SET_BACKEND, text, DT_FROM_USER, &value, &err) != DT_OK ||
        (!open && dt_engine_set_stack(w->engine, value.text, &err) != DT_OK)) {
        dt_report_error(w->report, &err);
    } else if (open && strcmp(value.text, dt_settings_text(&w->settings, DT_SET_BACKEND)) != 0) {
        change_open_backend(w, &value);
    } else {
        dt_report_put_value(w->report, DT_SET_BACKEND, &value);
        if (!open)
            dt_report_notice(w->report, DT_NOTICE_INFO, "backend = %s", value.text);
        report_remote(w, "backend");
    }
    dt_worker_see_settings(w);
}

void dt_change_threads(struct dt_worker *w, const char *threads)
{
    struct dt_error err = {0};
    bool open = dt_engine_is_open(w->engine);
    if (dt_engine_set_threads(w->engine, (uint32_t)strtoul(threads, NULL, 10), &err) != DT_OK) {
        dt_report_error(w->report, &err);
        dt_report_put_value(w->report, DT_SET_THREADS, &w->threads_set);
        return;
    }
    w->threads_set = w->settings.value[DT_SET_THREADS];
    uint32_t count = dt_engine_threads(w->engine);
    if (!open)
        report_remote(w, "number of threads");
    if (!open)
        return;
    dt_report_notice(w->report, DT_NOTICE_INFO, "Now computing with %u thread%s.", count,
                     count == 1 ? "" : "s");
    dt_worker_post_model(w);
}

void dt_change_context(struct dt_worker *w, const char *unused)
{
    (void)unused;
    struct dt_error err = {0};
    dt_status status = dt_engine_set_context(
        w->engine, (uint32_t)dt_settings_uint(&w->settings, DT_SET_CONTEXT), &err);
    report_remote(w, "context");
    if (!dt_engine_is_open(w->engine))
        return;
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine));
    if (status != DT_OK) {
        dt_report_error(w->report, &err);
        dt_report_put_value(w->report, DT_SET_CONTEXT, &w->context_set);
        dt_worker_post_figures(w, true);
        return;
    }
    w->context_set = w->settings.value[DT_SET_CONTEXT];
    if (w->story.count > 0) {
        w->story.stale = true;
        dt_report_notice(
            w->report, DT_NOTICE_INFO,
            "The context has %u tokens now. The story is evaluated again with the next "
            "turn.",
            capacity);
    }
    dt_worker_post_figures(w, true);
}
