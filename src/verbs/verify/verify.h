// SPDX-License-Identifier: MIT
// Compares every kernel of a backend module with the reference.
#ifndef DT_VERBS_VERIFY_H
#define DT_VERBS_VERIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

struct dt_verify_options {
    uint32_t shapes; // random shapes per operator
    uint64_t seed;   // of the first shape; shape i uses seed + i, so that it can be repeated alone
    bool exact;      // float products and rmsnorm, softmax, silu_mul and attention must give the
                // reference's bits as well; otherwise they may differ as much as backend fastexp's
    uint32_t seconds; // the most time of one operator, 0: 60
};

// Loads a module file and checks it operator by operator, each in a child process of its own, so
// that a crash is reported like any other fault. Writes one line per operator to out. *failed
// becomes the number of operators with a fault. DT_BAD_INPUT if the file is not a module of this
// interface, DT_UNSUPPORTED if it cannot run on this CPU, DT_FAILED if its create() fails or no
// child process can be started. Call it on the only thread of the process.
dt_status dt_verify_module(const char *path, const struct dt_verify_options *options, FILE *out,
                           uint32_t *failed, struct dt_error *err);

#endif
