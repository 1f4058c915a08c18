// SPDX-License-Identifier: MIT
// What fills a context, for the message that something does not fit.
#ifndef DT_HOST_CONTEXT_FILL_H
#define DT_HOST_CONTEXT_FILL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// In tokens.
struct dt_context_fill {
    size_t capacity;
    size_t total;                    // what is needed, or 0: the sum of the following
    size_t system, premise, message; // each by itself
    size_t turns;                    // the number of turns before the message; the rest is theirs
    bool chat;                       // else the message is text of a story
};

enum dt_context_part {
    DT_CONTEXT_SYSTEM,
    DT_CONTEXT_PREMISE,
    DT_CONTEXT_MESSAGE,
    DT_CONTEXT_TURNS,
};

// What has to become shorter: the largest of system prompt, premise and message if these alone do
// not fit, else the turns before.
enum dt_context_part dt_context_fill_cause(const struct dt_context_fill *fill);

// Fills *err with DT_CONTEXT_FULL: the tokens of the context and of each part, and what to do.
dt_status dt_context_fill_error(const struct dt_context_fill *fill, const char *advice,
                                struct dt_error *err);

#endif
