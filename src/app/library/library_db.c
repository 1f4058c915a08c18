// SPDX-License-Identifier: MIT
#include "app/library/library_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum dt_library_trouble dt_library_db_trouble(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return DT_LIBRARY_FINE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DT_LIBRARY_LOCKED;
    case SQLITE_FULL:
        return DT_LIBRARY_FULL;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return DT_LIBRARY_READ_ONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return DT_LIBRARY_CORRUPT;
    default:
        return DT_LIBRARY_OTHER;
    }
}

static const char *trouble_text(enum dt_library_trouble trouble)
{
    switch (trouble) {
    case DT_LIBRARY_LOCKED:
        return "another program has locked the library";
    case DT_LIBRARY_FULL:
        return "the disk is full";
    case DT_LIBRARY_READ_ONLY:
        return "the library cannot be written";
    case DT_LIBRARY_CORRUPT:
        return "the library is damaged";
    case DT_LIBRARY_CHANGED:
        return "another session changed the story";
    case DT_LIBRARY_DELETED:
        return "another session deleted the story";
    default:
        return "the library cannot be used";
    }
}

dt_status dt_library_db_fail(struct dt_library *library, struct dt_error *err)
{
    int code = sqlite3_extended_errcode(library->db);
    char reason[200];
    snprintf(reason, sizeof reason, "%s", sqlite3_errmsg(library->db));
    library->code = code;
    library->trouble = dt_library_db_trouble(code);
    if (library->trouble == DT_LIBRARY_FINE)
        library->trouble = DT_LIBRARY_OTHER;
    if (!sqlite3_get_autocommit(library->db))
        dt_library_db_run(library, "ROLLBACK");
    return dt_error_set(err, (code & 0xff) == SQLITE_NOMEM ? DT_NO_MEMORY : DT_FAILED,
                        library->path, "%s (%s)", trouble_text(library->trouble), reason);
}

dt_status dt_library_db_no_story(struct dt_library *library, int64_t story, struct dt_error *err)
{
    if (!sqlite3_get_autocommit(library->db))
        dt_library_db_run(library, "ROLLBACK");
    if (story)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "there is no story %lld in the library; /library lists the stories",
                            (long long)story);
    return dt_error_set(err, DT_BAD_INPUT, NULL, "there is no story in the library yet");
}

int64_t dt_library_db_number(struct dt_library *library, const char *sql, int64_t otherwise)
{
    sqlite3_stmt *statement = dt_library_db_prepare(library, sql);
    int64_t value = otherwise;
    if (statement && sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

bool dt_library_db_run(struct dt_library *library, const char *sql)
{
    return sqlite3_exec(library->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

sqlite3_stmt *dt_library_db_prepare(struct dt_library *library, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(library->db, sql, -1, &statement, NULL);
    return statement;
}

void dt_library_db_bind_text(sqlite3_stmt *statement, int i, const char *text)
{
    sqlite3_bind_text(statement, i, text ? text : "", -1, SQLITE_STATIC);
}

char *dt_library_db_column_path(sqlite3_stmt *statement, int i)
{
    const unsigned char *text = sqlite3_column_text(statement, i);
    return strdup(text ? (const char *)text : "");
}

static char *clean_column(sqlite3_stmt *statement, int i, enum dt_text_form form)
{
    char *text = dt_library_db_column_path(statement, i);
    if (text)
        dt_text_clean(text, strlen(text) + 1, text, strlen(text), form);
    return text;
}

char *dt_library_db_column_text(sqlite3_stmt *statement, int i)
{
    return clean_column(statement, i, DT_TEXT_LINES);
}

char *dt_library_db_column_line(sqlite3_stmt *statement, int i)
{
    return clean_column(statement, i, DT_TEXT_LINE);
}
