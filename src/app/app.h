// SPDX-License-Identifier: MIT
// A session at the terminal, as main makes it; and what its parts share. Front ends see app/api.h
// alone.
#ifndef DT_APP_APP_H
#define DT_APP_APP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "app/api.h"
#include "app/events.h"
#include "app/library/library_writer.h"
#include "host/child.h"
#include "host/engine.h"

// ---- for main ----

struct dt_app_options {
    const struct dt_settings *settings; // copied
    const char *settings_file;          // for /save-settings; NULL: the usual one
    const char *script;                 // a file of lines to be played first; NULL: none
    const char *prompt;                 // said first; NULL: nothing
    int64_t open;     // a story of the library to begin with: its number, -1 the last one, 0 none
    bool interactive; // somebody is there who can be told things
};

// Makes a session: starts worker and library writer, and begins to open the model. DT_NO_MEMORY,
// DT_FAILED.
dt_status dt_app_new(struct dt_app **out, const struct dt_app_options *options,
                     struct dt_error *err);

// Stops what runs, waits until all is kept, frees everything. Notices that nobody fetched are
// handed to `last`, one line each.
void dt_app_free(struct dt_app *app, void (*last)(const char *line));

// What the program should exit with, after a front end has returned.
int dt_app_exit_code(const struct dt_app *app);

const struct dt_app_api *dt_app_api(void);

// ---- between the parts ----

// Something the worker is asked to do.
enum dt_request_type {
    DT_REQUEST_PROMPT,  // text
    DT_REQUEST_EDIT,    // text
    DT_REQUEST_COMMAND, // id, text: arguments
    DT_REQUEST_MODEL,   // text: path, "" for the setting's
    DT_REQUEST_QUIT,
};
struct dt_request {
    struct dt_request *next;
    enum dt_request_type type;
    int id;         // enum dt_command_id
    bool live;      // can be done between two tokens
    unsigned stops; // of the app when it was made: more of them since then mean that it is to stop
    char *text;
};

struct dt_worker;     // app/worker.h
struct dt_history;    // app/library/history.h
struct dt_completion; // complete.c
struct dt_view;       // app/view.h

struct dt_app {
    struct dt_events events;
    struct dt_engine *engine; // the worker's, but for dt_engine_cancel
    struct dt_writer *writer;
    struct dt_worker *worker;
    struct dt_view *view; // the ui thread's

    // settings: guarded by the lock; a change of the number tells the worker to look
    pthread_mutex_t settings_lock;
    struct dt_settings settings;
    atomic_uint settings_changes;
    char settings_file[512];
    char model_path[512]; // of the model that is open, under the same lock

    atomic_uint stops;      // how often stop was asked for
    atomic_int stopping;    // the same as a flag, for waits
    struct dt_stop silence; // set with every stop: the voice obeys
    atomic_int leaving;     // 1: by /quit; above: 1 + the signal's number
    atomic_int state;       // enum dt_app_state, the worker's; what the ui shows comes with events
    atomic_int exit_code;
    bool interactive;
    bool given; // the command line says what to do first

    // the ui thread's
    struct dt_history *history;
    const struct dt_command *own_commands;
    size_t own_command_count;
    struct dt_command *all_commands; // ours and those, for the table
    FILE *script;
    char *first_script, *first_prompt; // done at the first look for events
    unsigned script_stops;             // of `stops` when the script began
    uint32_t ask_id;                   // the question that waits for an answer, 0: none
    char ask_text[32];
    uint32_t searches;
    atomic_uint print_search;        // the number of the search whose answer is wanted as text
    char value[DT_SETTING_TEXT_MAX]; // what get() answered
    int charset;                     // enum dt_app_charset, -1: not asked for yet
    struct dt_completion *completion;
    struct dt_listener *listener; // the last one; NULL: there was none
    atomic_bool listening;
};

// A line to the front end. Formats as printf. Any thread.
void dt_app_notice(struct dt_app *app, enum dt_app_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void dt_app_error(struct dt_app *app, const struct dt_error *error); // as a notice
void dt_app_output(struct dt_app *app, const char *text);            // as DT_EVENT_OUTPUT
void dt_app_post(struct dt_app *app, enum dt_app_event_type type, const char *text);

// A copy of all settings.
void dt_app_settings(struct dt_app *app, struct dt_settings *out);

// Changes one and tells the front end. Any thread.
dt_status dt_app_set(struct dt_app *app, int id, const char *value, enum dt_setting_source source,
                     struct dt_error *err);

// Stop, from anywhere. Async-signal-safe.
void dt_app_stop(struct dt_app *app);

// ---- the parts ----

// worker.c: asks the worker; text may be NULL. False without memory.
bool dt_worker_ask(struct dt_app *app, enum dt_request_type type, int id, const char *text,
                   size_t length, bool live);
// Whether a request waits or is being done.
bool dt_worker_busy(struct dt_app *app);
dt_status dt_worker_new(struct dt_app *app, struct dt_error *err);
void dt_worker_free(struct dt_app *app); // after a QUIT request: joins

// app.c: our commands and the front end's.
const struct dt_command *dt_app_commands(struct dt_app *app, size_t *count);

// submit.c: what the ui thread does itself.
bool dt_input(struct dt_app *app, const char *text, size_t length);
dt_status dt_input_set(struct dt_app *app, int id, const char *value, struct dt_error *err);
void dt_input_answer(struct dt_app *app, uint32_t id, bool yes);
// The next line of a script, when all is quiet. False when there is none.
bool dt_input_script_step(struct dt_app *app);
bool dt_input_script(struct dt_app *app, const char *path);
// What the command line asked for first: at the front end's first look for events, when its own
// commands are known.
void dt_input_first(struct dt_app *app);

// voice.c: /voice (lists, or chooses), and /listen (begins, ends what it began, or gives it up; the
// words become the input line). listen_free gives up.
void dt_voice_command(struct dt_app *app, const char *arguments);
void dt_listen_command(struct dt_app *app, const char *arguments);
void dt_listen_free(struct dt_app *app);

// complete.c
const struct dt_app_completion *dt_complete(struct dt_app *app, const char *line, size_t cursor);
void dt_complete_free(struct dt_app *app);
// models.c: starts a look for models on the library writer's thread; current: the path of the one
// that is open. print_them: as output, when all were looked at.
void dt_models_find(struct dt_app *app, bool print_them, const char *current);
// signals.c: handlers that stop, leave, and give the terminal back after a crash.
void dt_signals_install(struct dt_app *app);
void dt_signals_restore(void);
void dt_signals_crash_bytes(const char *bytes, size_t n);

#endif
