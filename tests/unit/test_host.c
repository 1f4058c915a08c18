// SPDX-License-Identifier: MIT
// host: files, memory, arrays, JSON, clocks, CPU features.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/array.h"
#include "host/clock.h"
#include "host/modules/cpu.h"
#include "host/file.h"
#include "host/json.h"
#include "host/memory.h"
#include "host/string_buffer.h"

static char path[] = "/tmp/duotale-host-XXXXXX";

static void write_file(size_t n)
{
    FILE *f = fopen(path, "w");
    for (size_t i = 0; i < n; i++)
        fputc((int)('a' + i % 26), f);
    fclose(f);
}

static void files_are_mapped_and_refused(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_file file = {0};
    write_file(10000);
    assert_int_equal(dt_file_map(&file, path, &err), DT_OK);
    assert_int_equal(file.size, 10000);
    assert_int_equal(file.bytes[27], 'b');
    assert_true(dt_file_resident(&file) > 0);
    dt_file_advise(&file, 100, 1 << 20, DT_FILE_WILL_NEED);
    dt_file_unmap(&file);
    dt_file_unmap(&file);
    assert_int_equal(dt_file_map(&file, "/nonexistent/x", &err), DT_BAD_INPUT);
    assert_string_equal(err.file, "/nonexistent/x");
    assert_int_equal(dt_file_map(&file, "/tmp", &err), DT_BAD_INPUT);
    assert_int_equal(dt_file_map(&file, "/dev/null", &err), DT_BAD_INPUT);
    write_file(0);
    assert_int_equal(dt_file_map(&file, path, &err), DT_BAD_INPUT);
}

// cmocka installs its own SIGBUS handler for each test, so this does what a program with a handler
// does: it calls the guard first.
static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!dt_file_guard_fault(info->si_addr))
        signal(number, SIG_DFL);
}

static void a_truncated_file_reads_as_zeros_and_is_reported(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_file file = {0};
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    write_file(100000);
    assert_int_equal(dt_file_map(&file, path, &err), DT_OK);
    assert_int_equal(dt_file_check(&file, &err), DT_OK);
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(file.bytes[90000], 0);
    assert_int_equal(dt_file_check(&file, &err), DT_BAD_INPUT);
    dt_file_unmap(&file);
    // the slot is free again
    write_file(100000);
    assert_int_equal(dt_file_map(&file, path, &err), DT_OK);
    assert_int_equal(dt_file_check(&file, &err), DT_OK);
    dt_file_unmap(&file);
}

