// SPDX-License-Identifier: MIT
// What the CPU can do, found out without executing what is asked about.
#ifndef DT_HOST_CPU_H
#define DT_HOST_CPU_H

#include "abi/backend.h"

// Fills *out once and for the whole process; later calls are free. x86: CPUID and XGETBV (the
// kernel must save the registers too). ARM: HWCAP. RISC-V: HWCAP lies both ways about vectors, so a
// forked child tries one instruction that is valid in RVV 0.7.1 and reserved in 1.0.
// DUOTALE_CPU=none (or a list such as "avx2") in the environment masks features off, for tests. Any
// thread after the first call.
const struct dt_cpu *dt_cpu(void);

// The names of the features in words, space separated, into out. Returns out.
const char *dt_cpu_features(const struct dt_cpu *cpu, char *out, size_t size);

#endif
