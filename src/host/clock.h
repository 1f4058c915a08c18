// SPDX-License-Identifier: MIT
// Clocks. All functions may be called on any thread.
#ifndef DT_HOST_CLOCK_H
#define DT_HOST_CLOCK_H

#include <stdbool.h>
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

// How long something was waited for. The time in which this process was stopped, or had no
// processor, does not count: nothing else could show life then.
struct dt_patience {
    uint64_t looked_ns, waited_ns;
};

// The longest wait between two looks, in milliseconds; what is longer counts as so much.
#define DT_PATIENCE_STEP 100

void dt_patience_begin(struct dt_patience *patience);

// Whether so many milliseconds were waited since dt_patience_begin(), in steps.
bool dt_patience_ends(struct dt_patience *patience, uint32_t milliseconds);

#endif
