// SPDX-License-Identifier: MIT
// What every part of a session reports to the front end: notices, events, the state; and the
// settings, which all threads read. Stands on events.h and settings/; everything else in src/app
// may use it.
#ifndef DT_APP_REPORT_H
#define DT_APP_REPORT_H

#include <pthread.h>
#include <stdatomic.h>

#include "app/api.h"
#include "app/events.h"

struct dt_report {
    struct dt_events events;
    atomic_int state; // enum dt_app_state as last reported, -1 before the first report

    pthread_mutex_t lock; // of the following three
    struct dt_settings settings;
    char model_path[512]; // of the open model, "" without one
    char *remote_models;  // the names of a server's models, one a line; NULL: none
    // Counts the changes of the settings: a thread that has a copy renews it when this differs.
    atomic_uint changes;
};

// Copies the settings. False if memory or descriptors are short. Release with dt_report_free.
bool dt_report_init(struct dt_report *report, const struct dt_settings *settings);
void dt_report_free(struct dt_report *report);

// All functions below may be called by any thread.

// Shows one line, formatted as by printf. Control characters are replaced by '?'.
void dt_report_notice(struct dt_report *report, enum dt_app_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Shows an error as a notice.
void dt_report_error(struct dt_report *report, const struct dt_error *error);
// Shows several lines as they are (DT_EVENT_OUTPUT).
void dt_report_output(struct dt_report *report, const char *text);
// Posts an event that carries only a text.
void dt_report_post(struct dt_report *report, enum dt_app_event_type type, const char *text);
// Posts DT_EVENT_INPUT or DT_EVENT_EDIT with a prompt or a text, so that entering it gives the same
// text: a leading slash is doubled, because a single one begins a command.
void dt_report_entry(struct dt_report *report, enum dt_app_event_type type, const char *text);
// Posts DT_EVENT_STATE if the state differs from the last one reported.
void dt_report_state(struct dt_report *report, enum dt_app_state state);

// Copies all settings.
void dt_report_settings(struct dt_report *report, struct dt_settings *out);
// Changes one setting as dt_settings_set does and posts DT_EVENT_SETTING.
dt_status dt_report_set(struct dt_report *report, int id, const char *value,
                        enum dt_setting_source source, struct dt_error *err);
// Sets a value and its source, whatever the present source is, and posts DT_EVENT_SETTING. The
// value is a valid one.
void dt_report_put_value(struct dt_report *report, int id, const struct dt_setting_value *value);
// Reverts the settings of a source to their defaults, as dt_settings_forget does.
void dt_report_forget(struct dt_report *report, enum dt_setting_source source);

// The path of the open model, copied into out.
void dt_report_model_path(struct dt_report *report, char *out, size_t size);
void dt_report_set_model_path(struct dt_report *report, const char *path);

// The names of the models on the open server, one a line (malloc'ed, taken over; NULL: none).
void dt_report_set_remote_models(struct dt_report *report, char *lines);
// A copy of them; the caller releases it with free(). NULL: none.
char *dt_report_remote_models(struct dt_report *report);

#endif
