// SPDX-License-Identifier: MIT
// The function of each verb; options_table.c has its name, options and help.
#include <stddef.h>
#include <string.h>

#include "verbs/verb.h"

static dt_verb_run_function *const functions[DT_VERB_COUNT] = {
    [DT_VERB_RUN] = dt_verb_run,         [DT_VERB_BACKENDS] = dt_verb_backends,
    [DT_VERB_INSPECT] = dt_verb_inspect, [DT_VERB_EVAL] = dt_verb_eval,
    [DT_VERB_BENCH] = dt_verb_bench,     [DT_VERB_PROFILE] = dt_verb_profile,
    [DT_VERB_VOICES] = dt_verb_voices,   [DT_VERB_CONVERT] = dt_verb_convert,
    [DT_VERB_STORIES] = dt_verb_stories, [DT_VERB_TOKENIZE] = dt_verb_tokenize,
    [DT_VERB_SERVE] = dt_verb_serve,     [DT_VERB_MODELS] = dt_verb_models,
};

dt_verb_run_function *dt_verb_find(const char *name)
{
    for (int i = DT_VERB_SESSION + 1; i < DT_VERB_COUNT; i++) {
        if (strcmp(dt_verb_page((enum dt_verb_id)i)->name, name) == 0)
            return functions[i];
    }
    return NULL;
}
