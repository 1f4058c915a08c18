// SPDX-License-Identifier: MIT
// What the host provides to an open voice or ear: the services of abi/voice.h.
#ifndef DT_HOST_SPEECH_CONTEXT_H
#define DT_HOST_SPEECH_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/voice.h"
#include "host/child.h"

// The services for one open voice or ear, and what its child processes used. The caller owns it; it
// must not move while the voice or ear is open. Used on one thread at a time, which must live as
// long as the children that `run` starts on it.
struct dt_speech_context {
    struct dt_speech_host services; // services.host is this context
    struct dt_stop *stop;           // set by other threads to end a running child
    int nice;                       // added to the niceness of the children
    uint32_t hang_milliseconds;     // limit without output, for children that do not set their own
    atomic_uint_fast64_t cpu_ns;    // CPU time of the children that ended
    bool hung;                      // the last failure was a child that hung
};

// Fills a context. stop may be NULL and must outlive it.
void dt_speech_context_init(struct dt_speech_context *context, struct dt_stop *stop);

#endif
