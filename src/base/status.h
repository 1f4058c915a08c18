// SPDX-License-Identifier: MIT
// Results and errors. Every function that can fail returns a dt_status and fills a dt_error.
#ifndef DT_BASE_STATUS_H
#define DT_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

// One list makes the enum and its names. The values are part of no file and no ABI.
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

// An error as a user reads it: what was tried, what was found, what to do. Plain value, no
// ownership: copy it freely. A zeroed struct means "no error".
struct dt_error {
    dt_status status;
    char file[256];    // the file concerned, empty if none; cut at the front when too long
    char message[512]; // one line, no final newline
};

// The name of a status, static.
const char *dt_status_name(dt_status status);

// The exit code that the manual promises: 0 done, 1 failed, 2 usage, 3 bad input or unsupported, 4
// memory, 130 cancelled.
int dt_status_exit_code(dt_status status);

// Fills *err (may be NULL) and returns status, so that `return dt_error_set(...)` reads well.
// file may be NULL. The format is dt_format's. Keeps nothing it is given. Any thread.
dt_status dt_error_set(struct dt_error *err, dt_status status, const char *file, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

// Writes the whole line a user sees: "FILE: MESSAGE", or MESSAGE alone. Returns out.
const char *dt_error_line(const struct dt_error *err, char *out, size_t out_size);

#endif
