// SPDX-License-Identifier: MIT
// Quantising rows so that their products change least: core/quant/fit.h and levels.h.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/quant/dequant.h"
#include "core/quant/fit.h"
#include "core/quant/levels.h"
#include "core/quant/quantise.h"

#define COLS 256u

static const uint32_t forms[] = {DT_FORM_Q4_0, DT_FORM_Q5_0, DT_FORM_Q4_1, DT_FORM_Q5_1,
                                 DT_FORM_Q4_K};
#define FORMS (sizeof forms / sizeof *forms)

static uint64_t seed;

// Between -1 and 1: xorshift64*.
static double uniform(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (double)(int64_t)(seed * 0x2545f4914f6cdd1dull) / 0x1p63;
}

static double normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum / 2;
}

// Memory of a fit and its row.
struct bench {
    struct dt_fit fit;
    double h[COLS * COLS], factor[COLS * COLS], cross[COLS * COLS], solve[COLS * COLS];
    double target[COLS];
    float w[COLS], back[COLS];
    unsigned char blocks[COLS], plain[COLS]; // larger than any form needs
    double *work;
};

static struct bench *bench_new(uint32_t form)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->work = calloc(dt_fit_work(COLS), sizeof *b->work);
    assert_non_null(b->work);
    b->fit = (struct dt_fit){
        .form = form, .cols = COLS, .h = b->h, .factor = b->factor, .solve = b->solve};
    return b;
}

static void bench_free(struct bench *b)
{
    free(b->work);
    free(b);
}

// Sums over random activations of which neighbours are similar.
static void fill_sums(struct bench *b, uint32_t tokens)
{
    double x[COLS];
    for (uint32_t t = 0; t < tokens; t++) {
        x[0] = normal();
        for (uint32_t i = 1; i < COLS; i++)
            x[i] = 0.8 * x[i - 1] + 0.6 * normal() * (i % 7 == 0 ? 4 : 1);
        for (uint32_t i = 0; i < COLS; i++)
            for (uint32_t k = 0; k < COLS; k++)
                b->h[i * COLS + k] += x[i] * x[k];
    }
}

static void fill_identity(struct bench *b)
{
    for (uint32_t i = 0; i < COLS; i++)
        b->h[i * COLS + i] = 1;
}

static double fit(struct bench *b)
{
    dt_fit_target(&b->fit, b->w, b->target);
    dt_fit_row(&b->fit, b->w, b->target, b->blocks, b->work);
    struct dt_matrix w = dt_matrix_blocks(b->fit.form, 1, COLS, b->blocks);
    dt_matrix_row(&w, 0, b->back);
    return dt_fit_error(&b->fit, b->target, b->blocks, b->work);
}

static double round_plainly(struct bench *b)
{
    struct dt_matrix w = dt_quantise_matrix(b->fit.form, 1, COLS, 0, b->plain);
    dt_quantise_row(&w, 0, b->w);
    return dt_fit_error(&b->fit, b->target, b->plain, b->work);
}

// Rows of several kinds: normal, with outliers, of one sign, mostly zero.
static void fill_row(struct bench *b, int kind)
{
    for (uint32_t i = 0; i < COLS; i++) {
        double x = normal() * pow(10, kind % 5 - 3);
        if (kind % 4 == 1 && i % 29 == 0)
            x *= 12;
        if (kind % 4 == 2)
            x = fabs(x) + 1e-3;
        if (kind % 4 == 3 && i % 3)
            x = 0;
        b->w[i] = (float)x;
    }
}

static void never_worse_than_rounding(void **state)
{
    (void)state;
    seed = 1;
    for (size_t f = 0; f < FORMS; f++) {
        struct bench *b = bench_new(forms[f]);
        double sum = 0, rounded = 0;
        fill_sums(b, 400);
        assert_int_equal(dt_fit_prepare(&b->fit), DT_FIT_OK);
        for (int kind = 0; kind < 60; kind++) {
            fill_row(b, kind);
            double error = fit(b), plain = round_plainly(b);
            assert_true(error <= plain);
            if (plain > 0) {
                sum += error / plain;
                rounded += 1;
            }
        }
        // neighbours make up for each other: a third of rounding's error, not only less
        assert_true(sum < 0.5 * rounded);
        bench_free(b);
    }
}

// Blocks of any levels and scales come back as they are.
static void representable_rows_are_exact(void **state)
{
    (void)state;
    seed = 2;
    for (size_t f = 0; f + 1 < FORMS; f++) { // not Q4_K
        struct bench *b = bench_new(forms[f]);
        fill_sums(b, 300);
        assert_int_equal(dt_fit_prepare(&b->fit), DT_FIT_OK);
        for (int round = 0; round < 60; round++) {
            size_t bytes = dt_form_block_bytes(forms[f]),
                   header = dt_levels_first(forms[f]) ? 2 : 4;
            for (uint32_t block = 0; block < COLS / 32; block++) {
                unsigned char *at = b->plain + block * bytes;
                uint16_t d = dt_float_to_half((float)(normal() * 0.1)),
                         m = dt_float_to_half((float)normal());
                memcpy(at, &d, 2);
                if (header == 4)
                    memcpy(at + 2, &m, 2);
                for (size_t i = header; i < bytes; i++)
                    at[i] = (unsigned char)(uniform() * 128 + 128);
                if (round % 3 == 1) // few levels
                    for (size_t i = bytes - 16; i < bytes; i++)
                        at[i] = (unsigned char)(0x77 + (at[i] & 0x11));
            }
            struct dt_matrix w = dt_matrix_blocks(forms[f], 1, COLS, b->plain);
            dt_matrix_row(&w, 0, b->w);
            fit(b);
            for (uint32_t i = 0; i < COLS; i++)
                assert_true(b->back[i] == b->w[i]);
        }
        bench_free(b);
    }
}

