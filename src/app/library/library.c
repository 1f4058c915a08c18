// SPDX-License-Identifier: MIT
#include "app/library/library.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/library/library_db.h"
#include "app/settings/settings.h"

#define VERSION     1          // of the tables: PRAGMA user_version
#define APPLICATION 0x44756F54 // "DuoT": PRAGMA application_id

// The search index reads its text from the turns (external content), so that text is on the disk
// once. Only finished turns are indexed: a draft is rewritten twice a second. AUTOINCREMENT: the
// number of a deleted story is not used again.
static const char tables[] =
    "CREATE TABLE story(id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, created INTEGER "
    "NOT NULL,"
    " updated INTEGER NOT NULL, model TEXT NOT NULL, tokenizer TEXT NOT NULL, stack TEXT NOT NULL,"
    " settings TEXT NOT NULL, premise TEXT NOT NULL, system TEXT NOT NULL, seed INTEGER NOT NULL, "
    "chat INTEGER NOT NULL);"
    "CREATE INDEX story_updated ON story(updated);"
    "CREATE TABLE turn(id INTEGER PRIMARY KEY, story INTEGER NOT NULL REFERENCES story(id), n "
    "INTEGER NOT NULL,"
    " prompt TEXT NOT NULL, told TEXT NOT NULL, finished INTEGER NOT NULL, ending INTEGER NOT NULL,"
    " tokens INTEGER NOT NULL, seed INTEGER NOT NULL, speed REAL NOT NULL, stack TEXT NOT NULL, "
    "UNIQUE(story, n));"
    "CREATE VIRTUAL TABLE words USING fts5(prompt, told, content='turn', content_rowid='id',"
    " tokenize='unicode61 remove_diacritics 2');"
    "CREATE TRIGGER turn_in AFTER INSERT ON turn WHEN new.finished BEGIN"
    " INSERT INTO words(rowid, prompt, told) VALUES(new.id, new.prompt, new.told); END;"
    "CREATE TRIGGER turn_out AFTER DELETE ON turn WHEN old.finished BEGIN"
    " INSERT INTO words(words, rowid, prompt, told) VALUES('delete', old.id, old.prompt, "
    "old.told); END;"
    "CREATE TRIGGER turn_old AFTER UPDATE ON turn WHEN old.finished BEGIN"
    " INSERT INTO words(words, rowid, prompt, told) VALUES('delete', old.id, old.prompt, "
    "old.told); END;"
    "CREATE TRIGGER turn_new AFTER UPDATE ON turn WHEN new.finished BEGIN"
    " INSERT INTO words(rowid, prompt, told) VALUES(new.id, new.prompt, new.told); END;";

bool dt_library_default_path(char *out, size_t size)
{
    char folder[480];
    if (!dt_settings_folder("XDG_DATA_HOME", ".local/share", folder, sizeof folder))
        return false;
    int n = snprintf(out, size, "%s/library.db", folder);
    return n > 0 && (size_t)n < size;
}

