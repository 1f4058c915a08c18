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

#include "app/settings/settings.h"
#include "app/library/sqlite.h"

#define VERSION     1          // of the tables: PRAGMA user_version
#define APPLICATION 0x44756F54 // "DuoT": PRAGMA application_id

struct dt_library {
    sqlite3 *db;
    char path[512];
    enum dt_library_trouble trouble;
    bool read_only;
};

// The search index reads its text from the turns themselves (external content), so a story is on
// the disk once. Only finished turns are in it: a draft is rewritten every second. AUTOINCREMENT: a
// number is never used for another story.
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

void dt_turn_record_free(struct dt_turn_record *turn)
{
    free(turn->prompt);
    free(turn->output);
    free(turn->stack);
    memset(turn, 0, sizeof *turn);
}

void dt_story_record_free(struct dt_story_record *record)
{
    char *const texts[] = {record->title,    record->model,   record->tokenizer, record->stack,
                           record->settings, record->premise, record->system};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (size_t i = 0; i < record->turn_count; i++)
        dt_turn_record_free(&record->turns[i]);
    free(record->turns);
    memset(record, 0, sizeof *record);
}

dt_status dt_turn_record_copy(struct dt_turn_record *to, const struct dt_turn_record *from)
{
    *to = *from;
    to->prompt = strdup(from->prompt ? from->prompt : "");
    to->output = strdup(from->output ? from->output : "");
    to->stack = strdup(from->stack ? from->stack : "");
    if (to->prompt && to->output && to->stack)
        return DT_OK;
    dt_turn_record_free(to);
    return DT_NO_MEMORY;
}

void dt_library_entries_free(struct dt_library_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(entries[i].title);
        free(entries[i].model);
        free(entries[i].stack);
        free(entries[i].snippet);
    }
    free(entries);
}

bool dt_library_default_path(char *out, size_t size)
{
    char folder[480];
    if (!dt_settings_folder("XDG_DATA_HOME", ".local/share", folder, sizeof folder))
        return false;
    int n = snprintf(out, size, "%s/library.db", folder);
    return n > 0 && (size_t)n < size;
}

static enum dt_library_trouble trouble_of(int code)
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
    default:
        return "the library cannot be used";
    }
}

// Records what SQLite said and rolls back what was begun.
static dt_status fail(struct dt_library *library, struct dt_error *err)
{
    int code = sqlite3_extended_errcode(library->db);
    char reason[200];
    snprintf(reason, sizeof reason, "%s", sqlite3_errmsg(library->db));
    library->trouble = trouble_of(code);
    if (library->trouble == DT_LIBRARY_FINE)
        library->trouble = DT_LIBRARY_OTHER;
    if (!sqlite3_get_autocommit(library->db))
        sqlite3_exec(library->db, "ROLLBACK", NULL, NULL, NULL);
    return dt_error_set(err, (code & 0xff) == SQLITE_NOMEM ? DT_NO_MEMORY : DT_FAILED,
                        library->path, "%s (%s)", trouble_text(library->trouble), reason);
}

