// SPDX-License-Identifier: MIT
// The kernels of rvv07 in its .S files. They require VLEN 128, access only their operands, and have
// the reference's order of float operations: products and sums are rounded separately. Operands
// need the alignment of their types only.
#ifndef DT_RVV07_KERNELS_H
#define DT_RVV07_KERNELS_H

#include <stddef.h>
#include <stdint.h>

// ---- matmul.S: y[R] = the R rows of one tile times x, R being 64 or 32; x: -127 to 127 ----

// w, for each group: `group` columns of R int8, then R float scales. y[r] = the sum over groups of
// (sum * scale[r]) * xs[group].
void dt_rvv07_i8_tile64(float *y, const int8_t *x, const float *xs, const void *w, size_t groups,
                        size_t group);
void dt_rvv07_i8_tile32(float *y, const int8_t *x, const float *xs, const void *w, size_t groups,
                        size_t group);
// w, for each group of 32: 16 pairs of columns of R bytes (the even column in the low half, the odd
// one in the high half, two's complement), then R float scales.
void dt_rvv07_q4_tile64(float *y, const int8_t *x, const float *xs, const void *w, size_t groups);
void dt_rvv07_q4_tile32(float *y, const int8_t *x, const float *xs, const void *w, size_t groups);
// w: cols columns of R floats.
void dt_rvv07_f32_tile64(float *y, const float *x, const float *w, size_t cols);
void dt_rvv07_f32_tile32(float *y, const float *x, const float *w, size_t cols);

// ---- strided.S: 1 to 32 unpacked rows, row_stride bytes apart ----

// One group: y[r] += ((sum over n columns of w * x) * scales[r]) * xs.
void dt_rvv07_i8_strided(float *y, const int8_t *x, const void *w, size_t row_stride, size_t n,
                         size_t rows, const float *scales, float xs);
// The same for one block of Q4_0 (32 columns; n is ignored).
void dt_rvv07_q4_strided(float *y, const int8_t *x, const void *w, size_t row_stride, size_t n,
                         size_t rows, const float *scales, float xs);
// y[r] = sum over n columns of w * x
void dt_rvv07_f32_strided(float *y, const float *x, const void *w, size_t row_stride, size_t n,
                          size_t rows);

// Packing: columns of 1 to 64 rows, one after the other; and a block of Q4_0 of each row, as 16
// pairs of columns in a byte.
void dt_rvv07_i8_columns(void *out, const void *rows, size_t row_stride, size_t columns,
                         size_t count);
void dt_rvv07_q4_columns(void *out, const void *blocks, size_t row_stride, size_t count);

// ---- listed.S: 1 to 32 unpacked rows, each at its offset in bytes ----

// sums[32 g + r] = sum over the `group` columns of group g of w * x. group is a multiple of 32,
// rows a multiple of 4; group_stride is in bytes.
void dt_rvv07_i8_sums(int32_t *sums, const int8_t *x, const void *w, const uint32_t *offsets,
                      size_t group, size_t rows, size_t groups, size_t group_stride);
// The same for blocks of Q4_0, without their scales: groups of 32 columns.
void dt_rvv07_q4_sums(int32_t *sums, const int8_t *x, const void *w, const uint32_t *offsets,
                      size_t rows, size_t groups, size_t group_stride);
// Writes the 32 quants of each block of one row, -8 to 7.
void dt_rvv07_q4_unpack(int8_t *out, const void *w, size_t groups, size_t group_stride);
// y[r] += (sums[r] * scales[r]) * xs
void dt_rvv07_add_sums(float *y, const int32_t *sums, const float *scales, size_t rows, float xs);
// out[r] = the float (or half) at offsets[r], which is aligned to its size.
void dt_rvv07_gather_floats(float *out, const void *base, const uint32_t *offsets, size_t rows);
void dt_rvv07_gather_halves(float *out, const void *base, const uint32_t *offsets, size_t rows);
// out[0] = |w|^2 and out[1] = w . direction of one row, summed in lanes. group is a multiple of 32;
// group_stride is in bytes.
void dt_rvv07_row_products(float *out, const void *w, const float *scales, const float *direction,
                           size_t groups, size_t group, size_t group_stride);
