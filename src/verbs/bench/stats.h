// SPDX-License-Identifier: MIT
// Statistics of a few measurements.
#ifndef DT_VERBS_STATS_H
#define DT_VERBS_STATS_H

#include <stddef.h>

#include "host/json.h"

struct dt_stats {
    size_t n;
    double median, min, max, mean, sd; // sd: of a sample (n - 1), 0 for one value
    double trimmed; // mean without the highest and the lowest; the plain mean of fewer than three
};

// The statistics of x[0..n), which is sorted in place. n = 0 gives zeros.
struct dt_stats dt_stats_of(double *x, size_t n);

// For qsort: doubles in ascending order.
int dt_stats_order(const void *a, const void *b);

// Writes {"median": ..., "min": ..., "max": ..., "mean": ..., "sd": ..., "trimmed_mean": ..., "n":
// ...} under a name; null for n = 0.
void dt_stats_put(struct dt_json *json, const char *name, const struct dt_stats *stats);

#endif
