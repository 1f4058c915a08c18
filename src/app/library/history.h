// SPDX-License-Identifier: MIT
// What was typed before, here and on the disk.
#ifndef DT_APP_HISTORY_H
#define DT_APP_HISTORY_H

#include "app/app.h"

#define DT_HISTORY_MAX 500

struct dt_history {
    char *entries[DT_HISTORY_MAX];
    size_t count;
    char path[512];
};

// Reads the file (XDG_DATA_HOME/duotale/history: one entry a line, newlines as \n). A missing one
// is fine.
void dt_history_read(struct dt_history *history);
void dt_history_free(struct dt_history *history);

// Adds an entry; write: also at the end of the file, by the library writer.
void dt_history_add(struct dt_app *app, struct dt_history *history, const char *entry, bool write);

#endif
