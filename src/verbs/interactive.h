// SPDX-License-Identifier: MIT
// The interactive session: `duotale` without a verb.
#ifndef DT_VERBS_INTERACTIVE_H
#define DT_VERBS_INTERACTIVE_H

#include "app/api.h"

// Reads settings and options, chooses a front end (one of the `compiled` ones or a module) and runs
// it. Returns the exit code.
int dt_interactive(int argc, char **argv, const struct dt_ui *const *compiled,
                   size_t compiled_count);

#endif
