// SPDX-License-Identifier: MIT
// Text to a descriptor, at once and whole; the first failure sticks.
#ifndef DT_VERBS_SINK_H
#define DT_VERBS_SINK_H

#include <stdbool.h>
#include <stddef.h>

struct dt_sink {
    int fd;
    int failure; // errno of the first failure, 0 while all is well
};

// SIGPIPE must be ignored (main does), so that a reader who leaves is an errno.
void dt_sink_init(struct dt_sink *sink, int fd);

// Writes all of it. False once something failed.
bool dt_sink_write(struct dt_sink *sink, const char *text, size_t n);
bool dt_sink_format(struct dt_sink *sink, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Records a failure found elsewhere; always false.
bool dt_sink_fail(struct dt_sink *sink, int failure);

#endif
