// SPDX-License-Identifier: MIT
// expf with the same bits as glibc's, on every machine and with every C library.
#ifndef DT_BASE_EXPF_H
#define DT_BASE_EXPF_H

// e^x, for every float the bits of glibc's expf (on machines with fused multiply-add) in
// round-to-nearest mode. NaN gives NaN. Does not set errno. Any thread.
float dt_expf(float x);

// For vector versions of the same method. They give the same bits if each lane computes, in double:
//     shifted = SCALE * x + SHIFT
//     r       = fma(SCALE, x, -(shifted - SHIFT)), or without the instruction
//               (SCALE_HIGH * x - (shifted - SHIFT)) + SCALE_LOW * x, which is the same
//     power   = the double with the bits table[k % 32] + (k << 47), k the 64 bits of shifted
//     result  = (float)(((C0 * r + C1) * (r * r) + (C2 * r + 1)) * power)
// and gives +inf where x > MAX, 0 where x < MIN, NaN where x is NaN (the computation above is
// meaningless there, but does not trap). Only r must be rounded once; every other product and sum
// may be fused or not: all combinations were tested for all arguments. A table look-up is a gather
// of 8-byte elements, or with AVX-512 two vpermi2pd of 16 entries each and a blend.
extern const unsigned long long
    dt_expf_table[32]; // the bits of 2^(i/32) as a double, minus i << 47

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
