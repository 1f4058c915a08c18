// SPDX-License-Identifier: MIT
#include <time.h>

#include "app/library/library_db.h"

static bool begin(struct dt_library *library)
{
    library->trouble = DT_LIBRARY_FINE;
    return dt_library_db_run(library, "BEGIN IMMEDIATE");
}

// The next revision: one more than any story has. A file may hold any number, so those without a
// successor do not count.
#define NEXT "(SELECT ifnull(max(revision), 0) + 1 FROM story WHERE revision < 4611686018427387904)"

// Inserts or updates the fields of a story. *id: its number, 0 if no row has this id and revision.
static bool write_story(struct dt_library *library, const struct dt_story_record *record,
                        int64_t created, int64_t updated, int64_t *id)
{
    sqlite3_stmt *s = dt_library_db_prepare(
        library, record->id ? "UPDATE story SET title=?1, updated=?3, model=?4, "
                              "tokenizer=?5, stack=?6, settings=?7, premise=?8,"
                              " system=?9, seed=?10, chat=?11, revision=" NEXT
                              " WHERE id=?12 AND (?13 = 0 OR revision = ?13)"
                            : "INSERT INTO story(title, created, updated, model, "
                              "tokenizer, stack, settings, premise, system, seed, chat, revision)"
                              " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, " NEXT ")");
    if (!s)
        return false;
    dt_library_db_bind_text(s, 1, record->title);
    if (!record->id)
        sqlite3_bind_int64(s, 2, created);
    sqlite3_bind_int64(s, 3, updated);
    dt_library_db_bind_text(s, 4, record->model);
    dt_library_db_bind_text(s, 5, record->tokenizer);
    dt_library_db_bind_text(s, 6, record->stack);
    dt_library_db_bind_text(s, 7, record->settings);
    dt_library_db_bind_text(s, 8, record->premise);
    dt_library_db_bind_text(s, 9, record->system);
    sqlite3_bind_int64(s, 10, (int64_t)record->seed);
    sqlite3_bind_int(s, 11, record->chat);
    if (record->id) {
        sqlite3_bind_int64(s, 12, record->id);
        sqlite3_bind_int64(s, 13, record->revision);
    }
    bool done = sqlite3_step(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    if (record->id)
        *id = done && sqlite3_changes(library->db) > 0 ? record->id : 0;
    else
        *id = sqlite3_last_insert_rowid(library->db);
    return done;
}

static bool write_turns(struct dt_library *library, int64_t story,
                        const struct dt_story_record *record, size_t from)
{
    sqlite3_stmt *s = dt_library_db_prepare(
        library,
        "INSERT INTO turn(story, n, prompt, told, finished, ending, tokens, seed, speed, stack)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        " ON CONFLICT(story, n) DO UPDATE SET prompt=?3, told=?4, finished=?5, ending=?6, "
        "tokens=?7, seed=?8, speed=?9, stack=?10");
    bool done = s != NULL;
    for (size_t n = from; n < record->turn_count && done; n++) {
        const struct dt_turn_record *turn = &record->turns[n];
        sqlite3_bind_int64(s, 1, story);
        sqlite3_bind_int64(s, 2, (int64_t)n);
        dt_library_db_bind_text(s, 3, turn->prompt);
        dt_library_db_bind_text(s, 4, turn->output);
        sqlite3_bind_int(s, 5, turn->finished);
        sqlite3_bind_int(s, 6, turn->end);
        sqlite3_bind_int64(s, 7, turn->tokens);
        sqlite3_bind_int64(s, 8, (int64_t)turn->seed);
        sqlite3_bind_double(s, 9, turn->speed);
        dt_library_db_bind_text(s, 10, turn->stack);
        done = sqlite3_step(s) == SQLITE_DONE;
        sqlite3_reset(s);
    }
    sqlite3_finalize(s);
    return done;
}

// Runs a statement with ?1 = story and, if it has a second parameter, ?2 = n.
static bool change(struct dt_library *library, const char *sql, int64_t story, int64_t n)
{
    sqlite3_stmt *s = dt_library_db_prepare(library, sql);
    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, story);
    if (sqlite3_bind_parameter_count(s) > 1)
        sqlite3_bind_int64(s, 2, n);
    bool done = sqlite3_step(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    return done;
}

// The value of a query with ?1 = story; `otherwise` if there is no row.
static int64_t number_of(struct dt_library *library, const char *sql, int64_t story,
                         int64_t otherwise)
{
    sqlite3_stmt *s = dt_library_db_prepare(library, sql);
    int64_t value = otherwise;
    if (s)
        sqlite3_bind_int64(s, 1, story);
    if (s && sqlite3_step(s) == SQLITE_ROW)
        value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return value;
}

#define REVISION "SELECT revision FROM story WHERE id=?1"

// The story has another revision, or is not there.
static dt_status fail_other_revision(struct dt_library *library, int64_t story,
                                     struct dt_error *err)
{
    bool there = number_of(library, REVISION, story, -1) != -1;
    dt_library_db_run(library, "ROLLBACK");
    library->trouble = there ? DT_LIBRARY_CHANGED : DT_LIBRARY_DELETED;
    return dt_error_set(err, DT_FAILED, library->path, "another session has %s story %lld",
                        there ? "changed" : "deleted", (long long)story);
}

// Turns past the last one, and those with a number that no duotale gives.
#define SURPLUS                                                                                    \
    "DELETE FROM turn WHERE story=?1 AND NOT (typeof(n) = 'integer' AND n >= 0 AND n < ?2)"

static dt_status save_once(struct dt_library *library, struct dt_story_record *record, size_t from,
                           struct dt_error *err)
{
    int64_t id = 0, updated = (int64_t)time(NULL),
            created = record->created ? record->created : updated;
    if (!begin(library) || !write_story(library, record, created, updated, &id))
        return dt_library_db_fail(library, err);
    if (id == 0)
        return fail_other_revision(library, record->id, err);
    if (!change(library, SURPLUS, id, (int64_t)record->turn_count) ||
        !write_turns(library, id, record, from))
        return dt_library_db_fail(library, err);
    int64_t revision = number_of(library, REVISION, id, 0);
    if (!dt_library_db_run(library, "COMMIT"))
        return dt_library_db_fail(library, err);
    record->id = id;
    record->revision = revision;
    record->created = created;
    record->updated = updated;
    return DT_OK;
}

dt_status dt_library_save(struct dt_library *library, struct dt_story_record *record, size_t from,
                          struct dt_error *err)
{
    library->code = SQLITE_OK;
    dt_status status = save_once(library, record, from, err);
    // A damaged search index alone: it is made again from the turns. SQLite notices it itself, or
    // finds rows where there should be none.
    bool index =
        library->code == SQLITE_CORRUPT_VTAB || (library->code & 0xff) == SQLITE_CONSTRAINT;
    if (status == DT_OK || !index)
        return status;
    if (!dt_library_db_run(library, "INSERT INTO words(words) VALUES('rebuild')"))
        status = dt_library_db_fail(library, err);
    else
        status = save_once(library, record, from, err);
    if (status != DT_OK && library->code == SQLITE_CORRUPT_VTAB)
        library->trouble = DT_LIBRARY_OTHER; // not a damaged library
    return status;
}

dt_status dt_library_delete(struct dt_library *library, int64_t story, struct dt_error *err)
{
    if (!begin(library) || !change(library, "DELETE FROM turn WHERE story=?1", story, 0) ||
        !change(library, "DELETE FROM story WHERE id=?1", story, 0))
        return dt_library_db_fail(library, err);
    if (sqlite3_changes(library->db) == 0)
        return dt_library_db_no_story(library, story, err);
    // the index contains deleted words until it is merged
    if (!dt_library_db_run(library, "INSERT INTO words(words) VALUES('optimize')") ||
        !dt_library_db_run(library, "COMMIT"))
        return dt_library_db_fail(library, err);
    dt_library_db_run(library, "PRAGMA wal_checkpoint(TRUNCATE)"); // which has the old pages too
    return DT_OK;
}
