// SPDX-License-Identifier: MIT
// Source: "ARM optimized routines" (math/expf), also used by glibc (since 2.27) and musl. With N =
// 32:
//     x * N/ln2 = k + r, k an integer, |r| <= 1/2
//     e^x = 2^(k/N) * 2^(r/N): a table of N entries and the exponent, and a cubic in r
// in double, rounded to float once at the end; the error is at most 0.502 ulp.
//
// glibc uses fused multiply-adds where the CPU has them. Only for r does fusing change a result:
// rounded twice (x * N/ln2, then - k) instead of once, two arguments give another float,
// 0x1.04845ep+5 and -0x1.f8cbb2p+5. So r is rounded once here, without that instruction. Fusing the
// other sums or not gives the same floats (tested for all 2^32 arguments).
#include "base/expf.h"

#include <string.h>

#define SCALE      0x1.71547652b82fep+5 // 32 / ln 2
#define SCALE_HIGH 0x1.7154765p+5       // its upper 29 bits: exact times a float
#define SCALE_LOW  0x1.5c17fp-26        // the rest
#define SHIFT      0x1.8p+52
#define C0         (0x1.c6af84b912394p-5 / 32768) // 2^(r/32) = 1 + C2 r + C1 r^2 + C0 r^3
#define C1         (0x1.ebfce50fac4f3p-3 / 1024)
#define C2         (0x1.62e42ff0c52d6p-1 / 32)
#define MAX        0x1.62e42ep6f    // above it: infinity
#define MIN        (-0x1.9fe368p6f) // below it: 0

// The bits of 2^(i/32) as a double, minus i << 47.
static const unsigned long long table[32] = {
    0x3ff0000000000000, 0x3fefd9b0d3158574, 0x3fefb5586cf9890f, 0x3fef9301d0125b51,
    0x3fef72b83c7d517b, 0x3fef54873168b9aa, 0x3fef387a6e756238, 0x3fef1e9df51fdee1,
    0x3fef06fe0a31b715, 0x3feef1a7373aa9cb, 0x3feedea64c123422, 0x3feece086061892d,
    0x3feebfdad5362a27, 0x3feeb42b569d4f82, 0x3feeab07dd485429, 0x3feea47eb03a5585,
    0x3feea09e667f3bcd, 0x3fee9f75e8ec5f74, 0x3feea11473eb0187, 0x3feea589994cce13,
    0x3feeace5422aa0db, 0x3feeb737b0cdc5e5, 0x3feec49182a3f090, 0x3feed503b23e255d,
    0x3feee89f995ad3ad, 0x3feeff76f2fb5e47, 0x3fef199bdd85529c, 0x3fef3720dcef9069,
    0x3fef5818dcfba487, 0x3fef7c97337b9b5f, 0x3fefa4afa2a490da, 0x3fefd0765b6e4540,
};

float dt_expf(float x)
{
    if (!(x <= MAX)) // also NaN
        return x > MAX ? __builtin_inff() : x + x;
    if (x < MIN)
        return 0.0f;

    // Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits of the mantissa.
    double wide = x;
    double shifted = SCALE * wide + SHIFT;
    unsigned long long k;
    memcpy(&k, &shifted, sizeof k);

    // The products and the difference are exact, only the sum is rounded: this is fma(SCALE, x,
    // -k).
    double r = (SCALE_HIGH * wide - (shifted - SHIFT)) + SCALE_LOW * wide;

    // The table entries lack i << 47, so that k << 47 adds only the exponent.
    unsigned long long bits = table[k % 32] + (k << 47);
    double power;
    memcpy(&power, &bits, sizeof power);

    double high = C0 * r + C1;
    double low = C2 * r + 1.0;
    double y = high * (r * r) + low;
    return (float)(y * power);
}
