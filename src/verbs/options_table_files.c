// SPDX-License-Identifier: MIT
// The options of verbs about what is stored: stories and models. Data only, as options_table.c.
#include "verbs/option_rows.h"

const struct dt_option dt_option_rows_stories[] = {
    {
        .name = "limit",
        .id = DT_OPTION_LIMIT,
        .letter = 'n',
        .type = DT_OPTION_INT,
        .value = "N",
        .maximum = 1000000,
        .initial = "100",
        .help = "The most stories to list.",
    },
    {
        .name = "force",
        .id = DT_OPTION_FORCE,
        .help = "Replaces the file that export writes to, if it exists.",
    },
    {
        .name = "thoughts",
        .id = DT_OPTION_THOUGHTS,
        .help = "show and export: with what a chat model thought before its answers.",
    },
    JSON_OPTION("Prints JSON."),
    HELP_OPTION,
    {0},
};

const struct dt_option dt_option_rows_models[] = {
    {
        .name = "sha256",
        .id = DT_OPTION_SHA256,
        .type = DT_OPTION_TEXT,
        .value = "HEX",
        .help = "get: the SHA-256 that the file must have.",
    },
    {
        .name = "quiet",
        .id = DT_OPTION_QUIET,
        .letter = 'q',
        .help = "get: shows no progress.",
    },
    JSON_OPTION("list: prints JSON."),
    HELP_OPTION,
    {0},
};
