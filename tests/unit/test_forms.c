// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "core/model.h"

// Every half float, by the definition of the format in double.
static void half_to_float_is_exact(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        int sign = h >> 15, exponent = h >> 10 & 31, mantissa = h & 1023;
        float got = dt_half_to_float((uint16_t)h);
        if (exponent == 31) {
            assert_true(mantissa ? isnan(got) : isinf(got));
        } else {
            double want = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
            assert_true(got == (float)(sign ? -want : want));
        }
        assert_int_equal(signbit(got) != 0, sign);
        if (!isnan(got))
            assert_int_equal(dt_float_to_half(got), h);
        else
            assert_true(isnan(dt_half_to_float(dt_float_to_half(got))));
    }
}

// Between each pair of adjacent half floats: below, at and above the middle.
static void float_to_half_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double low = (double)dt_half_to_float((uint16_t)h);
        double high = h + 1 < 0x7c00 ? (double)dt_half_to_float((uint16_t)(h + 1)) : 65536.0;
        float middle = (float)((low + high) / 2);
        uint16_t even = (uint16_t)(h & 1 ? h + 1 : h);
        assert_int_equal(dt_float_to_half(middle), even);
        assert_int_equal(dt_float_to_half(nextafterf(middle, 0)), h);
        assert_int_equal(dt_float_to_half(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(dt_float_to_half(-middle), even | 0x8000);
    }
    assert_int_equal(dt_float_to_half(1e30f), 0x7c00);
    assert_int_equal(dt_float_to_half(-INFINITY), 0xfc00);
    assert_int_equal(dt_float_to_half(1e-30f), 0);
}

