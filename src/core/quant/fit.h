// SPDX-License-Identifier: MIT
// Quantises the rows of a matrix so that its products with the activations of a text change least.
//
// H is the sum of x x^T over activations x. A row w quantised to q changes its products by the
// squared error (w - q)^T H (w - q). With H = L D L^T (L unit lower triangular) that is the sum
// over columns j of D_j (e_j + sum over k > j of L_kj e_k)^2, where e = w - q. So columns are
// quantised from the last to the first, each after what the later ones lost was added to it, with
// scales that fit under the weights D (the method of GPTQ, Frantar et al., 2023, and LDLQ, Chee et
// al., 2023). Then single levels and scales are changed as long as that lowers the error.
//
// Where the activations y of the quantised model differ from x of the exact one, H is the sum of
// y y^T, and w is replaced by the row that computes from y what w does from x, in the least
// squares: w (sum of x y^T) H^-1.
//
// Pure: any thread; different rows at the same time.
#ifndef DT_CORE_FIT_H
#define DT_CORE_FIT_H

#include "core/quant/forms.h"

// A row of more columns is fitted in parts of this many, so that H stays small.
#define DT_FIT_SPAN 1024u

struct dt_fit {
    uint32_t form, cols; // dt_levels_has(form); cols is a multiple of its block
    double *h;           // (cols, cols): H, symmetric; dt_fit_prepare adds to its diagonal
    double *factor;      // (cols, cols): L below the diagonal, D on it
    double *cross;       // (cols, cols): the sum of x y^T (row: x), or NULL: y is x
    double *solve;       // (cols, cols) with cross: the Cholesky factor of H with more added
    double ridge;        // what was added for that
};

enum dt_fit_result {
    DT_FIT_OK,
    DT_FIT_ZERO,     // all activations are zero
    DT_FIT_INFINITE, // sums are infinite or undefined
};

// Computes factor and solve from form, cols, h and cross.
enum dt_fit_result dt_fit_prepare(struct dt_fit *fit);

// Doubles of work memory that the functions below need.
size_t dt_fit_work(uint32_t cols);

// Writes the row that w becomes to target[0 .. cols), see above; without cross it is w.
void dt_fit_target(const struct dt_fit *fit, const float *w, double *target);

// Writes the blocks of a row. Their error is never larger than that of w by dt_quantise_row.
void dt_fit_row(const struct dt_fit *fit, const float *w, const double *target,
                unsigned char *blocks, double *work);

// (target - decoded)^T H (target - decoded).
double dt_fit_error(const struct dt_fit *fit, const double *target, const unsigned char *blocks,
                    double *work);

#endif
