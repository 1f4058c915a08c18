// SPDX-License-Identifier: MIT
// The tables of a library: making them, and converting those of version 1. library_tables.c
// describes the versions.
#ifndef DT_APP_LIBRARY_TABLES_H
#define DT_APP_LIBRARY_TABLES_H

#include "app/library/library_db.h"

#define DT_LIBRARY_VERSION 2 // PRAGMA user_version

// Sets library->version. DT_FAILED, with the trouble: the file is no library, or one of a later
// version. An empty file has version 0.
dt_status dt_library_tables_version(struct dt_library *library, struct dt_error *err);

// Makes the tables in an empty file, or converts those of version 1 after a copy of the library to
// NAME.v1 (NAME.v1-2 and so on if that exists). One transaction: after a failure the library is as
// it was.
dt_status dt_library_tables_prepare(struct dt_library *library, struct dt_error *err);

#endif
