// SPDX-License-Identifier: MIT
// A library of version 1, made by the release before version 2 (library_v1.db): it is read as it
// is, converted after a copy, and stays as it was when the disk is full or the process is killed in
// the middle.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "app/library/library.h"
#include "shim_vfs.h"

static char folder[] = "/tmp/dt-upgrade-XXXXXX";
static char path[100];
static struct dt_library *library;

static void shell(const char *format, const char *a, const char *b)
{
    char command[1000];
    snprintf(command, sizeof command, format, a, b);
    if (system(command) != 0)
        fail_msg("%s", command);
}

static int set_up(void **state)
{
    (void)state;
    static int number;
    char source[600];
    snprintf(source, sizeof source, "%s/tests/unit/library_v1.db", getenv("DT_SOURCE_ROOT"));
    snprintf(path, sizeof path, "%s/n%d", folder, number++);
    shell("mkdir %s%s", path, "");
    strcat(path, "/library.db");
    shell("cp %s %s", source, path);
    shim_vfs_fault(0, SQLITE_OK, false);
    shim_vfs_full(false);
    return 0;
}

static int64_t number_in(const char *file, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s = NULL;
    int64_t number = -1;
    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        number = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return number;
}

static void check_content(void)
{
    static const int64_t order[] = {1, 3, 2}; // of their last turns
    struct dt_library_entry *found;
    struct dt_story_record record;
    size_t count;
    assert_int_equal(dt_library_search(library, "", 0, 10, &found, &count, NULL), DT_OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(found[i].id, order[i]);
    assert_int_equal(found[0].turns, 2);
    dt_library_entries_free(found, count);
    assert_int_equal(dt_library_search(library, "dragon", 0, 10, &found, &count, NULL), DT_OK);
    assert_int_equal(count, 1);
    assert_string_equal(found[0].title, "A dragon of old");
    dt_library_entries_free(found, count);
    assert_int_equal(dt_library_load(library, 0, &record, NULL), DT_OK);
    assert_int_equal(record.id, 1);
    assert_int_equal(record.turn_count, 2);
    assert_string_equal(record.turns[1].prompt, " The end came");
    assert_string_equal(record.turns[1].output, " away. The fox would");
    dt_story_record_free(&record);
    assert_int_equal(dt_library_load(library, 2, &record, NULL), DT_OK);
    assert_string_equal(record.premise, "Sam and Tom are friends.");
    dt_story_record_free(&record);
    assert_int_equal(dt_library_load(library, 3, &record, NULL), DT_OK);
    assert_string_equal(record.system, "You tell stories.");
    assert_true(record.chat);
    dt_story_record_free(&record);
}

static void read_as_it_is(void **state)
{
    (void)state;
    char before[120];
    enum dt_library_trouble trouble;
    snprintf(before, sizeof before, "%s.before", path);
    shell("cp %s %s", path, before);
    assert_int_equal(dt_library_open(&library, path, NULL, 0, &trouble, NULL), DT_OK);
    check_content();
    dt_library_close(library);
    shell("cmp %s %s", path, before);
}

static void converted(void **state)
{
    (void)state;
    char copy[120];
    enum dt_library_trouble trouble;
    struct dt_library_entry *found;
    struct dt_error err = {0};
    size_t count;
    // what version 1 lost: text that replaced finished text, and a draft
    number_in(path, "UPDATE turn SET told = ' replaced by a heron' WHERE id = 1 RETURNING id");
    number_in(path, "INSERT INTO turn(story, n, prompt, told, finished, ending, tokens, seed, "
                    "speed, stack) VALUES(1, 2, '', ' a draft', 0, 0, 0, 0, 0, '') RETURNING id");
    snprintf(copy, sizeof copy, "%s.v1", path);
    assert_int_equal(dt_library_open(&library, path, NULL, DT_LIBRARY_WRITE, &trouble, &err),
                     DT_OK);
    assert_int_equal(trouble, DT_LIBRARY_FINE);
    assert_int_equal(dt_library_search(library, "heron", 0, 10, &found, &count, NULL), DT_OK);
    assert_int_equal(count, 1);
    dt_library_entries_free(found, count);
    assert_int_equal(dt_library_check(library, &err), DT_OK);
    dt_library_close(library);
    assert_int_equal(number_in(path, "PRAGMA user_version"), 2);
    assert_int_equal(number_in(path, "SELECT count(*) FROM turn"), 5);
    assert_int_equal(number_in(copy, "PRAGMA user_version"), 1);
    assert_int_equal(number_in(copy, "SELECT count(*) FROM turn"), 5);
    shell("test $(stat -c %%a %s) = 600%s", copy, "");
    shell("test ! -e %s.v1.part && test ! -e %s.v1-2", path, path);
    // once only
    assert_int_equal(dt_library_open(&library, path, NULL, DT_LIBRARY_WRITE, &trouble, &err),
                     DT_OK);
    dt_library_close(library);
    shell("test ! -e %s.v1-2%s", path, "");
}

static void full_disk(void **state)
{
    (void)state;
    enum dt_library_trouble trouble;
    bool done = false;
    for (int n = 1; !done; n += 1 + n / 20) {
        struct dt_error err = {0};
        set_up(NULL);
        shim_vfs_fault(n, SQLITE_FULL, true);
        dt_status status =
            dt_library_open(&library, path, "shim", DT_LIBRARY_WRITE, &trouble, &err);
        done = shim_vfs_faults() == 0; // it was over before
        shim_vfs_fault(0, SQLITE_OK, false);
        if (status == DT_OK) {
            if (trouble != DT_LIBRARY_FINE)
                assert_true(err.message[0]);
            check_content(); // it can be read
            dt_library_close(library);
        }
        shell("test ! -e %s.v1.part%s", path, "");
        assert_int_equal(dt_library_open(&library, path, NULL, DT_LIBRARY_WRITE, &trouble, &err),
                         DT_OK);
        assert_int_equal(trouble, DT_LIBRARY_FINE);
        check_content();
        assert_int_equal(dt_library_check(library, &err), DT_OK);
        dt_library_close(library);
        assert_int_equal(number_in(path, "PRAGMA user_version"), 2);
    }
}

static void killed(void **state)
{
    (void)state;
    enum dt_library_trouble trouble;
    int kills = 0;
    for (int n = 1;; n += 1 + n / 20) {
        struct dt_error err = {0};
        int status = 0;
        set_up(NULL);
        pid_t child = fork();
        if (child == 0) {
            shim_vfs_forget(n % 2 != 0, 30); // which loses what was not synced
            shim_vfs_kill(n);
            _exit(dt_library_open(&library, path, "shim", DT_LIBRARY_WRITE, &trouble, NULL));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status))
            break; // it was done before
        kills++;
        if (dt_library_open(&library, path, NULL, DT_LIBRARY_WRITE, &trouble, &err) != DT_OK)
            fail_msg("killed at %d: %s", n, err.message);
        assert_int_equal(trouble, DT_LIBRARY_FINE);
        check_content();
        assert_int_equal(dt_library_check(library, &err), DT_OK);
        dt_library_close(library);
        shell("test ! -e %s.v1.part && test -e %s.v1", path, path);
    }
    print_message("%d kills\n", kills);
    assert_true(kills > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(read_as_it_is, set_up),
        cmocka_unit_test_setup(converted, set_up),
        cmocka_unit_test_setup(full_disk, set_up),
        cmocka_unit_test_setup(killed, set_up),
    };
    if (!mkdtemp(folder) || !shim_vfs_register())
        return 1;
    int failed = cmocka_run_group_tests_name("library_upgrade", tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 ? 1 : failed;
}
