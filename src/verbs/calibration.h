// SPDX-License-Identifier: MIT
// convert --calibrate: reads a text, and computes with it.
#ifndef DT_VERBS_CALIBRATION_H
#define DT_VERBS_CALIBRATION_H

#include "host/convert/calibrate.h"
#include "host/engine.h"

// The calibration of a conversion, with what it computes on. Zeroed: none.
struct dt_verb_calibration {
    struct dt_calibration *calibration;
    size_t tokens;
    uint32_t *token;
    size_t *begin;
    struct dt_threads *threads;
    struct dt_stack_instance *stack;
    struct dt_account account;
};

// Reads the text of a file (stories separated as for eval), cuts it into sequences of at most the
// model's context, and makes *out for the conversion. threads: 0 is one a CPU. Free it also after
// an error.
dt_status dt_verb_calibration_open(struct dt_verb_calibration *out, struct dt_engine *engine,
                                   const char *file, uint32_t threads,
                                   const struct dt_conversion *conversion, dt_progress *progress,
                                   void *progress_arg, struct dt_error *err);
void dt_verb_calibration_free(struct dt_verb_calibration *calibration);

#endif