static void zero_tiny_and_huge_values(void **state)
{
    (void)state;
    seed = 3;
    for (size_t f = 0; f < FORMS; f++) {
        struct bench *b = bench_new(forms[f]);
        fill_sums(b, 300);
        assert_int_equal(dt_fit_prepare(&b->fit), DT_FIT_OK);
        fit(b);
        for (uint32_t i = 0; i < COLS; i++)
            assert_true(b->back[i] == 0);
        static const float sizes[] = {1e-44f, 1e-39f, 3e-8f, 6e4f, 1e6f, 1e30f, 3e38f};
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            for (uint32_t i = 0; i < COLS; i++)
                b->w[i] = (float)(uniform() * (double)sizes[s]);
            double error = fit(b);
            assert_true(isfinite(error));
            for (uint32_t i = 0; i < COLS; i++) {
                assert_true(isfinite(b->back[i]));
                // near the values, where scale and minimum are half floats that can be so small
                // and large; beyond, neighbours make up for values that cannot be reached
                if (sizes[s] > 1e-6f && sizes[s] < 65504.0f)
                    assert_true(fabsf(b->back[i]) <= 1.5f * sizes[s]);
                assert_true(fabsf(b->back[i]) <= 64.0f * 65504.0f * 64.0f);
            }
        }
        bench_free(b);
    }
}

static void sums_without_meaning_are_refused(void **state)
{
    (void)state;
    struct bench *b = bench_new(DT_FORM_Q4_0);
    assert_int_equal(dt_fit_prepare(&b->fit), DT_FIT_ZERO);
    fill_identity(b);
    b->h[5] = NAN;
    assert_int_equal(dt_fit_prepare(&b->fit), DT_FIT_INFINITE);
    b->h[5] = INFINITY;
    assert_int_equal(dt_fit_prepare(&b->fit), DT_FIT_INFINITE);
    b->h[5] = 0;
    b->cross[7] = NAN;
    b->fit.cross = b->cross;
    assert_int_equal(dt_fit_prepare(&b->fit), DT_FIT_INFINITE);
    bench_free(b);
}

// The row that computes from y = x + e what w does from x: with e = 0 it is w; where y is x / 2, it
// goes towards 2 w.
static void targets_follow_the_activations(void **state)
{
    (void)state;
    seed = 4;
    struct bench *b = bench_new(DT_FORM_Q4_0);
    b->fit.cross = b->cross;
    fill_sums(b, 500);
    memcpy(b->cross, b->h, sizeof b->h);
    assert_int_equal(dt_fit_prepare(&b->fit), DT_FIT_OK);
    fill_row(b, 3);
    dt_fit_target(&b->fit, b->w, b->target);
    for (uint32_t i = 0; i < COLS; i++)
        assert_true(fabs(b->target[i] - (double)b->w[i]) < 1e-9);

    memset(b->h, 0, sizeof b->h);
    memset(b->cross, 0, sizeof b->cross);
    for (uint32_t i = 0; i < COLS; i++) {
        b->h[i * COLS + i] = 0.25;
        b->cross[i * COLS + i] = 0.5;
    }
    assert_int_equal(dt_fit_prepare(&b->fit), DT_FIT_OK);
    dt_fit_target(&b->fit, b->w, b->target);
    for (uint32_t i = 0; i < COLS; i++) {
        double want = (double)b->w[i] * (0.5 + b->fit.ridge) / (0.25 + b->fit.ridge);
        assert_true(fabs(b->target[i] - want) <= 1e-9 * fabs(want));
    }
    bench_free(b);
}

// With equal weights, Q4_K from the values alone is within half a step of each run, and what six
// bits for scale and minimum round.
static void plain_q4_k_is_near(void **state)
{
    (void)state;
    seed = 5;
    struct bench *b = bench_new(DT_FORM_Q4_K);
    for (int kind = 0; kind < 40; kind++) {
        struct dt_levels l;
        fill_row(b, kind);
        dt_levels_plain_k(b->w, &l);
        struct dt_matrix w = dt_quantise_matrix(DT_FORM_Q4_K, 1, COLS, 0, b->plain);
        dt_quantise_row(&w, 0, b->w);
        dt_matrix_row(&w, 0, b->back);
        for (uint32_t i = 0; i < COLS; i++) {
            double scale, low;
            dt_levels_run(DT_FORM_Q4_K, &l, i / 32, &scale, &low);
            double bound = 0.51 * scale + 7.6 * (double)l.d + 0.51 * (double)l.minimum + 1e-5;
            assert_true(fabs((double)b->back[i] - (double)b->w[i]) <= bound);
        }
    }
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_worse_than_rounding),
        cmocka_unit_test(representable_rows_are_exact),
        cmocka_unit_test(zero_tiny_and_huge_values),
        cmocka_unit_test(sums_without_meaning_are_refused),
        cmocka_unit_test(targets_follow_the_activations),
        cmocka_unit_test(plain_q4_k_is_near),
    };
    return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