static void a_file_that_is_written_to_is_reported(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_file file = {0};
    char other[sizeof path + 8];
    snprintf(other, sizeof other, "%s.new", path);
    write_file(100000);
    // its time must differ from that of the writing below, which may be in the same clock tick
    const struct timespec past[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
    assert_int_equal(dt_file_map(&file, path, &err), DT_OK);
    assert_int_equal(dt_file_check(&file, &err), DT_OK);
    // another name, other permissions, a file in its place: the mapped one is the same
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(chmod(other, 0400), 0);
    write_file(5);
    assert_int_equal(dt_file_check(&file, &err), DT_OK);
    assert_int_equal(file.bytes[90000], 'a' + 90000 % 26);
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(dt_file_check(&file, &err), DT_OK);
    // one byte of it
    assert_int_equal(chmod(path, 0600), 0);
    FILE *out = fopen(path, "r+");
    assert_non_null(out);
    fputc('!', out);
    fclose(out);
    assert_int_equal(dt_file_check(&file, &err), DT_BAD_INPUT);
    assert_non_null(strstr(err.message, "written to"));
    assert_string_equal(err.file, path);
    assert_int_equal(dt_file_check_all(&err), DT_BAD_INPUT);
    dt_file_unmap(&file);
    assert_int_equal(dt_file_check_all(&err), DT_OK);
    // unmapped files leave no descriptor open
    int before = dup(0), after;
    close(before);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(dt_file_map(&file, path, &err), DT_OK);
        dt_file_unmap(&file);
    }
    after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

// Every one of many files is guarded, and the check of all names the one that was cut.
static void any_number_of_files_is_guarded(void **state)
{
    enum { count = 300 };
    (void)state;
    struct dt_error err = {0};
    static struct dt_file file[count];
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    write_file(100000);
    char other[] = "/tmp/duotale-host-XXXXXX";
    close(mkstemp(other));
    FILE *out = fopen(other, "w");
    for (int i = 0; i < 100000; i++)
        fputc('x', out);
    fclose(out);
    for (int i = 0; i < count; i++)
        assert_int_equal(dt_file_map(&file[i], i == count - 1 ? other : path, &err), DT_OK);
    assert_int_equal(dt_file_check_all(&err), DT_OK);
    assert_int_equal(truncate(other, 5), 0);
    assert_int_equal(dt_file_check_all(&err), DT_BAD_INPUT); // before anything is read
    assert_int_equal(file[count - 1].bytes[90000], 0);
    assert_int_equal(file[0].bytes[90000], 'a' + 90000 % 26);
    assert_int_equal(dt_file_check_all(&err), DT_BAD_INPUT);
    assert_string_equal(err.file, other);
    for (int i = 0; i < count; i++) {
        assert_int_equal(dt_file_check(&file[i], &err), i == count - 1 ? DT_BAD_INPUT : DT_OK);
        dt_file_unmap(&file[i]);
    }
    assert_int_equal(dt_file_check_all(&err), DT_OK);
    unlink(other);
}

// With and without large pages the bytes are the file's, and truncation is reported.
static void large_pages_change_nothing_that_is_read(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_file file = {0};
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    size_t size = (9 << 20) + 1000;
    write_file(size);
    assert_int_equal(dt_file_map(&file, path, &err), DT_OK);
    assert_false(file.large);
    dt_file_large_pages(&file);
    for (size_t i = 0; i < size; i++) {
        if (file.bytes[i] != 'a' + i % 26)
            fail_msg("byte %zu is %d", i, file.bytes[i]);
    }
    assert_int_equal(dt_file_check(&file, &err), DT_OK);
    assert_int_equal(truncate(path, 3 << 20), 0);
    assert_int_equal(file.bytes[(2 << 20) + 5], 'a' + ((2 << 20) + 5) % 26);
    assert_int_equal(file.bytes[8 << 20], 0);
    assert_int_equal(dt_file_check(&file, &err), DT_BAD_INPUT);
    dt_file_unmap(&file);
    write_file(100);
    assert_int_equal(dt_file_map(&file, path, &err), DT_OK);
    dt_file_large_pages(&file); // the file is too small: no effect
    assert_false(file.large);
    dt_file_unmap(&file);
}

static void memory_is_accounted(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_account account = {.limit = 1 << 20};
    void *a, *b;
    assert_int_equal(dt_memory_alloc(&account, 600000, "a block", &a, &err), DT_OK);
    assert_int_equal(((unsigned char *)a)[599999], 0);
    assert_int_equal(dt_memory_alloc(&account, 600000, "a block", &b, &err), DT_NO_MEMORY);
    assert_non_null(strstr(err.message, "600000"));
    assert_non_null(strstr(err.message, "448576"));
    assert_int_equal(dt_memory_alloc(&account, SIZE_MAX, "all", &b, &err), DT_NO_MEMORY);
    dt_memory_free(&account, a, 600000);
    dt_memory_free(&account, NULL, 5);
    assert_int_equal(atomic_load(&account.used), 0);
    assert_int_equal(atomic_load(&account.peak), 600000);
    struct dt_account free_account = {0};
    assert_int_equal(dt_memory_alloc(&free_account, (size_t)1 << 46, "a block", &a, &err),
                     DT_NO_MEMORY);
    struct dt_memory_facts facts;
    dt_memory_facts(&facts);
    assert_true(facts.rss > 0 && facts.anonymous > 0 && facts.anonymous <= facts.rss_peak);
    assert_true(facts.available > 0 && facts.total >= facts.available);
}

static void json_is_escaped(void **state)
{
    (void)state;
    char text[1024] = {0};
    FILE *out = fmemopen(text, sizeof text, "w");
    struct dt_json j;
    dt_json_init(&j, out, 0);
    dt_json_object(&j);
    dt_json_put_text(&j, "a\"b", "x\\y\n\t\001\377\xc3\xa9");
    dt_json_put_text(&j, "none", NULL);
    dt_json_name(&j, "list");
    dt_json_array(&j);
    dt_json_uint(&j, UINT64_MAX);
    dt_json_number(&j, 0.125);
    dt_json_number(&j, 1.0 / 0.0);
    dt_json_array(&j);
    dt_json_end(&j);
    dt_json_object(&j);
    dt_json_end(&j);
    dt_json_end(&j);
    dt_json_put_number(&j, "n", 24.302522);
    dt_json_put_bool(&j, "yes", true);
    dt_json_put_bool(&j, "no", false);
    dt_json_end(&j);
    fclose(out);
    assert_string_equal(text,
                        "{\"a\\\"b\": \"x\\\\y\\n\\t\\u0001\xef\xbf\xbd\xc3\xa9\", \"none\": null, "
                        "\"list\": [18446744073709551615, 0.125, null, [], {}], \"n\": 24.302522, "
                        "\"yes\": true, \"no\": false}\n");
}

static void arrays_grow(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t capacity = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(dt_array_grow(&items, &capacity, i + 1, sizeof *items));
        assert_true(capacity > i);
        items[i] = i;
    }
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    uint32_t *before = items;
    size_t capacity_before = capacity;
    assert_false(dt_array_grow(&items, &capacity, SIZE_MAX / 2, sizeof *items));
    assert_ptr_equal(items, before);
    assert_int_equal(capacity, capacity_before);
    assert_true(dt_array_grow(&items, &capacity, 1, sizeof *items));
    assert_ptr_equal(items, before);
    free(items);
}

