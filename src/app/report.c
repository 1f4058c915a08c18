// SPDX-License-Identifier: MIT
#include "app/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

bool dt_report_init(struct dt_report *report, const struct dt_settings *settings)
{
    if (!dt_events_init(&report->events))
        return false;
    atomic_init(&report->state, -1);
    pthread_mutex_init(&report->lock, NULL);
    report->settings = *settings;
    report->model_path[0] = '\0';
    atomic_init(&report->changes, 0);
    return true;
}

void dt_report_free(struct dt_report *report)
{
    dt_events_free(&report->events);
    free(report->remote_models);
    pthread_mutex_destroy(&report->lock);
}

void dt_report_post(struct dt_report *report, enum dt_app_event_type type, const char *text)
{
    struct dt_app_event event = {.type = type};
    dt_events_post(&report->events, &event, text, strlen(text), NULL, NULL);
}

void dt_report_notice(struct dt_report *report, enum dt_app_level level, const char *format, ...)
{
    char line[2000];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    // names of files and models come from outside; the last character may be cut
    size_t n = dt_utf8_whole(line, strlen(line));
    n = dt_text_clean(line, sizeof line, line, n, DT_TEXT_LINE);
    struct dt_app_event event = {.type = DT_EVENT_NOTICE, .level = level};
    dt_events_post(&report->events, &event, line, n, NULL, NULL);
}

void dt_report_error(struct dt_report *report, const struct dt_error *error)
{
    char line[900];
    dt_report_notice(report, DT_NOTICE_ERROR, "%s", dt_error_line(error, line, sizeof line));
}

void dt_report_output(struct dt_report *report, const char *text)
{
    dt_report_post(report, DT_EVENT_OUTPUT, text);
}

void dt_report_entry(struct dt_report *report, enum dt_app_event_type type, const char *text)
{
    char *escaped = NULL;
    if (*text == '/' && asprintf(&escaped, "/%s", text) < 0)
        escaped = NULL;
    dt_report_post(report, type, escaped ? escaped : text);
    free(escaped);
}

void dt_report_state(struct dt_report *report, enum dt_app_state state)
{
    if (atomic_exchange(&report->state, (int)state) == (int)state)
        return;
    struct dt_app_event event = {.type = DT_EVENT_STATE, .state = state};
    dt_events_post(&report->events, &event, NULL, 0, NULL, NULL);
}

void dt_report_settings(struct dt_report *report, struct dt_settings *out)
{
    pthread_mutex_lock(&report->lock);
    *out = report->settings;
    pthread_mutex_unlock(&report->lock);
}

dt_status dt_report_set(struct dt_report *report, int id, const char *value,
                        enum dt_setting_source source, struct dt_error *err)
{
    pthread_mutex_lock(&report->lock);
    dt_status status = dt_settings_set(&report->settings, id, value, source, err);
    pthread_mutex_unlock(&report->lock);
    if (status != DT_OK)
        return status;
    atomic_fetch_add(&report->changes, 1);
    struct dt_app_event event = {.type = DT_EVENT_SETTING, .setting = id};
    dt_events_post(&report->events, &event, NULL, 0, NULL, NULL);
    return DT_OK;
}

void dt_report_put_value(struct dt_report *report, int id, const struct dt_setting_value *value)
{
    struct dt_app_event event = {.type = DT_EVENT_SETTING, .setting = id};
    pthread_mutex_lock(&report->lock);
    report->settings.value[id] = *value;
    pthread_mutex_unlock(&report->lock);
    atomic_fetch_add(&report->changes, 1);
    dt_events_post(&report->events, &event, NULL, 0, NULL, NULL);
}

void dt_report_forget(struct dt_report *report, enum dt_setting_source source)
{
    pthread_mutex_lock(&report->lock);
    dt_settings_forget(&report->settings, source);
    pthread_mutex_unlock(&report->lock);
    atomic_fetch_add(&report->changes, 1);
}

void dt_report_model_path(struct dt_report *report, char *out, size_t size)
{
    pthread_mutex_lock(&report->lock);
    snprintf(out, size, "%s", report->model_path);
    pthread_mutex_unlock(&report->lock);
}

void dt_report_set_model_path(struct dt_report *report, const char *path)
{
    pthread_mutex_lock(&report->lock);
    snprintf(report->model_path, sizeof report->model_path, "%s", path);
    pthread_mutex_unlock(&report->lock);
}

void dt_report_set_remote_models(struct dt_report *report, char *lines)
{
    pthread_mutex_lock(&report->lock);
    char *before = report->remote_models;
    report->remote_models = lines;
    pthread_mutex_unlock(&report->lock);
    free(before);
}

char *dt_report_remote_models(struct dt_report *report)
{
    pthread_mutex_lock(&report->lock);
    char *copy = report->remote_models ? strdup(report->remote_models) : NULL;
    pthread_mutex_unlock(&report->lock);
    return copy;
}
