// SPDX-License-Identifier: MIT
// Handlers of the commands about the library of stories.
#ifndef DT_APP_COMMANDS_LIBRARY_H
#define DT_APP_COMMANDS_LIBRARY_H

#include "app/session.h"

void dt_command_library(struct dt_app *app, char *arguments);
void dt_command_delete(struct dt_app *app, char *arguments);
void dt_command_open(struct dt_worker *w, const char *arguments);
// The story that the command line names: options have precedence over what the story has.
void dt_command_open_first(struct dt_worker *w, const char *number);
void dt_command_export(struct dt_app *app, char *arguments);
void dt_command_rename(struct dt_worker *w, const char *arguments);

#endif
