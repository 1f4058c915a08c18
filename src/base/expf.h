// SPDX-License-Identifier: MIT
// expf with the bits of glibc's and musl's, on every machine and whatever the C library.
#ifndef DT_BASE_EXPF_H
#define DT_BASE_EXPF_H

// e^x. Bit for bit the result of the C library's expf in round-to-nearest for every finite x, and for infinities; NaN
// gives NaN. The published algorithm ("ARM optimized routines": x * 32/ln2 = k + r in double, a table of
// 2^(i/32), a cubic in r). Sets no errno, no dependence on fused multiply-add: see expf.c. Any thread.
float dt_expf(float x);

// For vector versions of the same algorithm: 2^(i/32) as the bits of a double, less i << 47.
extern const unsigned long long dt_expf_table[32];

#endif
