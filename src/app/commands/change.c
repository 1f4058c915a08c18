// SPDX-License-Identifier: MIT
#include "app/commands/change.h"

#include <stdlib.h>
#include <string.h>

#include "app/worker/change_engine.h"
#include "app/worker/change_model.h"
#include "app/worker/read_aloud.h"
#include "app/worker/worker_events.h"

// ---- on the worker ----

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
static const struct effect {
    int setting;
    dt_worker_function *run;     // with the new value as text
    dt_worker_function *checked; // runs between two tokens of a turn instead of it, or NULL
    bool sets;                   // the worker sets the value, once the change has succeeded
    bool stop;                   // stops what runs first
    bool live;                   // may run between two tokens
} effects[] = {
    {DT_SET_BACKEND, .run = dt_change_backend, .sets = true, .live = true},
    {DT_SET_THREADS, .run = dt_change_threads, .live = true},
    {DT_SET_MODEL, .run = dt_change_model, .checked = dt_change_model_checked, .sets = true,
     .stop = true},
    {DT_SET_TOKENIZER, .run = dt_change_tokenizer, .checked = dt_change_tokenizer_checked,
     .sets = true, .stop = true},
    {DT_SET_TEMPLATE, .run = dt_change_template, .sets = true},
    {DT_SET_MEM_LIMIT, .run = change_memory_limit, .live = true},
    {DT_SET_CONTEXT, .run = dt_change_context, .stop = true},
    {DT_SET_REMOTE_TIMEOUT, .run = dt_change_remote_timeout, .stop = true},
    {DT_SET_SYSTEM, .run = change_system},
    {DT_SET_SPEAK, .run = change_speak, .live = true},
    {DT_SET_PRIVATE, .run = change_private, .live = true},
};

static const struct effect *effect_of(int id)
{
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++) {
        if (effects[i].setting == id)
            return &effects[i];
    }
    return NULL;
}

bool dt_change_is_reported(int id)
{
    const struct effect *effect = effect_of(id);
    return effect && effect->sets;
}

// Has the worker do what a new value requires.
static void ask(struct dt_app *app, const struct effect *effect, const char *text)
{
    int state = atomic_load(&app->report.state);
    bool runs = state == DT_APP_GENERATING || state == DT_APP_READING;
    if (effect->checked && runs) {
        dt_requests_ask(&app->requests, effect->checked, text, strlen(text), true);
        return;
    }
    if (effect->stop)
        dt_control_stop(&app->control);
    dt_requests_ask(&app->requests, effect->run, text, strlen(text), effect->live);
}

dt_status dt_change_setting(struct dt_app *app, int id, const char *value, struct dt_error *err)
{
    const struct effect *effect = effect_of(id);
    struct dt_setting_value parsed;
    dt_status status = dt_settings_value(id, value, DT_FROM_USER, &parsed, err);
    if (status == DT_OK && !(effect && effect->sets))
        status = dt_report_set(&app->report, id, value, DT_FROM_USER, err);
    if (status == DT_OK && effect)
        ask(app, effect, effect->sets ? value : parsed.text);
    return status;
}

bool dt_change_or_report(struct dt_app *app, int id, const char *value)
{
    struct dt_error err = {0};
    if (dt_change_setting(app, id, value, &err) == DT_OK)
        return true;
    dt_report_error(&app->report, &err);
    return false;
}
