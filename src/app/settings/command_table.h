// SPDX-License-Identifier: MIT
// The slash commands as front ends, completion and the manual see them: names, arguments and help,
// without what they do.
#ifndef DT_APP_COMMAND_TABLE_H
#define DT_APP_COMMAND_TABLE_H

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
    int id; // for the owner of the table: the program's have their row, a front end's any number
};

// The program's own commands, in the order of help. Any thread.
const struct dt_command *dt_command_table(size_t *count);

#endif
