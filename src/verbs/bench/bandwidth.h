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

// The bandwidth, in bytes per second, at which `threads` threads (0: one per CPU) read the spans:
// each thread reads its own part, several times, in each of several patterns (with the widest
// vectors of the CPU and narrower ones, front to back and in four streams, with and without
// prefetches), and the fastest pass counts. It takes about 0.15 s. Of more than 512 MB, the first
// 512 MB are read. 0 if there is nothing to read, or not enough memory for the threads.
double dt_bandwidth_read(const struct dt_span *spans, size_t count, uint32_t threads);

// The same for `bytes` bytes (at most 512 MB) of private memory, in pages of 2 MB if possible. The
// size decides which cache they are read from. 0 if that is more than a quarter of the available
// memory.
double dt_bandwidth_of_size(size_t bytes, uint32_t threads);

// For tests: reads with one of the patterns, which are numbered from 0, and sets *sum to the
// exclusive or of all bytes. Leaves *sum if this CPU cannot run the pattern. False if there is no
// such pattern.
bool dt_bandwidth_pattern(size_t pattern, const void *at, size_t bytes, unsigned char *sum);

#endif
