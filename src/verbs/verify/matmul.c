// SPDX-License-Identifier: MIT
// Matrices of random shapes, forms, batches, row ranges and thread counts, compared with the
// reference's bits or with sums in double.
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/quant/forms.h"
#include "core/quant/k_block.h"
#include "core/stack.h"
#include "verbs/verify/harness.h"

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
    dt_rig.table.matmul(dt_rig.ctx, s->out, s->out_stride, s->w, s->begin, s->end, s->act,
                        s->x_stride, s->columns);
    return NULL;
}

// Rows [begin, end) in ranges that begin at multiples of the tile, on `threads` threads at once.
static void matmul_in_ranges(const struct dt_matrix *w, float *out, size_t out_stride,
                             uint32_t begin, uint32_t end, const void *act, size_t x_stride,
                             uint32_t columns, uint32_t threads)
{
    struct share shares[4];
    uint32_t tile = dt_rig.table.row_tile, piece = ((end - begin) / threads / tile + 1) * tile,
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
        if (pthread_create(&shares[i].thread, NULL, compute, &shares[i]) != 0)
            abort();
    compute(&shares[0]);
    for (uint32_t i = 1; i < count; i++)
        pthread_join(shares[i].thread, NULL);
}

static const void *prepare(const struct dt_backend *b, void *ctx, const struct dt_matrix *w,
                           const float *x, size_t x_stride, uint32_t columns)
{
    size_t bytes = b->act_bytes(ctx, w, columns);
    if (bytes == 0) // this form uses the floats themselves
        return x;
    void *act = dt_rig_guarded((bytes + 63) / 64 * 64, 0);
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
                double product = dt_rig_value(w, r, i) * x[c * x_stride + i];
                sum += product;
                size += fabs(product);
            }
            if (!(fabs(out[c * out_stride + r] - sum) <=
                  size * 0x1p-24 * (4 + w->cols / 8.0) + 1e-30))
                dt_rig_fail(
                    "matmul: row %u of %u x %u, column %u of %u is %.9g, in double it is %.9g", r,
                    w->rows, w->cols, c, columns, (double)out[c * out_stride + r], sum);
        }
    }
}

// Writes row r, as embed gives it, to row; and its products with itself and with x.
static void row_sums(const struct dt_matrix *w, uint32_t r, const float *x, float *row,
                     double *square, double *along)
{
    dt_rig.table.embed(dt_rig.ctx, row, w, r);
    *square = *along = 0;
    for (uint32_t i = 0; i < w->cols; i++) {
        *square += (double)row[i] * (double)row[i];
        *along += (double)row[i] * (double)x[i];
    }
}

// matmul_rows: any rows in any order give the bits of matmul, and no row is further from the exact
// product than act_error states.
static void listed(const struct dt_matrix *w, const float *x, const float *product)
{
    const struct dt_backend *b = &dt_rig.table;
    uint32_t count = dt_rig_below(2 * w->rows + 1);
    uint32_t *index = dt_rig_guarded(count * sizeof *index, 0);
    for (uint32_t k = 0; k < count; k++)
        index[k] = dt_rig_below(w->rows);
    float *out = dt_rig_guarded(count * sizeof *out, 0);
    const void *act = b->act_prepare ? prepare(b, dt_rig.ctx, w, x, 0, 1) : x;
    b->matmul_rows(dt_rig.ctx, out, w, index, count, act);
    for (uint32_t k = 0; k < count; k++) {
        if (memcmp(out + k, product + index[k], sizeof *out) != 0)
            dt_rig_fail("matmul_rows: %s, group %u, %u x %u: row %u, number %u of %u, is "
                        "%.9g; matmul gives %.9g",
                        dt_form_name(w->form), w->group, w->rows, w->cols, index[k], k, count,
                        (double)out[k], (double)product[index[k]]);
    }
    double error = b->act_error(dt_rig.ctx, act, x, w);
    float *row = dt_rig_floats(w->cols);
    for (uint32_t r = 0; r < w->rows; r++) {
        double sum, norm;
        row_sums(w, r, x, row, &norm, &sum);
        if (!(norm < 1e40)) // some scales are not finite
            continue;
        if (!(fabs(product[r] - sum) <= error * sqrt(norm) + 1e-37))
            dt_rig_fail("act_error: %s, group %u, %u x %u: the error of row %u is %.9g; "
                        "stated are %.9g times %.9g",
                        dt_form_name(w->form), w->group, w->rows, w->cols, r,
                        fabs(product[r] - sum), error, sqrt(norm));
    }
}

