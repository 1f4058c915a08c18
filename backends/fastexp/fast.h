// SPDX-License-Identifier: MIT
// e^x in floats: x / ln2 = k + f with a whole k and f in [-1/2, 1/2]; 2^f is a cubic polynomial
// with constant term 1; k is added to its exponent.
#ifndef DT_BACKENDS_FASTEXP_FAST_H
#define DT_BACKENDS_FASTEXP_FAST_H

#include "abi/kit/vector.h"

// The minimax polynomial of 2^f on [-1/2, 1/2] with p(0) = 1; its relative error is at
// most 1.02e-4.
#define FAST_C1 0.6932829f
#define FAST_C2 0.242211f
#define FAST_C3 0.055008933f

typedef uint32_t fast_bits __attribute__((vector_size(KIT_W * 4)));

KIT_INLINE kit_f fast_exp(kit_f x)
{
    // comparisons with NaN are false, so that it is not clamped
    kit_f clamped =
        kit_select(x < -87.0f, kit_set(-87.0f), kit_select(x > 88.0f, kit_set(88.0f), x));
    kit_f z = clamped * 1.44269504f;
    // adding 1.5 * 2^23 rounds z to an integer, which is then in the low bits
    kit_f shifted = z + 12582912.0f;
    fast_bits k = (fast_bits)shifted << 23; // unsigned: may wrap for NaN, which is not used
    kit_f f = z - (shifted - 12582912.0f);
    kit_f p = ((f * FAST_C3 + FAST_C2) * f + FAST_C1) * f + 1.0f;
    return kit_select(x != x, x, (kit_f)((fast_bits)p + k));
}

#endif
