// SPDX-License-Identifier: MIT
// The pool of worker threads behind dt_services.parallel_for.
#ifndef DT_HOST_THREADS_H
#define DT_HOST_THREADS_H

#include <stdint.h>

#include "abi/backend.h"
#include "base/status.h"

struct dt_threads;

// Makes a pool of `count` workers: the calling thread is worker 0, so count - 1 threads are
// started. count 0: one a CPU of this process, at most 16. Idle workers sleep after a short spin.
// DT_USAGE for more than 64; DT_NO_MEMORY if a thread cannot be started. The caller frees *out with
// dt_threads_free.
dt_status dt_threads_new(struct dt_threads **out, uint32_t count, struct dt_error *err);

// Ends and joins the workers. NULL is harmless.
void dt_threads_free(struct dt_threads *threads);

uint32_t dt_threads_count(const struct dt_threads *threads);

// Runs body over the items [0, count) and returns when all are done. The items are divided into
// contiguous pieces of at least `grain` items, always at the same places for the same numbers.
// Which worker runs a piece is not determined; pieces that run at the same time have different
// worker numbers. With one worker or one piece it calls body directly. A worker whose core is taken
// away in a piece gets no pieces for a while. Must not be called by two threads at a time, nor from
// inside a body.
void dt_threads_for(struct dt_threads *threads, dt_loop_body *body, void *arg, uint32_t count,
                    uint32_t grain);

// The number of CPUs this process may run on, >= 1.
uint32_t dt_threads_cpus(void);

#endif
