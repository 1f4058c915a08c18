// SPDX-License-Identifier: MIT
#include "app/control.h"

#include <string.h>

dt_status dt_control_init(struct dt_control *control, struct dt_events *events,
                          struct dt_error *err)
{
    memset(control, 0, sizeof *control);
    control->events = events;
    return dt_stop_init(&control->silence, err);
}

void dt_control_free(struct dt_control *control)
{
    dt_stop_free(&control->silence);
}

void dt_control_stop(struct dt_control *control)
{
    dt_stop_set(&control->silence);
    atomic_fetch_add(&control->stops, 1);
    atomic_store(&control->stopping, 1);
    if (control->engine)
        dt_engine_cancel(control->engine);
    dt_events_wake(control->events); // a front end that is about to wait checks again
}

void dt_control_leave(struct dt_control *control, int leaving)
{
    atomic_store(&control->leaving, leaving);
    dt_control_stop(control);
}
