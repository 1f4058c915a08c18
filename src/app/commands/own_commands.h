// SPDX-License-Identifier: MIT
// The commands of a session: the program's, and those of the front end that runs.
#ifndef DT_APP_OWN_COMMANDS_H
#define DT_APP_OWN_COMMANDS_H

#include "app/session.h"

// Sets the front end's commands. The table belongs to the caller and outlives the front end's run.
void dt_own_commands_set(struct dt_app *app, const struct dt_command *table, size_t count);

// The front end's command of this name; NULL if it has none.
const struct dt_command *dt_own_commands_find(struct dt_app *app, const char *name);

// All commands: the program's, then those of the front end whose names are new. Valid until the
// next dt_own_commands_set.
const struct dt_command *dt_own_commands_all(struct dt_app *app, size_t *count);

// The command with this name or unambiguous beginning, as an index in dt_own_commands_all; -1:
// none, -2: several. nearest may be NULL; else it gets the most similar name, or NULL.
int dt_own_commands_match(struct dt_app *app, const char *name, const char **nearest);

#endif
