// SPDX-License-Identifier: MIT
#include "core/weights.h"
#include "host/convert/calibrate_sums.h"

#include <string.h>

#define ROWS_AT_ONCE 32u // of each worker, between two calls of progress

static uint32_t span_at(uint32_t cols, uint32_t first)
{
    return cols - first < DT_FIT_SPAN ? cols - first : DT_FIT_SPAN;
}

// Where the matrix of the span that begins at column `first` is.
static size_t place_of(uint32_t cols, uint32_t first)
{
    return (size_t)first * span_at(cols, 0);
}

dt_status dt_calibrate_sums_init(struct dt_calibrate_sums *s, uint32_t most,
                                 const struct dt_services *services, struct dt_account *account,
                                 struct dt_error *err)
{
    uint32_t span = span_at(most, 0);
    size_t sums = (size_t)most * span, square = (size_t)span * span;
    s->services = services;
    s->workers = services ? services->threads(services->host) : 1;
    // a target, the work of the fit, and a row as floats
    s->worker_doubles = span + dt_fit_work(span) + (size_t)most * 2;
    dt_status status =
        dt_block_alloc(account, &s->memory,
                       ((sums + square) * 2 + s->worker_doubles * s->workers) * sizeof(double),
                       "sums over the activations", err);
    if (status)
        return status;
    s->h = s->memory.memory;
    s->cross = s->h + sums;
    s->factor = s->cross + sums;
    s->solve = s->factor + square;
    s->work = s->solve + square;
    return DT_OK;
}

void dt_calibrate_sums_free(struct dt_calibrate_sums *s, struct dt_account *account)
{
    dt_block_free(account, &s->memory);
}

static void spread(const struct dt_calibrate_sums *s, dt_loop_body *body, void *arg, uint32_t count,
                   uint32_t grain)
{
    if (s->services)
        s->services->parallel_for(s->services->host, body, arg, count, grain);
    else
        body(arg, 0, count, 0);
}

// ---- sums ----

void dt_calibrate_sums_clear(struct dt_calibrate_sums *s, uint32_t cols)
{
    size_t bytes = (size_t)cols * span_at(cols, 0) * sizeof(double);
    s->cols = cols;
    memset(s->h, 0, bytes);
    memset(s->cross, 0, bytes);
}

struct adding {
    const struct dt_calibrate_sums *s;
    const float *x, *y;
    size_t x_stride, y_stride;
    uint32_t columns;
};

typedef float lanes __attribute__((vector_size(16)));

// part[0 .. n) += by[0] * y[0] + ... + by[3] * y[3], added one after the other.
static void add_four(float *part, const float by[4], const float *const y[4], uint32_t n)
{
    uint32_t k = 0;
    for (; k + 4 <= n; k += 4) {
        lanes sum, row[4];
        memcpy(&sum, part + k, sizeof sum);
        for (int i = 0; i < 4; i++)
            memcpy(&row[i], y[i] + k, sizeof row[i]);
        sum += by[0] * row[0];
        sum += by[1] * row[1];
        sum += by[2] * row[2];
        sum += by[3] * row[3];
        memcpy(part + k, &sum, sizeof sum);
    }
    for (; k < n; k++)
        for (int i = 0; i < 4; i++)
            part[k] += by[i] * y[i][k];
}

// Adds the products of one channel with n channels: in floats over a batch, then in doubles.
static void add_products(const float *channel, size_t channel_stride, const float *y, size_t stride,
                         uint32_t columns, uint32_t n, double *sum)
{
    float part[DT_FIT_SPAN];
    memset(part, 0, n * sizeof *part);
    for (uint32_t c = 0; c < columns; c += 4) {
        float by[4] = {0};
        const float *row[4];
        for (uint32_t i = 0; i < 4; i++) {
            bool there = c + i < columns;
            by[i] = there ? channel[(c + i) * channel_stride] : 0;
            row[i] = y + (there ? c + i : c) * stride;
        }
        add_four(part, by, row, n);
    }
    for (uint32_t k = 0; k < n; k++)
        sum[k] += (double)part[k];
}

// Items are rows of the sums.
static void add_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct adding *a = arg;
    const struct dt_calibrate_sums *s = a->s;
    for (uint32_t i = begin; i < end; i++) {
        uint32_t first = i / DT_FIT_SPAN * DT_FIT_SPAN, n = span_at(s->cols, first);
        size_t at = place_of(s->cols, first) + (size_t)(i - first) * n;
        add_products(a->y + i, a->y_stride, a->y + first, a->y_stride, a->columns, i - first + 1,
                     s->h + at);
        if (a->x)
            add_products(a->x + i, a->x_stride, a->y + first, a->y_stride, a->columns, n,
                         s->cross + at);
    }
}

