// SPDX-License-Identifier: MIT
// Matrices that the backends' own code packs are read back bit by bit by core/quant/packed.h, and
// headers that do not fit are refused.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/rows16.h"
#include "core/quant/k_block.h"
#include "core/quant/packed.h"
#include "core/quant/quantise.h"
#include "rvv07/layout.h"

static uint32_t state = 1;

static uint32_t next(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static float number(void)
{
    return (float)((int32_t)next() - (1 << 23)) * 0x1p-20f;
}

struct layout {
    const char *name;
    size_t (*bytes)(void *ctx, const struct dt_matrix *w);
    void (*pack)(void *ctx, void *packed, const struct dt_matrix *w, uint32_t begin, uint32_t end);
    uint32_t tile;
};

static const struct layout layouts[] = {
    {"rows16-1", rows16_pack_bytes, rows16_pack, 16},
    {"rvv07-1", rvv07_pack_bytes, rvv07_pack, 64},
};

// A matrix of random values; its memory is exact, so that a read past its end is noticed.
static struct dt_matrix random_matrix(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group)
{
    if (dt_k_has(form)) {
        struct dt_matrix k = dt_matrix_blocks(form, rows, cols, NULL);
        unsigned char *blocks = malloc(k.bytes);
        for (size_t i = 0; i < k.bytes; i++) // any bits; not NaN, whose bits a decoder may change
            blocks[i] = (unsigned char)(next() & 0xbb);
        k.quants = blocks;
        return k;
    }
    void *memory = malloc(dt_quantise_bytes(form, rows, cols, group));
    struct dt_matrix w = dt_quantise_matrix(form, rows, cols, group, memory);
    float *row = malloc(cols * sizeof *row);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < cols; i++)
            row[i] = number() * (float)(r % 7 + 1);
        dt_quantise_row(&w, r, row);
    }
    free(row);
    return w;
}

// Blocks begin at their scales.
static const unsigned char *memory_of(const struct dt_matrix *w)
{
    return w->form == DT_FORM_Q8_0 || w->form == DT_FORM_Q4_0 ? w->scales : w->quants;
}

static struct dt_matrix packed_of(const struct layout *layout, const struct dt_matrix *w)
{
    size_t bytes = layout->bytes(NULL, w);
    struct dt_matrix p = *w;
    void *memory = malloc(bytes);
    memset(memory, 0xee, bytes);
    uint32_t middle = w->rows / 2 / layout->tile * layout->tile;
    layout->pack(NULL, memory, w, 0, middle ? middle : w->rows);
    if (middle)
        layout->pack(NULL, memory, w, middle, w->rows);
    p.form = DT_FORM_PACKED;
    p.layout = layout->name;
    p.quants = memory;
    p.scales = NULL;
    p.bytes = bytes;
    return p;
}

// rvv07-1 does not know whether scales were halves.
static uint32_t form_read(const struct layout *layout, uint32_t form)
{
    return form == DT_FORM_Q8_0 && layout->tile == 64 ? DT_FORM_I8 : form;
}

static void check_rows(const struct dt_matrix *packed, const struct dt_matrix *w)
{
    float *want = malloc(w->cols * sizeof *want), *got = malloc(w->cols * sizeof *got);
    for (uint32_t r = 0; r < w->rows; r++) {
        dt_matrix_row(w, r, want);
        dt_matrix_row(packed, r, got);
        assert_memory_equal(want, got, w->cols * sizeof *got);
    }
    free(want);
    free(got);
}

static void check(const struct layout *layout, uint32_t form, uint32_t rows, uint32_t cols,
                  uint32_t group)
{
    struct dt_matrix w = random_matrix(form, rows, cols, group), plain;
    assert_true(layout->bytes(NULL, &w) > 0);
    struct dt_matrix packed = packed_of(layout, &w);
    assert_true(dt_packed_plain(&packed, &plain));
    assert_int_equal(plain.form, form_read(layout, form));
    assert_int_equal(plain.rows, rows);
    assert_int_equal(plain.cols, cols);
    assert_int_equal(plain.group, w.group);
    check_rows(&packed, &w);
    plain = dt_quantise_matrix(plain.form, rows, cols, plain.group, malloc(plain.bytes));
    dt_packed_unpack(&packed, &plain, 0, rows / 2);
    dt_packed_unpack(&packed, &plain, rows / 2, rows);
    if (plain.form == form)
        assert_memory_equal(memory_of(&plain), memory_of(&w), w.bytes);
    else
        check_rows(&plain, &w);

    struct dt_matrix small = packed;
    small.bytes--;
    assert_false(dt_packed_plain(&small, &plain));
    free((void *)(uintptr_t)memory_of(&w));
    free((void *)(uintptr_t)packed.quants);
    if (plain.quants)
        free((void *)(uintptr_t)memory_of(&plain));
}

static void reads_back(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t form, cols, group;
    } kinds[] = {
        {DT_FORM_I8, 36, 4},    {DT_FORM_I8, 96, 32},   {DT_FORM_I8, 192, 64},
        {DT_FORM_I8, 60, 20},   {DT_FORM_Q8_0, 32, 0},  {DT_FORM_Q8_0, 160, 0},
        {DT_FORM_Q4_0, 64, 0},  {DT_FORM_F32, 7, 0},    {DT_FORM_F32, 130, 0},
        {DT_FORM_F16, 65, 0},   {DT_FORM_BF16, 65, 0},  {DT_FORM_Q4_K, 256, 0},
        {DT_FORM_Q5_K, 768, 0}, {DT_FORM_Q6_K, 512, 0},
    };
    static const uint32_t rows[] = {1, 15, 16, 17, 32, 33, 64, 65, 96, 97, 131};
    for (size_t l = 0; l < 2; l++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
                uint32_t form = kinds[k].form;
                if (l == 1 && (form == DT_FORM_F16 || form == DT_FORM_BF16 || dt_k_has(form)))
                    continue;
                check(&layouts[l], form, rows[r], kinds[k].cols, kinds[k].group);
            }
}

