// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/api.h"
#include "app/library/library_db.h"
#include "host/array.h"

// A library is untrusted input: a row may hold any type and any value.

static int64_t date(sqlite3_stmt *s, int i)
{
    int64_t seconds = sqlite3_column_int64(s, i), last = 253402300799; // of the year 9999
    return seconds < 0 ? 0 : seconds > last ? last : seconds;
}

static uint32_t count_of(sqlite3_stmt *s, int i)
{
    int64_t count = sqlite3_column_int64(s, i);
    return count < 0 ? 0 : count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

static double speed(sqlite3_stmt *s, int i)
{
    double speed = sqlite3_column_double(s, i);
    return speed >= 0 && speed <= 1e9 ? speed : 0;
}

static int end(sqlite3_stmt *s, int i)
{
    int64_t end = sqlite3_column_int64(s, i);
    return end >= DT_END_STORY && end <= DT_END_STOP_TEXT ? (int)end : DT_END_STOPPED;
}

// Stories in the order of their last change, the last one first.
static const char *order_of(const struct dt_library *library)
{
    return library->version > 1
               ? " ORDER BY s.revision DESC, s.id DESC"
               : " ORDER BY ifnull((SELECT max(id) FROM turn WHERE story = s.id), 0) DESC,"
                 " s.id DESC";
}

// ---- a story ----

static dt_status read_turns(struct dt_library *library, struct dt_story_record *record,
                            struct dt_error *err)
{
    sqlite3_stmt *s = dt_library_db_prepare(
        library, "SELECT prompt, told, finished, ending, tokens, seed, speed, stack, n FROM turn"
                 " WHERE story=?1 ORDER BY n");
    size_t capacity = 0;
    int code;
    if (!s)
        return dt_library_db_fail(library, err);
    sqlite3_bind_int64(s, 1, record->id);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (!dt_array_grow(&record->turns, &capacity, record->turn_count + 1,
                           sizeof *record->turns))
            break;
        struct dt_turn_record *turn = &record->turns[record->turn_count];
        if (sqlite3_column_int64(s, 8) != (int64_t)record->turn_count++)
            record->renumbered = true;
        *turn = (struct dt_turn_record){
            .prompt = dt_library_db_column_text(s, 0),
            .output = dt_library_db_column_text(s, 1),
            .finished = sqlite3_column_int(s, 2) != 0,
            .end = end(s, 3),
            .tokens = count_of(s, 4),
            .seed = (uint64_t)sqlite3_column_int64(s, 5),
            .speed = speed(s, 6),
            .stack = dt_library_db_column_line(s, 7),
        };
        if (!turn->prompt || !turn->output || !turn->stack)
            break;
    }
    dt_status status = code == SQLITE_DONE ? DT_OK
                       : code == SQLITE_ROW
                           ? dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the story")
                           : dt_library_db_fail(library, err);
    sqlite3_finalize(s);
    return status;
}

dt_status dt_library_load(struct dt_library *library, int64_t story, struct dt_story_record *out,
                          struct dt_error *err)
{
    char sql[500];
    memset(out, 0, sizeof *out);
    library->trouble = DT_LIBRARY_FINE;
    snprintf(sql, sizeof sql,
             "SELECT id, title, created, updated, model, tokenizer, stack, settings, premise, "
             "system, seed, chat, %s FROM story s WHERE ?1 = 0 OR id = ?1%s LIMIT 1",
             library->version > 1 ? "revision" : "0", order_of(library));
    sqlite3_stmt *s = dt_library_db_prepare(library, sql);
    if (!s)
        return dt_library_db_fail(library, err);
    sqlite3_bind_int64(s, 1, story);
    int code = sqlite3_step(s);
    if (code == SQLITE_DONE) {
        sqlite3_finalize(s);
        return dt_library_db_no_story(library, story, err);
    }
    if (code != SQLITE_ROW) {
        dt_status status = dt_library_db_fail(library, err);
        sqlite3_finalize(s);
        return status;
    }
    *out = (struct dt_story_record){
        .id = sqlite3_column_int64(s, 0),
        .title = dt_library_db_column_line(s, 1),
        .created = date(s, 2),
        .updated = date(s, 3),
        .model = dt_library_db_column_path(s, 4),
        .tokenizer = dt_library_db_column_path(s, 5),
        .stack = dt_library_db_column_line(s, 6),
        .settings = dt_library_db_column_text(s, 7),
        .premise = dt_library_db_column_text(s, 8),
        .system = dt_library_db_column_text(s, 9),
        .seed = (uint64_t)sqlite3_column_int64(s, 10),
        .chat = sqlite3_column_int(s, 11) != 0,
        .revision = sqlite3_column_int64(s, 12),
    };
    sqlite3_finalize(s);
    dt_status status = DT_OK;
    if (!out->title || !out->model || !out->tokenizer || !out->stack || !out->settings ||
        !out->premise || !out->system)
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the story");
    else
        status = read_turns(library, out, err);
    if (status != DT_OK)
        dt_story_record_free(out);
    return status;
}

