// SPDX-License-Identifier: MIT
// A file that appears whole or not at all.
#ifndef DT_HOST_ATOMIC_FILE_H
#define DT_HOST_ATOMIC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// What is written goes to a file without a name (or, where the file system has none, to a hidden
// one beside the target) and takes the target's place at commit: whoever looks sees the old file or
// the new one, and a process that is killed leaves nothing.
struct dt_atomic_file {
    char *path;      // the target, owned
    char *temporary; // its name while it is written; NULL where it has none
    unsigned char *buffer;
    size_t filled;
    int file;
    uint64_t written;
    uint64_t expected;
};

// Begins. expected: the bytes that will come (0: not known); that much room is asked for at once,
// so that a full disk is told before the work. *out must be zeroed or closed. DT_FAILED names the
// path and what the system said.
dt_status dt_atomic_file_open(struct dt_atomic_file *out, const char *path, uint64_t expected,
                              struct dt_error *err);

// Appends. DT_FAILED when the disk is full or failed: with the bytes written and wanted.
dt_status dt_atomic_file_write(struct dt_atomic_file *out, const void *bytes, size_t n,
                               struct dt_error *err);

// Zeros up to a multiple of `multiple` bytes.
dt_status dt_atomic_file_pad(struct dt_atomic_file *out, size_t multiple, struct dt_error *err);

// Everything to the disk (fsync), then into the target's place; closes in any case. Nothing has
// changed after a failure.
dt_status dt_atomic_file_commit(struct dt_atomic_file *out, struct dt_error *err);

// Gives up: nothing stays. Harmless on a zeroed or closed struct.
void dt_atomic_file_abandon(struct dt_atomic_file *out);

#endif
