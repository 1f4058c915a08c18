// SPDX-License-Identifier: MIT
// Proves that rvv07's exp (backends/rvv07/exp.S) gives the bits of dt_expf for every float.
// Computes its lanes in C, operation by operation; each operation is exact or correctly rounded, so
// the CPU does not matter. Compares each lane that exp.S accepts; lanes that it computes
// again in double need no proof.
//
//   cc -O2 -mfma -ffp-contract=off -Isrc -o prove-exp tests/duo/prove-exp.c src/base/expf.c -lm
//   ./prove-exp [STEP]     checks every STEP-th argument; 1, the proof, has 2.2e9 of them and takes
//                          about a minute
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/expf.h"

#define MARGIN  0x1p-28f
#define LARGEST 0x42ae0000u // 87.0f

int main(int argc, char **argv)
{
    uint32_t step = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
    double inverse = 0x1.71547652b82fep+0 * 32;
    float high = (float)inverse, low = (float)(inverse - high);
    float c0 = (float)(0x1.c6af84b912394p-5 / 32 / 32 / 32),
          c1 = (float)(0x1.ebfce50fac4f3p-3 / 32 / 32);
    float c2 = (float)(0x1.62e42ff0c52d6p-1 / 32), table_high[32], table_low[32];
    for (int i = 0; i < 32; i++) {
        double t = exp2(i / 32.0);
        table_high[i] = (float)t;
        table_low[i] = (float)(t - table_high[i]);
    }
    unsigned long long accepted = 0, again = 0, wrong = 0;
    for (int sign = 0; sign < 2; sign++) {
        for (uint32_t u = 0; u <= LARGEST; u += step) {
            float x = dt_float_of(u | (uint32_t)sign << 31);
            float zh = x * high, zl = fmaf(x, low, fmaf(high, x, -zh));
            float t = zh + 0x1.8p23f, r = (zh - (t - 0x1.8p23f)) + zl;
            float p = ((r * c0 + c1) * r + c2) * r;
            uint32_t k = dt_bits_of(t);
            float rest = fmaf(table_high[k & 31], p, table_low[k & 31]);
            float above = table_high[k & 31] + (rest + MARGIN),
                  below = table_high[k & 31] + (rest - MARGIN);
            if (above != below) {
                again++;
                continue;
            }
            accepted++;
            if (dt_bits_of(above) + (k >> 5 << 23) != dt_bits_of(dt_expf(x)) && wrong++ < 5)
                printf("prove-exp: exp(%a) is %a, the lanes give %a\n", (double)x,
                       (double)dt_expf(x), (double)above);
        }
    }
    printf("prove-exp: %llu arguments accepted, %llu computed again in double (%.2f %%), "
           "%llu wrong\n",
           accepted, again, 100.0 * (double)again / (double)(accepted + again), wrong);
    return wrong != 0;
}
