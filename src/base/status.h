// SPDX-License-Identifier: MIT
// Results and errors. Every function that can fail returns a dt_status and fills a dt_error.
#ifndef DT_BASE_STATUS_H
#define DT_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

// Makes the enum and its names. The values are not part of any file or ABI.
#define DT_STATUS_LIST(X)                                                                          \
    X(DT_OK, "ok")                                                                                 \
    X(DT_FAILED, "failed")                                                                         \
    X(DT_USAGE, "usage")                                                                           \
    X(DT_BAD_INPUT, "bad input")                                                                   \
    X(DT_NO_MEMORY, "not enough memory")                                                           \
    X(DT_CANCELLED, "cancelled")                                                                   \
    X(DT_UNSUPPORTED, "unsupported")                                                               \
    X(DT_CONTEXT_FULL, "context full")

enum dt_status {
#define DT_X(name, text) name,
    DT_STATUS_LIST(DT_X)
#undef DT_X
};
typedef enum dt_status dt_status;

// An error as the user reads it: what was tried, what was found, what to do. A plain value that may
// be copied. All zero: no error.
struct dt_error {
    dt_status status;
    char file[256];    // the file concerned, or empty; a long path is truncated at the front
    char message[512]; // one line, no final newline
};

// The name of a status, static.
const char *dt_status_name(dt_status status);

// The exit code of a status, as documented in the manual: 0 done, 1 failed, 2 usage, 3 bad input or
// unsupported, 4 not enough memory, 130 cancelled.
int dt_status_exit_code(dt_status status);

// Fills *err (may be NULL) and returns status, for `return dt_error_set(...)`. file may be NULL;
// the format is dt_format's. File and message pass dt_text_clean, so they are safe to print. Does
// not refer to its arguments afterwards. Any thread.
dt_status dt_error_set(struct dt_error *err, dt_status status, const char *file, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

// Writes the line that the user sees to out: "FILE: MESSAGE", or only MESSAGE. Returns out.
const char *dt_error_line(const struct dt_error *err, char *out, size_t out_size);

#endif
