// SPDX-License-Identifier: MIT
// Unbuffered text output to a descriptor, which remembers its first failure.
#ifndef DT_VERBS_SINK_H
#define DT_VERBS_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "host/string_buffer.h"

struct dt_sink {
    int fd;
    int failure;                   // errno of the first failure, 0 if there was none
    struct dt_string_buffer *held; // NULL: text is written; else it is kept here
};

// SIGPIPE must be ignored, as main does, so that a closed pipe gives an errno.
void dt_sink_init(struct dt_sink *sink, int fd);

// Write everything, even to a slow reader. False after any failure.
bool dt_sink_write(struct dt_sink *sink, const char *text, size_t n);
bool dt_sink_format(struct dt_sink *sink, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Keeps what is written from now on in `held`, which the caller owns; NULL: writes what was kept
// and ends that. False after any failure.
bool dt_sink_hold(struct dt_sink *sink, struct dt_string_buffer *held);

// Records a failure of another kind of output, if it is the first. Returns false.
bool dt_sink_fail(struct dt_sink *sink, int failure);

#endif
