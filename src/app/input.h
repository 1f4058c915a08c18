// SPDX-License-Identifier: MIT
// What the user types, and the lines of a script. The ui thread.
#ifndef DT_APP_INPUT_H
#define DT_APP_INPUT_H

#include "app/session.h"

// As input() of struct dt_app_api.
bool dt_input(struct dt_app *app, const char *text, size_t length);

// The entry as it may become part of a story: valid UTF-8 without control characters but newline
// and tab. The caller releases it with free(); NULL if memory is short.
char *dt_input_clean(const char *text, size_t length);

// Enters the prompt and the script of the command line, if that was not done yet. Called when the
// front end first asks for events, since its own commands are set by then.
void dt_input_first(struct dt_app *app);

// Enters the next line of the script, if one is being played and the worker is idle. False if
// nothing was done.
bool dt_input_script_step(struct dt_app *app);

#endif
