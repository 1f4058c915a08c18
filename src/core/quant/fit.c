// SPDX-License-Identifier: MIT
#include "core/quant/fit.h"

#include <math.h>
#include <string.h>

#include "core/quant/dequant.h"
#include "core/quant/levels.h"
#include "core/quant/quantise.h"

#define RUN DT_LEVELS_RUN

// Parts of the mean of H's diagonal that are added to it: for columns that the text hardly uses,
// and for the target, which otherwise follows the noise of a short text.
#define DAMPING 0.01
#define RIDGE   0.1

#define SWEEPS 8 // over the columns of a row, at most

// ---- linear algebra ----

static double dot(const double *a, const double *b, uint32_t n)
{
    double s[4] = {0};
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (uint32_t k = 0; k < 4; k++)
            s[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return s[0] + s[1] + (s[2] + s[3]);
}

static void add_scaled(double *to, const double *from, double by, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] += by * from[i];
}

// Cholesky's factor of the lower half of a with `add` on its diagonal. False if a is not positive
// definite.
static bool cholesky(double *out, const double *a, double add, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        double *row = out + (size_t)i * n;
        for (uint32_t j = 0; j <= i; j++) {
            const double *other = out + (size_t)j * n;
            double rest = a[(size_t)i * n + j] + (i == j ? add : 0) - dot(row, other, j);
            if (j < i)
                row[j] = rest / other[j];
            else if (rest > 0)
                row[j] = sqrt(rest);
            else
                return false;
        }
    }
    return true;
}

enum dt_fit_result dt_fit_prepare(struct dt_fit *fit)
{
    uint32_t n = fit->cols;
    double mean = 0;
    for (size_t i = 0; i < (size_t)n * n; i++)
        if (!isfinite(fit->h[i]) || (fit->cross && !isfinite(fit->cross[i])))
            return DT_FIT_INFINITE;
    for (uint32_t i = 0; i < n; i++)
        mean += fit->h[(size_t)i * n + i] / n;
    if (!(mean > 0))
        return DT_FIT_ZERO;
    fit->ridge = RIDGE * mean;
    if (fit->cross && !cholesky(fit->solve, fit->h, fit->ridge, n))
        return DT_FIT_INFINITE;
    for (uint32_t i = 0; i < n; i++)
        fit->h[(size_t)i * n + i] += DAMPING * mean;
    if (!cholesky(fit->factor, fit->h, 0, n))
        return DT_FIT_INFINITE;
    // from L sqrt(D) to L and D
    for (uint32_t j = 0; j < n; j++) {
        double root = fit->factor[(size_t)j * n + j];
        for (uint32_t i = j + 1; i < n; i++)
            fit->factor[(size_t)i * n + j] /= root;
        fit->factor[(size_t)j * n + j] = root * root;
    }
    return DT_FIT_OK;
}