// A vocabulary whose rows are mostly alike is packed by rows, which can be read in place.
static void sparse_rows_of(uint32_t form)
{
    uint32_t rows = 4096, cols = 64;
    struct dt_matrix w = random_matrix(form, rows, cols, form == DT_FORM_I8 ? 32 : 0);
    float row[64];
    for (uint32_t r = 900; r < rows; r++) {
        for (uint32_t i = 0; i < cols; i++)
            row[i] = (float)i * 0.01f;
        dt_quantise_row(&w, r, row);
    }
    assert_true(rvv07_is_sparse(&w));
    struct dt_matrix packed = packed_of(&layouts[1], &w), plain, in_place;
    assert_true(dt_packed_plain(&packed, &plain));
    assert_int_equal(plain.form, form_read(&layouts[1], form));
    check_rows(&packed, &w);
    assert_true(dt_packed_by_rows(&packed, &in_place));
    assert_int_equal(in_place.form, plain.form);
    check_rows(&in_place, &w);
    plain = dt_quantise_matrix(plain.form, rows, cols, plain.group, malloc(plain.bytes));
    dt_packed_unpack(&packed, &plain, 0, rows);
    check_rows(&plain, &w);
    free((void *)(uintptr_t)memory_of(&plain));
    free((void *)(uintptr_t)memory_of(&w));
    free((void *)(uintptr_t)packed.quants);
}

static void sparse_rows(void **unused)
{
    (void)unused;
    sparse_rows_of(DT_FORM_I8);
    sparse_rows_of(DT_FORM_Q8_0);
    sparse_rows_of(DT_FORM_Q4_0);
    struct dt_matrix w = random_matrix(DT_FORM_Q4_0, 4096, 64, 0), unused_rows;
    struct dt_matrix packed = packed_of(&layouts[1], &w);
    assert_false(dt_packed_by_rows(&packed, &unused_rows)); // in tiles
    free((void *)(uintptr_t)memory_of(&w));
    free((void *)(uintptr_t)packed.quants);
}

static void *writable(const struct dt_matrix *w)
{
    return (void *)(uintptr_t)w->quants;
}

// The scales of blocks of 256 values: one that is not finite is found.
static void scales_of_blocks(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t form, at;
    } places[] = {{DT_FORM_Q4_K, 0},
                  {DT_FORM_Q4_K, 2},
                  {DT_FORM_Q5_K, 0},
                  {DT_FORM_Q5_K, 2},
                  {DT_FORM_Q6_K, 208}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct dt_matrix w = random_matrix(places[i].form, 21, 512, 0);
        unsigned char *block = (unsigned char *)writable(&w) + 19 * w.row_stride + w.group_stride;
        block[places[i].at] = 0;
        block[places[i].at + 1] = 0x7c;
        struct dt_matrix packed = packed_of(&layouts[0], &w);
        for (uint32_t r = 0; r < 21; r++)
            for (uint32_t b = 0; b < 2; b++)
                assert_int_equal(isfinite(dt_packed_scale(&packed, r, b)) == 0, r == 19 && b == 1);
        free(writable(&w));
        free(writable(&packed));
    }
}

// Byte `at` of the header with another value.
static void refused(const struct dt_matrix *packed, size_t at, unsigned char value)
{
    struct dt_matrix plain;
    unsigned char *header = (unsigned char *)(uintptr_t)packed->quants, before = header[at];
    header[at] = value;
    assert_false(dt_packed_plain(packed, &plain));
    header[at] = before;
    assert_true(dt_packed_plain(packed, &plain));
}

static void bad_headers(void **unused)
{
    (void)unused;
    for (size_t l = 0; l < 2; l++) {
        struct dt_matrix w = random_matrix(DT_FORM_Q8_0, 33, 64, 0);
        struct dt_matrix packed = packed_of(&layouts[l], &w);
        size_t fields = l ? 8 : 16;
        refused(&packed, 0, 'x');
        refused(&packed, strlen(packed.layout) - 1, '2'); // another version than the file's
        refused(&packed, fields, 0);                      // kind
        refused(&packed, fields, 6);
        refused(&packed, fields, 8);
        refused(&packed, fields, 9);
        refused(&packed, fields, 2);
        refused(&packed, fields + 4, 34); // rows
        refused(&packed, fields + 7, 0x80);
        refused(&packed, fields + 8, 32);            // columns
        refused(&packed, fields + 12, 0);            // group
        refused(&packed, fields + 12, 24);           // does not divide the columns
        refused(&packed, fields + (l ? 16 : 24), 1); // bytes
        if (l == 0)
            refused(&packed, fields + 16, 7); // type of the scales
        packed.layout = "rows16-2";
        assert_false(dt_packed_knows(packed.layout));
        struct dt_matrix plain;
        assert_false(dt_packed_plain(&packed, &plain));
        free((void *)(uintptr_t)memory_of(&w));
        free((void *)(uintptr_t)packed.quants);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back),
        cmocka_unit_test(sparse_rows),
        cmocka_unit_test(scales_of_blocks),
        cmocka_unit_test(bad_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
