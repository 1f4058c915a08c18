// SPDX-License-Identifier: MIT
// An interactive session as main makes it. Front ends see only app/api.h.
#ifndef DT_APP_APP_H
#define DT_APP_APP_H

#include "app/api.h"

struct dt_app_options {
    const struct dt_settings *settings; // copied
    const char *settings_file;          // for /save-settings; NULL: the default one
    const char *script;                 // a file whose lines are played first; NULL: none
    const char *prompt;                 // the first prompt; NULL: none
    int64_t open; // the story to begin with: its number in the library, -1: the last one, 0: none
    bool force;   // the file of speak-to may be replaced
    bool interactive; // a person is at the terminal
};

// Makes a session: starts the worker and the library writer, and begins to open the model.
// DT_NO_MEMORY, DT_FAILED. Release with dt_app_free.
dt_status dt_app_new(struct dt_app **out, const struct dt_app_options *options,
                     struct dt_error *err);

// Stops what runs, waits until everything is saved, frees the session. Warnings and errors that the
// front end did not fetch are passed to `last` (may be NULL), one line each. Returns how many
// finished turns are not in the library.
unsigned dt_app_free(struct dt_app *app, void (*last)(const char *line));

// The program's exit code, once the front end has returned.
int dt_app_exit_code(const struct dt_app *app);

// The table that front ends get. Static.
const struct dt_app_api *dt_app_api(void);

#endif
