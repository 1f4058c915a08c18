// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/format.h"
#include "base/status.h"

// Compares with the C library where both should agree.
#define SAME(...)                                                                                  \
    do {                                                                                           \
        char ours[128], theirs[128];                                                               \
        size_t n = dt_format(ours, sizeof ours, __VA_ARGS__);                                      \
        int m = snprintf(theirs, sizeof theirs, __VA_ARGS__);                                      \
        assert_string_equal(ours, theirs);                                                         \
        assert_int_equal(n, m);                                                                    \
    } while (0)

static void agrees_with_libc(void **state)
{
    (void)state;
    SAME("plain");
    SAME("%d %d %u", 0, -17, 4000000000u);
    SAME("%5d|%-5d|%05d|%05d", 42, 42, 42, -42);
    SAME("%lld %llu %zu %ld", INT64_MIN + 0ll, 18446744073709551615ull, (size_t)7, -1l);
    SAME("%x %08x", 0xbeefu, 0xbeefu);
    SAME("%s|%8s|%-8s|%.2s|%.*s", "abc", "abc", "abc", "abc", 1, "abc");
    SAME("%c%%", 'x');
    SAME("%.1f %.2f %.0f %f %.3f", 1.26, -3.14159, 2.6, 0.5, 1234567.891);
    SAME("%8.2f|%-8.2f|", 3.5, 3.5);
    SAME("%g %g %g %g %g", 0.0, 1.5, 100.0, -0.25, 1e-7);
    SAME("%g %g", 0.0001, 3.25e20);
}

static void special_floats(void **state)
{
    (void)state;
    char out[32];
    dt_format(out, sizeof out, "%f %g", 0.0 / 0.0, -1.0 / 0.0);
    assert_string_equal(out, "nan -inf");
}

static void cuts_and_terminates(void **state)
{
    (void)state;
    char out[4] = "zzz";
    assert_int_equal(dt_format(out, sizeof out, "%s", "abcdef"), 6);
    assert_string_equal(out, "abc");
    assert_int_equal(dt_format(NULL, 0, "%d", 12345), 5);
}

static void strings_are_copied(void **state)
{
    (void)state;
    char out[32];
    dt_format(out, sizeof out, "%s%c", "a\033[2Jb", '\a');
    assert_string_equal(out, "a\033[2Jb\a"); // they may be paths
}

static void error_keeps_the_end_of_a_long_path(void **state)
{
    (void)state;
    char path[400], line[1024];
    memset(path, 'd', sizeof path);
    strcpy(path + 380, "/model.bin");
    struct dt_error err = {0};
    assert_int_equal(dt_error_set(&err, DT_BAD_INPUT, path, "dim is %d", 3), DT_BAD_INPUT);
    dt_error_line(&err, line, sizeof line);
    assert_non_null(strstr(line, "/model.bin: dim is 3"));
    assert_int_equal(dt_error_set(NULL, DT_FAILED, NULL, "x"), DT_FAILED);
}

static void arena_counts_and_refuses(void **state)
{
    (void)state;
    struct dt_arena count = dt_arena_over(NULL, 0);
    assert_null(dt_arena_alloc(&count, 3, 5));
    assert_null(dt_arena_alloc(&count, 1, 64));
    assert_false(dt_arena_failed(&count));
    assert_int_equal(count.used, 128);

    void *memory = aligned_alloc(DT_ALIGN, 128);
    struct dt_arena arena = dt_arena_over(memory, 128);
    assert_non_null(dt_arena_alloc(&arena, 3, 5));
    assert_non_null(dt_arena_alloc(&arena, 1, 64));
    assert_null(dt_arena_alloc(&arena, 1, 1));
    assert_true(dt_arena_failed(&arena));
    free(memory);

    struct dt_arena huge = dt_arena_over(NULL, 0);
    assert_null(dt_arena_alloc(&huge, SIZE_MAX / 2, 3));
    assert_true(dt_arena_failed(&huge));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_libc),
        cmocka_unit_test(special_floats),
        cmocka_unit_test(cuts_and_terminates),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(error_keeps_the_end_of_a_long_path),
        cmocka_unit_test(arena_counts_and_refuses),
    };
    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
