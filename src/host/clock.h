// SPDX-License-Identifier: MIT
// Time.
#ifndef DT_HOST_CLOCK_H
#define DT_HOST_CLOCK_H

#include <stdint.h>

// Nanoseconds of a clock that only goes forward. Any thread.
uint64_t dt_clock_ns(void);

// Nanoseconds since this process was started by the kernel (resolution of a clock tick, 10 ms), for
// the time to the first byte.
uint64_t dt_clock_since_start_ns(void);

// Seconds since 1970: what llama2.c takes as a seed.
uint64_t dt_clock_unix(void);

// CPU time of the whole process in nanoseconds.
uint64_t dt_clock_cpu_ns(void);

#endif
