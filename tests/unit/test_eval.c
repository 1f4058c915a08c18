// SPDX-License-Identifier: MIT
// The logarithm of a sum of exponentials that eval scores with.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "verbs/eval.h"

static uint64_t seed = 88172645463325252ull;

static float between(float low, float high)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return low + (high - low) * (float)(seed >> 40) / 16777216.0f;
}

static void agrees_with_long_double(void **state)
{
    (void)state;
    static float logits[4000];
    for (int round = 0; round < 300; round++) {
        uint32_t n = 1 + (uint32_t)between(0, round % 3 ? 40 : 3999);
        float spread = powf(10, between(-3, 4)), centre = between(-100, 100);
        long double max = -INFINITY, sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            logits[i] = centre + between(-spread, spread);
            max = logits[i] > max ? logits[i] : max;
        }
        for (uint32_t i = 0; i < n; i++)
            sum += expl((long double)logits[i] - max);
        double expected = (double)(max + logl(sum)), found = dt_eval_log_sum_exp(logits, n);
        if (fabs(found - expected) > 1e-12 + 1e-15 * fabs(expected))
            fail_msg("%u logits within %g: %.17g instead of %.17g", n, (double)spread, found,
                     expected);
    }
}

static void single_values(void **state)
{
    (void)state;
    static const float far[5] = {0, -3e38f, -800, -708.5f, -1e4f};
    assert_true(dt_eval_log_sum_exp(far, 1) == 0);
    assert_true(dt_eval_log_sum_exp(far, 5) == 0);
    static const float equal[3] = {7, 7, 7};
    assert_true(fabs(dt_eval_log_sum_exp(equal, 3) - (7 + log(3))) < 1e-15 * 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_long_double),
        cmocka_unit_test(single_values),
    };
    return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}
