// SPDX-License-Identifier: MIT
// What the library writer reports, as events for the front end.
#ifndef DT_APP_LIBRARY_EVENTS_H
#define DT_APP_LIBRARY_EVENTS_H

#include "app/library/library_writer.h"

// The library writer's listener; arg: the struct dt_app. On the library writer's thread.
void dt_library_events_on_report(void *arg, const struct dt_writer_report *report);

#endif