// dt_backend.screen for up to 4096 pairs, numbered from `first` on. *sum is a float and not rounded
// up. unit: scale * 2^23.
size_t dt_rvv07_screen(uint32_t *index, const uint32_t *bounds, size_t n, uint32_t first,
                       float *sum, float along, float across, float threshold, float unit);

// ---- kv.S: attention ----

// scores[e] = (sum over channels of q[c] * keys[c][e]) / divisor; channels are `stride` bytes
// apart.
void dt_rvv07_scores(float *scores, const float *q, const float *keys, size_t stride,
                     size_t channels, size_t entries, float divisor);
// out[c] = sum over entries of weights[e] * values[e][c], for 1 to 32 channels; entries are
// `stride` bytes apart.
void dt_rvv07_mix(float *out, const float *weights, const float *values, size_t stride,
                  size_t channels, size_t entries);
// The same for 2 * half channels, half being 1 to 32.
void dt_rvv07_mix2(float *out, const float *weights, const float *values, size_t stride,
                   size_t half, size_t entries);
// The same for 48 channels.
void dt_rvv07_mix48(float *out, const float *weights, const float *values, size_t stride,
                    size_t unused, size_t entries);

// dt_rvv07_scores and dt_rvv07_mix for keys and values that are halves. Halves are converted
// exactly, subnormal ones too.
void dt_rvv07_scores_half(float *scores, const float *q, const uint16_t *keys, size_t stride,
                          size_t channels, size_t entries, float divisor);
void dt_rvv07_mix_half(float *out, const float *weights, const uint16_t *values, size_t stride,
                       size_t channels, size_t entries);

// ---- kv_i8.S: the same for keys and values in int8; strides are in bytes here too ----

// scores[e] = ((sum over channels of q[c] * keys[c][e]) * scales[e]) / divisor
void dt_rvv07_scores_i8(float *scores, const float *q, const int8_t *keys, size_t stride,
                        size_t channels, size_t entries, const float *scales, float divisor);
void dt_rvv07_mix_i8(float *out, const float *weights, const int8_t *values, size_t stride,
                     size_t channels, size_t entries);
void dt_rvv07_mix2_i8(float *out, const float *weights, const int8_t *values, size_t stride,
                      size_t half, size_t entries);
void dt_rvv07_mix48_i8(float *out, const float *weights, const int8_t *values, size_t stride,
                       size_t unused, size_t entries);
void dt_rvv07_multiply(float *x, const float *y, size_t n); // x *= y

// ---- exp.S: the bits of the C library's expf (proof: tests/duo/prove-exp.c) ----

// out = exp(x - m); out may be x
void dt_rvv07_exp_sub(float *out, const float *x, size_t n, float m);
// out = exp(-x)
void dt_rvv07_exp_neg(float *out, const float *x, size_t n);

// ---- elementwise.S ----

float dt_rvv07_max(const float *x, size_t n);            // n >= 1; ignores NaN
float dt_rvv07_sum(const float *x, size_t n);            // in sequence from 0
float dt_rvv07_sum_squares(const float *x, size_t n);    // in sequence from 0
void dt_rvv07_divide(float *x, size_t n, float divisor); // x /= divisor
void dt_rvv07_norm(float *out, const float *x, const float *w, size_t n, float ss); // w * (ss * x)
// gate = gate * (1 / (1 + e)) * up
void dt_rvv07_silu(float *gate, const float *e, const float *up, size_t n);
void dt_rvv07_add(float *x, const float *y, size_t n); // x += y
// n pairs: (a, b) -> (a cos - b sin, a sin + b cos); pairs are `stride` bytes apart.
void dt_rvv07_rotate(float *a, float *b, const float *cosine, const float *sine, size_t n,
                     size_t stride);
// Quantises one group as the reference does and returns its scale, max|x| / 127. q[i] = x[i] /
// scale with halves rounded away from zero; 0 if the scale is 0, or if |x / scale| is above 127 or
// NaN.
float dt_rvv07_quantise(int8_t *q, const float *x, size_t n);
// The smallest i with x[i] == value; n if there is none.
size_t dt_rvv07_find(const float *x, size_t n, float value);
// dt_backend.select.
size_t dt_rvv07_select(uint32_t *index, const float *x, size_t n, float threshold);

#endif
