// SPDX-License-Identifier: MIT
// The probe of int8@rvv10, compiled without vector instructions.
#include "rvv10.h"

int rvv10_probe(const struct dt_cpu *cpu)
{
    return (cpu->features & DT_CPU_RVV10) && cpu->vlen >= 128 ? 40 : 0;
}
