// SPDX-License-Identifier: MIT
// What is remembered of modules is read back as it was written, and not at all if anything about
// the file is wrong.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/modules/remembered.h"

enum { ROW = 24, ROWS = 3 };

static char folder[] = "/tmp/duotale-remembered-XXXXXX", path[128];
static char rows[ROWS * ROW];

static bool is_read(size_t row_bytes)
{
    void *got = NULL;
    size_t count = 0;
    if (!dt_remembered_read("toys", row_bytes, &got, &count))
        return false;
    assert_int_equal(count, ROWS);
    assert_memory_equal(got, rows, sizeof rows);
    free(got);
    return true;
}

static int set_up(void **unused)
{
    (void)unused;
    assert_non_null(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
    snprintf(path, sizeof path, "%s/duotale/modules-toys", folder);
    for (size_t i = 0; i < sizeof rows; i++)
        rows[i] = (char)(i * 7);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    unlink(path);
    *strrchr(path, '/') = 0;
    rmdir(path);
    return rmdir(folder);
}

static void comes_back(void **unused)
{
    (void)unused;
    assert_false(is_read(ROW)); // there is no file
    dt_remembered_write("toys", ROW, rows, 0);
    assert_false(is_read(ROW)); // nor without rows
    dt_remembered_write("toys", ROW, rows, ROWS);
    assert_true(is_read(ROW));
    assert_false(is_read(ROW - 1));
    assert_false(is_read(ROW * ROWS));
    void *got;
    size_t count;
    assert_false(dt_remembered_read("others", ROW, &got, &count));
}

// Writes the file with a byte changed, cut or added.
static void write_changed(const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void damaged(void **unused)
{
    (void)unused;
    char bytes[512] = {0};
    dt_remembered_write("toys", ROW, rows, ROWS);
    FILE *file = fopen(path, "rb");
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_in_range(n, sizeof rows + 16, sizeof bytes - 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] ^= 0x41;
        write_changed(bytes, n);
        assert_false(is_read(ROW));
        bytes[i] ^= 0x41;
    }
    for (size_t cut = 0; cut < n; cut += 7) {
        write_changed(bytes, cut);
        assert_false(is_read(ROW));
    }
    write_changed(bytes, n + 1);
    assert_false(is_read(ROW));
    write_changed(bytes, n);
    assert_true(is_read(ROW));
}

static void foreign(void **unused)
{
    (void)unused;
    dt_remembered_write("toys", ROW, rows, ROWS);
    assert_int_equal(chmod(path, 0620), 0);
    assert_false(is_read(ROW)); // others can write it
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(is_read(ROW));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_false(is_read(ROW));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(is_read(ROW)); // and does not wait
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(is_read(ROW));
    dt_remembered_write("toys", ROW, rows, ROWS); // cannot be written: no error
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(damaged),
        cmocka_unit_test(foreign),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
