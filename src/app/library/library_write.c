// SPDX-License-Identifier: MIT
#include <time.h>

#include "app/library/library_db.h"

static bool begin(struct dt_library *library)
{
    library->trouble = DT_LIBRARY_FINE;
    return dt_library_db_run(library, "BEGIN IMMEDIATE");
}

// Inserts or updates the fields of a story; *id: its number.
static bool write_story(struct dt_library *library, struct dt_story_record *record, int64_t *id)
{
    sqlite3_stmt *s = dt_library_db_prepare(
        library, record->id ? "UPDATE story SET title=?1, updated=?3, model=?4, "
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
    dt_library_db_bind_text(s, 1, record->title);
    if (!record->id)
        sqlite3_bind_int64(s, 2, record->created);
    sqlite3_bind_int64(s, 3, record->updated);
    dt_library_db_bind_text(s, 4, record->model);
    dt_library_db_bind_text(s, 5, record->tokenizer);
    dt_library_db_bind_text(s, 6, record->stack);
    dt_library_db_bind_text(s, 7, record->settings);
    dt_library_db_bind_text(s, 8, record->premise);
    dt_library_db_bind_text(s, 9, record->system);
    sqlite3_bind_int64(s, 10, (int64_t)record->seed);
    sqlite3_bind_int(s, 11, record->chat);
    if (record->id)
        sqlite3_bind_int64(s, 12, record->id);
    bool done = sqlite3_step(s) == SQLITE_DONE;
    if (done && record->id && sqlite3_changes(library->db) == 0) {
        // another session deleted it: from now on it is a new story
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
    if (!begin(library) || !write_story(library, record, &id) ||
        !dt_library_db_run(library, "COMMIT"))
        return dt_library_db_fail(library, err);
    record->id = id;
    return DT_OK;
}

dt_status dt_library_put_turn(struct dt_library *library, struct dt_story_record *record,
                              uint32_t n, const struct dt_turn_record *turn, struct dt_error *err)
{
    int64_t id = 0;
    if (!begin(library) || !write_story(library, record, &id))
        return dt_library_db_fail(library, err);
    sqlite3_stmt *s = dt_library_db_prepare(
        library,
        "INSERT INTO turn(story, n, prompt, told, finished, ending, tokens, seed, speed, stack)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        " ON CONFLICT(story, n) DO UPDATE SET prompt=?3, told=?4, finished=?5, ending=?6, "
        "tokens=?7, seed=?8, speed=?9, stack=?10");
    if (!s)
        return dt_library_db_fail(library, err);
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int64(s, 2, n);
    dt_library_db_bind_text(s, 3, turn->prompt);
    dt_library_db_bind_text(s, 4, turn->output);
    sqlite3_bind_int(s, 5, turn->finished);
    sqlite3_bind_int(s, 6, turn->end);
    sqlite3_bind_int64(s, 7, turn->tokens);
    sqlite3_bind_int64(s, 8, (int64_t)turn->seed);
    sqlite3_bind_double(s, 9, turn->speed);
    dt_library_db_bind_text(s, 10, turn->stack);
    bool done = sqlite3_step(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    if (!done || !dt_library_db_run(library, "COMMIT"))
        return dt_library_db_fail(library, err);
    record->id = id;
    return DT_OK;
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

dt_status dt_library_cut(struct dt_library *library, int64_t story, uint32_t n,
                         struct dt_error *err)
{
    if (!begin(library) ||
        !change(library, "DELETE FROM turn WHERE story=?1 AND n>=?2", story, n) ||
        !dt_library_db_run(library, "COMMIT"))
        return dt_library_db_fail(library, err);
    return DT_OK;
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
