// SPDX-License-Identifier: MIT
// Data only: the options of serve.
#include "core/session.h"
#include "verbs/option_rows.h"

const struct dt_option dt_option_rows_serve[] = {
    {
        .name = "listen",
        .id = DT_OPTION_LISTEN_AT,
        .type = DT_OPTION_TEXT,
        .value = "ADDRESS",
        .initial = "127.0.0.1",
        .help = "The numeric address to listen at; 0.0.0.0 is every one of this machine.",
    },
    {
        .name = "port",
        .id = DT_OPTION_PORT,
        .type = DT_OPTION_INT,
        .value = "N",
        .maximum = 65535,
        .initial = "8080",
        .help = "The port to listen at; 0: any that is free.",
    },
    {
        .name = "token-file",
        .id = DT_OPTION_TOKEN_FILE,
        .type = DT_OPTION_FILE,
        .value = "FILE",
        .help = "Reads the token that requests need from a file that only its owner can read.",
    },
    {
        .name = "open",
        .id = DT_OPTION_WITHOUT_TOKEN,
        .help = "Requests need no token, whoever can reach the address.",
    },
    {
        .name = "sequences",
        .id = DT_OPTION_SEQUENCES,
        .type = DT_OPTION_INT,
        .value = "N",
        .minimum = 1,
        .maximum = DT_SESSIONS_MAX,
        .help = "The most texts that are generated together, each with its own KV cache; others "
                "wait. Without this option, up to 4, as memory allows.",
    },
    {
        .name = "timeout",
        .id = DT_OPTION_ARRIVAL,
        .type = DT_OPTION_INT,
        .value = "N",
        .minimum = 1,
        .maximum = 3600,
        .initial = "60",
        .help = "The seconds in which a request must have arrived.",
    },
    MODEL_OPTIONS,
    {
        .name = "quiet",
        .id = DT_OPTION_QUIET,
        .letter = 'q',
        .help = "Prints only the address.",
    },
    {
        .name = "verbose",
        .id = DT_OPTION_VERBOSE,
        .help = "Prints what is loaded, and from where.",
    },
    HELP_OPTION,
    {0},
};
