// SPDX-License-Identifier: MIT
// The probe of a variant. The build defines for each variant: DT_MODULE_ID (name_variant),
// DT_MODULE_VARIANT (a string), DT_MODULE_NEEDS (DT_CPU_* bits) and DT_MODULE_SCORE.
#ifndef DT_BACKENDS_PROBE_H
#define DT_BACKENDS_PROBE_H

#include "abi/backend.h"

#define DT_MODULE_PROBE_2(id) dt_probe_##id
#define DT_MODULE_PROBE_1(id) DT_MODULE_PROBE_2(id)
#define DT_MODULE_PROBE       DT_MODULE_PROBE_1(DT_MODULE_ID)

int DT_MODULE_PROBE(const struct dt_cpu *cpu);

#endif
