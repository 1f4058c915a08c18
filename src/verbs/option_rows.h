// SPDX-License-Identifier: MIT
// Rows that several verbs share, and the rows of verbs with many options. Only for the tables.
#ifndef DT_VERBS_OPTION_ROWS_H
#define DT_VERBS_OPTION_ROWS_H

#include "verbs/options.h"

#define MODEL_OPTIONS                                                                              \
    {                                                                                              \
        .name = "check-scales", .id = DT_OPTION_CHECK_SCALES,                                      \
        .help = "Checks every scale in the model file before using it.",                           \
    }

#define JSON_OPTION(text)                                                                          \
    {                                                                                              \
        .name = "json", .id = DT_OPTION_JSON, .help = text                                         \
    }
#define OVERFLOW_OPTION(words, text)                                                               \
    {                                                                                              \
        .name = "overflow", .id = DT_OPTION_OVERFLOW, .type = DT_OPTION_CHOICE, .value = "POLICY", \
        .choices = words, .initial = "stop", .help = text                                          \
    }
#define RUN_OVERFLOW                                                                               \
    OVERFLOW_OPTION("stop shift window",                                                           \
                    "When the context is full: stop; or drop the oldest part, never the prompt, "  \
                    "and go on to -n tokens: shift evaluates the rest again, window does not.")
#define EVAL_OVERFLOW                                                                              \
    OVERFLOW_OPTION("stop window",                                                                 \
                    "What is done with a story longer than the context: only its beginning is "    \
                    "scored, or all of it in a window, as run does.")
#define HELP_OPTION                                                                                \
    {                                                                                              \
        .name = "help", .id = DT_OPTION_HELP, .letter = 'h', .help = "Prints this help."           \
    }

extern const struct dt_option dt_option_rows_bench[], dt_option_rows_profile[],
    dt_option_rows_convert[], dt_option_rows_serve[], dt_option_rows_stories[],
    dt_option_rows_models[];

#endif