void dt_calibrate_sums_add(struct dt_calibrate_sums *s, const float *x, size_t x_stride,
                           const float *y, size_t y_stride, uint32_t columns)
{
    struct adding a = {s, x, y, x_stride, y_stride, columns};
    spread(s, add_body, &a, s->cols, 8);
}

void dt_calibrate_sums_end(struct dt_calibrate_sums *s, double share, double more)
{
    double mean = 0;
    for (int adding = 0; adding < 2; adding++) {
        for (uint32_t first = 0; first < s->cols; first += DT_FIT_SPAN) {
            uint32_t n = span_at(s->cols, first);
            double *h = s->h + place_of(s->cols, first);
            for (uint32_t i = 0; i < n; i++) {
                if (adding)
                    h[(size_t)i * n + i] += share * mean + more;
                else
                    mean += h[(size_t)i * n + i] / s->cols;
                for (uint32_t k = i + 1; k < n; k++) // the upper half
                    h[(size_t)i * n + k] = h[(size_t)k * n + i];
            }
        }
    }
}

// ---- fitting ----

struct fitting {
    const struct dt_calibrate_sums *s;
    const struct dt_calibrate_job *job;
    struct dt_fit fit;
    uint32_t first_row, first_column;
    size_t row_bytes, offset;
};

static void fit_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    const struct fitting *f = arg;
    double *target = f->s->work + worker * f->s->worker_doubles;
    double *work = target + f->fit.cols;
    float *row = (float *)(void *)(work + dt_fit_work(f->fit.cols));
    for (uint32_t i = begin; i < end; i++) {
        uint32_t r = f->first_row + i;
        dt_matrix_row(f->job->w, r, row);
        dt_fit_target(&f->fit, row + f->first_column, target);
        dt_fit_row(&f->fit, row + f->first_column, target,
                   f->job->blocks + r * f->row_bytes + f->offset, work);
    }
}

static dt_status fail(enum dt_fit_result result, const char *name, struct dt_error *err)
{
    if (result == DT_FIT_ZERO)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "%s: all its activations are zero for this text, so there is nothing "
                            "to fit it to; convert without --calibrate",
                            name);
    return dt_error_set(err, DT_BAD_INPUT, NULL,
                        "%s: the sums over its activations are infinite or undefined, so the model "
                        "is damaged; get it again",
                        name);
}

static dt_status fit_rows(struct fitting *f, size_t *done, size_t total, dt_progress *progress,
                          void *arg, struct dt_error *err)
{
    uint32_t step = ROWS_AT_ONCE * f->s->workers, rows = f->job->w->rows;
    for (f->first_row = 0; f->first_row < rows; f->first_row += step) {
        uint32_t n = rows - f->first_row < step ? rows - f->first_row : step;
        spread(f->s, fit_body, f, n, 1);
        *done += n;
        if (progress && progress(arg, *done, total))
            return dt_error_set(err, DT_CANCELLED, NULL, "stopped; no file was written");
    }
    return DT_OK;
}

dt_status dt_calibrate_sums_fit(struct dt_calibrate_sums *s, const struct dt_calibrate_job *jobs,
                                size_t count, uint32_t form, bool crossed, dt_progress *progress,
                                void *arg, struct dt_error *err)
{
    uint32_t block = dt_form_block(form);
    size_t bytes = dt_form_block_bytes(form), done = 0, total = 0;
    for (size_t i = 0; i < count; i++)
        total += (size_t)jobs[i].w->rows * ((s->cols + DT_FIT_SPAN - 1) / DT_FIT_SPAN);
    for (uint32_t first = 0; count && first < s->cols; first += DT_FIT_SPAN) {
        struct fitting f = {.s = s, .first_column = first};
        f.fit = (struct dt_fit){.form = form,
                                .cols = span_at(s->cols, first),
                                .h = s->h + place_of(s->cols, first),
                                .cross = crossed ? s->cross + place_of(s->cols, first) : NULL,
                                .factor = s->factor,
                                .solve = s->solve};
        f.row_bytes = s->cols / block * bytes;
        f.offset = first / block * bytes;
        enum dt_fit_result result = dt_fit_prepare(&f.fit);
        if (result != DT_FIT_OK)
            return fail(result, jobs[0].name, err);
        for (size_t i = 0; i < count; i++) {
            f.job = &jobs[i];
            dt_status status = fit_rows(&f, &done, total, progress, arg, err);
            if (status)
                return status;
        }
    }
    return DT_OK;
}
