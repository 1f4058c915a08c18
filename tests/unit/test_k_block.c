// SPDX-License-Identifier: MIT
// Q4_K, Q5_K and Q6_K as the reference computes them: levels and scales against the decoder of
// floats, products against sums in double, and the bound of the shortlist where weights cancel out.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/model.h"
#include "core/quant/dequant.h"
#include "core/quant/k_block.h"
#include "core/stack.h"

static const uint32_t forms[] = {DT_FORM_Q4_K, DT_FORM_Q5_K, DT_FORM_Q6_K};
static uint32_t state = 1;

static uint32_t next(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)state * below >> 32);
}

static float number(void)
{
    return (float)next(1u << 20) * 0x1p-19f - 1.0f;
}

// Blocks of random bytes in memory of exactly their size.
static struct dt_matrix random_matrix(uint32_t form, uint32_t rows, uint32_t cols)
{
    size_t size = dt_form_block_bytes(form), count = (size_t)rows * (cols / DT_K_VALUES);
    unsigned char *at = malloc(count * size);
    struct dt_matrix w = dt_matrix_blocks(form, rows, cols, at);
    assert_int_equal(w.bytes, count * size);
    for (size_t b = 0; b < count; b++, at += size) {
        for (size_t i = 0; i < size; i++)
            at[i] = (unsigned char)next(256);
        for (unsigned which = 0; which < 2 && dt_form_scale_at(form, which) >= 0; which++) {
            uint16_t half = dt_float_to_half(next(20) ? 0.01f * number() : 0.0f);
            memcpy(at + dt_form_scale_at(form, which), &half, sizeof half);
        }
    }
    return w;
}

static void free_matrix(const struct dt_matrix *w)
{
    free((void *)(uintptr_t)w->quants);
}

// d * scale and m * minimum, their product with the level and the difference, each rounded to a
// float, are what the decoder gives.
static void levels_are_those_of_the_decoder(void **unused)
{
    (void)unused;
    for (int i = 0; i < 300; i++) {
        struct dt_matrix w = random_matrix(forms[i % 3], 1, DT_K_VALUES);
        struct dt_k_block k;
        float want[DT_K_VALUES];
        dt_k_block_read(w.form, w.quants, &k);
        dt_dequant_block(w.form, w.quants, want);
        assert_int_equal(k.run, w.form == DT_FORM_Q6_K ? 16 : 32);
        for (uint32_t v = 0; v < DT_K_VALUES; v++) {
            float step = k.d * (float)k.scale[v / k.run], low = k.m * (float)k.minimum[v / k.run];
            float product = step * (float)k.level[v];
            float got = w.form == DT_FORM_Q6_K ? product : product - low;
            assert_memory_equal(&got, &want[v], sizeof got);
        }
        free_matrix(&w);
    }
}

// What a quantised activation is worth, as dt_backend.act_prepare defines it.
static void quantise(const float *x, uint32_t n, double *out)
{
    for (uint32_t g = 0; g < n; g += DT_K_VALUES) {
        float most = 0;
        for (uint32_t i = g; i < g + DT_K_VALUES; i++)
            most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        float scale = most / 127.0f;
        for (uint32_t i = g; i < g + DT_K_VALUES; i++)
            out[i] = scale > 0 ? (double)roundf(x[i] / scale) * (double)scale : 0;
    }
}

static void check_product(const struct dt_matrix *w, uint32_t columns)
{
    const struct dt_backend *b = &dt_backend_reference;
    uint32_t n = w->cols;
    float *x = malloc(columns * n * sizeof *x), *row = malloc(n * sizeof *row),
          *out = malloc(columns * w->rows * sizeof *out), *listed = malloc(w->rows * sizeof *out);
    double *xq = malloc(n * sizeof *xq);
    uint32_t *index = malloc(w->rows * sizeof *index);
    void *act = aligned_alloc(64, b->act_bytes(NULL, w, columns));
    for (uint32_t i = 0; i < columns * n; i++)
        x[i] = number() * (next(50) ? 1 : 20);
    b->act_prepare(NULL, act, x, n, columns, w);
    b->matmul(NULL, out, w->rows, w, 0, w->rows, act, n, columns);
    for (uint32_t r = 0; r < w->rows; r++)
        index[r] = w->rows - 1 - r;
    b->matmul_rows(NULL, listed, w, index, w->rows, act);
    double bound = (double)b->act_error(NULL, act, x, w);
    for (uint32_t c = 0; c < columns; c++) {
        quantise(x + c * n, n, xq);
        for (uint32_t r = 0; r < w->rows; r++) {
            double sum = 0, exact = 0, size = 0, norm = 0;
            b->embed(NULL, row, w, r);
            for (uint32_t i = 0; i < n; i++) {
                sum += (double)row[i] * xq[i];
                size += fabs((double)row[i] * xq[i]);
                exact += (double)row[i] * (double)x[c * n + i];
                norm += (double)row[i] * (double)row[i];
            }
            double got = (double)out[c * w->rows + r];
            assert_true(fabs(got - sum) <= size * 0x1p-23 * (n / DT_K_VALUES + 1));
            if (c == 0) {
                assert_true(fabs(got - exact) <= bound * sqrt(norm) + 1e-37);
                assert_memory_equal(&listed[w->rows - 1 - r], &out[r], sizeof *out);
            }
        }
    }
    void *all[] = {x, row, out, listed, xq, index, act};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void products_are_those_of_doubles(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < 60; i++) {
        struct dt_matrix w =
            random_matrix(forms[i % 3], 1 + next(37), DT_K_VALUES * (1 + next(i % 5 ? 3 : 9)));
        check_product(&w, 1 + next(4));
        free_matrix(&w);
    }
}

