// SPDX-License-Identifier: MIT
// Handlers of the commands that show and change settings.
#ifndef DT_APP_COMMANDS_SETTINGS_H
#define DT_APP_COMMANDS_SETTINGS_H

#include "app/session.h"

void dt_command_set(struct dt_app *app, char *arguments);
void dt_command_save_settings(struct dt_app *app, char *arguments);
void dt_command_system(struct dt_app *app, char *arguments);
void dt_command_seed(struct dt_app *app, char *arguments);
void dt_command_private(struct dt_app *app, char *arguments);

#endif
