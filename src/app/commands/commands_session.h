// SPDX-License-Identifier: MIT
// Handlers of /help, /quit and /script.
#ifndef DT_APP_COMMANDS_SESSION_H
#define DT_APP_COMMANDS_SESSION_H

#include "app/session.h"

// arguments: "", the name of a command, or that of a setting; may begin with a slash.
void dt_command_help(struct dt_app *app, char *arguments);
void dt_command_quit(struct dt_app *app, char *arguments);
void dt_command_script(struct dt_app *app, char *arguments);

#endif
