// SPDX-License-Identifier: MIT
// Blocks of 16 levels (Q4_0, Q4_1, Q4_K) or 32 (Q5_0, Q5_1). A value is scale * level + low. Pure:
// any thread.
#ifndef DT_CORE_LEVELS_H
#define DT_CORE_LEVELS_H

#include <stdbool.h>
#include <stdint.h>

#define DT_LEVELS_RUN 32u  // values that share a scale
#define DT_LEVELS_MAX 256u // values in a block, at most

// Scales of a block, as the form stores them. Q4_0, Q5_0: d. Q4_1, Q5_1: d, and low as `minimum`.
// Q4_K: d and minimum are multiplied by 6 bits for each run of 32 values, and the product with
// minimum is subtracted.
struct dt_levels {
    float d, minimum; // representable as f16
    unsigned char scale6[8], minimum6[8];
};

// Q4_0, Q4_1, Q4_K, Q5_0 or Q5_1.
bool dt_levels_has(uint32_t form);

// The smallest of the 16 or 32 levels: -8 for Q4_0, -16 for Q5_0, else 0.
int dt_levels_first(uint32_t form);

// The scale and low of a run (below block / 32) as the decoder computes them.
void dt_levels_run(uint32_t form, const struct dt_levels *levels, uint32_t run, double *scale,
                   double *low);

// The level of a value, from dt_levels_first on; 0 or the first one where the scale is 0.
double dt_levels_nearest(uint32_t form, double scale, double low, double x);

// Finds scales for the values x of a block that make the sum of weight * (decoded - x)^2 small;
// weights are not negative. A block that the form can represent exactly is represented exactly
// (not Q4_K). Values too large for f16 scales give the largest finite ones.
void dt_levels_fit(uint32_t form, const double *x, const double *weight, struct dt_levels *out);

// Q4_K scales by the extremes of the values alone: low is the least value, or 0 if that is above 0.
void dt_levels_plain_k(const float *x, struct dt_levels *out);

// Writes a block: level[i] is an integer from dt_levels_first on.
void dt_levels_encode(uint32_t form, const struct dt_levels *levels, const double *level,
                      unsigned char *block);

#endif
