// SPDX-License-Identifier: MIT
// SQLite, loaded when a library of stories is opened and not before: a run without a
// library neither waits for it nor has it in memory. Include this in place of <sqlite3.h> and call
// dt_sqlite_load before anything of SQLite.
#ifndef DT_APP_SQLITE_H
#define DT_APP_SQLITE_H

#ifdef DT_SQLITE_LINKED // a static build: the functions themselves
#include <sqlite3.h>
#else // calls go through the table that SQLite hands to its extensions
#include <sqlite3ext.h>
extern const sqlite3_api_routines *sqlite3_api;
#endif

#include "base/status.h"

// Loads SQLite the first time. DT_FAILED where it is not installed; path is the library that was to
// be opened. Any thread.
dt_status dt_sqlite_load(const char *path, struct dt_error *err);

#endif
