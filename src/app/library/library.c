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
#include "app/library/library_file.h"
#include "app/library/library_tables.h"
#include "host/file.h"

#define LONGEST_TEXT (64 << 20) // bytes of one row; a file with a longer one is damaged

bool dt_library_default_path(char *out, size_t size)
{
    char folder[480];
    if (!dt_folder_of_user("XDG_DATA_HOME", ".local/share", folder, sizeof folder))
        return false;
    int n = snprintf(out, size, "%s/library.db", folder);
    return n > 0 && (size_t)n < size;
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

static int open_for_writing(struct dt_library *library, const char *vfs)
{
    const char *path = library->path;
    if (!vfs && access(path, W_OK) != 0)
        return SQLITE_READONLY;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &library->db, flags, vfs);
    // SQLite opens a file for reading if it cannot be written
    return code == SQLITE_OK && sqlite3_db_readonly(library->db, "main") ? SQLITE_READONLY : code;
}

// A small cache, for small machines; deleted text is overwritten; short -wal files, for slow cards.
static dt_status configure(struct dt_library *library, struct dt_error *err)
{
    static const char *const writing[] = {
        "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON",
        "PRAGMA wal_autocheckpoint = 128", "PRAGMA journal_size_limit = 1048576"};
    char mark[60];
    if (library->version == 0) {
        // first of all and in the file itself, so that the file is a library even if it is damaged
        snprintf(mark, sizeof mark, "PRAGMA application_id = %d", DT_LIBRARY_APPLICATION);
        if (!dt_library_db_run(library, mark))
            return dt_library_db_fail(library, err);
    }
    for (size_t i = 0; i < sizeof writing / sizeof *writing; i++) {
        if (!dt_library_db_run(library, writing[i]))
            return dt_library_db_fail(library, err);
    }
    return DT_OK;
}

static struct dt_file_identity tail_identity(const struct dt_library *library, int i)
{
    char path[sizeof library->path + 8];
    snprintf(path, sizeof path, "%s%s", library->path, i ? "-shm" : "-wal");
    return dt_library_file_identity(path);
}

// Whether the -wal and -shm files that are open are no longer beside the library. *other: there are
// others in their place, so that another program may be writing the library through them.
static bool tails_are_gone(const struct dt_library *library, bool *other)
{
    bool gone = false;
    *other = false;
    for (int i = 0; i < 2; i++) {
        struct dt_file_identity now = tail_identity(library, i);
        if (!library->tails[i].inode || dt_library_file_same(library->tails[i], now))
            continue;
        gone = true;
        *other |= now.inode != 0;
    }
    return gone;
}

static bool same_file(const struct dt_library *library)
{
    return dt_library_file_same(library->identity, dt_library_file_identity(library->path));
}

