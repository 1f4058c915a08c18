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

const unsigned long long dt_expf_table[32] = {
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
    if (!(x <= DT_EXPF_MAX)) // also NaN
        return x > DT_EXPF_MAX ? __builtin_inff() : x + x;
    if (x < DT_EXPF_MIN)
        return 0.0f;

    // Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits of the mantissa.
    double wide = x;
    double shifted = DT_EXPF_SCALE * wide + DT_EXPF_SHIFT;
    unsigned long long k;
    memcpy(&k, &shifted, sizeof k);

    // The products and the difference are exact, only the sum is rounded: this is fma(SCALE, x,
    // -k).
    double r = (DT_EXPF_SCALE_HIGH * wide - (shifted - DT_EXPF_SHIFT)) + DT_EXPF_SCALE_LOW * wide;

    // The table entries lack i << 47, so that k << 47 adds only the exponent.
    unsigned long long bits = dt_expf_table[k % 32] + (k << 47);
    double power;
    memcpy(&power, &bits, sizeof power);

    double high = DT_EXPF_C0 * r + DT_EXPF_C1;
    double low = DT_EXPF_C2 * r + 1.0;
    double y = high * (r * r) + low;
    return (float)(y * power);
}
