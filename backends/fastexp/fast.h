// SPDX-License-Identifier: MIT
// e^x in floats: x / ln2 = k + f with f in [-1/2, 1/2], 2^f by a cubic whose constant term is 1,
// 2^k added to the exponent.
#ifndef DT_BACKENDS_FASTEXP_FAST_H
#define DT_BACKENDS_FASTEXP_FAST_H

#include "abi/kit/vector.h"

// The cubic: 2^f on [-1/2, 1/2] with the largest relative error as small as it gets under p(0) =
// 1: 1.02e-4.
#define FAST_C1 0.6932829f
#define FAST_C2 0.242211f
#define FAST_C3 0.055008933f

typedef uint32_t fast_bits __attribute__((vector_size(KIT_W * 4)));

KIT_INLINE kit_f fast_exp(kit_f x)
{
    // NaN stays NaN: comparisons with it are false, and its bits pass through the polynomial
    kit_f clamped =
        kit_select(x < -87.0f, kit_set(-87.0f), kit_select(x > 88.0f, kit_set(88.0f), x));
    kit_f z = clamped * 1.44269504f;
    // adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits
    kit_f shifted = z + 12582912.0f;
    fast_bits k = (fast_bits)shifted << 23; // unsigned: a NaN's lane may wrap, and is not taken
    kit_f f = z - (shifted - 12582912.0f);
    kit_f p = ((f * FAST_C3 + FAST_C2) * f + FAST_C1) * f + 1.0f;
    return kit_select(x != x, x, (kit_f)((fast_bits)p + k));
}

#endif
