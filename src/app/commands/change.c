// SPDX-License-Identifier: MIT
#include "app/commands/change.h"

#include <stdlib.h>
#include <string.h>

#include "app/worker/change_engine.h"
#include "app/worker/open_model.h"
#include "app/worker/read_aloud.h"
#include "app/worker/worker_events.h"

// ---- on the worker ----

static void open_model_again(struct dt_worker *w, const char *value)
{
    (void)value;
    dt_open_model(w, "");
}

// The system prompt is part of the first turn's tokens.
static void change_system(struct dt_worker *w, const char *value)
{
    (void)value;
    w->story.stale = w->story.chat && w->story.count > 0;
}

static void change_speak(struct dt_worker *w, const char *value)
{
    (void)value;
    struct dt_speech_figures voice;
    if (!dt_settings_on(&w->settings, DT_SET_SPEAK) || !dt_read_aloud_open(w))
        return;
    dt_speech_figures(w->speech, &voice);
    dt_report_notice(w->report, DT_NOTICE_INFO,
                     "Stories are read aloud from the next turn on, by %s.", voice.voice);
}

static void change_memory_limit(struct dt_worker *w, const char *value)
{
    (void)value;
    dt_engine_set_memory_limit(w->engine, (size_t)dt_settings_uint(&w->settings, DT_SET_MEM_LIMIT));
}

// Whether the story is saved is part of what the front end shows.
static void change_private(struct dt_worker *w, const char *value)
{
    (void)value;
    dt_worker_post_story(w, w->story.count, NULL);
}

// ---- on the ui thread ----

// Settings that take more than a new value. Sampling needs none of this: the worker reads it before
// each token.
static const struct {
    int setting;
    dt_worker_function *run; // with the new value as text
    bool stop;               // stops what runs first
    bool live;               // may run between two tokens
} effects[] = {
    {DT_SET_BACKEND, dt_change_backend, false, true},
    {DT_SET_THREADS, dt_change_threads, false, true},
    {DT_SET_MODEL, open_model_again, true, false},
    {DT_SET_TOKENIZER, open_model_again, true, false},
    {DT_SET_TEMPLATE, open_model_again, true, false},
    {DT_SET_MEM_LIMIT, change_memory_limit, false, true},
    {DT_SET_CONTEXT, dt_change_context, true, false},
    {DT_SET_SYSTEM, change_system, false, false},
    {DT_SET_SPEAK, change_speak, false, true},
    {DT_SET_PRIVATE, change_private, false, true},
};

dt_status dt_change_setting(struct dt_app *app, int id, const char *value, struct dt_error *err)
{
    dt_status status = dt_report_set(&app->report, id, value, DT_FROM_USER, err);
    struct dt_settings *settings = status == DT_OK ? malloc(sizeof *settings) : NULL;
    if (!settings)
        return status;
    dt_report_settings(&app->report, settings);
    const char *text = dt_settings_text(settings, id);
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++) {
        if (effects[i].setting != id)
            continue;
        if (effects[i].stop)
            dt_control_stop(&app->control);
        dt_requests_ask(&app->requests, effects[i].run, text, strlen(text), effects[i].live);
    }
    free(settings);
    return DT_OK;
}

bool dt_change_or_report(struct dt_app *app, int id, const char *value)
{
    struct dt_error err = {0};
    if (dt_change_setting(app, id, value, &err) == DT_OK)
        return true;
    dt_report_error(&app->report, &err);
    return false;
}