void dt_fit_target(const struct dt_fit *fit, const float *w, double *target)
{
    uint32_t n = fit->cols;
    if (!fit->cross) {
        for (uint32_t i = 0; i < n; i++)
            target[i] = (double)w[i];
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        target[i] = fit->ridge * (double)w[i]; // without evidence, w itself
    for (uint32_t i = 0; i < n; i++)
        add_scaled(target, fit->cross + (size_t)i * n, (double)w[i], n);
    for (uint32_t i = 0; i < n; i++) {
        const double *row = fit->solve + (size_t)i * n;
        target[i] = (target[i] - dot(row, target, i)) / row[i];
    }
    for (uint32_t i = n; i-- > 0;) {
        const double *row = fit->solve + (size_t)i * n;
        target[i] /= row[i];
        add_scaled(target, row, -target[i], i);
    }
}

// ---- one row ----

struct row {
    const struct dt_fit *fit;
    const double *target;
    double *level, *value;   // of each column
    double *gradient;        // H (value - target)
    double *rest, *weights;  // of the target, with what later columns lost; D
    struct dt_levels *block; // scales of each block
    uint32_t span;           // columns of a block
};

size_t dt_fit_work(uint32_t cols)
{
    size_t scales = cols / RUN * ((sizeof(struct dt_levels) + sizeof(double) - 1) / sizeof(double));
    return (size_t)cols * 7 + DT_LEVELS_MAX + scales;
}

static void scales_of(const struct row *r, uint32_t column, double *scale, double *low)
{
    dt_levels_run(r->fit->form, &r->block[column / r->span], column % r->span / RUN, scale, low);
}

// From the last column to the first.
static void quantise(struct row *r)
{
    const struct dt_fit *fit = r->fit;
    uint32_t n = fit->cols;
    memcpy(r->rest, r->target, n * sizeof *r->rest);
    for (uint32_t i = 0; i < n; i++)
        r->weights[i] = fit->factor[(size_t)i * n + i];
    for (uint32_t j = n; j-- > 0;) {
        double scale, low;
        if ((j + 1) % r->span == 0) {
            uint32_t first = j + 1 - r->span;
            dt_levels_fit(fit->form, r->rest + first, r->weights + first, &r->block[j / r->span]);
        }
        scales_of(r, j, &scale, &low);
        r->level[j] = dt_levels_nearest(fit->form, scale, low, r->rest[j]);
        r->value[j] = r->level[j] * scale + low;
        add_scaled(r->rest, fit->factor + (size_t)j * n, r->target[j] - r->value[j], j);
    }
}

// Changes values by `by` times direction[0 .. count) from a column on, and the gradient with them.
static void move(struct row *r, uint32_t first, uint32_t count, const double *direction, double by)
{
    uint32_t n = r->fit->cols;
    for (uint32_t i = 0; i < count; i++) {
        r->value[first + i] += by * direction[i];
        add_scaled(r->gradient, r->fit->h + (size_t)(first + i) * n, by * direction[i], n);
    }
}

// Gives each column the level that is best with the others as they are.
static bool improve_levels(struct row *r)
{
    uint32_t n = r->fit->cols;
    bool changed = false;
    for (uint32_t j = 0; j < n; j++) {
        double scale, low, one = 1;
        scales_of(r, j, &scale, &low);
        if (scale == 0)
            continue;
        double best = r->value[j] - r->gradient[j] / r->fit->h[(size_t)j * n + j];
        double level = dt_levels_nearest(r->fit->form, scale, low, best);
        if (level == r->level[j])
            continue;
        move(r, j, 1, &one, (level - r->level[j]) * scale);
        r->level[j] = level;
        changed = true;
    }
    return changed;
}

// Changes an f16 number of a block to the best value: the block's values change by direction times
// the change of the number.
static bool improve_number(struct row *r, uint32_t block, float *number, const double *direction)
{
    uint32_t n = r->fit->cols, first = block * r->span;
    double slope = 0, curve = 0;
    for (uint32_t i = 0; i < r->span; i++) {
        if (direction[i] == 0)
            continue;
        slope += direction[i] * r->gradient[first + i];
        curve +=
            direction[i] * dot(r->fit->h + (size_t)(first + i) * n + first, direction, r->span);
    }
    if (!(curve > 0))
        return false;
    double best = (double)*number - slope / curve;
    if (!(fabs(best) < 65504))
        return false;
    float stored = dt_half_to_float(dt_float_to_half((float)best));
    double by = (double)stored - (double)*number;
    if (by == 0 || by * slope + 0.5 * by * by * curve >= 0)
        return false;
    *number = stored;
    move(r, first, r->span, direction, by);
    return true;
}

static bool improve_scales(struct row *r, double *direction)
{
    uint32_t form = r->fit->form;
    bool changed = false;
    for (uint32_t b = 0; b < r->fit->cols / r->span; b++) {
        struct dt_levels *l = &r->block[b];
        for (uint32_t i = 0; i < r->span; i++)
            direction[i] =
                r->level[b * r->span + i] * (form == DT_FORM_Q4_K ? (double)l->scale6[i / RUN] : 1);
        changed |= improve_number(r, b, &l->d, direction);
        if (dt_levels_first(form) != 0) // without a minimum
            continue;
        for (uint32_t i = 0; i < r->span; i++)
            direction[i] = form == DT_FORM_Q4_K ? -(double)l->minimum6[i / RUN] : 1;
        changed |= improve_number(r, b, &l->minimum, direction);
    }
    return changed;
}

static void set_gradient(struct row *r)
{
    uint32_t n = r->fit->cols;
    memset(r->gradient, 0, n * sizeof *r->gradient);
    for (uint32_t i = 0; i < n; i++)
        add_scaled(r->gradient, r->fit->h + (size_t)i * n, r->value[i] - r->target[i], n);
}

double dt_fit_error(const struct dt_fit *fit, const double *target, const unsigned char *blocks,
                    double *work)
{
    uint32_t n = fit->cols, span = dt_form_block(fit->form);
    double *off = work, error = 0;
    float value[DT_LEVELS_MAX];
    for (uint32_t i = 0; i < n; i += span, blocks += dt_form_block_bytes(fit->form)) {
        dt_dequant_block(fit->form, blocks, value);
        for (uint32_t k = 0; k < span; k++)
            off[i + k] = (double)value[k] - target[i + k];
    }
    for (uint32_t i = 0; i < n; i++)
        error += off[i] * dot(fit->h + (size_t)i * n, off, n);
    return error;
}

void dt_fit_row(const struct dt_fit *fit, const float *w, const double *target,
                unsigned char *blocks, double *work)
{
    uint32_t n = fit->cols, bytes = dt_form_block_bytes(fit->form);
    struct row r = {.fit = fit, .target = target, .span = dt_form_block(fit->form)};
    struct dt_matrix plain = dt_quantise_matrix(fit->form, 1, n, 0, blocks);
    double **const parts[] = {&r.level, &r.value, &r.gradient, &r.rest, &r.weights};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++, work += n)
        *parts[i] = work;
    double *scratch = work; // at least n and DT_LEVELS_MAX
    r.block = (struct dt_levels *)(void *)(work + n + DT_LEVELS_MAX);

    dt_quantise_row(&plain, 0, w);
    double least = dt_fit_error(fit, target, blocks, scratch);
    quantise(&r);
    set_gradient(&r);
    for (int i = 0; i < SWEEPS; i++) {
        bool changed = improve_levels(&r);
        if (!improve_scales(&r, scratch) && !changed)
            break;
    }
    // the other candidate is kept where that one is not better, by the numbers a decoder computes
    unsigned char *found = (unsigned char *)r.rest;
    for (uint32_t b = 0; b < n / r.span; b++)
        dt_levels_encode(fit->form, &r.block[b], r.level + b * r.span, found + (size_t)b * bytes);
    if (!(dt_fit_error(fit, target, found, scratch) >= least))
        memcpy(blocks, found, (size_t)(n / r.span) * bytes);
}
