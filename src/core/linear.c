// SPDX-License-Identifier: MIT
#include "core/linear.h"

#include "base/bits.h"

#define POLL_BYTES (1u << 20)  // weights read between two looks at the cancel flag, at most
#define ITEM_BYTES (32u << 10) // weights of one item of a parallel loop

// Below this many bytes to read, a second thread costs more than it saves. More for weights that
// fit a core's own cache: they are read faster.
#define SPLIT_BYTES        (48u << 10)
#define SPLIT_BYTES_CACHED (256u << 10)
#define CACHED_BYTES       (1536u << 10)

size_t dt_compute_split_bytes(size_t weight_bytes)
{
    return weight_bytes < CACHED_BYTES ? SPLIT_BYTES_CACHED : SPLIT_BYTES;
}

void dt_compute_spread(const struct dt_compute *on, dt_loop_body *body, void *arg, uint32_t items,
                       size_t bytes)
{
    const struct dt_services *services = on->services;
    if (on->workers > 1 && items > 1 && bytes >= on->split_bytes && services &&
        services->parallel_for)
        services->parallel_for(services->host, body, arg, items, 1);
    else
        body(arg, 0, items, 0);
}

// A parallel loop over the rows of up to three matrices with the same prepared activations.
struct product {
    const struct dt_compute *on;
    const struct dt_linear *linear[3];
    float *out[3];
    size_t out_stride[3];
    uint32_t rows_per_item[3],
        first_item[4];         // items of matrix m: first_item[m] .. first_item[m + 1] - 1
    uint32_t items_at_once[3]; // POLL_BYTES at most, or one
    size_t bytes;              // that all items read
    const void *act;
    size_t x_stride;
    uint32_t columns;
};

static void product_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct product *p = arg;
    while (begin < end && !dt_compute_cancelled(p->on)) {
        int m = begin >= p->first_item[2] ? 2 : begin >= p->first_item[1] ? 1 : 0;
        const struct dt_linear *l = p->linear[m];
        // as many items as are in one matrix, up to items_at_once
        uint32_t last = end < p->first_item[m + 1] ? end : p->first_item[m + 1];
        if (last - begin > p->items_at_once[m])
            last = begin + p->items_at_once[m];
        uint32_t row = (begin - p->first_item[m]) * p->rows_per_item[m];
        uint32_t row_end = (last - p->first_item[m]) * p->rows_per_item[m];
        l->by->table.matmul(l->by->ctx, p->out[m], p->out_stride[m], &l->matrix, row,
                            row_end < l->matrix.rows ? row_end : l->matrix.rows, p->act,
                            p->x_stride, p->columns);
        begin = last;
    }
}

static bool same_preparation(const struct dt_linear *a, const struct dt_linear *b)
{
    return a->by == b->by && a->matrix.form == b->matrix.form && a->matrix.cols == b->matrix.cols &&
           a->matrix.group == b->matrix.group;
}

void dt_finite_examine(struct dt_finite *finite, const float *x, size_t stride, size_t n,
                       uint32_t columns, uint32_t exponent)
{
    for (uint32_t c = 0; finite && !finite->lost && c < columns; c++) {
        if (!dt_all_below(x + c * stride, n, exponent)) {
            finite->lost = true;
            finite->lost_in = finite->layer;
        }
    }
}

size_t dt_linear_act_bytes(const struct dt_linear *l, uint32_t columns)
{
    const struct dt_instance *by = l->by;
    return by->table.act_bytes ? by->table.act_bytes(by->ctx, &l->matrix, columns) : 0;
}

const void *dt_linear_prepare(const struct dt_compute *on, const struct dt_linear *l,
                              const float *x, size_t x_stride, uint32_t columns)
{
    const struct dt_backend *b = &l->by->table;
    if (!b->act_prepare || dt_linear_act_bytes(l, columns) == 0)
        return x;
    b->act_prepare(l->by->ctx, on->act, x, x_stride, columns, &l->matrix);
    return on->act;
}

// Adds matrix number m, whose items follow those of the ones before it.
static void add_matrix(struct product *p, int m, const struct dt_linear *l, float *out,
                       size_t out_stride)
{
    const struct dt_matrix *w = &l->matrix;
    uint32_t tile = l->by->table.row_tile;
    size_t row_bytes = w->bytes / w->rows + 1;
    size_t item_rows = p->on->workers > 1 ? ITEM_BYTES / row_bytes + 1 : w->rows;
    if (item_rows * row_bytes > POLL_BYTES)
        item_rows = POLL_BYTES / row_bytes + 1;
    p->linear[m] = l;
    p->out[m] = out;
    p->out_stride[m] = out_stride;
    p->rows_per_item[m] = (uint32_t)(item_rows + tile - 1) / tile * tile;
    p->items_at_once[m] = (uint32_t)(POLL_BYTES / (p->rows_per_item[m] * row_bytes));
    p->items_at_once[m] += p->items_at_once[m] == 0;
    uint32_t items = (w->rows + p->rows_per_item[m] - 1) / p->rows_per_item[m];
    for (int after = m + 1; after < 4; after++)
        p->first_item[after] = p->first_item[m] + items;
    p->bytes += w->bytes * p->columns;
}

static void run_product(struct product *p)
{
    dt_compute_spread(p->on, product_body, p, p->first_item[3], p->bytes);
}

// The product of one matrix, by the ranges of rows that its supply gives.
static void multiply_supplied(const struct product *prepared, const struct dt_linear *l, float *out,
                              size_t out_stride)
{
    const struct dt_supply *supply = l->supply;
    const struct dt_compute *on = prepared->on;
    struct dt_supplied part = {.end = 0};
    for (uint32_t row = 0; row < l->matrix.rows && !dt_compute_cancelled(on); row = part.end) {
        if (!supply->rows(supply->host, l->index, row, on->cancel, &part))
            return;
        struct product p = *prepared;
        struct dt_linear range = {.matrix = part.matrix, .by = l->by};
        add_matrix(&p, 0, &range, out + row, out_stride);
        run_product(&p);
        supply->done(supply->host);
    }
}

void dt_linear_multiply(const struct dt_compute *on, const struct dt_linear *const *linear,
                        float *const *out, const size_t *out_stride, int count, const float *x,
                        size_t x_stride, uint32_t columns)
{
    if (on->observer)
        on->observer->product(on->observer->arg, linear[0], x, x_stride, columns);
    const void *act = NULL;
    for (int first = 0, m; first < count; first += m) {
        struct product p = {.on = on, .x_stride = x_stride, .columns = columns};
        if (first == 0 || !same_preparation(linear[first - 1], linear[first]))
            act = dt_linear_prepare(on, linear[first], x, x_stride, columns);
        p.act = act;
        m = 1;
        if (linear[first]->supply) {
            multiply_supplied(&p, linear[first], out[first], out_stride[first]);
            continue;
        }
        add_matrix(&p, 0, linear[first], out[first], out_stride[first]);
        for (; first + m < count && m < 3 && !linear[first + m]->supply &&
               same_preparation(linear[first], linear[first + m]);
             m++)
            add_matrix(&p, m, linear[first + m], out[first + m], out_stride[first + m]);
        run_product(&p);
    }
}