// d * scale * level and m * minimum are large and equal, so that the weight is exactly 0: so is
// every product, though each of the two sums is not.
static void weights_that_cancel_out_give_zero(void **unused)
{
    (void)unused;
    for (uint32_t f = 0; f < 2; f++) {
        struct dt_matrix w = random_matrix(forms[f], 3, DT_K_VALUES * 2);
        unsigned char *block = (unsigned char *)(uintptr_t)w.quants;
        size_t size = dt_form_block_bytes(w.form), quants = w.form == DT_FORM_Q5_K ? 48 : 16;
        for (uint32_t b = 0; b < 6; b++, block += size) {
            uint16_t half = dt_float_to_half(0.333f + 0.1f * number());
            memcpy(block, &half, sizeof half);
            memcpy(block + 2, &half, sizeof half);
            for (uint32_t r = 0; r < 4; r++) {
                block[8 + r] = block[4 + r];
                block[12 + r] = (unsigned char)(next(16) * 17);
            }
            memset(block + 16, 0, quants - 16);
            memset(block + quants, 0x11, size - quants);
        }
        float x[DT_K_VALUES * 2], out[3];
        void *act = aligned_alloc(64, dt_backend_reference.act_bytes(NULL, &w, 1));
        for (uint32_t i = 0; i < DT_K_VALUES * 2; i++)
            x[i] = number();
        dt_backend_reference.act_prepare(NULL, act, x, DT_K_VALUES * 2, 1, &w);
        dt_backend_reference.matmul(NULL, out, 3, &w, 0, 3, act, 0, 1);
        for (uint32_t r = 0; r < 3; r++)
            assert_true(out[r] == 0.0f);
        free(act);
        free_matrix(&w);
    }
}

// Rows of blocks of 256 are read in place; a backend that has not these forms converts them.
static void computed_in_place(void **unused)
{
    (void)unused;
    struct dt_backend table = {.abi = DT_BACKEND_ABI,
                               .size = offsetof(struct dt_backend, more_forms),
                               .name = "older",
                               .form_count = 1,
                               .forms = {DT_FORM_Q8_0},
                               .matmul = dt_backend_reference.matmul,
                               .more_forms = ~UINT64_C(0)}; // past its size: not read
    struct dt_instance older;
    dt_instance_init(&older, &table, NULL);
    for (uint32_t f = 0; f < 3; f++) {
        struct dt_matrix w = dt_matrix_blocks(forms[f], 4, DT_K_VALUES * 2, NULL);
        assert_int_equal(w.group, DT_K_VALUES);
        assert_int_equal(w.group_stride, dt_form_block_bytes(forms[f]));
        assert_true(dt_backend_form_rank(&dt_backend_reference, forms[f]) >= 0);
        assert_int_equal(dt_backend_form_rank(&older.table, forms[f]), -1);
        assert_true(dt_backend_reference.can_matmul(NULL, &w));
        w.cols += 32;
        assert_false(dt_backend_reference.can_matmul(NULL, &w));
    }
    assert_int_equal(dt_backend_form_rank(&dt_backend_reference, 99), -1);
    assert_int_equal(dt_backend_form_rank(&dt_backend_reference, DT_FORM_Q3_K), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_those_of_the_decoder),
        cmocka_unit_test(products_are_those_of_doubles),
        cmocka_unit_test(weights_that_cancel_out_give_zero),
        cmocka_unit_test(computed_in_place),
    };
    return cmocka_run_group_tests_name("k_block", tests, NULL, NULL);
}
