// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "app/library/export.h"
#include "app/library/library.h"
#include "app/library/library_file.h"

static char folder[] = "/tmp/dt-library-XXXXXX";
static char path[100];
static struct dt_library *library;

static struct dt_story_record fields(const char *title)
{
    return (struct dt_story_record){.title = (char *)title,
                                    .model = (char *)"a.gguf",
                                    .tokenizer = (char *)"",
                                    .stack = (char *)"int8",
                                    .settings = (char *)"temperature = 0.8\n",
                                    .premise = (char *)"",
                                    .system = (char *)"",
                                    .seed = 18446744073709551615u,
                                    .chat = false};
}

static struct dt_turn_record turn(const char *prompt, const char *output, bool finished)
{
    return (struct dt_turn_record){.prompt = (char *)prompt,
                                   .output = (char *)output,
                                   .finished = finished,
                                   .end = 2,
                                   .tokens = 12,
                                   .seed = 7,
                                   .speed = 60.5,
                                   .stack = (char *)"int8+fastexp"};
}

// Saves a story whose last turn is this one; the turns before it stay as they are in the library.
static dt_status save_turn(struct dt_story_record *record, uint32_t n, struct dt_turn_record *t,
                           struct dt_error *err)
{
    struct dt_turn_record turns[8] = {{0}};
    turns[n] = *t;
    record->turns = turns;
    record->turn_count = n + 1;
    struct dt_error inner = {0};
    dt_status status = dt_library_save(library, record, n, &inner);
    if (status != DT_OK)
        print_message("%s\n", inner.message);
    if (err)
        *err = inner;
    record->turns = NULL;
    record->turn_count = 0;
    return status;
}

static int64_t put(const char *title, const char *prompt, const char *output)
{
    struct dt_story_record record = fields(title);
    struct dt_turn_record t = turn(prompt, output, true);
    assert_int_equal(save_turn(&record, 0, &t, NULL), DT_OK);
    return record.id;
}

