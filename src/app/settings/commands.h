// SPDX-License-Identifier: MIT
// The slash commands as every interactive face sees them: one table of names, arguments, help and
// completion.
#ifndef DT_APP_COMMANDS_H
#define DT_APP_COMMANDS_H

#include <stddef.h>

// What Tab offers for an argument.
enum dt_completion_kind {
    DT_COMPLETE_NONE,
    DT_COMPLETE_COMMAND,
    DT_COMPLETE_SETTING, // a name, then one of its values
    DT_COMPLETE_BACKEND, // stacks: after a '+' the next name
    DT_COMPLETE_MODEL,
    DT_COMPLETE_FILE,
    DT_COMPLETE_STORY, // numbers of the last search
    DT_COMPLETE_ON_OFF,
    DT_COMPLETE_VOICE,
    DT_COMPLETE_STATS,
};

struct dt_command {
    const char *name;      // "open", without the slash
    const char *arguments; // "n", "[search]", ""
    const char *help;      // one sentence
    enum dt_completion_kind complete;
    int id; // the app's own; a front end's commands may use any value
};

#endif
