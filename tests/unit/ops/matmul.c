// SPDX-License-Identifier: MIT
// Matrices: 1,000 random shapes, forms, batches, ranges of rows and numbers of threads against the
// reference's bits or doubles.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/stack.h"
#include "ops/rig.h"

enum { shapes = 1000 };

struct share {
    pthread_t thread;
    const struct dt_matrix *w;
    float *out;
    size_t out_stride, x_stride;
    const void *act;
    uint32_t begin, end, columns;
};

static void *compute(void *arg)
{
    const struct share *s = arg;
    rig.table->matmul(rig.ctx, s->out, s->out_stride, s->w, s->begin, s->end, s->act, s->x_stride,
                      s->columns);
    return NULL;
}

// Rows [begin, end) in ranges that begin at multiples of the tile, on `threads` threads at once.
static void matmul_in_ranges(const struct dt_matrix *w, float *out, size_t out_stride,
                             uint32_t begin, uint32_t end, const void *act, size_t x_stride,
                             uint32_t columns, uint32_t threads)
{
    struct share shares[4];
    uint32_t tile = rig.table->row_tile, piece = ((end - begin) / threads / tile + 1) * tile,
             count = 0;
    for (uint32_t r = begin; r < end; r += piece) {
        uint32_t last = end - r < piece ? end : r + piece;
        shares[count++] = (struct share){.w = w,
                                         .out = out,
                                         .out_stride = out_stride,
                                         .x_stride = x_stride,
                                         .act = act,
                                         .begin = r,
                                         .end = last,
                                         .columns = columns};
    }
    for (uint32_t i = 1; i < count; i++)
        assert_int_equal(pthread_create(&shares[i].thread, NULL, compute, &shares[i]), 0);
    compute(&shares[0]);
    for (uint32_t i = 1; i < count; i++)
        pthread_join(shares[i].thread, NULL);
}

static void *prepare(const struct dt_backend *b, void *ctx, const struct dt_matrix *w,
                     const float *x, size_t x_stride, uint32_t columns)
{
    size_t bytes = b->act_bytes(ctx, w, columns);
    if (bytes == 0) // takes the floats themselves for this form
        return (void *)(uintptr_t)x;
    void *act = rig_guarded((bytes + 63) / 64 * 64, 0);
    b->act_prepare(ctx, act, x, x_stride, columns, w);
    return act;
}

static void check_against_doubles(const struct dt_matrix *w, const float *x, size_t x_stride,
                                  const float *out, size_t out_stride, uint32_t begin, uint32_t end,
                                  uint32_t columns)
{
    for (uint32_t c = 0; c < columns; c++) {
        for (uint32_t r = begin; r < end; r++) {
            double sum = 0.0, size = 0.0;
            for (uint32_t i = 0; i < w->cols; i++) {
                double product = rig_value(w, r, i) * x[c * x_stride + i];
                sum += product;
                size += fabs(product);
            }
            if (!(fabs(out[c * out_stride + r] - sum) <=
                  size * 0x1p-24 * (4 + w->cols / 8.0) + 1e-30))
                fail_msg("row %u of %u x %u, column %u of %u: %.9g, should be %.9g", r, w->rows,
                         w->cols, c, columns, (double)out[c * out_stride + r], sum);
        }
    }
}

// Row r as embed gives it, into row; its product with itself, and with x.
static void row_sums(const struct dt_matrix *w, uint32_t r, const float *x, float *row,
                     double *square, double *along)
{
    rig.table->embed(rig.ctx, row, w, r);
    *square = *along = 0;
    for (uint32_t i = 0; i < w->cols; i++) {
        *square += (double)row[i] * (double)row[i];
        *along += (double)row[i] * (double)x[i];
    }
}

// Rows anywhere, in any order: the bits of the product; and that nothing lies further from the
// exact product than act_error says.
static void listed(const struct dt_matrix *w, const float *x, const float *product)
{
    const struct dt_backend *b = rig.table;
    uint32_t count = rig_below(2 * w->rows + 1);
    uint32_t *index = rig_guarded(count * sizeof *index, 0);
    for (uint32_t k = 0; k < count; k++)
        index[k] = rig_below(w->rows);
    float *out = rig_guarded(count * sizeof *out, 0);
    const void *act = b->act_prepare ? prepare(b, rig.ctx, w, x, 0, 1) : x;
    b->matmul_rows(rig.ctx, out, w, index, count, act);
    for (uint32_t k = 0; k < count; k++) {
        if (memcmp(out + k, product + index[k], sizeof *out) != 0)
            fail_msg("form %u group %u, %u x %u: row %u, listed as number %u of %u, is %.9g "
                     "instead of %.9g",
                     w->form, w->group, w->rows, w->cols, index[k], k, count, (double)out[k],
                     (double)product[index[k]]);
    }
    double error = b->act_error(rig.ctx, act, x, w);
    float *row = rig_floats(w->cols);
    for (uint32_t r = 0; r < w->rows; r++) {
        double sum, norm;
        row_sums(w, r, x, row, &norm, &sum);
        if (!(norm < 1e40)) // some scales are no numbers, or overflow
            continue;
        if (!(fabs(product[r] - sum) <= error * sqrt(norm) + 1e-37))
            fail_msg("form %u group %u, %u x %u: row %u is off by %.9g; act_error is %.9g of %.9g",
                     w->form, w->group, w->rows, w->cols, r, fabs(product[r] - sum), error,
                     sqrt(norm));
    }
}

