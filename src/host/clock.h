// SPDX-License-Identifier: MIT
// Clocks. All functions may be called on any thread.
#ifndef DT_HOST_CLOCK_H
#define DT_HOST_CLOCK_H

#include <stdint.h>

// Monotonic time in nanoseconds.
uint64_t dt_clock_ns(void);

// Seconds since 1970 (UTC).
uint64_t dt_clock_unix(void);

// A seed from 1 to 999999999 that differs between calls and between processes, also where two of
// them start at the same time or the clock does not run.
uint64_t dt_clock_seed(void);

// CPU time of the whole process in nanoseconds.
uint64_t dt_clock_cpu_ns(void);

#endif
