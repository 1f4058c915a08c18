// SPDX-License-Identifier: MIT
// Running this program as a child process, to measure start-up time and memory.
#ifndef DT_VERBS_SPAWN_H
#define DT_VERBS_SPAWN_H

#include "verbs/verb.h"

struct dt_output {
    char *out, *err; // its output, NUL-terminated, malloc'ed
    size_t out_size;
    uint64_t first_byte_ns; // from fork to the first byte on its stdout; 0 if there was none
    uint64_t total_ns;      // from fork to its end
    uint64_t minor_faults, major_faults;
    uint64_t bytes_read; // from storage, not from the page cache
    uint64_t peak_rss;   // bytes
    int code;            // exit code, or 128 + signal
};

// Runs this program with these arguments (argv ends with NULL), an empty stdin, and stdout and
// stderr read into *out. With to_file, stdout is a temporary file, as in the contest, which is read
// afterwards; first_byte_ns is then 0. DT_FAILED if it cannot be started or exits with an error.
// The caller frees *out with dt_output_free, also after an error.
dt_status dt_verb_spawn(const char *const *argv, bool to_file, struct dt_output *out,
                        struct dt_error *err);
void dt_output_free(struct dt_output *output);

#endif
