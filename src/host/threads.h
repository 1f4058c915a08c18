// SPDX-License-Identifier: MIT
// The pool of worker threads behind dt_services.parallel_for.
#ifndef DT_HOST_THREADS_H
#define DT_HOST_THREADS_H

#include <stdint.h>

#include "abi/backend.h"
#include "base/status.h"

struct dt_threads;

// A pool of `count` workers, the calling thread being worker 0 (so count - 1 threads are started).
// count 0: as many as there are CPUs for this process, at most 16. Idle workers sleep: no CPU is
// used between calls but for a short adaptive spin.
dt_status dt_threads_new(struct dt_threads **out, uint32_t count, struct dt_error *err);

// Ends and joins the workers. NULL is harmless.
void dt_threads_free(struct dt_threads *threads);

uint32_t dt_threads_count(const struct dt_threads *threads);

// Runs body over [0, count): cut into contiguous pieces of at least grain items, large ones first,
// always at the same places for the same numbers; a piece runs on whichever worker comes first
// (worker numbers are distinct among concurrent pieces). Returns when all are done. One thread, or
// one piece: a direct call. A worker that is held up in a piece, because its core is taken away, is
// given none for a while. Called by one thread at a time, never from inside a body.
void dt_threads_for(struct dt_threads *threads, dt_loop_body *body, void *arg, uint32_t count,
                    uint32_t grain);

// CPUs this process may run on, >= 1.
uint32_t dt_threads_cpus(void);

#endif
