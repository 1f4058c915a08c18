// SPDX-License-Identifier: MIT
// Converts a float to its 32 bits (IEEE 754 binary32) and back. Pure: any thread.
#ifndef DT_BASE_BITS_H
#define DT_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t dt_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float dt_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// Whether all of n floats are smaller than 2^exponent in magnitude; 128: whether all are finite. A
// NaN is not. In vectors, because it runs over activations and logits of every token.
static inline bool dt_all_below(const float *x, size_t n, uint32_t exponent)
{
    typedef int32_t lanes __attribute__((vector_size(16)));
    const int32_t last = (int32_t)(((127 + exponent) << 23) - 1);
    const lanes magnitude = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX},
                limit = {last, last, last, last};
    lanes bad[2] = {{0}, {0}};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        lanes a, b;
        memcpy(&a, x + i, sizeof a);
        memcpy(&b, x + i + 4, sizeof b);
        bad[0] |= (a & magnitude) > limit;
        bad[1] |= (b & magnitude) > limit;
    }
    bad[0] |= bad[1];
    bool below = !(bad[0][0] | bad[0][1] | bad[0][2] | bad[0][3]);
    for (; i < n; i++)
        below &= (int32_t)(dt_bits_of(x[i]) & INT32_MAX) <= last;
    return below;
}

static inline bool dt_all_finite(const float *x, size_t n)
{
    return dt_all_below(x, n, 128);
}

#endif
