// SPDX-License-Identifier: MIT
// Tests the exponentials of the kernels; compiled once for each vector width. Checks the fast one
// for all 2^32 floats with the widest vectors of this CPU, for every 61st float with the others;
// and compares the exact one with dt_expf for every 61st float. --every N: every N-th float for
// both.
#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "abi/kit/expf.h"
#include "base/expf.h"
#include "fastexp/fast.h"
#include "host/modules/cpu.h"

enum { threads = 2 };

static uint64_t fast_step = 61, exact_step = 61;

struct part {
    pthread_t thread;
    uint64_t begin, end; // bit patterns
    double worst;        // the largest relative error within -87 .. 88
    float worst_at, broken_at;
    uint64_t broken; // outside of it: not finite, not positive, or past the ends; exact: other bits
};

static kit_f floats_from(uint64_t bits, uint64_t step)
{
    kit_i v = {0};
    for (int i = 0; i < KIT_W; i++)
        v[i] = (int32_t)(uint32_t)(bits + (uint64_t)i * step);
    return (kit_f)v;
}

// Relative errors of KIT_WD lanes in double, compared with the exact method before its last
// rounding.
static void measure(struct part *part, kit_f x, kit_f y)
{
    kit_d wide[2], value[2];
    kit_widen(wide, x);
    kit_widen(value, y);
    for (int half = 0; half < 2; half++) {
        kit_d error = value[half] / kit_exp_double(wide[half]) - 1.0;
        for (int i = 0; i < KIT_WD; i++) {
            double size = error[i] < 0 ? -error[i] : error[i];
            if (!(size <= part->worst)) {
                part->worst = size;
                part->worst_at = x[half * KIT_WD + i];
            }
        }
    }
}

// Counts through the bits of x, including the sign bit.
__attribute__((no_sanitize("signed-integer-overflow"))) static void *fast_part(void *arg)
{
    struct part *part = arg;
    // the results at the limits, where the argument is clamped
    kit_f low = fast_exp(kit_set(-87.0f)), high = fast_exp(kit_set(88.0f));
    kit_i lane = kit_iota() * (int32_t)fast_step;
    for (uint64_t u = part->begin; u < part->end; u += KIT_W * fast_step) {
        kit_f x = (kit_f)(kit_seti((int32_t)(uint32_t)u) + lane), y = fast_exp(x);
        kit_i inside = (x >= -87.0f) & (x <= 88.0f), nan = x != x;
        kit_i right = ((x < -87.0f) & (y == low)) | ((x > 88.0f) & (y == high)) | (nan & (y != y)) |
                      (inside & (y > 0.0f) & (y < 3.0e38f));
        if (kit_bits(~right)) {
            for (int i = 0; i < KIT_W; i++) {
                if (!right[i] && part->broken++ == 0)
                    part->broken_at = x[i];
            }
        }
        if (kit_bits(inside))
            measure(part, kit_select(inside, x, kit_set(0.0f)),
                    kit_select(inside, y, kit_set(1.0f)));
    }
    return NULL;
}

static void *exact_part(void *arg)
{
    struct part *part = arg;
    for (uint64_t u = part->begin; u < part->end; u += KIT_W * exact_step) {
        kit_f x = floats_from(u, exact_step), y = kit_expf(x);
        for (int i = 0; i < KIT_W; i++) {
            float ours = y[i], theirs = dt_expf(x[i]);
            if (memcmp(&ours, &theirs, sizeof ours) != 0 && !(ours != ours && theirs != theirs) &&
                part->broken++ == 0)
                part->broken_at = x[i];
        }
    }
    return NULL;
}

static struct part all_floats(void *(*body)(void *), uint64_t step)
{
    struct part parts[threads], all = {0};
    uint64_t lanes = (uint64_t)KIT_W * step, pieces = ((1ull << 32) + lanes - 1) / lanes;
    for (uint64_t t = 0; t < threads; t++) {
        parts[t] = (struct part){.begin = pieces * t / threads * lanes,
                                 .end = pieces * (t + 1) / threads * lanes};
        assert_int_equal(pthread_create(&parts[t].thread, NULL, body, &parts[t]), 0);
    }
    for (int t = 0; t < threads; t++) {
        pthread_join(parts[t].thread, NULL);
        all.broken += parts[t].broken;
        if (parts[t].broken)
            all.broken_at = parts[t].broken_at;
        if (!(parts[t].worst <= all.worst)) {
            all.worst = parts[t].worst;
            all.worst_at = parts[t].worst_at;
        }
    }
    return all;
}

static void fast_is_within_its_bound(void **state)
{
    (void)state;
    struct part all = all_floats(fast_part, fast_step);
    print_message(
        "fast exponential, %d lanes, every %llu. float: relative error at most %.3g (at %a)\n",
        KIT_W, (unsigned long long)fast_step, all.worst, (double)all.worst_at);
    if (all.broken)
        fail_msg("%llu floats give no number within the ends, one of them %a",
                 (unsigned long long)all.broken, (double)all.broken_at);
    assert_true(all.worst <= 1e-3);
    assert_true(all.worst > 1e-6); // the approximation has an error, and the test finds it
    assert_true(fast_exp(kit_set(0.0f))[0] == 1.0f);
}

static void exact_has_the_bits_of_expf(void **state)
{
    (void)state;
    struct part all = all_floats(exact_part, exact_step);
    if (all.broken)
        fail_msg("%llu floats differ, one of them %a", (unsigned long long)all.broken,
                 (double)all.broken_at);
}

int main(int argc, char **argv)
{
    uint64_t here = dt_cpu()->features;
    uint64_t needs = KIT_W == 16 ? DT_CPU_AVX2 | DT_CPU_AVX512 : KIT_W == 8 ? DT_CPU_AVX2 : 0;
    if ((here & needs) != needs) {
        printf("skipped: this CPU has no vectors of %d floats\n", KIT_W);
        return 77;
    }
    bool wider = (KIT_W < 8 && (here & DT_CPU_AVX2)) || (KIT_W < 16 && (here & DT_CPU_AVX512));
#ifdef __OPTIMIZE__
    if (!wider)
        fast_step = 1;
#endif
    if (argc > 2 && strcmp(argv[1], "--every") == 0 && atoi(argv[2]) > 0)
        fast_step = exact_step = (uint64_t)atoi(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_is_within_its_bound),
        cmocka_unit_test(exact_has_the_bits_of_expf),
    };
    return cmocka_run_group_tests_name("exponentials", tests, NULL, NULL);
}
