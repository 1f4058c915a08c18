// SPDX-License-Identifier: MIT
// Child processes that never outlive the program: speech engines, players, recorders.
#ifndef DT_HOST_CHILD_H
#define DT_HOST_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

// A request to stop that wakes whoever waits for a child: set by one thread, seen by another within
// a poll().
struct dt_stop {
    int fd; // eventfd
    atomic_bool set;
};
dt_status dt_stop_init(struct dt_stop *stop, struct dt_error *err);
void dt_stop_free(struct dt_stop *stop); // harmless on one that was not made (fd -1)
void dt_stop_set(struct dt_stop *stop);  // any thread; async-signal-safe
void dt_stop_clear(struct dt_stop *stop);

// Bytes that a child opens as /proc/self/fd/(DT_CHILD_FILE_FD + i): an anonymous file in memory.
struct dt_child_file {
    const void *bytes;
    size_t length;
};
#define DT_CHILD_FILE_FD 20
#define DT_CHILD_FILES   8

// The streams to connect; the others are /dev/null.
#define DT_CHILD_STDIN  1u
#define DT_CHILD_STDOUT 2u
#define DT_CHILD_STDERR 4u

struct dt_child_spec {
    const char *const *argv; // argv[0] by name (PATH) or by path
    unsigned pipes;          // DT_CHILD_*
    const struct dt_child_file *files;
    size_t file_count;
    int nice; // added to the niceness of the thread that starts it
};

// Lowers the priority of the calling thread by so many steps of niceness, and so that of the
// children it starts. False if it stays as it is.
bool dt_child_lower(int steps);

struct dt_child {
    pid_t pid;        // 0: none
    int in, out, err; // our ends, non-blocking, -1: none
    char line[160];   // the last line of its standard error, as far as dt_child_read_error saw it
    size_t line_length;
    bool line_open;
};

// How a child ended.
struct dt_child_end {
    int code;        // exit code, -1 if a signal ended it
    int signal;      // that signal, or 0
    uint64_t cpu_ns; // user and system time, of the children it waited for too
};

// The path of an executable: name as it is if it has a slash, else looked for in PATH (entries that
// are empty or not absolute, the current folder in other words, are skipped). path may be NULL.
bool dt_child_find(const char *name, char *path, size_t path_size);

// Starts a child: in a process group of its own, so that the terminal's Ctrl-C is ours to handle;
// killed by the kernel when the thread that calls this ends (so start children from threads that
// outlive them) and so when the program dies, whatever kills it; without any other open file of
// ours, signals as at the start of a program. A program that is missing or cannot be executed is an
// error here: DT_UNSUPPORTED, with what to install left to the caller.
dt_status dt_child_start(struct dt_child *child, const struct dt_child_spec *spec,
                         struct dt_error *err);

// Reads what there is on its standard error, without waiting, and keeps the last line that is not
// empty. False once that stream has ended.
bool dt_child_read_error(struct dt_child *child);

// Writes without waiting and without SIGPIPE: bytes taken, 0 if it is full, -1 if nobody reads any
// more.
ssize_t dt_child_write(struct dt_child *child, const void *bytes, size_t n);

// Closes our end of one stream.
void dt_child_close(int *fd);

// SIGKILL to the child and its process group; harmless when it has none or ended.
void dt_child_kill(struct dt_child *child);

// Waits for its end, at most so long (negative: for ever), or until stop is set (may be NULL).
// True: ended, *end (may be NULL) filled, and child is empty again. Its pipes must not be what it
// waits for.
bool dt_child_wait(struct dt_child *child, int milliseconds, struct dt_stop *stop,
                   struct dt_child_end *end);

// Kills and reaps: afterwards there is no such child. *end may be NULL.
void dt_child_finish(struct dt_child *child, struct dt_child_end *end);

// One line about a child that failed, for people: "espeak-ng ended with code 1: LAST LINE OF
// STDERR". Returns out.
const char *dt_child_describe(const struct dt_child *child, const char *name,
                              const struct dt_child_end *end, char *out, size_t out_size);

#endif