// Squares and products with a direction are as near to those of embed's rows as is said.
static void products(const struct dt_matrix *w)
{
    const struct dt_backend *b = rig.table;
    uint32_t begin = rig_below(w->rows), end = begin + 1 + rig_below(w->rows - begin);
    float *direction = rig_floats(w->cols), *row = rig_floats(w->cols),
          *out = rig_guarded(2 * (end - begin) * sizeof *out, 0);
    double length = 0, error = (w->cols / 8 + 40) * 0x1p-24;
    for (uint32_t i = 0; i < w->cols; i++) {
        direction[i] = rig_normal();
        length += (double)direction[i] * (double)direction[i];
    }
    if (!b->row_products(rig.ctx, out, w, begin, end, direction))
        return;
    for (uint32_t r = begin; r < end; r++) {
        double square, along;
        row_sums(w, r, direction, row, &square, &along);
        if (!(square < 1e30)) // some scales are no numbers, or overflow
            continue;
        const float *got = out + 2 * (r - begin);
        if (!(fabs((double)got[0] - square) <= error * square + 1e-37) ||
            !(fabs((double)got[1] - along) <= error * sqrt(square * length) + 1e-37))
            fail_msg("form %u group %u, row %u of %u x %u: %.9g and %.9g, should be %.9g and %.9g",
                     w->form, w->group, r, w->rows, w->cols, (double)got[0], (double)got[1], square,
                     along);
    }
}

// The module's own layout, packed in two goes, gives the bits of the rows in place.
static void packed_too(const struct dt_matrix *w, const float *x, size_t x_stride, const float *out,
                       size_t out_stride, uint32_t begin, uint32_t end, uint32_t columns)
{
    const struct dt_backend *b = rig.table;
    size_t bytes = b->pack_bytes(rig.ctx, w);
    if (bytes == 0)
        return;
    void *memory = rig_guarded((bytes + 63) / 64 * 64, 0);
    uint32_t middle = w->rows / 2 / b->row_tile * b->row_tile;
    b->pack(rig.ctx, memory, w, 0, middle ? middle : w->rows);
    if (middle)
        b->pack(rig.ctx, memory, w, middle, w->rows);
    struct dt_matrix packed = *w;
    packed.form = DT_FORM_PACKED;
    packed.layout = b->layout;
    packed.quants = memory;
    packed.scales = NULL;
    packed.bytes = bytes;
    assert_int_equal(b->can_matmul(rig.ctx, &packed), 1);
    float *again = rig_floats(columns * out_stride), *row = rig_floats(w->cols),
          *expected = rig_floats(w->cols);
    const void *act = b->act_prepare ? prepare(b, rig.ctx, &packed, x, x_stride, columns) : x;
    matmul_in_ranges(&packed, again, out_stride, begin, end, act, x_stride, columns,
                     1 + rig_below(4));
    for (uint32_t c = 0; c < columns; c++)
        assert_memory_equal(again + c * out_stride + begin, out + c * out_stride + begin,
                            (end - begin) * sizeof *out);
    if (b->matmul_rows) {
        float *all = rig_floats(out_stride);
        b->matmul(rig.ctx, all, out_stride, w, 0, w->rows,
                  b->act_prepare ? prepare(b, rig.ctx, w, x, x_stride, 1) : x, x_stride, 1);
        listed(&packed, x, all);
    }
    if (b->row_products)
        products(&packed);
    uint32_t at = rig_below(w->rows);
    b->embed(rig.ctx, row, &packed, at);
    dt_backend_reference.embed(NULL, expected, w, at);
    assert_memory_equal(row, expected, w->cols * sizeof *row);
    packed.bytes = bytes - 1;
    assert_int_equal(b->can_matmul(rig.ctx, &packed), 0);
}

