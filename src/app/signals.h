// SPDX-License-Identifier: MIT
// Signals: a request to end stops what runs and leaves in order, also when the terminal's output is
// stopped or its reader has stopped reading; a crash restores the terminal first.
#ifndef DT_APP_SIGNALS_H
#define DT_APP_SIGNALS_H

#include <stddef.h>

#include "app/control.h"

// Installs the handlers for this session, and remembers the terminal's modes. NULL: the session
// ends; the handlers stay and leave at once. One session at a time.
void dt_signals_install(struct dt_control *control);

// What a crash handler writes to the terminal before it restores the modes. Copied; at most 256
// bytes; NULL: nothing.
void dt_signals_crash_bytes(const char *bytes, size_t n);

#endif
