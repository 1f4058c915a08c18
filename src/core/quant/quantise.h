// SPDX-License-Identifier: MIT
// Floats to the forms that kernels compute from, row by row.
#ifndef DT_CORE_QUANTISE_H
#define DT_CORE_QUANTISE_H

#include "core/quant/forms.h"

// The largest group of 64, 32, 16, 8, 4, 2 or 1 values, at most `most`, that divides cols.
uint32_t dt_quantise_group(uint32_t cols, uint32_t most);

// Bytes of rows * cols values in a form that can be written: F32, F16, BF16, I8 with group, Q8_0,
// and the blocks of 32 values Q4_0, Q4_1, Q5_0, Q5_1. 0 for other forms and where the shape does
// not allow the form.
size_t dt_quantise_bytes(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group);

// Describes such a matrix at data (I8: the quants, then the scales as floats, 4-aligned after
// them).
struct dt_matrix dt_quantise_matrix(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group,
                                    void *data);

// Writes row r of w from x[0..cols), w of a form as above, its memory writable. I8 rounds half to
// even, as llama2.c's exporter does (scale = max|x| / 127). The others as the description of their
// format says: Q8_0 d = max|x| / 127; Q4_0 and Q5_0 d = the value of largest magnitude / -8 or -16;
// Q4_1 and Q5_1 d = (max - min) / 15 or 31, and the minimum; d and minimum rounded to f16 where
// they are stored, the levels from the exact ones. Any thread, rows at once too.
void dt_quantise_row(const struct dt_matrix *w, uint32_t r, const float *x);

#endif
