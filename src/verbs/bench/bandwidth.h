// SPDX-License-Identifier: MIT
// How fast memory can be read here and now: the limit that decoding is held against.
#ifndef DT_VERBS_BANDWIDTH_H
#define DT_VERBS_BANDWIDTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Memory that is read where it lies.
struct dt_span {
    const void *at;
    size_t bytes;
};

// Bytes a second that `threads` threads (0: one a CPU) read from all of the spans, over and over:
// the best pass of about 0.15 s, straight through or in four streams with prefetches, whichever is
// faster here. 0 without memory for it.
double dt_bandwidth_read(const struct dt_span *spans, size_t count, uint32_t threads);

// The same of one thread over as much memory of its own; the size decides which cache it comes
// from.
double dt_bandwidth_of_size(size_t bytes);

#endif
