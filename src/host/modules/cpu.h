// SPDX-License-Identifier: MIT
// The features of the CPU, found without executing the instructions in question.
#ifndef DT_HOST_CPU_H
#define DT_HOST_CPU_H

#include "abi/backend.h"

// The CPU's features, detected by the first call; static. x86: CPUID, and XGETBV for the registers
// the kernel saves. ARM: HWCAP. RISC-V: HWCAP is not reliable about vectors, so a forked child
// executes one instruction that is valid in RVV 0.7.1 and reserved in 1.0. For tests, DUOTALE_CPU
// in the environment ("none", or a list such as "avx2") hides features. Any thread after the first
// call.
const struct dt_cpu *dt_cpu(void);

// Writes the names of the features to out, separated by spaces. Returns out.
const char *dt_cpu_features(const struct dt_cpu *cpu, char *out, size_t size);

#endif
