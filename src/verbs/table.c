// SPDX-License-Identifier: MIT
// Every verb, one row each.
#include <stddef.h>

#include "verbs/verb.h"

const struct dt_verb dt_verbs[] = {
    {"run", "[MODEL] [-i prompt] [-t temp] [-n steps] ...",
     "tell a story (or chat) on standard output", dt_verb_run},
    {"backends", "[--json]", "what can compute here, from which file, and why not",
     dt_verb_backends},
    {"inspect", "[MODEL] [-b backend] [--json]",
     "what a model file holds, and the memory it would take", dt_verb_inspect},
    {"eval", "MODEL TEXT [-b backend] [--json]", "how well a model predicts a text, or two of them",
     dt_verb_eval},
    {"bench", "[MODEL...] [-b stack[,stack...]] [--json]", "how fast, side by side", dt_verb_bench},
    {"profile", "[MODEL] [-b stack] [--json]", "where the time of a token goes, and the memory",
     dt_verb_profile},
    {"voices", "[--json]", "what can read stories aloud, and what can listen", dt_verb_voices},
    {"convert", "IN -o OUT [-f form] [--shard]", "a model into another file format or weight form",
     dt_verb_convert},
    {"stories", "[list | show N | search WORD... | export N FILE | rm N...]",
     "the library of what was told", dt_verb_stories},
    {NULL, NULL, NULL, NULL},
};
