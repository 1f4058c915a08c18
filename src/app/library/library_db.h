// SPDX-License-Identifier: MIT
// What the files that make up library.h share: the open database and calls of SQLite.
#ifndef DT_APP_LIBRARY_DB_H
#define DT_APP_LIBRARY_DB_H

#include "app/library/library.h"
#include "app/library/library_file.h"
#include "app/library/sqlite.h"

struct dt_library {
    sqlite3 *db;
    char path[512];
    enum dt_library_trouble trouble; // of the last call
    int code;                        // SQLite's extended code of the last failure
    int version;                     // of the tables
    bool read_only;
    struct dt_file_identity identity; // of the file that was opened
    struct dt_file_identity tails[2]; // of its -wal and -shm; all zero: not known
};

// The kind of trouble that a result of SQLite means.
enum dt_library_trouble dt_library_db_trouble(int code);

// Sets the library's trouble and *err from SQLite's last error, and rolls an open transaction back.
// Returns the status of *err.
dt_status dt_library_db_fail(struct dt_library *library, struct dt_error *err);

// Sets *err to "no such story" (story 0: "no story yet") and rolls an open transaction back.
dt_status dt_library_db_no_story(struct dt_library *library, int64_t story, struct dt_error *err);

// The value of a query with one number; `otherwise` if it fails.
int64_t dt_library_db_number(struct dt_library *library, const char *sql, int64_t otherwise);

// Runs statements that have no parameters and no result. False: dt_library_db_fail has the reason.
bool dt_library_db_run(struct dt_library *library, const char *sql);

// A prepared statement, which the caller releases with sqlite3_finalize. NULL:
// dt_library_db_fail has the reason.
sqlite3_stmt *dt_library_db_prepare(struct dt_library *library, const char *sql);

// Binds a text that outlives the statement; NULL reads as "".
void dt_library_db_bind_text(sqlite3_stmt *statement, int i, const char *text);

// A copy of the text in column i ("" for NULL), which the caller releases with free(); NULL if
// memory is short. A library is foreign text: it passes dt_text_clean, as lines or as one line. A
// path is copied as it is and must be cleaned where it is shown.
char *dt_library_db_column_text(sqlite3_stmt *statement, int i);
char *dt_library_db_column_line(sqlite3_stmt *statement, int i);
char *dt_library_db_column_path(sqlite3_stmt *statement, int i);

#endif
