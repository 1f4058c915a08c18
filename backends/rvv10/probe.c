// SPDX-License-Identifier: MIT
// Built without vectors: whether int8@rvv10 runs here is asked before any of it does.
#include "rvv10.h"

int rvv10_probe(const struct dt_cpu *cpu)
{
    return (cpu->features & DT_CPU_RVV10) && cpu->vlen >= 128 ? 40 : 0;
}
