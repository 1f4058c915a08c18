// SPDX-License-Identifier: MIT
// The log. The host never prints: the program (a verb, the app) installs a sink.
#ifndef DT_HOST_LOG_H
#define DT_HOST_LOG_H

#include "abi/backend.h"

enum dt_log_level {
    DT_LOG_DEBUG = DT_BACKEND_LOG_DEBUG,
    DT_LOG_INFO = DT_BACKEND_LOG_INFO,
    DT_LOG_WARNING = DT_BACKEND_LOG_WARNING,
    DT_LOG_ERROR = DT_BACKEND_LOG_ERROR,
};

// Receives one line without a newline and without control bytes, on the thread that logs it.
typedef void dt_log_sink(void *arg, int level, const char *line);

// Sends lines of `level` and above to sink; NULL discards all, as at the start. Call before other
// threads start.
void dt_log_set(dt_log_sink *sink, void *arg, int level);

// Formats a line by dt_format's rules and logs it. Any thread.
void dt_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
