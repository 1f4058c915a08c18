// SPDX-License-Identifier: MIT
// dt_backend.probe of a variant: its score if the CPU has all features it needs, else 0. Compiled
// without the variant's instructions.
#include "probe.h"

int DT_MODULE_PROBE(const struct dt_cpu *cpu)
{
    uint64_t needs = DT_MODULE_NEEDS;
    return (cpu->features & needs) == needs ? DT_MODULE_SCORE : 0;
}
