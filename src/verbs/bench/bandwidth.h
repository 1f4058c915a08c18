// SPDX-License-Identifier: MIT
// The bandwidth of reading memory, which limits decoding.
#ifndef DT_VERBS_BANDWIDTH_H
#define DT_VERBS_BANDWIDTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A range of memory.
struct dt_span {
    const void *at;
    size_t bytes;
};

// Bytes per second that `threads` threads (0: one per CPU) read from all of the spans: the best
// pass within about 0.15 s, sequentially or in four streams with prefetches, whichever is faster. 0
// if there is not enough memory to measure.
double dt_bandwidth_read(const struct dt_span *spans, size_t count, uint32_t threads);

// The same for one thread over `bytes` bytes that it allocates; the size decides which cache they
// are read from.
double dt_bandwidth_of_size(size_t bytes);

#endif
