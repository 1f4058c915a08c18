// SPDX-License-Identifier: MIT
// The app's own commands by number.
#ifndef DT_APP_COMMAND_IDS_H
#define DT_APP_COMMAND_IDS_H

#include "app/settings/commands.h"

enum dt_command_id {
    DT_COMMAND_HELP,
    DT_COMMAND_QUIT,
    DT_COMMAND_NEW,
    DT_COMMAND_CONTINUE,
    DT_COMMAND_RETRY,
    DT_COMMAND_UNDO,
    DT_COMMAND_EDIT,
    DT_COMMAND_SET,
    DT_COMMAND_SAVE_SETTINGS,
    DT_COMMAND_BACKEND,
    DT_COMMAND_COMPARE,
    DT_COMMAND_MODEL,
    DT_COMMAND_THREADS,
    DT_COMMAND_STATS,
    DT_COMMAND_MEMORY,
    DT_COMMAND_LIBRARY,
    DT_COMMAND_OPEN,
    DT_COMMAND_EXPORT,
    DT_COMMAND_RENAME,
    DT_COMMAND_DELETE,
    DT_COMMAND_PIN,
    DT_COMMAND_SYSTEM,
    DT_COMMAND_SEED,
    DT_COMMAND_SPEAK,
    DT_COMMAND_VOICE,
    DT_COMMAND_LISTEN,
    DT_COMMAND_SCRIPT,
    DT_COMMAND_PRIVATE,
};

// The table, in the order of help. Any thread.
const struct dt_command *dt_command_table(size_t *count);

#endif