// row_products: squares and products with a direction, compared with those of embed's rows.
static void products(const struct dt_matrix *w)
{
    const struct dt_backend *b = &dt_rig.table;
    uint32_t begin = dt_rig_below(w->rows), end = begin + 1 + dt_rig_below(w->rows - begin);
    float *direction = dt_rig_floats(w->cols), *row = dt_rig_floats(w->cols),
          *out = dt_rig_guarded(2 * (end - begin) * sizeof *out, 0);
    double length = 0, error = (w->cols / 8 + 40) * 0x1p-24;
    for (uint32_t i = 0; i < w->cols; i++) {
        direction[i] = dt_rig_normal();
        length += (double)direction[i] * (double)direction[i];
    }
    if (!b->row_products(dt_rig.ctx, out, w, begin, end, direction))
        return;
    for (uint32_t r = begin; r < end; r++) {
        double square, along;
        row_sums(w, r, direction, row, &square, &along);
        if (!(square < 1e30)) // some scales are not finite
            continue;
        const float *got = out + 2 * (r - begin);
        if (!(fabs((double)got[0] - square) <= error * square + 1e-37) ||
            !(fabs((double)got[1] - along) <= error * sqrt(square * length) + 1e-37))
            dt_rig_fail("row_products: %s, group %u, row %u of %u x %u: %.9g and %.9g, in "
                        "double %.9g and %.9g",
                        dt_form_name(w->form), w->group, r, w->rows, w->cols, (double)got[0],
                        (double)got[1], square, along);
    }
}

// The module's own layout, packed in two parts, gives the bits of the matrix in place.
static void packed_too(const struct dt_matrix *w, const float *x, size_t x_stride, const float *out,
                       size_t out_stride, uint32_t begin, uint32_t end, uint32_t columns)
{
    const struct dt_backend *b = &dt_rig.table;
    size_t bytes = b->pack_bytes(dt_rig.ctx, w);
    if (bytes == 0)
        return;
    void *memory = dt_rig_guarded((bytes + 63) / 64 * 64, 0);
    uint32_t middle = w->rows / 2 / b->row_tile * b->row_tile;
    b->pack(dt_rig.ctx, memory, w, 0, middle ? middle : w->rows);
    if (middle)
        b->pack(dt_rig.ctx, memory, w, middle, w->rows);
    struct dt_matrix packed = *w;
    packed.form = DT_FORM_PACKED;
    packed.layout = b->layout;
    packed.quants = memory;
    packed.scales = NULL;
    packed.bytes = bytes;
    if (b->can_matmul(dt_rig.ctx, &packed) != 1)
        dt_rig_fail("can_matmul refuses the matrix that pack made");
    float *again = dt_rig_floats(columns * out_stride), *row = dt_rig_floats(w->cols),
          *expected = dt_rig_floats(w->cols);
    const void *act = b->act_prepare ? prepare(b, dt_rig.ctx, &packed, x, x_stride, columns) : x;
    matmul_in_ranges(&packed, again, out_stride, begin, end, act, x_stride, columns,
                     1 + dt_rig_below(4));
    for (uint32_t c = 0; c < columns; c++)
        dt_rig_same_bits("matmul of the packed matrix", again + c * out_stride + begin,
                         out + c * out_stride + begin, end - begin);
    if (b->matmul_rows) {
        float *all = dt_rig_floats(out_stride);
        b->matmul(dt_rig.ctx, all, out_stride, w, 0, w->rows,
                  b->act_prepare ? prepare(b, dt_rig.ctx, w, x, x_stride, 1) : x, x_stride, 1);
        listed(&packed, x, all);
    }
    if (b->row_products)
        products(&packed);
    uint32_t at = dt_rig_below(w->rows);
    b->embed(dt_rig.ctx, row, &packed, at);
    dt_backend_reference.embed(NULL, expected, w, at);
    dt_rig_same_bits("embed of the packed matrix", row, expected, w->cols);
    packed.bytes = bytes - 1;
    if (b->can_matmul(dt_rig.ctx, &packed) != 0)
        dt_rig_fail("can_matmul accepts a packed matrix that is one byte too short");
}

// The operands of one product.
struct shape {
    struct dt_matrix w;
    uint32_t columns, begin, end; // rows begin to end - 1 are computed
    size_t x_stride, out_stride;
    float *x, *out;
};

static const void *act_of(const struct dt_backend *b, const struct dt_matrix *w, const float *x,
                          size_t x_stride, uint32_t columns)
{
    return b->act_prepare ? prepare(b, dt_rig.ctx, w, x, x_stride, columns) : x;
}

