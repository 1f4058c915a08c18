// SPDX-License-Identifier: MIT
// Compares dt_expf with the C library for all 2^32 floats, in parallel. Equal bits are required for
// glibc only.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/expf.h"

#define PARTS_MAX 16

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
    __has_feature(undefined_behavior_sanitizer)
#define TOO_SLOW_HERE 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
#define TOO_SLOW_HERE 1
#endif

struct part {
    uint64_t begin, end;
    uint64_t differ;
    float first; // the first difference
};

static void *compare(void *arg)
{
    struct part *part = arg;
    for (uint64_t u = part->begin; u < part->end; u++) {
        uint32_t bits = (uint32_t)u;
        float x;
        memcpy(&x, &bits, sizeof x);
        if (x != x)
            continue;
        float ours = dt_expf(x), theirs = expf(x);
        if (memcmp(&ours, &theirs, sizeof ours) == 0)
            continue;
        // A glibc on a CPU without fused multiply-add differs here (expf.c).
        if (x == 0x1.04845ep+5f || x == -0x1.f8cbb2p+5f)
            continue;
        if (part->differ++ == 0)
            part->first = x;
    }
    return NULL;
}

static void every_float(void **state)
{
    (void)state;
#if !defined(__GLIBC__) || defined(TOO_SLOW_HERE)
    print_message("skipped: every_float needs glibc and an optimised build without sanitizers\n");
    skip();
#endif
    struct part parts[PARTS_MAX];
    pthread_t threads[PARTS_MAX];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    // Twice as many parts as cores, because half of the floats (the large ones) are faster than the
    // others.
    uint32_t count = cores < 1 ? 1 : cores * 2 > PARTS_MAX ? PARTS_MAX : (uint32_t)cores * 2;
    for (uint32_t i = 0; i < count; i++) {
        parts[i] = (struct part){(UINT64_C(1) << 32) * i / count,
                                 (UINT64_C(1) << 32) * (i + 1) / count, 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, compare, &parts[i]), 0);
    }
    uint64_t differ = 0;
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        if (parts[i].differ)
            print_error("expf differs from the C library's, first at %a\n", (double)parts[i].first);
        differ += parts[i].differ;
    }
    assert_int_equal(differ, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_float)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
