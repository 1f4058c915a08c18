// SPDX-License-Identifier: MIT
// Stopping what runs, and leaving the session.
#ifndef DT_APP_CONTROL_H
#define DT_APP_CONTROL_H

#include <stdatomic.h>

#include "app/events.h"
#include "host/child.h"
#include "host/engine.h"

struct dt_control {
    struct dt_events *events; // woken by a stop
    struct dt_engine *engine; // cancelled by a stop; NULL: there is none yet
    atomic_uint stops;        // counts the stops: one concerns the requests made before it
    atomic_int stopping;      // non-zero from a stop until the worker begins another request
    struct dt_stop silence;   // set by every stop: ends reading aloud
    atomic_int leaving;       // 0; 1: the user leaves; n > 1: signal n - 1 asks to leave
    atomic_int exit_code;     // of the program
};

// DT_FAILED if descriptors are short. Release with dt_control_free.
dt_status dt_control_init(struct dt_control *control, struct dt_events *events,
                          struct dt_error *err);
void dt_control_free(struct dt_control *control);

// Stops what runs. Any thread, async-signal-safe.
void dt_control_stop(struct dt_control *control);

// Stops what runs and ends the session: sets `leaving`. Any thread, async-signal-safe.
void dt_control_leave(struct dt_control *control, int leaving);

#endif
