// SPDX-License-Identifier: MIT
// Writing a file atomically: it appears complete or not at all.
#ifndef DT_HOST_ATOMIC_FILE_H
#define DT_HOST_ATOMIC_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// A file that is being written. The bytes go to an unnamed temporary file (on a file system without
// those, to a hidden one beside the target), which replaces the target on commit. A process that is
// killed leaves the target unchanged; a hidden file that it may leave is removed by the next
// dt_atomic_file_open for the same target.
struct dt_atomic_file {
    char *path;      // the target, owned
    char *temporary; // the name of the temporary file; NULL if it has none
    unsigned char *buffer;
    size_t filled;
    int file;
    uint64_t written;
    uint64_t expected;
};

// Begins a file. expected: its size in bytes (0: unknown), which is reserved on the disk, so that a
// full disk is reported early. *out must be zeroed or closed. DT_FAILED names the path and the
// system's error.
dt_status dt_atomic_file_open(struct dt_atomic_file *out, const char *path, uint64_t expected,
                              struct dt_error *err);

// Appends n bytes. DT_FAILED on a write error, with the number of bytes written so far.
dt_status dt_atomic_file_write(struct dt_atomic_file *out, const void *bytes, size_t n,
                               struct dt_error *err);

// Appends zeros up to a multiple of `multiple` bytes.
dt_status dt_atomic_file_pad(struct dt_atomic_file *out, size_t multiple, struct dt_error *err);

// Syncs the file to the disk and replaces the target. Closes it in any case; after an error the
// target is unchanged.
dt_status dt_atomic_file_commit(struct dt_atomic_file *out, struct dt_error *err);

// Discards what was written and closes. Harmless on a zeroed or closed struct.
void dt_atomic_file_abandon(struct dt_atomic_file *out);

#endif
