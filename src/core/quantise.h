// SPDX-License-Identifier: MIT
// Floats to the forms that kernels compute from, row by row.
#ifndef DT_CORE_QUANTISE_H
#define DT_CORE_QUANTISE_H

#include "core/model.h"

// The largest group of 64, 32, 16, 8, 4, 2 or 1 values, at most `most`, that divides cols.
uint32_t dt_quantise_group(uint32_t cols, uint32_t most);

// Bytes of rows * cols values in a form (F32, F16, BF16, I8 with group, Q8_0, Q4_0); 0 when the shape does not allow the form.
size_t dt_quantise_bytes(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group);

// Describes such a matrix at data (I8: the quants, then the scales as floats, 4-aligned after them).
struct dt_matrix dt_quantise_matrix(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group, void *data);

// Writes row r of w from x[0..cols). I8 rounds half to even, as llama2.c's exporter does (scale = max|x| / 127); Q8_0 and Q4_0 as
// their format's description says (d = max|x| / 127, or the value of largest magnitude / -8). w's memory must be writable.
void dt_quantise_row(const struct dt_matrix *w, uint32_t r, const float *x);

#endif
