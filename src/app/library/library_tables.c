// SPDX-License-Identifier: MIT
#include "app/library/library_tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// AUTOINCREMENT: the number of a deleted story is not used again. story.revision: see
// struct dt_story_record.
#define STORIES                                                                                    \
    "CREATE TABLE story(id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, created "       \
    "INTEGER NOT NULL, updated INTEGER NOT NULL, model TEXT NOT NULL, tokenizer TEXT NOT NULL, "   \
    "stack TEXT NOT NULL, settings TEXT NOT NULL, premise TEXT NOT NULL, system TEXT NOT NULL, "   \
    "seed INTEGER NOT NULL, chat INTEGER NOT NULL, revision INTEGER NOT NULL DEFAULT 0);"          \
    "CREATE TABLE turn(id INTEGER PRIMARY KEY, story INTEGER NOT NULL REFERENCES story(id), n "    \
    "INTEGER NOT NULL, prompt TEXT NOT NULL, told TEXT NOT NULL, finished INTEGER NOT NULL, "      \
    "ending INTEGER NOT NULL, tokens INTEGER NOT NULL, seed INTEGER NOT NULL, speed REAL NOT "     \
    "NULL, stack TEXT NOT NULL, UNIQUE(story, n));"

// The search index reads its text from the turns (external content), so that text is on the disk
// once. Only finished turns are indexed, since a draft is rewritten twice a second. An update is
// one trigger: the order of two is not defined.
#define INDEX                                                                                      \
    "CREATE INDEX story_revision ON story(revision);"                                              \
    "CREATE VIEW finished_turn AS SELECT id, prompt, told FROM turn WHERE finished;"               \
    "CREATE VIRTUAL TABLE words USING fts5(prompt, told, content='finished_turn', "                \
    "content_rowid='id', tokenize='unicode61 remove_diacritics 2');"                               \
    "CREATE TRIGGER turn_in AFTER INSERT ON turn WHEN new.finished BEGIN"                          \
    " INSERT INTO words(rowid, prompt, told) VALUES(new.id, new.prompt, new.told); END;"           \
    "CREATE TRIGGER turn_out AFTER DELETE ON turn WHEN old.finished BEGIN"                         \
    " INSERT INTO words(words, rowid, prompt, told) VALUES('delete', old.id, old.prompt, "         \
    "old.told); END;"                                                                              \
    "CREATE TRIGGER turn_changed AFTER UPDATE ON turn BEGIN"                                       \
    " INSERT INTO words(words, rowid, prompt, told) SELECT 'delete', old.id, old.prompt, "         \
    "old.told WHERE old.finished;"                                                                 \
    " INSERT INTO words(rowid, prompt, told) SELECT new.id, new.prompt, new.told WHERE "           \
    "new.finished; END;"                                                                           \
    "PRAGMA user_version = 2;"

// Version 1 ordered stories by the clock and had two triggers for an update. The order of their
// last turns becomes the order of the stories.
#define FROM_VERSION_1                                                                             \
    "ALTER TABLE story ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;"                            \
    "UPDATE story SET revision = ranks.place FROM (SELECT s.id AS id, row_number() OVER (ORDER "   \
    "BY ifnull((SELECT max(id) FROM turn WHERE story = s.id), 0), s.id) AS place FROM story s) "   \
    "AS ranks WHERE ranks.id = story.id;"                                                          \
    "DROP TRIGGER IF EXISTS turn_in; DROP TRIGGER IF EXISTS turn_out;"                             \
    "DROP TRIGGER IF EXISTS turn_old; DROP TRIGGER IF EXISTS turn_new;"                            \
    "DROP INDEX IF EXISTS story_updated; DROP TABLE words;"

dt_status dt_library_tables_version(struct dt_library *library, struct dt_error *err)
{
    // the first look at the file: SQLite notices here if it is damaged
    int64_t tables = dt_library_db_number(library, "SELECT count(*) FROM sqlite_master", -1);
    if (tables < 0)
        return dt_library_db_fail(library, err);
    int64_t version = dt_library_db_number(library, "PRAGMA user_version", 0),
            application = dt_library_db_number(library, "PRAGMA application_id", 0);
    bool empty =
        tables == 0 && version == 0 && (application == 0 || application == DT_LIBRARY_APPLICATION);
    library->version = (int)version;
    if (empty)
        return DT_OK;
    if (application != DT_LIBRARY_APPLICATION || version < 1) {
        library->trouble = DT_LIBRARY_FOREIGN;
        return dt_error_set(err, DT_FAILED, library->path,
                            "a database of another program; name another file with --library");
    }
    if (version > DT_LIBRARY_VERSION) {
        library->trouble = DT_LIBRARY_READ_ONLY;
        return dt_error_set(err, DT_FAILED, library->path,
                            "the library has version %d; this duotale reads up to version %d; "
                            "update duotale, or name another file with --library",
                            (int)version, DT_LIBRARY_VERSION);
    }
    return DT_OK;
}

// Copies the library to a new file beside it, whose name it writes to `copy`.
static dt_status copy_library(struct dt_library *library, char *copy, size_t size,
                              struct dt_error *err)
{
    char part[600];
    snprintf(part, sizeof part, "%s.v1.part", library->path);
    snprintf(copy, size, "%s.v1", library->path);
    for (int i = 2; access(copy, F_OK) == 0; i++)
        snprintf(copy, size, "%s.v1-%d", library->path, i);
    unlink(part); // of an attempt that was killed
    int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        library->trouble = errno == ENOSPC ? DT_LIBRARY_FULL : DT_LIBRARY_READ_ONLY;
        return dt_error_set(err, DT_FAILED, part, "the library cannot be copied: %s",
                            strerror(errno));
    }
    close(fd);
    sqlite3_stmt *s = dt_library_db_prepare(library, "VACUUM INTO ?1");
    if (s)
        dt_library_db_bind_text(s, 1, part);
    bool done = s && sqlite3_step(s) == SQLITE_DONE;
    dt_status status = done ? DT_OK : dt_library_db_fail(library, err);
    sqlite3_finalize(s);
    if (done && !dt_library_file_finish(part, copy)) {
        library->trouble = errno == ENOSPC ? DT_LIBRARY_FULL : DT_LIBRARY_OTHER;
        status =
            dt_error_set(err, DT_FAILED, copy, "the library cannot be copied: %s", strerror(errno));
    }
    if (status != DT_OK)
        unlink(part);
    return status;
}

static bool run(struct dt_library *library, int from, const char *statements)
{
    if (!dt_library_db_run(library, "BEGIN IMMEDIATE"))
        return false;
    // another session may have done it while this one waited for the lock
    if (dt_library_db_number(library, "PRAGMA user_version", -1) == from &&
        !dt_library_db_run(library, statements))
        return false;
    return dt_library_db_run(library, "COMMIT");
}

dt_status dt_library_tables_prepare(struct dt_library *library, struct dt_error *err)
{
    char copy[600] = "";
    dt_status status = DT_OK;
    if (library->version == 1) {
        status = copy_library(library, copy, sizeof copy, err);
        if (status == DT_OK &&
            !run(library, 1, FROM_VERSION_1 INDEX "INSERT INTO words(words) VALUES('rebuild');")) {
            status = dt_library_db_fail(library, err);
            unlink(copy);
        }
    } else if (library->version == 0 && !run(library, 0, STORIES INDEX)) {
        status = dt_library_db_fail(library, err);
    }
    if (status == DT_OK)
        library->version = DT_LIBRARY_VERSION;
    return status;
}
