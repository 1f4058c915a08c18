// SPDX-License-Identifier: MIT
// How fast memory can be read here and now: the limit that decoding is held against.
#ifndef DT_VERBS_BANDWIDTH_H
#define DT_VERBS_BANDWIDTH_H

#include <stddef.h>

// Bytes a second that one thread reads from `bytes` of memory over and over, best of some passes, about 0.1 s in all. 0 without memory. The
// size decides which cache it comes from: give what a token reads.
double dt_bandwidth_read(size_t bytes);

#endif
