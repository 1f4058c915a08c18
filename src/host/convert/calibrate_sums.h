// SPDX-License-Identifier: MIT
// Sums over the activations of a text, and matrices fitted to them; shared by calibrate*.c only.
//
// Columns are divided into spans of DT_FIT_SPAN; only products within a span are summed.
#ifndef DT_HOST_CALIBRATE_SUMS_H
#define DT_HOST_CALIBRATE_SUMS_H

#include "core/quant/fit.h"
#include "host/memory.h"

struct dt_calibrate_sums {
    const struct dt_services *services; // NULL: one thread
    uint32_t workers;
    uint32_t cols;          // of the sums in use
    double *h;              // of each span a matrix, one after the other: of y y^T
    double *cross;          // likewise, of x y^T
    double *factor, *solve; // see dt_fit
    double *work;           // of each worker
    size_t worker_doubles;  // at least 2 * most
    struct dt_block memory;
};

// A matrix to fit. row_bytes times its rows at blocks.
struct dt_calibrate_job {
    const struct dt_matrix *w;
    const char *name; // for errors
    unsigned char *blocks;
};

// Allocates memory for at most `most` columns. Zero *s first; free it also after an error.
dt_status dt_calibrate_sums_init(struct dt_calibrate_sums *s, uint32_t most,
                                 const struct dt_services *services, struct dt_account *account,
                                 struct dt_error *err);
void dt_calibrate_sums_free(struct dt_calibrate_sums *s, struct dt_account *account);

// Begins sums of activations of `cols` channels.
void dt_calibrate_sums_clear(struct dt_calibrate_sums *s, uint32_t cols);

// Adds the activations of `columns` tokens: x of the exact model (NULL: only h is summed), y of the
// fitted one. The sums do not depend on the number of threads.
void dt_calibrate_sums_add(struct dt_calibrate_sums *s, const float *x, size_t x_stride,
                           const float *y, size_t y_stride, uint32_t columns);

// Ends the sums, and adds `share` of the mean of h's diagonal, and `more`, to that.
void dt_calibrate_sums_end(struct dt_calibrate_sums *s, double share, double more);

// Fits matrices of the same form to the sums, once for each dt_calibrate_sums_end. Calls progress
// with the rows done and the total; non-zero cancels. crossed: x was given.
dt_status dt_calibrate_sums_fit(struct dt_calibrate_sums *s, const struct dt_calibrate_job *jobs,
                                size_t count, uint32_t form, bool crossed, dt_progress *progress,
                                void *arg, struct dt_error *err);

#endif
