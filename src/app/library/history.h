// SPDX-License-Identifier: MIT
// The entries typed before, in this session and on the disk.
#ifndef DT_APP_HISTORY_H
#define DT_APP_HISTORY_H

#include "app/library/library_writer.h"

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

// Adds an entry, unless it is empty or equals the last one. writer: appends it to the file too, on
// its thread; NULL: does not.
void dt_history_add(struct dt_history *history, struct dt_writer *writer, const char *entry);

#endif
