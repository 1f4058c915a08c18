// SPDX-License-Identifier: MIT
// expf with the bits of glibc's, on every machine and whatever the C library.
#ifndef DT_BASE_EXPF_H
#define DT_BASE_EXPF_H

// e^x. Bit for bit the result of glibc's expf (as it is on machines with fused multiply-add) in
// round-to-nearest for every float; NaN gives NaN. Sets no errno. Any thread.
float dt_expf(float x);

// What a vector version of the same method needs. It keeps the bits by doing, lane by lane, in
// double:
//     shifted = SCALE * x + SHIFT
//     r       = fma(SCALE, x, -(shifted - SHIFT)), or without the instruction
//               (SCALE_HIGH * x - (shifted - SHIFT)) + SCALE_LOW * x, which is the same
//     power   = the double with the bits table[k % 32] + (k << 47), k the 64 bits of shifted
//     result  = (float)(((C0 * r + C1) * (r * r) + (C2 * r + 1)) * power)
// and by giving +inf where x > MAX, 0 where x < MIN, NaN where x is NaN (the middle part gives
// rubbish there, and traps nothing). Only r must be rounded once; every other product and sum may
// be fused or not: each combination was run over all arguments. The table is a gather of 8-byte
// elements, or with AVX-512 two vpermi2pd of 16 entries each and a blend.
extern const unsigned long long dt_expf_table[32]; // 2^(i/32) as the bits of a double, less i << 47

#define DT_EXPF_SCALE      0x1.71547652b82fep+5 // 32 / ln 2
#define DT_EXPF_SCALE_HIGH 0x1.7154765p+5       // its upper 29 bits: exact times a float
#define DT_EXPF_SCALE_LOW  0x1.5c17fp-26        // the rest
#define DT_EXPF_SHIFT      0x1.8p+52
#define DT_EXPF_C0         (0x1.c6af84b912394p-5 / 32768) // 2^(r/32) = 1 + C2 r + C1 r^2 + C0 r^3
#define DT_EXPF_C1         (0x1.ebfce50fac4f3p-3 / 1024)
#define DT_EXPF_C2         (0x1.62e42ff0c52d6p-1 / 32)
#define DT_EXPF_MAX        0x1.62e42ep6f    // above it: infinity
#define DT_EXPF_MIN        (-0x1.9fe368p6f) // below it: 0

#endif
