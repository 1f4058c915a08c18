// SPDX-License-Identifier: MIT
// Clocks. All functions may be called on any thread.
#ifndef DT_HOST_CLOCK_H
#define DT_HOST_CLOCK_H

#include <stdint.h>

// Monotonic time in nanoseconds.
uint64_t dt_clock_ns(void);

// Seconds since 1970 (UTC). Also the default seed, as in llama2.c.
uint64_t dt_clock_unix(void);

// CPU time of the whole process in nanoseconds.
uint64_t dt_clock_cpu_ns(void);

#endif
