// SPDX-License-Identifier: MIT
// Mapped files, small files read whole, and the user's folders.
#ifndef DT_HOST_FILE_H
#define DT_HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

struct dt_file_guard;

// A file mapped read-only. Its bytes are in the kernel's page cache.
struct dt_file {
    const unsigned char *bytes; // NULL if nothing is mapped
    size_t size;
    char *path; // as passed to dt_file_map, owned
    struct dt_file_guard *guard;
    bool large; // the page cache holds it in pages of 2 MB
};

// Maps a whole regular file. DT_BAD_INPUT names the path and what is wrong (missing, a folder,
// empty, unreadable). *out must be zeroed or closed; release it with dt_file_unmap. Any thread.
dt_status dt_file_map(struct dt_file *out, const char *path, struct dt_error *err);

// Unmaps the file and zeroes the struct. Harmless on a zeroed one.
void dt_file_unmap(struct dt_file *file);

enum dt_file_advice {
    DT_FILE_SEQUENTIAL, // will be read from front to back: more read-ahead
    DT_FILE_RANDOM,     // will be read in places: no read-ahead
    DT_FILE_WILL_NEED,  // start reading now
    DT_FILE_DONT_NEED,  // the pages that are wholly in the range may be evicted
};

// Advises the kernel about file->bytes[offset .. offset + bytes). Errors are ignored.
void dt_file_advise(const struct dt_file *file, size_t offset, size_t bytes,
                    enum dt_file_advice advice);

// Requests pages of 2 MB, from which weights are read faster, and sets file->large if the kernel
// provides them. Call it before anything is read: what the page cache already holds in small pages
// stays there. Reads one page. Only for files that may be in memory as a whole.
void dt_file_large_pages(struct dt_file *file);

// Enters the whole mapping into the page table, if nearly all of it is in the page cache.
void dt_file_touch(const struct dt_file *file);

// Bytes of the mapping in the page cache; 0 if unknown.
size_t dt_file_resident(const struct dt_file *file);

// Reports lost pages and changes. If a mapped file is truncated or its medium fails, reading it
// raises SIGBUS. The first dt_file_map of the process installs a handler that replaces such a page
// by zeros; other SIGBUS go to the handler installed before. DT_BAD_INPUT if a page of this file
// was lost, or if another program has written to the file since it was mapped; a file that was
// renamed, deleted or replaced by rename is still what was mapped. Costs one system call. Call it
// after reading.
dt_status dt_file_check(const struct dt_file *file, struct dt_error *err);

// Reports lost pages only, without a system call: after each token.
dt_status dt_file_check_lost(const struct dt_file *file, struct dt_error *err);

// Opens what is mapped again, for reading beside the page cache (O_DIRECT) or through it. Returns a
// descriptor, or -1: the file system has no such reads, or the path names another file by now.
int dt_file_open_again(const struct dt_file *file, bool direct);

// dt_file_check for all files that are mapped. For results that depend on all of them, such as a
// converted model. Any thread.
dt_status dt_file_check_all(struct dt_error *err);

// For programs with their own SIGBUS handler: call this first, with siginfo's si_addr. True if the
// address is in a mapped file and now reads as zero; return from the handler then.
// Async-signal-safe.
bool dt_file_guard_fault(const void *address);

// Reads a whole file ("-": stdin) of at most `max` bytes; more is DT_BAD_INPUT. *out is malloc'ed,
// NUL-terminated (not counted in *size) and belongs to the caller.
dt_status dt_file_read(const char *path, size_t max, char **out, size_t *size,
                       struct dt_error *err);

// Opens a regular file for reading. NULL with errno; EINVAL for a pipe, a device or a socket, which
// could make the program wait without end.
FILE *dt_file_open_text(const char *path);

// The text of that errno.
const char *dt_file_reason(int error);

// Whether path names a regular file that can be read.
bool dt_file_readable(const char *path);

// The user's home directory: HOME, else that of the password file, as boards often start without
// HOME. NULL: none. Not for several threads at once.
const char *dt_folder_home(void);

// FOLDER/duotale, where FOLDER is the value of an XDG variable (absolute paths only), else
// below_home in the home directory. False without a home directory.
bool dt_folder_of_user(const char *variable, const char *below_home, char *out, size_t size);

// Makes the missing folders of a file's path (0700). False, with errno, if that fails.
bool dt_folder_make_all(const char *file);

#endif