static bool run(struct dt_library *library, const char *sql)
{
    return sqlite3_exec(library->db, sql, NULL, NULL, NULL) == SQLITE_OK;
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

// Brings an empty file to our tables; looks whether a filled one is ours.
static dt_status prepare_tables(struct dt_library *library, struct dt_error *err)
{
    char text[100];
    sqlite3_stmt *statement = NULL;
    // the first look at the file: what is no database shows here
    if (sqlite3_prepare_v2(library->db, "SELECT count(*) FROM sqlite_master", -1, &statement,
                           NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        sqlite3_finalize(statement);
        return fail(library, err);
    }
    bool empty = sqlite3_column_int64(statement, 0) == 0;
    sqlite3_finalize(statement);
    int64_t version = pragma(library, "PRAGMA user_version", 0);
    if (empty && library->read_only) {
        library->trouble = DT_LIBRARY_READ_ONLY;
        return dt_error_set(err, DT_FAILED, library->path,
                            "the library is empty and cannot be written");
    }
    if (empty) {
        snprintf(text, sizeof text, "PRAGMA user_version = %d; PRAGMA application_id = %d;",
                 VERSION, APPLICATION);
        if (!run(library, "BEGIN IMMEDIATE"))
            return fail(library, err);
        // another one may have made them while we waited for the lock
        if (pragma(library, "PRAGMA user_version", 0) == 0 &&
            (!run(library, tables) || !run(library, text)))
            return fail(library, err);
        if (!run(library, "COMMIT"))
            return fail(library, err);
        return DT_OK;
    }
    if (pragma(library, "PRAGMA application_id", 0) != APPLICATION || version < 1) {
        library->trouble = DT_LIBRARY_CORRUPT;
        return dt_error_set(err, DT_FAILED, library->path,
                            "this is a database, but no library of stories");
    }
    if (version > VERSION) {
        library->trouble = DT_LIBRARY_READ_ONLY;
        return dt_error_set(
            err, DT_FAILED, library->path,
            "the library is of form %d, made by a newer duotale; this one knows form %d",
            (int)version, VERSION);
    }
    return DT_OK;
}

// For reading alone. Without the right to write even the -shm file SQLite reads a WAL database only
// when it is told that nobody writes to it: that is the second try, as it would not see an
// unfinished -wal.
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

dt_status dt_library_open(struct dt_library **out, const char *path, const char *vfs,
                          unsigned flags, enum dt_library_trouble *trouble, struct dt_error *err)
{
    *out = NULL;
    *trouble = DT_LIBRARY_OTHER;
    dt_status status = dt_sqlite_load(path, err);
    if (status != DT_OK)
        return status;
    struct dt_library *library = calloc(1, sizeof *library);
    bool write = flags & DT_LIBRARY_WRITE;
    int cause = 0; // why the file cannot be made
    if (!library)
        return dt_error_set(err, DT_NO_MEMORY, path, "no memory to open the library");
    snprintf(library->path, sizeof library->path, "%s", path);
    if (write) {
        // SQLite would make it readable for all; -wal and -shm take the file's own mode
        int fd =
            dt_settings_make_folders(path) ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
        cause = fd < 0 ? errno : 0;
        if (fd >= 0)
            close(fd);
    }
    int code = SQLITE_READONLY;
    if (write && (vfs || access(path, W_OK) == 0))
        code =
            sqlite3_open_v2(path, &library->db,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, vfs);
    if (code != SQLITE_OK) {
        library->read_only = true;
        code = open_for_reading(library, vfs);
    }
    if (code != SQLITE_OK) {
        bool missing = access(path, F_OK) != 0;
        library->trouble = missing ? DT_LIBRARY_READ_ONLY : trouble_of(code);
        status = missing && !write
                     ? dt_error_set(err, DT_BAD_INPUT, path,
                                    "there is no library yet: no story was kept")
                     : dt_error_set(err, DT_FAILED, path, "the library cannot be %s (%s)",
                                    missing ? "made" : "opened",
                                    missing && cause ? strerror(cause) : sqlite3_errstr(code));
        goto out;
    }
    sqlite3_extended_result_codes(library->db, 1);
    dt_library_patience(library, flags & DT_LIBRARY_PATIENT ? 2500 : 200);
    // deleted words are overwritten; a small cache, for small machines; short -wal files for slow
    // cards
    static const char *const writing[] = {
        "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON",
        "PRAGMA wal_autocheckpoint = 128", "PRAGMA journal_size_limit = 1048576"};
    run(library, "PRAGMA cache_size = -256; PRAGMA temp_store = MEMORY;");
    for (size_t i = 0; !library->read_only && i < sizeof writing / sizeof *writing; i++) {
        if (!run(library, writing[i])) {
            status = fail(library, err);
            goto out;
        }
    }
    status = prepare_tables(library, err);
out:
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
    for (int i = 0;; i++) { // two in one second get a number
        snprintf(moved, moved_size, i ? "%s.broken-%s-%d" : "%s.broken-%s", path, stamp, i);
        if (access(moved, F_OK) != 0)
            break;
    }
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(from, sizeof from, "%s%s", path, tails[i]);
        snprintf(to, sizeof to, "%s%s", moved, tails[i]);
        if (rename(from, to) != 0 && i == 0)
            return dt_error_set(err, DT_FAILED, path,
                                "the damaged library cannot be moved aside: %s", strerror(errno));
    }
    return DT_OK;
}

// ---- writing ----

static sqlite3_stmt *prepared(struct dt_library *library, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(library->db, sql, -1, &statement, NULL);
    return statement;
}

static void bind_text(sqlite3_stmt *statement, int i, const char *text)
{
    sqlite3_bind_text(statement, i, text ? text : "", -1, SQLITE_STATIC);
}

static bool begin(struct dt_library *library)
{
    library->trouble = DT_LIBRARY_FINE;
    return run(library, "BEGIN IMMEDIATE");
}

static bool write_story(struct dt_library *library, struct dt_story_record *record, int64_t *id)
{
    sqlite3_stmt *s =
        prepared(library, record->id ? "UPDATE story SET title=?1, updated=?3, model=?4, "
                                       "tokenizer=?5, stack=?6, settings=?7, premise=?8,"
                                       " system=?9, seed=?10, chat=?11 WHERE id=?12"
                                     : "INSERT INTO story(title, created, updated, model, "
                                       "tokenizer, stack, settings, premise, system, seed, chat)"
                                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
    if (!s)
        return false;
    record->updated = (int64_t)time(NULL);
    if (!record->created)
        record->created = record->updated;
    bind_text(s, 1, record->title);
    if (!record->id)
        sqlite3_bind_int64(s, 2, record->created);
    sqlite3_bind_int64(s, 3, record->updated);
    bind_text(s, 4, record->model);
    bind_text(s, 5, record->tokenizer);
    bind_text(s, 6, record->stack);
    bind_text(s, 7, record->settings);
    bind_text(s, 8, record->premise);
    bind_text(s, 9, record->system);
    sqlite3_bind_int64(s, 10, (int64_t)record->seed);
    sqlite3_bind_int(s, 11, record->chat);
    if (record->id)
        sqlite3_bind_int64(s, 12, record->id);
    bool done = sqlite3_step(s) == SQLITE_DONE;
    if (done && record->id && sqlite3_changes(library->db) == 0) {
        // deleted by another session meanwhile: what is told from now on is a story again
        sqlite3_finalize(s);
        record->id = 0;
        return write_story(library, record, id);
    }
    *id = record->id ? record->id : sqlite3_last_insert_rowid(library->db);
    sqlite3_finalize(s);
    return done;
}

dt_status dt_library_put_story(struct dt_library *library, struct dt_story_record *record,
                               struct dt_error *err)
{
    int64_t id = 0;
    if (!begin(library) || !write_story(library, record, &id) || !run(library, "COMMIT"))
        return fail(library, err);
    record->id = id;
    return DT_OK;
}

dt_status dt_library_put_turn(struct dt_library *library, struct dt_story_record *record,
                              uint32_t n, const struct dt_turn_record *turn, struct dt_error *err)
{
    int64_t id = 0;
    if (!begin(library) || !write_story(library, record, &id))
        return fail(library, err);
    sqlite3_stmt *s = prepared(
        library,
        "INSERT INTO turn(story, n, prompt, told, finished, ending, tokens, seed, speed, stack)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        " ON CONFLICT(story, n) DO UPDATE SET prompt=?3, told=?4, finished=?5, ending=?6, "
        "tokens=?7, seed=?8, speed=?9, stack=?10");
    if (!s)
        return fail(library, err);
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int64(s, 2, n);
    bind_text(s, 3, turn->prompt);
    bind_text(s, 4, turn->output);
    sqlite3_bind_int(s, 5, turn->finished);
    sqlite3_bind_int(s, 6, turn->end);
    sqlite3_bind_int64(s, 7, turn->tokens);
    sqlite3_bind_int64(s, 8, (int64_t)turn->seed);
    sqlite3_bind_double(s, 9, turn->speed);
    bind_text(s, 10, turn->stack);
    bool done = sqlite3_step(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    if (!done || !run(library, "COMMIT"))
        return fail(library, err);
    record->id = id;
    return DT_OK;
}

// Runs a statement on ?1 = story and ?2 = number (or text) inside a transaction.
static bool change(struct dt_library *library, const char *sql, int64_t story, int64_t n,
                   const char *text)
{
    sqlite3_stmt *s = prepared(library, sql);
    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, story);
    if (text)
        bind_text(s, 2, text);
    else if (sqlite3_bind_parameter_count(s) > 1)
        sqlite3_bind_int64(s, 2, n);
    bool done = sqlite3_step(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    return done;
}

static dt_status no_such_story(struct dt_library *library, int64_t story, struct dt_error *err)
{
    if (!sqlite3_get_autocommit(library->db))
        run(library, "ROLLBACK");
    if (story)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "there is no story %lld in the library: /library lists them",
                            (long long)story);
    return dt_error_set(err, DT_BAD_INPUT, NULL, "there is no story in the library yet");
}

dt_status dt_library_cut(struct dt_library *library, int64_t story, uint32_t n,
                         struct dt_error *err)
{
    if (!begin(library) ||
        !change(library, "DELETE FROM turn WHERE story=?1 AND n>=?2", story, n, NULL) ||
        !run(library, "COMMIT"))
        return fail(library, err);
    return DT_OK;
}

dt_status dt_library_rename(struct dt_library *library, int64_t story, const char *title,
                            struct dt_error *err)
{
    if (!begin(library) ||
        !change(library, "UPDATE story SET title=?2 WHERE id=?1", story, 0, title))
        return fail(library, err);
    if (sqlite3_changes(library->db) == 0)
        return no_such_story(library, story, err);
    return run(library, "COMMIT") ? DT_OK : fail(library, err);
}

dt_status dt_library_delete(struct dt_library *library, int64_t story, struct dt_error *err)
{
    if (!begin(library) || !change(library, "DELETE FROM turn WHERE story=?1", story, 0, NULL) ||
        !change(library, "DELETE FROM story WHERE id=?1", story, 0, NULL))
        return fail(library, err);
    if (sqlite3_changes(library->db) == 0)
        return no_such_story(library, story, err);
    // the index keeps deleted words as marks until it is merged
    if (!run(library, "INSERT INTO words(words) VALUES('optimize')") || !run(library, "COMMIT"))
        return fail(library, err);
    run(library, "PRAGMA wal_checkpoint(TRUNCATE)"); // the old pages are in the -wal as well
    return DT_OK;
}

// ---- reading ----

static char *column_text(sqlite3_stmt *s, int i)
{
    const unsigned char *text = sqlite3_column_text(s, i);
    return strdup(text ? (const char *)text : "");
}

static dt_status read_turns(struct dt_library *library, struct dt_story_record *record,
                            struct dt_error *err)
{
    sqlite3_stmt *s = prepared(
        library, "SELECT prompt, told, finished, ending, tokens, seed, speed, stack FROM turn"
                 " WHERE story=?1 ORDER BY n");
    size_t capacity = 0;
    int code;
    if (!s)
        return fail(library, err);
    sqlite3_bind_int64(s, 1, record->id);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (record->turn_count == capacity) {
            capacity = capacity ? 2 * capacity : 8;
            struct dt_turn_record *more = realloc(record->turns, capacity * sizeof *more);
            if (!more)
                break;
            record->turns = more;
        }
        struct dt_turn_record *turn = &record->turns[record->turn_count++];
        *turn = (struct dt_turn_record){
            .prompt = column_text(s, 0),
            .output = column_text(s, 1),
            .finished = sqlite3_column_int(s, 2) != 0,
            .end = sqlite3_column_int(s, 3),
            .tokens = (uint32_t)sqlite3_column_int64(s, 4),
            .seed = (uint64_t)sqlite3_column_int64(s, 5),
            .speed = sqlite3_column_double(s, 6),
            .stack = column_text(s, 7),
        };
        if (!turn->prompt || !turn->output || !turn->stack)
            break;
    }
    dt_status status = code == SQLITE_DONE ? DT_OK
                       : code == SQLITE_ROW
                           ? dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the story")
                           : fail(library, err);
    sqlite3_finalize(s);
    return status;
}

dt_status dt_library_load(struct dt_library *library, int64_t story, struct dt_story_record *out,
                          struct dt_error *err)
{
    memset(out, 0, sizeof *out);
    library->trouble = DT_LIBRARY_FINE;
    sqlite3_stmt *s =
        prepared(library, "SELECT id, title, created, updated, model, tokenizer, stack, settings, "
                          "premise, system, seed, chat FROM story"
                          " WHERE ?1 = 0 OR id = ?1 ORDER BY updated DESC, id DESC LIMIT 1");
    if (!s)
        return fail(library, err);
    sqlite3_bind_int64(s, 1, story);
    int code = sqlite3_step(s);
    if (code == SQLITE_DONE) {
        sqlite3_finalize(s);
        return no_such_story(library, story, err);
    }
    if (code != SQLITE_ROW) {
        dt_status status = fail(library, err);
        sqlite3_finalize(s);
        return status;
    }
    *out = (struct dt_story_record){
        .id = sqlite3_column_int64(s, 0),
        .title = column_text(s, 1),
        .created = sqlite3_column_int64(s, 2),
        .updated = sqlite3_column_int64(s, 3),
        .model = column_text(s, 4),
        .tokenizer = column_text(s, 5),
        .stack = column_text(s, 6),
        .settings = column_text(s, 7),
        .premise = column_text(s, 8),
        .system = column_text(s, 9),
        .seed = (uint64_t)sqlite3_column_int64(s, 10),
        .chat = sqlite3_column_int(s, 11) != 0,
    };
    sqlite3_finalize(s);
    dt_status status = DT_OK;
    if (!out->title || !out->model || !out->tokenizer || !out->stack || !out->settings ||
        !out->premise || !out->system)
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the story");
    else
        status = read_turns(library, out, err);
    if (status != DT_OK)
        dt_story_record_free(out);
    return status;
}

// The user's words as an FTS5 query: each quoted, so that nothing in them is an operator; the last
// one as a beginning.
static void make_query(const char *words, char *out, size_t size)
{
    size_t n = 0;
    while (*words && n + 8 < size) {
        size_t length = strcspn(words, " \t\n");
        if (length > 0) {
            if (n > 0)
                out[n++] = ' ';
            out[n++] = '"';
            for (size_t i = 0; i < length && n + 6 < size; i++) {
                if (words[i] == '"')
                    out[n++] = '"';
                out[n++] = words[i];
            }
            out[n++] = '"';
        }
        words += length;
        words += strspn(words, " \t\n");
    }
    if (n > 0)
        out[n++] = '*';
    out[n] = '\0';
}

// All words in the title, whatever their case (ASCII).
static bool title_has(const char *title, const char *words)
{
    while (*words) {
        char word[128];
        size_t n = strcspn(words, " \t\n");
        snprintf(word, sizeof word, "%.*s", (int)(n < 127 ? n : 127), words);
        if (n > 0 && !strcasestr(title, word))
            return false;
        words += n;
        words += strspn(words, " \t\n");
    }
    return true;
}

// One line of at most `most` bytes, cut at a character.
static char *one_line(char *text, size_t most)
{
    if (!text)
        return NULL;
    for (char *p = text; *p; p++) {
        if (*p == '\n' || *p == '\t')
            *p = ' ';
    }
    size_t n = strlen(text);
    if (n > most) {
        while (most > 0 && (text[most] & 0xc0) == 0x80)
            most--;
        text[most] = '\0';
    }
    return text;
}

struct found {
    struct dt_library_entry *entries;
    size_t count, capacity;
    int64_t *seen; // stories that were found, to leave out further turns of theirs
    size_t seen_count, seen_capacity;
};

static bool add(struct found *found, sqlite3_stmt *s, uint32_t offset, uint32_t limit)
{
    int64_t id = sqlite3_column_int64(s, 0);
    for (size_t i = 0; i < found->seen_count; i++) {
        if (found->seen[i] == id)
            return true;
    }
    if (found->seen_count == found->seen_capacity) {
        size_t capacity = found->seen_capacity ? 2 * found->seen_capacity : 32;
        int64_t *more = realloc(found->seen, capacity * sizeof *more);
        if (!more)
            return false;
        found->seen = more;
        found->seen_capacity = capacity;
    }
    found->seen[found->seen_count++] = id;
    if (found->seen_count <= offset || found->count >= limit)
        return true;
    if (found->count == found->capacity) {
        size_t capacity = found->capacity ? 2 * found->capacity : 16;
        struct dt_library_entry *more = realloc(found->entries, capacity * sizeof *more);
        if (!more)
            return false;
        found->entries = more;
        found->capacity = capacity;
    }
    struct dt_library_entry *entry = &found->entries[found->count++];
    *entry = (struct dt_library_entry){
        .id = id,
        .title = column_text(s, 1),
        .created = sqlite3_column_int64(s, 2),
        .updated = sqlite3_column_int64(s, 3),
        .model = column_text(s, 4),
        .stack = column_text(s, 5),
        .turns = (uint32_t)sqlite3_column_int64(s, 6),
        .snippet = one_line(column_text(s, 7), 160),
    };
    return entry->title && entry->model && entry->stack && entry->snippet;
}

#define ENTRY                                                                                      \
    "s.id, s.title, s.created, s.updated, s.model, s.stack, (SELECT count(*) FROM turn WHERE "     \
    "story = s.id), "
#define BEGINNING                                                                                  \
    "ifnull((SELECT prompt || told FROM turn WHERE story = s.id ORDER BY n LIMIT 1), '')"

dt_status dt_library_search(struct dt_library *library, const char *words, uint32_t offset,
                            uint32_t limit, struct dt_library_entry **out, size_t *count,
                            struct dt_error *err)
{
    struct found found = {0};
    sqlite3_stmt *s = NULL;
    char query[512];
    dt_status status = DT_OK;
    int code = SQLITE_DONE;
    bool memory = true;
    *out = NULL;
    *count = 0;
    library->trouble = DT_LIBRARY_FINE;
    make_query(words, query, sizeof query);
    // by title first, or all of them
    s = prepared(library,
                 "SELECT " ENTRY BEGINNING " FROM story s ORDER BY s.updated DESC, s.id DESC");
    while (s && memory && found.count < limit && (code = sqlite3_step(s)) == SQLITE_ROW) {
        if (!query[0] || title_has((const char *)sqlite3_column_text(s, 1), words))
            memory = add(&found, s, offset, limit);
    }
    if (!s || (code != SQLITE_DONE && code != SQLITE_ROW))
        status = fail(library, err);
    sqlite3_finalize(s);
    if (status == DT_OK && query[0] && memory && found.count < limit) {
        code = SQLITE_DONE;
        s = prepared(library, "SELECT " ENTRY "snippet(words, -1, '', '', '...', 16) FROM words"
                              " JOIN turn t ON t.id = words.rowid JOIN story s ON s.id = t.story"
                              " WHERE words MATCH ?1 ORDER BY words.rank");
        if (s)
            bind_text(s, 1, query);
        while (s && memory && found.count < limit && (code = sqlite3_step(s)) == SQLITE_ROW)
            memory = add(&found, s, offset, limit);
        if (!s || (code != SQLITE_DONE && code != SQLITE_ROW))
            status = fail(library, err);
        sqlite3_finalize(s);
    }
    if (status == DT_OK && !memory)
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the list of stories");
    free(found.seen);
    if (status != DT_OK) {
        dt_library_entries_free(found.entries, found.count);
        return status;
    }
    *out = found.entries;
    *count = found.count;
    return DT_OK;
}

dt_status dt_library_check(struct dt_library *library, struct dt_error *err)
{
    sqlite3_stmt *s = prepared(library, "PRAGMA integrity_check(1)");
    dt_status status = DT_OK;
    if (!s || sqlite3_step(s) != SQLITE_ROW)
        status = fail(library, err);
    else if (strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0)
        status = dt_error_set(err, DT_BAD_INPUT, library->path, "%s",
                              (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    if (status == DT_OK && !library->read_only &&
        !run(library, "INSERT INTO words(words, rank) VALUES('integrity-check', 0)"))
        status = fail(library, err);
    return status;
}