static void string_buffers_grow(void **state)
{
    (void)state;
    struct dt_string_buffer b = {0};
    char *text = dt_string_buffer_detach(&b);
    assert_string_equal(text, "");
    free(text);
    for (int i = 0; i < 1000; i++)
        assert_true(dt_string_buffer_printf(&b, "%d,", i % 10));
    assert_true(dt_string_buffer_append(&b, "ab", 1));
    assert_int_equal(b.length, 2001);
    assert_int_equal(strlen(b.text), 2001);
    assert_memory_equal(b.text + 1990, "5,6,7,8,9,a", 12);
    assert_false(dt_string_buffer_append(&b, "", SIZE_MAX - 5));
    assert_true(b.failed);
    assert_false(dt_string_buffer_printf(&b, "ignored"));
    assert_null(dt_string_buffer_detach(&b));
    assert_true(dt_string_buffer_append(&b, "again", 5));
    text = dt_string_buffer_detach(&b);
    assert_string_equal(text, "again");
    free(text);
    dt_string_buffer_free(&b);
}

static void clocks_go_forward(void **state)
{
    (void)state;
    uint64_t a = dt_clock_ns();
    assert_true(dt_clock_ns() >= a);
    assert_true(dt_clock_unix() > 1600000000u);
    assert_true(dt_clock_cpu_ns() > 0);
}

static void the_cpu_is_known(void **state)
{
    (void)state;
    char text[256];
    assert_true(dt_cpu() == dt_cpu());
    assert_true(strlen(dt_cpu()->arch) > 0 && strlen(dt_cpu()->model) > 0);
    assert_ptr_equal(dt_cpu_features(dt_cpu(), text, sizeof text), text);
#ifdef __x86_64__
    assert_int_equal((dt_cpu()->features & DT_CPU_AVX2) != 0,
                     __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    assert_int_equal((dt_cpu()->features & DT_CPU_AVX512) != 0,
                     __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_mapped_and_refused),
        cmocka_unit_test(a_truncated_file_reads_as_zeros_and_is_reported),
        cmocka_unit_test(a_file_that_is_written_to_is_reported),
        cmocka_unit_test(any_number_of_files_is_guarded),
        cmocka_unit_test(large_pages_change_nothing_that_is_read),
        cmocka_unit_test(memory_is_accounted),
        cmocka_unit_test(json_is_escaped),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(string_buffers_grow),
        cmocka_unit_test(clocks_go_forward),
        cmocka_unit_test(the_cpu_is_known),
    };
    close(mkstemp(path));
    int failed = cmocka_run_group_tests_name("host", tests, NULL, NULL);
    unlink(path);
    return failed;
}
