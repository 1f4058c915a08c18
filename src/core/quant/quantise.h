// SPDX-License-Identifier: MIT
// Converts rows of floats to weight forms.
#ifndef DT_CORE_QUANTISE_H
#define DT_CORE_QUANTISE_H

#include "core/quant/forms.h"

// The largest of 64, 32, 16, 8, 4, 2 and 1 that is at most `most` and divides cols.
uint32_t dt_quantise_group(uint32_t cols, uint32_t most);

// The bytes of rows * cols values in a form that can be written: F32, F16, BF16, I8 (with group),
// Q8_0, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1. 0: another form, or blocks or groups do not divide cols.
size_t dt_quantise_bytes(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group);

// Describes such a matrix at data. I8: the quants, then the scales as floats, aligned to 4.
struct dt_matrix dt_quantise_matrix(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group,
                                    void *data);

// Writes row r of w, whose memory is writable, from x[0..cols). I8: scale = max|x| / 127, quants
// rounded half to even, as llama2.c's exporter. The others as ggml's reference quantisers: Q8_0: d
// = max|x| / 127; Q4_0, Q5_0: d = the value of largest magnitude / -8, -16; Q4_1, Q5_1: d = (max -
// min) / 15, 31, and the minimum. d and minimum are stored as f16; the levels are computed from the
// exact values. Q4_K: as dt_levels_plain_k, levels from the stored scales. Any thread; different
// rows at the same time.
void dt_quantise_row(const struct dt_matrix *w, uint32_t r, const float *x);

#endif