static void one_shape(uint32_t form)
{
    static const uint32_t groups[] = {1, 3, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256};
    uint32_t group = form == DT_FORM_I8 ? groups[rig_below(12)] : 32;
    bool blocks = form == DT_FORM_I8 || form == DT_FORM_Q8_0 || form == DT_FORM_Q4_0;
    if (form == DT_FORM_I8 && rig_below(2))
        group = rig_below(2) ? 32 : 64;
    uint32_t rows = rig_between(1, 160);
    uint32_t cols = blocks ? group * rig_between(1, group < 16 ? 60 : 24) : rig_between(1, 400);
    uint32_t columns = rig_below(3) ? rig_between(1, 70) : 1;
    if (rig_below(60) == 0) { // wider than any panel or block of a kernel
        cols = blocks ? group * (2400 / group) : 2300 + rig_below(50);
        columns = 1 + rig_below(20);
    }
    struct dt_matrix w = rig_matrix(form, rows, cols, group);
    const struct dt_backend *b = rig.table;
    if (b->can_matmul)
        assert_int_equal(b->can_matmul(rig.ctx, &w), 1);
    uint32_t tile = b->row_tile,
             begin = rig_below(2) ? 0 : rig_below((rows + tile - 1) / tile) * tile;
    uint32_t end = begin + 1 + rig_below(rows - begin);
    if (rig_below(2))
        end = rows;

    size_t x_stride = ((size_t)cols + 15) / 16 * 16 + rig_below(3) * 16;
    size_t out_stride = ((size_t)rows + 15) / 16 * 16;
    float *x = rig_floats(columns * x_stride);
    for (size_t i = 0; i < columns * x_stride; i++)
        x[i] = rig_normal();
    if (rig_below(20) == 0)
        memset(x, 0, cols * sizeof *x);
    float *out = rig_floats(columns * out_stride);
    memset(out, 0x5a, columns * out_stride * sizeof *out);
    const void *act = b->act_prepare ? prepare(b, rig.ctx, &w, x, x_stride, columns) : x;
    matmul_in_ranges(&w, out, out_stride, begin, end, act, x_stride, columns, 1 + rig_below(4));

    float untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    for (uint32_t c = 0; c < columns; c++) {
        for (uint32_t r = 0; r < out_stride; r++) {
            if ((r < begin || r >= end) &&
                memcmp(out + c * out_stride + r, &untouched, sizeof untouched) != 0)
                fail_msg("row %u is outside %u..%u and was written (form %u)", r, begin, end, form);
        }
    }
    // a column alone gives the same bits, over all rows at once; of many, some are tried
    float *alone = rig_floats(out_stride);
    for (uint32_t c = rig_below(3); c < columns; c += 1 + rig_below(columns)) {
        const float *column = x + c * x_stride;
        const void *one = b->act_prepare ? prepare(b, rig.ctx, &w, column, x_stride, 1) : column;
        b->matmul(rig.ctx, alone, out_stride, &w, 0, rows, one, x_stride, 1);
        if (memcmp(alone + begin, out + c * out_stride + begin, (end - begin) * sizeof *out) != 0)
            fail_msg("form %u group %u, %u x %u: column %u of %u differs from itself alone", form,
                     group, rows, cols, c, columns);
    }
    b->matmul(rig.ctx, alone, out_stride, &w, 0, rows,
              b->act_prepare ? prepare(b, rig.ctx, &w, x, x_stride, 1) : x, x_stride, 1);
    if (b->matmul_rows && b->act_error)
        listed(&w, x, alone);
    if (b->row_products)
        products(&w);
    if (!rig.integer) {
        check_against_doubles(&w, x, x_stride, out, out_stride, begin, end, columns);
    } else {
        const struct dt_backend *reference = &dt_backend_reference;
        const void *ref_act = prepare(reference, NULL, &w, x, x_stride, columns);
        float *expected = rig_floats(columns * out_stride);
        reference->matmul(NULL, expected, out_stride, &w, begin, end, ref_act, x_stride, columns);
        for (uint32_t c = 0; c < columns; c++) {
            for (uint32_t r = begin; r < end; r++) {
                if (memcmp(expected + c * out_stride + r, out + c * out_stride + r, sizeof *out) !=
                    0)
                    fail_msg("form %u group %u, row %u of %u x %u, column %u of %u: %.9g, the "
                             "reference has %.9g",
                             form, group, r, rows, cols, c, columns,
                             (double)out[c * out_stride + r], (double)expected[c * out_stride + r]);
            }
        }
    }
    float *row = rig_floats(cols), *expected = rig_floats(cols);
    uint32_t at = rig_below(rows);
    b->embed(rig.ctx, row, &w, at);
    dt_backend_reference.embed(NULL, expected, &w, at);
    assert_memory_equal(row, expected, cols * sizeof *row);
    if (b->pack && b->pack_bytes && b->can_matmul)
        packed_too(&w, x, x_stride, out, out_stride, begin, end, columns);
    rig_free();
}

void rig_matmul_tests(void **state)
{
    (void)state;
    if (!rig.table->matmul)
        skip();
    for (int i = 0; i < shapes; i++)
        one_shape(rig.table->forms[rig_below(rig.table->form_count)]);
}
