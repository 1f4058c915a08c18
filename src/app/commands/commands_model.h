// SPDX-License-Identifier: MIT
// Handlers of the commands about models, backends and what they use.
#ifndef DT_APP_COMMANDS_MODEL_H
#define DT_APP_COMMANDS_MODEL_H

#include "app/session.h"

void dt_command_model(struct dt_app *app, char *arguments);
void dt_command_backend(struct dt_app *app, char *arguments);
void dt_command_threads(struct dt_app *app, char *arguments);
void dt_command_stats(struct dt_app *app, char *arguments);
void dt_command_compare(struct dt_worker *w, const char *arguments);
void dt_command_context(struct dt_worker *w, const char *arguments);
void dt_command_memory(struct dt_worker *w, const char *arguments);

#endif