static void sizes_and_names(void **state)
{
    (void)state;
    static const struct {
        uint32_t form, block, bytes;
        const char *name;
    } rows[] = {
        {DT_FORM_F32, 1, 4, "f32"},
        {DT_FORM_F16, 1, 2, "f16"},
        {DT_FORM_BF16, 1, 2, "bf16"},
        {DT_FORM_I8, 0, 0, "i8"},
        {DT_FORM_Q8_0, 32, 34, "q8_0"},
        {DT_FORM_Q4_0, 32, 18, "q4_0"},
        {DT_FORM_Q4_1, 32, 20, "q4_1"},
        {DT_FORM_Q5_0, 32, 22, "q5_0"},
        {DT_FORM_Q5_1, 32, 24, "q5_1"},
        {DT_FORM_Q2_K, 256, 84, "q2_k"},
        {DT_FORM_Q3_K, 256, 110, "q3_k"},
        {DT_FORM_Q4_K, 256, 144, "q4_k"},
        {DT_FORM_Q5_K, 256, 176, "q5_k"},
        {DT_FORM_Q6_K, 256, 210, "q6_k"},
        {DT_FORM_IQ4_NL, 32, 18, "iq4_nl"},
        {DT_FORM_PACKED, 0, 0, "packed"},
        {99, 0, 0, "none"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(dt_form_block(rows[i].form), rows[i].block);
        assert_int_equal(dt_form_block_bytes(rows[i].form), rows[i].bytes);
        assert_string_equal(dt_form_name(rows[i].form), rows[i].name);
    }
}

// Values computed by hand. tests/golden compares whole formats with an independent decoder.
static void rows_by_hand(void **state)
{
    (void)state;
    float out[64];

    const float f32[6] = {1, 2, 3, 4, 5, 6};
    struct dt_matrix w = dt_matrix_blocks(DT_FORM_F32, 2, 3, f32);
    assert_int_equal(w.bytes, 24);
    dt_matrix_row(&w, 1, out);
    assert_memory_equal(out, f32 + 3, 12);

    const uint16_t f16[2] = {0x3c00, 0xc000}, bf16[2] = {0x3f80, 0xc000};
    w = dt_matrix_blocks(DT_FORM_F16, 1, 2, f16);
    dt_matrix_row(&w, 0, out);
    assert_true(out[0] == 1.0f && out[1] == -2.0f);
    w = dt_matrix_blocks(DT_FORM_BF16, 1, 2, bf16);
    dt_matrix_row(&w, 0, out);
    assert_true(out[0] == 1.0f && out[1] == -2.0f);

    const int8_t quants[12] = {1, -2, 3, -4, 5, -6, 7, -8, 127, -127, 0, 1};
    const float scales[3] = {0.5f, 0.25f, 2.0f}; // groups of 2 in rows of 2: three rows
    struct dt_matrix i8 = dt_matrix_i8(3, 2, 2, quants, scales);
    assert_int_equal(i8.bytes, 6 + 12);
    dt_matrix_row(&i8, 2, out);
    assert_true(out[0] == 10.0f && out[1] == -12.0f);

    unsigned char q8[68] = {0x00, 0x38}; // two rows of one block: scale 0.5, then 1
    for (int i = 0; i < 32; i++)
        q8[2 + i] = (unsigned char)(i - 16);
    memcpy(q8 + 34, q8, 34);
    q8[34] = 0x00;
    q8[35] = 0x3c;
    w = dt_matrix_blocks(DT_FORM_Q8_0, 2, 32, q8);
    dt_matrix_row(&w, 0, out);
    assert_true(out[0] == -8.0f && out[31] == 7.5f);
    dt_matrix_row(&w, 1, out);
    assert_true(out[0] == -16.0f && out[31] == 15.0f);

    unsigned char q4[18] = {0x00, 0x40}; // scale 2
    for (int i = 0; i < 16; i++)
        q4[2 + i] = (unsigned char)(i | (15 - i) << 4);
    w = dt_matrix_blocks(DT_FORM_Q4_0, 1, 32, q4);
    dt_matrix_row(&w, 0, out);
    for (int i = 0; i < 16; i++) {
        assert_true(out[i] == 2.0f * (float)(i - 8));
        assert_true(out[16 + i] == 2.0f * (float)(7 - i));
    }

    // Q4_1 and Q5: minimum added, fifth bits.
    unsigned char q41[20] = {0x00, 0x3c, 0x00, 0xc0, 0x21};
    w = dt_matrix_blocks(DT_FORM_Q4_1, 1, 32, q41);
    dt_matrix_row(&w, 0, out);
    assert_true(out[0] == -1.0f && out[16] == 0.0f && out[1] == -2.0f);
    unsigned char q50[22] = {0x00, 0x3c, 0x01, 0x00, 0x02, 0x00, 0x21};
    w = dt_matrix_blocks(DT_FORM_Q5_0, 1, 32, q50);
    dt_matrix_row(&w, 0, out);
    assert_true(out[0] == 1.0f && out[16] == -14.0f && out[17] == 0.0f && out[1] == -16.0f);
    assert_int_equal(dt_bits_of(out[2]), dt_bits_of(-16.0f));
}

// In every block form a row depends only on its own bytes: a row of a matrix equals the matrix of
// that row alone.
static void rows_stand_alone(void **state)
{
    (void)state;
    srand(7);
    for (uint32_t form = DT_FORM_F32; form <= DT_FORM_IQ4_NL; form++) {
        uint32_t block = dt_form_block(form);
        if (!block)
            continue;
        uint32_t cols = block * 3;
        size_t row_bytes = 3 * dt_form_block_bytes(form);
        unsigned char *data = malloc(row_bytes * 5 + 1);
        float *a = malloc(cols * sizeof *a), *b = malloc(cols * sizeof *b);
        for (size_t i = 0; i < row_bytes * 5; i++)
            data[i] = (unsigned char)(rand() >> 7);
        struct dt_matrix w = dt_matrix_blocks(form, 5, cols, data);
        assert_int_equal(w.bytes, row_bytes * 5);
        for (uint32_t r = 0; r < 5; r++) {
            struct dt_matrix one = dt_matrix_blocks(form, 1, cols, data + r * row_bytes);
            dt_matrix_row(&w, r, a);
            dt_matrix_row(&one, 0, b);
            assert_memory_equal(a, b, cols * sizeof *a);
        }
        free(data);
        free(a);
        free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_to_float_is_exact),
        cmocka_unit_test(float_to_half_rounds_to_nearest_even),
        cmocka_unit_test(sizes_and_names),
        cmocka_unit_test(rows_by_hand),
        cmocka_unit_test(rows_stand_alone),
    };
    return cmocka_run_group_tests_name("forms", tests, NULL, NULL);
}