static void random_shape(struct shape *s)
{
    static const uint32_t groups[] = {1, 3, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256};
    uint32_t form = dt_rig_form();
    bool k = dt_k_has(form);
    uint32_t group = form == DT_FORM_I8 ? groups[dt_rig_below(12)] : k ? DT_K_VALUES : 32;
    bool blocks = form == DT_FORM_I8 || form == DT_FORM_Q8_0 || form == DT_FORM_Q4_0 || k;
    if (form == DT_FORM_I8 && dt_rig_below(2))
        group = dt_rig_below(2) ? 32 : 64;
    uint32_t rows = dt_rig_between(1, 160);
    uint32_t cols = blocks ? group * dt_rig_between(1, group < 16 ? 60
                                                       : k        ? 6
                                                                  : 24)
                           : dt_rig_between(1, 400);
    s->columns = dt_rig_below(3) ? dt_rig_between(1, 70) : 1;
    if (dt_rig_below(60) == 0) { // wider than any panel or block of a kernel
        cols = blocks ? group * (2400 / group) : 2300 + dt_rig_below(50);
        s->columns = 1 + dt_rig_below(20);
    }
    uint32_t tile = dt_rig.table.row_tile;
    s->begin = dt_rig_below(2) ? 0 : dt_rig_below((rows + tile - 1) / tile) * tile;
    s->end = s->begin + 1 + dt_rig_below(rows - s->begin);
    if (dt_rig_below(2))
        s->end = rows;
    dt_rig_shape("%s, group %u, %u x %u, rows %u to %u, %u columns", dt_form_name(form), group,
                 rows, cols, s->begin, s->end - 1, s->columns);
    s->w = dt_rig_matrix(form, rows, cols, group);
    s->x_stride = ((size_t)cols + 15) / 16 * 16 + dt_rig_below(3) * 16;
    s->out_stride = ((size_t)rows + 15) / 16 * 16;
    s->x = dt_rig_floats(s->columns * s->x_stride);
    dt_rig_fill(s->x, s->columns * s->x_stride, 1.0f);
    if (dt_rig_below(20) == 0)
        memset(s->x, 0, cols * sizeof *s->x);
    s->out = dt_rig_floats(s->columns * s->out_stride);
    memset(s->out, 0x5a, s->columns * s->out_stride * sizeof *s->out);
}

static void check_untouched(const struct shape *s)
{
    float untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    for (uint32_t c = 0; c < s->columns; c++) {
        for (uint32_t r = 0; r < s->out_stride; r++) {
            if ((r < s->begin || r >= s->end) &&
                memcmp(s->out + c * s->out_stride + r, &untouched, sizeof untouched) != 0)
                dt_rig_fail("matmul: row %u is outside the range and was written", r);
        }
    }
}

// A column alone gives the same bits, over all rows at once; of many columns, some are tried.
// Leaves the first column's product in alone.
static void check_columns(const struct shape *s, float *alone)
{
    const struct dt_backend *b = &dt_rig.table;
    for (uint32_t c = dt_rig_below(3); c < s->columns; c += 1 + dt_rig_below(s->columns)) {
        const float *column = s->x + c * s->x_stride;
        b->matmul(dt_rig.ctx, alone, s->out_stride, &s->w, 0, s->w.rows,
                  act_of(b, &s->w, column, s->x_stride, 1), s->x_stride, 1);
        if (memcmp(alone + s->begin, s->out + c * s->out_stride + s->begin,
                   (s->end - s->begin) * sizeof *alone) != 0)
            dt_rig_fail("matmul: column %u of %u differs from the same column alone", c,
                        s->columns);
    }
    b->matmul(dt_rig.ctx, alone, s->out_stride, &s->w, 0, s->w.rows,
              act_of(b, &s->w, s->x, s->x_stride, 1), s->x_stride, 1);
}

static void check_against_reference(const struct shape *s)
{
    const struct dt_backend *reference = &dt_backend_reference;
    const void *act = prepare(reference, NULL, &s->w, s->x, s->x_stride, s->columns);
    float *expected = dt_rig_floats(s->columns * s->out_stride);
    reference->matmul(NULL, expected, s->out_stride, &s->w, s->begin, s->end, act, s->x_stride,
                      s->columns);
    for (uint32_t c = 0; c < s->columns; c++) {
        for (uint32_t r = s->begin; r < s->end; r++) {
            size_t at = c * s->out_stride + r;
            if (memcmp(expected + at, s->out + at, sizeof *expected) != 0)
                dt_rig_fail("matmul: row %u, column %u is %.9g, the reference gives %.9g", r, c,
                            (double)s->out[at], (double)expected[at]);
        }
    }
}

void dt_rig_check_matmul(void)
{
    const struct dt_backend *b = &dt_rig.table;
    struct shape s;
    random_shape(&s);
    if (b->can_matmul && b->can_matmul(dt_rig.ctx, &s.w) != 1)
        dt_rig_fail("can_matmul refuses a matrix of a form in the table");
    matmul_in_ranges(&s.w, s.out, s.out_stride, s.begin, s.end,
                     act_of(b, &s.w, s.x, s.x_stride, s.columns), s.x_stride, s.columns,
                     1 + dt_rig_below(4));
    check_untouched(&s);
    float *alone = dt_rig_floats(s.out_stride);
    check_columns(&s, alone);
    if (b->matmul_rows && b->act_error)
        listed(&s.w, s.x, alone);
    if (b->row_products)
        products(&s.w);
    if (dt_rig.integer)
        check_against_reference(&s);
    else
        check_against_doubles(&s.w, s.x, s.x_stride, s.out, s.out_stride, s.begin, s.end,
                              s.columns);
    float *row = dt_rig_floats(s.w.cols), *expected = dt_rig_floats(s.w.cols);
    uint32_t at = dt_rig_below(s.w.rows);
    b->embed(dt_rig.ctx, row, &s.w, at);
    dt_backend_reference.embed(NULL, expected, &s.w, at);
    dt_rig_same_bits("embed", row, expected, s.w.cols);
    if (b->pack && b->pack_bytes && b->can_matmul)
        packed_too(&s.w, s.x, s.x_stride, s.out, s.out_stride, s.begin, s.end, s.columns);
}
