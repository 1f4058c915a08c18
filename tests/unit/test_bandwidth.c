// SPDX-License-Identifier: MIT
// Memory bandwidth: every pattern reads every byte, and the figure is positive and finite for
// spans of any size and more threads than bytes. Nothing is compared with a time.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "verbs/bench/bandwidth.h"

#define BYTES 5000u

// A pattern that skipped a byte, or read one twice, would report a bandwidth that does not exist.
static void test_patterns(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 63, 64, 65, 255, 256, 257, 1023, 1024, 4096, 4500};
    static unsigned char bytes[BYTES];
    uint32_t random = 1;
    for (size_t i = 0; i < BYTES; i++) {
        random = random * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(random >> 24);
    }
    unsigned char sum = 0;
    size_t patterns = 0;
    for (; dt_bandwidth_pattern(patterns, bytes, 0, &sum); patterns++) {
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            for (size_t begin = 0; begin < 130; begin += 13) {
                unsigned char expected = 0;
                for (size_t i = 0; i < lengths[l]; i++)
                    expected ^= bytes[begin + i];
                sum = expected; // stays if the CPU cannot run the pattern
                dt_bandwidth_pattern(patterns, bytes + begin, lengths[l], &sum);
                assert_int_equal(sum, expected);
            }
        }
    }
    assert_true(patterns >= 4);
    sum = 1; // the last pattern runs on every CPU
    dt_bandwidth_pattern(patterns - 1, bytes, 0, &sum);
    assert_int_equal(sum, 0);
}

static void check_rate(double rate)
{
    assert_true(isfinite(rate));
    assert_true(rate > 0);
}

static void test_spans(void **state)
{
    (void)state;
    size_t large = (3u << 20) + 77;
    unsigned char *memory = calloc(large, 1);
    assert_non_null(memory);
    const struct dt_span spans[] = {
        {memory + 3, 1}, {memory, 0}, {memory + 64, 129}, {memory, large}, {memory + 1, 4096},
    };
    size_t count = sizeof spans / sizeof *spans;
    check_rate(dt_bandwidth_read(spans, count, 1));
    check_rate(dt_bandwidth_read(spans, count, 3));
    check_rate(dt_bandwidth_read(spans, 1, 2)); // one byte for two threads
    check_rate(dt_bandwidth_read(spans, count, 0));
    assert_true(dt_bandwidth_read(spans + 1, 1, 1) == 0);
    assert_true(dt_bandwidth_read(NULL, 0, 1) == 0);
    free(memory);
}

static void test_sizes(void **state)
{
    (void)state;
    check_rate(dt_bandwidth_of_size(1, 1));
    check_rate(dt_bandwidth_of_size(4096, 1));
    check_rate(dt_bandwidth_of_size((2u << 20) + 1, 2));
    assert_true(dt_bandwidth_of_size(0, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