static int64_t pragma(struct dt_library *library, const char *sql, int64_t otherwise)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = otherwise;
    if (sqlite3_prepare_v2(library->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static bool is_empty(struct dt_library *library, bool *empty)
{
    // The first look at the file: SQLite notices here if it is not a database.
    sqlite3_stmt *s = dt_library_db_prepare(library, "SELECT count(*) FROM sqlite_master");
    bool found = s && sqlite3_step(s) == SQLITE_ROW;
    *empty = found && sqlite3_column_int64(s, 0) == 0;
    sqlite3_finalize(s);
    return found;
}

static bool make_tables(struct dt_library *library)
{
    char text[100];
    snprintf(text, sizeof text, "PRAGMA user_version = %d; PRAGMA application_id = %d;", VERSION,
             APPLICATION);
    if (!dt_library_db_run(library, "BEGIN IMMEDIATE"))
        return false;
    // another process may have made them while this one waited for the lock
    if (pragma(library, "PRAGMA user_version", 0) == 0 &&
        (!dt_library_db_run(library, tables) || !dt_library_db_run(library, text)))
        return false;
    return dt_library_db_run(library, "COMMIT");
}

// Makes the tables in an empty file; checks that a filled one is a library of a known version.
static dt_status prepare_tables(struct dt_library *library, struct dt_error *err)
{
    bool empty;
    if (!is_empty(library, &empty))
        return dt_library_db_fail(library, err);
    if (empty && library->read_only) {
        library->trouble = DT_LIBRARY_READ_ONLY;
        return dt_error_set(err, DT_FAILED, library->path,
                            "the library is empty and cannot be written");
    }
    if (empty)
        return make_tables(library) ? DT_OK : dt_library_db_fail(library, err);
    int64_t version = pragma(library, "PRAGMA user_version", 0);
    if (pragma(library, "PRAGMA application_id", 0) != APPLICATION || version < 1) {
        library->trouble = DT_LIBRARY_CORRUPT;
        return dt_error_set(err, DT_FAILED, library->path,
                            "the file is a database, but not a library of stories");
    }
    if (version > VERSION) {
        library->trouble = DT_LIBRARY_READ_ONLY;
        return dt_error_set(err, DT_FAILED, library->path,
                            "the library has version %d; this duotale reads up to version %d; "
                            "update duotale, or name another file with --library",
                            (int)version, VERSION);
    }
    return DT_OK;
}

// Opens the file for reading only. If even its -shm file cannot be written, SQLite reads a WAL
// database only as "immutable"; that is the second attempt, because it ignores an unfinished -wal.
static int open_for_reading(struct dt_library *library, const char *vfs)
{
    char uri[3 * sizeof library->path + 32] = "file:";
    size_t n = strlen(uri);
    int code = SQLITE_ERROR;
    for (const char *p = library->path; *p; p++)
        n += (size_t)sprintf(uri + n, strchr("%?#", *p) ? "%%%02X" : "%c", (unsigned char)*p);
    for (int i = 0; i < 2; i++) {
        strcpy(uri + n, i ? "?immutable=1" : "");
        sqlite3_close(library->db);
        code = sqlite3_open_v2(uri, &library->db,
                               SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, vfs);
        if (code == SQLITE_OK)
            code =
                sqlite3_exec(library->db, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
        if (code != SQLITE_CANTOPEN && (code & 0xff) != SQLITE_READONLY)
            break;
    }
    return code;
}

// Makes the file with mode 0600, and its folders; SQLite would make it readable for everybody, and
// its -wal and -shm get the same mode. Returns an error number, 0: the file is there.
static int make_file(const char *path)
{
    if (!dt_settings_make_folders(path))
        return errno;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

// Opens the file, for reading only if it cannot be written.
static dt_status open_file(struct dt_library *library, const char *vfs, bool write,
                           struct dt_error *err)
{
    const char *path = library->path;
    int cause = write ? make_file(path) : 0, code = SQLITE_READONLY;
    if (write && (vfs || access(path, W_OK) == 0))
        code =
            sqlite3_open_v2(path, &library->db,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, vfs);
    if (code != SQLITE_OK) {
        library->read_only = true;
        code = open_for_reading(library, vfs);
    }
    if (code == SQLITE_OK)
        return DT_OK;
    bool missing = access(path, F_OK) != 0;
    library->trouble = missing ? DT_LIBRARY_READ_ONLY : dt_library_db_trouble(code);
    if (missing && !write)
        return dt_error_set(err, DT_BAD_INPUT, path,
                            "there is no library yet; an interactive session makes one");
    return dt_error_set(err, DT_FAILED, path, "the library cannot be %s (%s)",
                        missing ? "made" : "opened",
                        missing && cause ? strerror(cause) : sqlite3_errstr(code));
}

// A small cache, for small machines; deleted text is overwritten; short -wal files, for slow cards.
static dt_status configure(struct dt_library *library, struct dt_error *err)
{
    static const char *const writing[] = {
        "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON",
        "PRAGMA wal_autocheckpoint = 128", "PRAGMA journal_size_limit = 1048576"};
    dt_library_db_run(library, "PRAGMA cache_size = -256; PRAGMA temp_store = MEMORY;");
    for (size_t i = 0; !library->read_only && i < sizeof writing / sizeof *writing; i++) {
        if (!dt_library_db_run(library, writing[i]))
            return dt_library_db_fail(library, err);
    }
    return DT_OK;
}

dt_status dt_library_open(struct dt_library **out, const char *path, const char *vfs,
                          unsigned flags, enum dt_library_trouble *trouble, struct dt_error *err)
{
    *out = NULL;
    *trouble = DT_LIBRARY_OTHER;
    dt_status status = dt_sqlite_load(path, err);
    if (status != DT_OK)
        return status;
    struct dt_library *library = calloc(1, sizeof *library);
    if (!library)
        return dt_error_set(err, DT_NO_MEMORY, path, "out of memory to open the library");
    snprintf(library->path, sizeof library->path, "%s", path);
    status = open_file(library, vfs, flags & DT_LIBRARY_WRITE, err);
    if (status == DT_OK) {
        sqlite3_extended_result_codes(library->db, 1);
        dt_library_patience(library, flags & DT_LIBRARY_PATIENT ? 2500 : 200);
        status = configure(library, err);
    }
    if (status == DT_OK)
        status = prepare_tables(library, err);
    *trouble = library->trouble;
    if (status != DT_OK) {
        dt_library_close(library);
        return status;
    }
    if (library->read_only)
        *trouble = library->trouble = DT_LIBRARY_READ_ONLY;
    *out = library;
    return DT_OK;
}

void dt_library_close(struct dt_library *library)
{
    if (!library)
        return;
    sqlite3_close(library->db);
    free(library);
}

enum dt_library_trouble dt_library_last_trouble(const struct dt_library *library)
{
    return library->trouble;
}

void dt_library_patience(struct dt_library *library, int milliseconds)
{
    sqlite3_busy_timeout(library->db, milliseconds);
}

dt_status dt_library_put_aside(const char *path, char *moved, size_t moved_size,
                               struct dt_error *err)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char stamp[32], from[600], to[700];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &parts);
    for (int i = 0;; i++) { // a second one in the same second gets a number
        snprintf(moved, moved_size, i ? "%s.broken-%s-%d" : "%s.broken-%s", path, stamp, i);
        if (access(moved, F_OK) != 0)
            break;
    }
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(from, sizeof from, "%s%s", path, tails[i]);
        snprintf(to, sizeof to, "%s%s", moved, tails[i]);
        if (rename(from, to) != 0 && i == 0)
            return dt_error_set(err, DT_FAILED, path, "the damaged library cannot be renamed: %s",
                                strerror(errno));
    }
    return DT_OK;
}

dt_status dt_library_check(struct dt_library *library, struct dt_error *err)
{
    sqlite3_stmt *s = dt_library_db_prepare(library, "PRAGMA integrity_check(1)");
    dt_status status = DT_OK;
    if (!s || sqlite3_step(s) != SQLITE_ROW)
        status = dt_library_db_fail(library, err);
    else if (strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0)
        status = dt_error_set(err, DT_BAD_INPUT, library->path, "%s",
                              (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    if (status == DT_OK && !library->read_only &&
        !dt_library_db_run(library, "INSERT INTO words(words, rank) VALUES('integrity-check', 0)"))
        status = dt_library_db_fail(library, err);
    return status;
}
