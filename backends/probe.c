// SPDX-License-Identifier: MIT
// Whether a variant runs on this CPU. Built without the instructions it asks about: DT_MODULE_NEEDS
// is the set of DT_CPU_* bits, DT_MODULE_SCORE what the variant is worth where they are all there.
#include "probe.h"

int DT_MODULE_PROBE(const struct dt_cpu *cpu)
{
    uint64_t needs = DT_MODULE_NEEDS;
    return (cpu->features & needs) == needs ? DT_MODULE_SCORE : 0;
}