static int set_up(void **state)
{
    (void)state;
    enum dt_library_trouble trouble;
    struct dt_error err = {0};
    static int number;
    snprintf(path, sizeof path, "%s/n%d/sub/library.db", folder, number++);
    if (dt_library_open(&library, path, NULL, DT_LIBRARY_WRITE, &trouble, &err) != DT_OK) {
        print_error("%s\n", err.message);
        return 1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dt_library_close(library);
    library = NULL;
    return 0;
}

static void stories_come_back(void **state)
{
    (void)state;
    struct dt_story_record record = fields("The Red Ball"), back;
    struct dt_turn_record first = turn("Once upon a time", " there was a ball.", true),
                          draft = turn("", "It bou", false);
    struct stat st;
    assert_int_equal(save_turn(&record, 0, &first, NULL), DT_OK);
    assert_int_equal(record.id, 1);
    assert_int_equal(save_turn(&record, 1, &draft, NULL), DT_OK);
    draft = turn("", "It bounced and bounced.", false);
    assert_int_equal(save_turn(&record, 1, &draft, NULL), DT_OK);
    assert_int_equal(dt_library_load(library, 1, &back, NULL), DT_OK);
    assert_string_equal(back.title, "The Red Ball");
    assert_string_equal(back.settings, "temperature = 0.8\n");
    assert_true(back.seed == 18446744073709551615u);
    assert_int_equal(back.turn_count, 2);
    assert_string_equal(back.turns[0].prompt, "Once upon a time");
    assert_string_equal(back.turns[0].stack, "int8+fastexp");
    assert_true(back.turns[0].finished);
    assert_false(back.turns[1].finished);
    assert_string_equal(back.turns[1].output, "It bounced and bounced.");
    dt_story_record_free(&back);
    record.turn_count = 1; // removes turn 1
    assert_int_equal(dt_library_save(library, &record, 1, NULL), DT_OK);
    record.turn_count = 0;
    assert_int_equal(dt_library_load(library, 0, &back, NULL), DT_OK);
    assert_int_equal(back.turn_count, 1);
    dt_story_record_free(&back);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void search(void **state)
{
    (void)state;
    struct dt_library_entry *found;
    size_t count;
    int64_t frog = put("A frog", "Tell me of a frog.", "The fr\xc3\xb6g jumped over \"the\" moon."),
            bear = put("Bear", "Once", " a bear slept NEAR the moon*");
    static const struct {
        const char *words;
        size_t count;
        int which; // 0 frog, 1 bear, 2 any
    } rows[] = {
        {"", 2, 2},      {"moon", 2, 2},      {"moon bear", 1, 1}, {"slep", 1, 1},
        {"frog", 1, 0},  {"FROG moon", 1, 0}, {"\"the\"", 2, 2},   {"moon OR", 0, 2},
        {"*", 0, 2},     {"\"", 0, 2},        {"NEAR(", 1, 1},     {"prompt:once", 0, 2},
        {"zebra", 0, 2}, {"a' OR 1=1", 0, 2}, {"bea", 1, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dt_error err = {0};
        if (dt_library_search(library, rows[i].words, 0, 10, &found, &count, &err) != DT_OK)
            fail_msg("'%s': %s", rows[i].words, err.message);
        if (count != rows[i].count)
            fail_msg("'%s': %zu found", rows[i].words, count);
        if (rows[i].which < 2)
            assert_int_equal(found[0].id, rows[i].which ? bear : frog);
        for (size_t j = 0; j < count; j++)
            assert_true(found[j].turns == 1 && found[j].snippet[0]);
        dt_library_entries_free(found, count);
    }
    // drafts are not found, finished turns of the same number are; replaced text is not
    struct dt_story_record record = fields("Draft");
    struct dt_turn_record t = turn("", "walrus", false);
    save_turn(&record, 0, &t, NULL);
    dt_library_search(library, "walrus", 0, 10, &found, &count, NULL);
    assert_int_equal(count, 0);
    dt_library_entries_free(found, count);
    t = turn("", "walrus", true);
    save_turn(&record, 0, &t, NULL);
    dt_library_search(library, "walrus", 0, 10, &found, &count, NULL);
    assert_int_equal(count, 1);
    dt_library_entries_free(found, count);
    // finished text replaced by finished text, as /retry does while the library is locked
    t = turn("", "penguin", true);
    save_turn(&record, 0, &t, NULL);
    dt_library_search(library, "walrus", 0, 10, &found, &count, NULL);
    assert_int_equal(count, 0);
    dt_library_entries_free(found, count);
    dt_library_search(library, "penguin", 0, 10, &found, &count, NULL);
    assert_int_equal(count, 1);
    dt_library_entries_free(found, count);
    dt_library_search(library, "", 1, 1, &found, &count, NULL); // pages
    assert_int_equal(count, 1);
    dt_library_entries_free(found, count);
    assert_int_equal(dt_library_check(library, NULL), DT_OK);
}

// A deleted story is gone from every file, its number is not used again.
static void deleted_is_gone(void **state)
{
    (void)state;
    char command[200];
    put("Keep", "Once", "upon");
    int64_t id = put("Secret", "Xylophone plan", "The zyzzyva sang.");
    struct dt_story_record renamed = {.id = id, .title = "More secret"};
    renamed.turn_count = 1;
    assert_int_equal(dt_library_save(library, &renamed, 1, NULL), DT_OK);
    assert_int_equal(renamed.id, id);
    assert_int_equal(dt_library_delete(library, id, NULL), DT_OK);
    assert_int_equal(dt_library_delete(library, id, NULL), DT_BAD_INPUT);
    assert_int_equal(put("New", "a", "b"), id + 1);
    dt_library_close(library);
    library = NULL;
    snprintf(command, sizeof command,
             "grep -a -i -l -r -e zyzzyva -e xylophone -e 'secret' %s >/dev/null", path);
    assert_int_not_equal(system(command), 0);
}

// Runs SQL on the library, as another program does.
static void run_sql(const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &message);
    if (message)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

static void write_text(const char *name, const char *text, int times)
{
    FILE *out = fopen(name, "w");
    for (int i = 0; i < times; i++)
        fputs(text, out);
    fclose(out);
}

// The bytes of a file as a number that changes with each of them.
static uint64_t digest(const char *name)
{
    uint64_t sum = 14695981039346656037u;
    int c;
    FILE *in = fopen(name, "r");
    assert_non_null(in);
    while ((c = fgetc(in)) != EOF)
        sum = (sum ^ (unsigned)c) * 1099511628211u;
    fclose(in);
    return sum;
}

// What is not a library stays as it is: refused, not renamed, not one byte changed.
static void foreign_files(void **state)
{
    (void)state;
    enum dt_library_trouble trouble;
    struct dt_error err = {0};
    struct dt_library *other = NULL;
    char text[120], moved[200], wal[130];
    static const char *const databases[] = {
        "CREATE TABLE story(x)",
        "PRAGMA application_id = 7; CREATE TABLE story(x)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 1; CREATE TABLE story(x)",
        "PRAGMA journal_mode = WAL; CREATE TABLE story(x)",
        "PRAGMA journal_mode = WAL; CREATE TABLE story(x); PRAGMA user_version = 1",
    };
    static const char *const texts[] = {"not a database ", "x", "SQLite format 3",
                                        "a line of prose\n"};
    snprintf(text, sizeof text, "%s.other", path);
    snprintf(wal, sizeof wal, "%s-wal", text);
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++) {
        sqlite3 *db;
        sqlite3_open(text, &db);
        assert_int_equal(sqlite3_exec(db, databases[i], NULL, NULL, NULL), SQLITE_OK);
        if (i != 5)
            sqlite3_close(db); // the last one is in use, with all of it in its -wal file
        uint64_t before = digest(text);
        for (unsigned flags = 0; flags < 2; flags++) {
            assert_int_equal(dt_library_open(&other, text, NULL, flags, &trouble, &err), DT_FAILED);
            assert_int_equal(trouble, DT_LIBRARY_FOREIGN);
            assert_null(other);
        }
        assert_int_equal(dt_library_put_aside(text, moved, sizeof moved, &err), DT_FAILED);
        assert_true(digest(text) == before);
        if (i == 5) {
            assert_int_equal(access(wal, F_OK), 0);
            assert_int_equal(sqlite3_exec(db, "INSERT INTO story VALUES(1)", NULL, NULL, NULL),
                             SQLITE_OK);
            sqlite3_close(db);
        }
        assert_int_equal(unlink(text), 0);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_text(text, texts[i], i ? 1 : 2000);
        uint64_t before = digest(text);
        assert_int_equal(dt_library_open(&other, text, NULL, DT_LIBRARY_WRITE, &trouble, &err),
                         DT_FAILED);
        assert_int_equal(trouble, DT_LIBRARY_FOREIGN);
        assert_int_equal(dt_library_put_aside(text, moved, sizeof moved, &err), DT_FAILED);
        assert_true(digest(text) == before);
    }
    // an empty file becomes a library
    write_text(text, "", 1);
    assert_int_equal(dt_library_open(&other, text, NULL, DT_LIBRARY_WRITE, &trouble, &err), DT_OK);
    dt_library_close(other);
    assert_int_equal(dt_library_file_content(text), DT_LIBRARY_FILE_OURS);
}

static void damaged_files(void **state)
{
    (void)state;
    enum dt_library_trouble trouble;
    struct dt_error err = {0};
    struct dt_library *other;
    char moved[200];
    for (int i = 0; i < 50; i++)
        put("Story", "Once",
            "upon a time there was a story that filled a page of this file with words and words");
    dt_library_close(library);
    library = NULL;
    // a later version: never touched
    run_sql("PRAGMA user_version = 3");
    assert_int_equal(dt_library_open(&other, path, NULL, DT_LIBRARY_WRITE, &trouble, &err),
                     DT_FAILED);
    assert_int_equal(trouble, DT_LIBRARY_READ_ONLY);
    assert_non_null(strstr(err.message, "update duotale"));
    // pages of zeros in the middle: found at the latest by the check
    run_sql("PRAGMA user_version = 2");
    FILE *out = fopen(path, "r+");
    fseek(out, 4096, SEEK_SET);
    for (int i = 0; i < 3 * 4096; i++)
        fputc(0, out);
    fclose(out);
    if (dt_library_open(&other, path, NULL, DT_LIBRARY_WRITE, &trouble, &err) == DT_OK) {
        assert_int_not_equal(dt_library_check(other, &err), DT_OK);
        dt_library_close(other);
    }
    // the first page without its header's end: damaged, and by its mark a library
    out = fopen(path, "r+");
    fseek(out, 100, SEEK_SET);
    for (int i = 0; i < 3000; i++)
        fputc(255, out);
    fclose(out);
    assert_int_equal(dt_library_open(&other, path, NULL, DT_LIBRARY_WRITE, &trouble, &err),
                     DT_FAILED);
    assert_int_equal(trouble, DT_LIBRARY_CORRUPT);
    assert_int_equal(dt_library_put_aside(path, moved, sizeof moved, &err), DT_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(access(moved, F_OK), 0);
    assert_int_equal(dt_library_open(&other, "/nonexistent/x/library.db", NULL, 0, &trouble, &err),
                     DT_BAD_INPUT);
}

// The check compares the index with the text; a damaged index alone costs no story.
static void search_index(void **state)
{
    (void)state;
    struct dt_library_entry *found;
    size_t count;
    struct dt_error err = {0};
    struct dt_story_record record = fields("Draft");
    struct dt_turn_record t = turn("", "a draft is not in the index", false);
    put("One", "Once", " there was a hedgehog");
    assert_int_equal(save_turn(&record, 0, &t, NULL), DT_OK);
    assert_int_equal(dt_library_check(library, &err), DT_OK);
    run_sql("INSERT INTO words(words, rowid, prompt, told) VALUES('delete', 1, 'Once', ' there was "
            "a hedgehog')");
    assert_int_not_equal(dt_library_check(library, &err), DT_OK);
    run_sql("UPDATE words_data SET block = x'0011223344' WHERE id > 100;"
            "UPDATE words_data SET block = x'00' WHERE id = 10");
    t = turn("", "finished with a porcupine", true);
    assert_int_equal(save_turn(&record, 0, &t, &err), DT_OK);
    dt_library_search(library, "porcupine", 0, 10, &found, &count, NULL);
    assert_int_equal(count, 1);
    dt_library_entries_free(found, count);
    dt_library_search(library, "hedgehog", 0, 10, &found, &count, NULL);
    assert_int_equal(count, 1);
    dt_library_entries_free(found, count);
    assert_int_equal(dt_library_check(library, &err), DT_OK);
}

// The last story is the one changed last, whatever the clock said.
static void clock_that_went_back(void **state)
{
    (void)state;
    struct dt_library_entry *found;
    struct dt_story_record record;
    size_t count;
    int64_t first = put("First", "a", "b"), second = put("Second", "c", "d");
    run_sql("UPDATE story SET updated = 32503680000 WHERE id = 1;"
            "UPDATE story SET updated = 1000 WHERE id = 2");
    assert_int_equal(dt_library_load(library, 0, &record, NULL), DT_OK);
    assert_int_equal(record.id, second);
    dt_story_record_free(&record);
    assert_int_equal(dt_library_search(library, "", 0, 10, &found, &count, NULL), DT_OK);
    assert_int_equal(count, 2);
    assert_int_equal(found[0].id, second);
    dt_library_entries_free(found, count);
    // a change makes a story the last one again
    assert_int_equal(dt_library_load(library, first, &record, NULL), DT_OK);
    assert_int_equal(dt_library_save(library, &record, 1, NULL), DT_OK);
    dt_story_record_free(&record);
    assert_int_equal(dt_library_load(library, 0, &record, NULL), DT_OK);
    assert_int_equal(record.id, first);
    dt_story_record_free(&record);
}

static void other_revision(void **state)
{
    (void)state;
    struct dt_story_record mine = fields("Mine"), theirs;
    struct dt_turn_record t = turn("a", "b", true);
    assert_int_equal(save_turn(&mine, 0, &t, NULL), DT_OK);
    assert_int_equal(dt_library_load(library, mine.id, &theirs, NULL), DT_OK);
    assert_int_equal(dt_library_save(library, &theirs, 1, NULL), DT_OK);
    int64_t revision = mine.revision;
    assert_int_equal(save_turn(&mine, 0, &t, NULL), DT_FAILED);
    assert_int_equal(dt_library_last_trouble(library), DT_LIBRARY_CHANGED);
    assert_int_equal(mine.revision, revision);
    assert_int_equal(dt_library_delete(library, theirs.id, NULL), DT_OK);
    assert_int_equal(dt_library_save(library, &theirs, 1, NULL), DT_FAILED);
    assert_int_equal(dt_library_last_trouble(library), DT_LIBRARY_DELETED);
    dt_story_record_free(&theirs);
}

// Rows that no duotale writes.
static void hostile_rows(void **state)
{
    (void)state;
    static const char *const values[] = {
        "NULL",  "x'00ff80c3'", "9223372036854775807",    "-9223372036854775808",
        "1e308", "-1e99",       "'\x1b]0;x\x07\xff\xc3'", "99999999999999999",
        "''",    "zeroblob(3)",
    };
    static const char *const columns[] = {
        "story.title", "story.created",  "story.updated", "story.model",  "story.tokenizer",
        "story.stack", "story.settings", "story.premise", "story.system", "story.seed",
        "story.chat",  "story.revision", "turn.prompt",   "turn.told",    "turn.finished",
        "turn.ending", "turn.tokens",    "turn.seed",     "turn.speed",   "turn.stack",
        "turn.n",
    };
    put("A story", "Once", " upon");
    // tables without NOT NULL, as in a file that another program made
    run_sql("PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', "
            "'') WHERE name IN ('story', 'turn')");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            char sql[200], when[40];
            const char *dot = strchr(columns[i], '.');
            struct dt_library_entry *found;
            struct dt_story_record record;
            size_t count;
            snprintf(sql, sizeof sql, "UPDATE %.*s SET %s = %s", (int)(dot - columns[i]),
                     columns[i], dot + 1, values[j]);
            run_sql(sql);
            dt_library_close(library);
            enum dt_library_trouble trouble;
            assert_int_equal(dt_library_open(&library, path, NULL, 1, &trouble, NULL), DT_OK);
            assert_int_equal(dt_library_search(library, "on", 0, 10, &found, &count, NULL), DT_OK);
            dt_library_entries_free(found, count);
            assert_int_equal(dt_library_search(library, "", 0, 10, &found, &count, NULL), DT_OK);
            assert_int_equal(count, 1);
            assert_non_null(found->title);
            dt_record_date(found->updated, false, "%Y-%m-%d %H:%M", when, sizeof when);
            assert_int_equal(strlen(when), 16);
            dt_library_entries_free(found, count);
            assert_int_equal(dt_library_load(library, 1, &record, NULL), DT_OK);
            assert_int_equal(record.turn_count, 1);
            assert_true(record.turns[0].end >= 0 && record.turns[0].end <= 5);
            FILE *out = fopen("/dev/null", "w");
            for (int form = 0; form < 3; form++)
                assert_true(dt_export_write(out, &record, (enum dt_export_form)form, false));
            fclose(out);
            // a revision that is no integer is never the expected one: the story would be forked
            struct dt_error err = {0};
            if (dt_library_save(library, &record, 0, &err) != DT_OK &&
                dt_library_last_trouble(library) != DT_LIBRARY_CHANGED)
                fail_msg("%s: %s", sql, err.message);
            dt_story_record_free(&record);
        }
    }
}

static void locked(void **state)
{
    (void)state;
    sqlite3 *db;
    struct dt_error err = {0};
    struct dt_story_record record = fields("x");
    struct dt_turn_record t = turn("a", "b", true);
    sqlite3_open(path, &db);
    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    dt_library_patience(library, 10);
    assert_int_equal(save_turn(&record, 0, &t, &err), DT_FAILED);
    assert_int_equal(dt_library_last_trouble(library), DT_LIBRARY_LOCKED);
    assert_int_equal(record.id, 0);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(save_turn(&record, 0, &t, &err), DT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stories_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deleted_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clock_that_went_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_revision, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(locked, set_up, tear_down),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests_name("library", tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 ? 1 : failed;
}
