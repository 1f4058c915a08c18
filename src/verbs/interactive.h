// SPDX-License-Identifier: MIT
// Session down: what `duotale` without a verb does.
#ifndef DT_VERBS_SIT_H
#define DT_VERBS_SIT_H

#include "app/api.h"

// Reads settings and flags, picks a front end (a module, or one of those compiled in) and runs it.
// Returns the exit code.
int dt_sit(int argc, char **argv, const struct dt_ui *const *compiled, size_t compiled_count);

#endif
