// SPDX-License-Identifier: MIT
// Running this program as a child, to measure what only a fresh process shows.
#ifndef DT_VERBS_SPAWN_H
#define DT_VERBS_SPAWN_H

#include "verbs/verb.h"

struct dt_output {
    char *out, *err; // what it wrote, NUL-terminated; malloc'ed
    size_t out_size;
    uint64_t
        first_byte_ns; // from just before fork to the first byte on its stdout; 0 if there was none
    uint64_t total_ns;
    uint64_t minor_faults, major_faults,
        bytes_read;    // of the child; bytes_read from storage, not from the page cache
    uint64_t peak_rss; // bytes
    int code;          // exit code
};

// Runs this very program with these arguments (argv[0] is replaced; NULL at the end), stdin empty,
// stdout and stderr read into *out. With to_file, stdout is a temporary file instead, as in the
// contest, and out is read from it afterwards (first_byte_ns is 0 then). Free with dt_output_free.
dt_status dt_verb_spawn(const char *const *argv, bool to_file, struct dt_output *out,
                        struct dt_error *err);
void dt_output_free(struct dt_output *output);

#endif
