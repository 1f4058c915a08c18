// SPDX-License-Identifier: MIT
// Child processes that end with the program: speech engines, players, recorders.
#ifndef DT_HOST_CHILD_H
#define DT_HOST_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

// A stop flag that also ends a poll(): one thread sets it while another waits for a child.
struct dt_stop {
    int fd; // eventfd
    atomic_bool set;
};
dt_status dt_stop_init(struct dt_stop *stop, struct dt_error *err);
void dt_stop_free(struct dt_stop *stop); // harmless if fd is -1
void dt_stop_set(struct dt_stop *stop);  // any thread; async-signal-safe
void dt_stop_clear(struct dt_stop *stop);

// Bytes that a child can open as /proc/self/fd/(DT_CHILD_FILE_FD + i).
struct dt_child_file {
    const void *bytes;
    size_t length;
};
#define DT_CHILD_FILE_FD 20
#define DT_CHILD_FILES   8

// The streams to connect by pipes; the others are /dev/null.
#define DT_CHILD_STDIN  1u
#define DT_CHILD_STDOUT 2u
#define DT_CHILD_STDERR 4u

struct dt_child_spec {
    const char *const *argv; // argv[0] is a name (found by dt_child_find) or a path
    unsigned pipes;          // DT_CHILD_*
    const struct dt_child_file *files;
    size_t file_count;
    int nice; // added to the niceness of the calling thread
};

// Adds `steps` to the niceness of the calling thread, which its children inherit. False on failure.
bool dt_child_lower(int steps);

struct dt_child {
    pid_t pid;        // 0: none
    int in, out, err; // this process's ends of the pipes, non-blocking, -1: none
    char line[160];   // the last line of standard error that dt_child_read_error read
    size_t line_length;
    bool line_open;
};

// How a child ended.
struct dt_child_end {
    int code;        // exit code, -1 if a signal ended it
    int signal;      // that signal, or 0
    uint64_t cpu_ns; // user and system time, including its own children
};

// Finds an executable and writes its path: `name` itself if it has a slash, else the first one in
// PATH. Skips empty and relative entries of PATH, so it never searches the current folder. path may
// be NULL. False if there is none.
bool dt_child_find(const char *name, char *path, size_t path_size);

// Starts a child in its own process group, so that the terminal's Ctrl-C does not reach it, with
// default signal handling and without other open files. The kernel kills it when the calling thread
// ends, so that thread must live as long as the child. DT_UNSUPPORTED if the program is missing or
// cannot be executed; the caller adds what to install. Release it with dt_child_wait or
// dt_child_finish.
dt_status dt_child_start(struct dt_child *child, const struct dt_child_spec *spec,
                         struct dt_error *err);

// Reads the available standard error without waiting and stores the last line that is not empty.
// False when that stream has ended.
bool dt_child_read_error(struct dt_child *child);

// Writes to the child's standard input without waiting and without SIGPIPE. Returns the number of
// bytes written, 0 if the pipe is full, -1 if the child has closed it.
ssize_t dt_child_write(struct dt_child *child, const void *bytes, size_t n);

// Closes this process's end of one stream and sets it to -1.
void dt_child_close(int *fd);

// Waits until the child ends, for at most `milliseconds` (negative: no limit), or until stop (may
// be NULL) is set. True if it ended: fills *end (may be NULL) and empties *child. Does not feed or
// read the pipes, so the child must not be waiting for those.
bool dt_child_wait(struct dt_child *child, int milliseconds, struct dt_stop *stop,
                   struct dt_child_end *end);

// The CPU time that a running child has used, without its own children; 0 if it is not known.
uint64_t dt_child_cpu_ns(const struct dt_child *child);

// Kills the child with its process group, waits for its end and empties *child. *end may be NULL.
// Harmless if there is none.
void dt_child_finish(struct dt_child *child, struct dt_child_end *end);

// Describes the failure of a child in one line: "espeak-ng ended with code 1: LAST LINE OF STDERR".
// Returns out.
const char *dt_child_describe(const struct dt_child *child, const char *name,
                              const struct dt_child_end *end, char *out, size_t out_size);

#endif