// ---- a search ----

// The user's words as an FTS5 query: each is quoted, so that it cannot be an operator; the last one
// matches as a prefix.
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

// Whether the title contains all words; case is ignored for ASCII letters.
static bool title_has(const unsigned char *text, const char *words)
{
    const char *title = text ? (const char *)text : ""; // NULL: not a text
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

// Makes text one line of at most `most` bytes, in place; cut at a character. NULL stays NULL.
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
    int64_t *seen; // the stories found so far: further turns of theirs are left out
    size_t seen_count, seen_capacity;
};

// Adds the story of a row, unless it was seen, comes before the offset or after the limit. False if
// memory is short.
static bool add(struct found *found, sqlite3_stmt *s, uint32_t offset, uint32_t limit)
{
    int64_t id = sqlite3_column_int64(s, 0);
    for (size_t i = 0; i < found->seen_count; i++) {
        if (found->seen[i] == id)
            return true;
    }
    if (!dt_array_grow(&found->seen, &found->seen_capacity, found->seen_count + 1,
                       sizeof *found->seen))
        return false;
    found->seen[found->seen_count++] = id;
    if (found->seen_count <= offset || found->count >= limit)
        return true;
    if (!dt_array_grow(&found->entries, &found->capacity, found->count + 1, sizeof *found->entries))
        return false;
    struct dt_library_entry *entry = &found->entries[found->count++];
    *entry = (struct dt_library_entry){
        .id = id,
        .title = dt_library_db_column_line(s, 1),
        .created = date(s, 2),
        .updated = date(s, 3),
        .model = dt_library_db_column_path(s, 4),
        .stack = dt_library_db_column_line(s, 5),
        .turns = count_of(s, 6),
        .snippet = one_line(dt_library_db_column_text(s, 7), 160),
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
    char query[512], sql[500];
    dt_status status = DT_OK;
    int code = SQLITE_DONE;
    bool memory = true;
    *out = NULL;
    *count = 0;
    library->trouble = DT_LIBRARY_FINE;
    make_query(words, query, sizeof query);
    // by title first, or all of them
    snprintf(sql, sizeof sql, "SELECT " ENTRY BEGINNING " FROM story s%s", order_of(library));
    s = dt_library_db_prepare(library, sql);
    while (s && memory && found.count < limit && (code = sqlite3_step(s)) == SQLITE_ROW) {
        if (!query[0] || title_has(sqlite3_column_text(s, 1), words))
            memory = add(&found, s, offset, limit);
    }
    if (!s || (code != SQLITE_DONE && code != SQLITE_ROW))
        status = dt_library_db_fail(library, err);
    sqlite3_finalize(s);
    if (status == DT_OK && query[0] && memory && found.count < limit) {
        code = SQLITE_DONE;
        s = dt_library_db_prepare(
            library, "SELECT " ENTRY "snippet(words, -1, '', '', '...', 16) FROM words"
                     " JOIN turn t ON t.id = words.rowid JOIN story s ON s.id = t.story"
                     " WHERE words MATCH ?1 ORDER BY words.rank");
        if (s)
            dt_library_db_bind_text(s, 1, query);
        while (s && memory && found.count < limit && (code = sqlite3_step(s)) == SQLITE_ROW)
            memory = add(&found, s, offset, limit);
        if (!s || (code != SQLITE_DONE && code != SQLITE_ROW))
            status = dt_library_db_fail(library, err);
        sqlite3_finalize(s);
    }
    if (status == DT_OK && !memory)
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the list of stories");
    free(found.seen);
    if (status != DT_OK) {
        dt_library_entries_free(found.entries, found.count);
        return status;
    }
    *out = found.entries;
    *count = found.count;
    return DT_OK;
}
