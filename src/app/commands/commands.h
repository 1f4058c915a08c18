// SPDX-License-Identifier: MIT
// The commands' functions: which there are, and running one.
#ifndef DT_APP_COMMANDS_H
#define DT_APP_COMMANDS_H

#include "app/session.h"

// Runs an entry without its slash, "open 12": here, on the worker, or as an event for the front
// end. False, after a notice, if memory is short. An unknown name is answered by a notice. The ui
// thread.
bool dt_commands_run(struct dt_app *app, const char *entry);

#endif
