// SPDX-License-Identifier: MIT
// Model files: mapped read-only, used in place.
#ifndef DT_HOST_FILE_H
#define DT_HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// A mapped file. The bytes are the kernel's page cache: they count as memory only while they are
// looked at.
struct dt_file {
    const unsigned char *bytes; // NULL while nothing is mapped
    size_t size;
    char *path; // owned, as it was given
    int slot;   // in the table of guarded mappings, -1 if none
    bool large; // read in pages of 2 MB from now on, ahead of what is asked for
};

// Maps the whole of a regular, non-empty file. DT_BAD_INPUT names the file and what is wrong with
// it (missing, a folder, empty, unreadable). *out must be zeroed or closed. Any thread.
dt_status dt_file_map(struct dt_file *out, const char *path, struct dt_error *err);

// Gives the mapping back; harmless on a zeroed or closed struct.
void dt_file_unmap(struct dt_file *file);

enum dt_file_advice {
    DT_FILE_SEQUENTIAL, // read front to back, with much read-ahead: weights once a token
    DT_FILE_RANDOM,     // rows here and there: no read-ahead
    DT_FILE_WILL_NEED,  // begin to read now
    DT_FILE_DONT_NEED,  // these pages may go
};

// Advice to the kernel about file->bytes[offset .. offset + bytes); never fails visibly.
void dt_file_advise(const struct dt_file *file, size_t offset, size_t bytes,
                    enum dt_file_advice advice);

// Asks for pages of 2 MB, before anything of the file is read: weights stream faster through few of
// them than through many small ones. Sets file->large if the kernel goes along. What is in the page
// cache in small pages already stays so. Costs a fault. For files that may lie in memory whole.
void dt_file_large_pages(struct dt_file *file);

// Enters the whole mapping into our page table, if all of it is in the page cache already; else
// nothing.
void dt_file_touch(const struct dt_file *file);

// Bytes of the mapping that are in the page cache now; 0 where the kernel does not tell.
size_t dt_file_resident(const struct dt_file *file);

// The guard: a mapped file that somebody truncates, or whose card is pulled, raises SIGBUS at the
// next touch. With the guard installed the missing rest reads as zeros instead, and dt_file_check
// reports it at the next token boundary. Other SIGBUS go to whatever handler stood before.
// Installed once for the process by the first dt_file_map. DT_BAD_INPUT if a page of this file was
// lost since it was mapped.
dt_status dt_file_check(const struct dt_file *file, struct dt_error *err);

// For programs with a SIGBUS handler of their own: call this first with the fault's address
// (siginfo's si_addr); true means that it was a guarded mapping and the page reads as zeros now, so
// return from the handler. Async-signal-safe.
bool dt_file_guard_fault(const void *address);

// Reads a whole small file into malloc'ed memory, NUL-terminated (the NUL is not counted). max:
// more is DT_BAD_INPUT. path "-" is stdin.
dt_status dt_file_read(const char *path, size_t max, char **out, size_t *size,
                       struct dt_error *err);

// 1 if path names a regular file that can be read.
bool dt_file_readable(const char *path);

#endif