static void close_db(struct dt_library *library)
{
    int on = 1;
    bool foreign = false;
    if (library->db && library->identity.inode &&
        (!same_file(library) || (tails_are_gone(library, &foreign) && foreign)))
        // the files beside the path belong to another library now
        sqlite3_file_control(library->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
    if (foreign) // what it would move into the library may be older than what is there
        sqlite3_db_config(library->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(library->db);
    library->db = NULL;
}

// Opens the file for reading and writing, or only for reading, with the tables of this version or
// an earlier one.
static dt_status open_db(struct dt_library *library, const char *vfs, unsigned flags,
                         struct dt_error *err)
{
    bool write = flags & DT_LIBRARY_WRITE;
    library->read_only = !write;
    library->trouble = DT_LIBRARY_FINE;
    library->identity = dt_library_file_identity(library->path);
    int code = write ? open_for_writing(library, vfs) : open_for_reading(library, vfs);
    if (code != SQLITE_OK) {
        library->trouble = dt_library_db_trouble(code);
        return dt_error_set(err, DT_FAILED, library->path, "the library cannot be %s (%s)",
                            write ? "written" : "opened", sqlite3_errstr(code));
    }
    sqlite3_extended_result_codes(library->db, 1);
    sqlite3_limit(library->db, SQLITE_LIMIT_LENGTH, LONGEST_TEXT);
    dt_library_patience(library, flags & DT_LIBRARY_PATIENT ? 2500 : 200);
    dt_library_db_run(library, "PRAGMA cell_size_check = ON;"
                               "PRAGMA cache_size = -256; PRAGMA temp_store = MEMORY;");
    dt_status status = dt_library_tables_version(library, err);
    if (status == DT_OK && write)
        status = configure(library, err);
    if (status == DT_OK && write)
        status = dt_library_tables_prepare(library, err);
    for (int i = 0; i < 2 && status == DT_OK && write; i++)
        library->tails[i] = tail_identity(library, i);
    if (status == DT_OK && library->version == 0) {
        library->trouble = DT_LIBRARY_READ_ONLY;
        status = dt_error_set(err, DT_BAD_INPUT, library->path,
                              "there is no library yet; an interactive session makes one");
    }
    return status;
}

// Checks that the file is a library, or can become one.
static dt_status look_at_file(struct dt_library *library, unsigned flags, struct dt_error *err)
{
    const char *path = library->path;
    int cause = flags & DT_LIBRARY_WRITE ? dt_library_file_make(path) : 0;
    if (access(path, F_OK) != 0) {
        library->trouble = DT_LIBRARY_READ_ONLY;
        if (!(flags & DT_LIBRARY_WRITE))
            return dt_error_set(err, DT_BAD_INPUT, path,
                                "there is no library yet; an interactive session makes one");
        return dt_error_set(err, DT_FAILED, path, "the library cannot be made (%s)",
                            strerror(cause ? cause : ENOENT));
    }
    if (dt_library_file_content(path) == DT_LIBRARY_FILE_FOREIGN) {
        library->trouble = DT_LIBRARY_FOREIGN;
        return dt_error_set(err, DT_FAILED, path,
                            "not a library of stories; name another file with --library");
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
    status = look_at_file(library, flags, err);
    if (status == DT_OK)
        status = open_db(library, vfs, flags, err);
    *trouble = library->trouble;
    bool try_reading = *trouble == DT_LIBRARY_READ_ONLY || *trouble == DT_LIBRARY_LOCKED ||
                       *trouble == DT_LIBRARY_FULL || *trouble == DT_LIBRARY_OTHER;
    if (status != DT_OK && try_reading && flags & DT_LIBRARY_WRITE && access(path, F_OK) == 0) {
        close_db(library);
        if (open_db(library, vfs, flags & ~DT_LIBRARY_WRITE, NULL) == DT_OK)
            status = DT_OK; // *err and *trouble say why it cannot be written
    }
    if (status != DT_OK) {
        dt_library_close(library);
        return status;
    }
    library->trouble = *trouble;
    *out = library;
    return DT_OK;
}

void dt_library_close(struct dt_library *library)
{
    if (!library)
        return;
    close_db(library);
    free(library);
}

enum dt_library_trouble dt_library_last_trouble(const struct dt_library *library)
{
    return library->trouble;
}

enum dt_library_place dt_library_place(struct dt_library *library)
{
    bool other;
    if (!same_file(library))
        return DT_LIBRARY_REPLACED;
    if (!tails_are_gone(library, &other))
        return DT_LIBRARY_IN_PLACE;
    // the files are still open: what they hold is moved into the library, and synced
    if (other || dt_library_db_number(library, "PRAGMA wal_checkpoint(TRUNCATE)", 1) != 0)
        return DT_LIBRARY_REPLACED;
    return DT_LIBRARY_CUT;
}

void dt_library_checkpoint(struct dt_library *library)
{
    int on = 1;
    // on a full disk, a file that is deleted or cut cannot grow again
    dt_library_db_run(library, "PRAGMA wal_checkpoint(RESTART); PRAGMA journal_size_limit = -1;");
    sqlite3_file_control(library->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
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
    if (dt_library_file_content(path) != DT_LIBRARY_FILE_OURS)
        return dt_error_set(err, DT_FAILED, path,
                            "not a library of stories; name another file with --library");
    dt_record_date((int64_t)time(NULL), true, "%Y%m%d-%H%M%S", stamp, sizeof stamp);
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

static dt_status check(struct dt_library *library, const char *pragma, struct dt_error *err)
{
    sqlite3_stmt *s = dt_library_db_prepare(library, pragma);
    dt_status status = DT_OK;
    library->trouble = DT_LIBRARY_FINE;
    if (!s || sqlite3_step(s) != SQLITE_ROW) {
        status = dt_library_db_fail(library, err);
    } else if (strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0) {
        library->trouble = DT_LIBRARY_CORRUPT;
        status = dt_error_set(err, DT_BAD_INPUT, library->path, "%s",
                              (const char *)sqlite3_column_text(s, 0));
    }
    sqlite3_finalize(s);
    return status;
}

dt_status dt_library_check(struct dt_library *library, struct dt_error *err)
{
    dt_status status = check(library, "PRAGMA integrity_check(1)", err);
    if (status == DT_OK && !library->read_only &&
        !dt_library_db_run(library, "INSERT INTO words(words, rank) VALUES('integrity-check', 1)"))
        status = dt_library_db_fail(library, err);
    return status;
}

bool dt_library_is_damaged(const char *path, const char *vfs, bool *known, struct dt_error *err)
{
    enum dt_library_trouble trouble;
    struct dt_library *library = NULL;
    dt_status status =
        dt_library_open(&library, path, vfs, DT_LIBRARY_WRITE | DT_LIBRARY_PATIENT, &trouble, err);
    if (status == DT_OK) {
        status = check(library, "PRAGMA quick_check(1)", err);
        trouble = library->trouble;
        dt_library_close(library);
    }
    *known = status == DT_OK || trouble == DT_LIBRARY_CORRUPT;
    return status != DT_OK && trouble == DT_LIBRARY_CORRUPT;
}
