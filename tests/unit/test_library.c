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

#include "app/library/library.h"

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

static int64_t put(const char *title, const char *prompt, const char *output)
{
    struct dt_story_record record = fields(title);
    struct dt_turn_record t = turn(prompt, output, true);
    assert_int_equal(dt_library_put_turn(library, &record, 0, &t, NULL), DT_OK);
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
    assert_int_equal(dt_library_put_turn(library, &record, 0, &first, NULL), DT_OK);
    assert_int_equal(record.id, 1);
    assert_int_equal(dt_library_put_turn(library, &record, 1, &draft, NULL), DT_OK);
    draft = turn("", "It bounced and bounced.", false);
    assert_int_equal(dt_library_put_turn(library, &record, 1, &draft, NULL), DT_OK);
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
    assert_int_equal(dt_library_cut(library, 1, 1, NULL), DT_OK);
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
    dt_library_put_turn(library, &record, 0, &t, NULL);
    dt_library_search(library, "walrus", 0, 10, &found, &count, NULL);
    assert_int_equal(count, 0);
    dt_library_entries_free(found, count);
    t = turn("", "walrus", true);
    dt_library_put_turn(library, &record, 0, &t, NULL);
    dt_library_search(library, "walrus", 0, 10, &found, &count, NULL);
    assert_int_equal(count, 1);
    dt_library_entries_free(found, count);
    t = turn("", "penguin", true);
    dt_library_put_turn(library, &record, 0, &t, NULL);
    dt_library_search(library, "walrus", 0, 10, &found, &count, NULL);
    assert_int_equal(count, 0);
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
    assert_int_equal(dt_library_put_story(library, &renamed, NULL), DT_OK);
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

static void damaged_files(void **state)
{
    (void)state;
    enum dt_library_trouble trouble;
    struct dt_error err = {0};
    struct dt_library *other;
    char text[120], moved[200];
    for (int i = 0; i < 50; i++)
        put("Story", "Once",
            "upon a time there was a story that filled a page of this file with words and words");
    dt_library_close(library);
    library = NULL;
    snprintf(text, sizeof text, "%s.text", path);
    FILE *out = fopen(text, "w");
    for (int i = 0; i < 2000; i++)
        fputs("not a database ", out);
    fclose(out);
    assert_int_equal(dt_library_open(&other, text, NULL, DT_LIBRARY_WRITE, &trouble, &err),
                     DT_FAILED);
    assert_int_equal(trouble, DT_LIBRARY_CORRUPT);
    assert_int_equal(dt_library_put_aside(text, moved, sizeof moved, &err), DT_OK);
    assert_int_not_equal(access(text, F_OK), 0);
    assert_int_equal(access(moved, F_OK), 0);
    // somebody else's database
    sqlite3 *db;
    sqlite3_open(text, &db);
    sqlite3_exec(db, "CREATE TABLE story(x)", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(dt_library_open(&other, text, NULL, DT_LIBRARY_WRITE, &trouble, &err),
                     DT_FAILED);
    assert_int_equal(trouble, DT_LIBRARY_CORRUPT);
    unlink(text);
    // a later form: never touched
    sqlite3_open(path, &db);
    sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(dt_library_open(&other, path, NULL, DT_LIBRARY_WRITE, &trouble, &err),
                     DT_FAILED);
    assert_int_equal(trouble, DT_LIBRARY_READ_ONLY);
    assert_non_null(strstr(err.message, "update duotale"));
    // pages of zeros in the middle: found at the latest by the check
    sqlite3_open(path, &db);
    sqlite3_exec(db, "PRAGMA user_version = 1", NULL, NULL, NULL);
    sqlite3_close(db);
    out = fopen(path, "r+");
    fseek(out, 4096, SEEK_SET);
    for (int i = 0; i < 3 * 4096; i++)
        fputc(0, out);
    fclose(out);
    if (dt_library_open(&other, path, NULL, DT_LIBRARY_WRITE, &trouble, &err) == DT_OK) {
        assert_int_not_equal(dt_library_check(other, &err), DT_OK);
        dt_library_close(other);
    }
    assert_int_equal(dt_library_open(&other, "/nonexistent/x/library.db", NULL, 0, &trouble, &err),
                     DT_BAD_INPUT);
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
    assert_int_equal(dt_library_put_turn(library, &record, 0, &t, &err), DT_FAILED);
    assert_int_equal(dt_library_last_trouble(library), DT_LIBRARY_LOCKED);
    assert_int_equal(record.id, 0);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(dt_library_put_turn(library, &record, 0, &t, &err), DT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stories_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deleted_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(locked, set_up, tear_down),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests_name("library", tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 ? 1 : failed;
}
