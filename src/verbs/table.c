// SPDX-License-Identifier: MIT
// Every verb, one row each.
#include <stddef.h>

#include "verbs/verb.h"

const struct dt_verb dt_verbs[] = {
    {"run", "[MODEL] [-i prompt] [-t temp] [-n steps] ...", "tell a story (or chat) on standard output", dt_verb_run},
    {NULL, NULL, NULL, NULL},
};
