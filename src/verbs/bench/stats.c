// SPDX-License-Identifier: MIT
#include "verbs/bench/stats.h"

#include <math.h>
#include <stdlib.h>

int dt_stats_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct dt_stats dt_stats_of(double *x, size_t n)
{
    struct dt_stats s = {.n = n};
    if (n == 0)
        return s;
    qsort(x, n, sizeof *x, dt_stats_order);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    s.mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - s.mean) * (x[i] - s.mean);
    s.sd = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
    s.min = x[0];
    s.max = x[n - 1];
    s.median = n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
    s.trimmed = n > 2 ? (sum - s.min - s.max) / (double)(n - 2) : s.mean;
    return s;
}

void dt_stats_put(struct dt_json *json, const char *name, const struct dt_stats *s)
{
    dt_json_name(json, name);
    if (s->n == 0) {
        dt_json_text(json, NULL);
        return;
    }
    dt_json_object(json);
    dt_json_put_number(json, "median", s->median);
    dt_json_put_number(json, "min", s->min);
    dt_json_put_number(json, "max", s->max);
    dt_json_put_number(json, "mean", s->mean);
    dt_json_put_number(json, "sd", s->sd);
    dt_json_put_number(json, "trimmed_mean", s->trimmed);
    dt_json_put_uint(json, "n", s->n);
    dt_json_end(json);
}
