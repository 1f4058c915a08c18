// SPDX-License-Identifier: MIT
// What is done when the context is full and the story goes on (overflow shift or window). The
// worker's thread.
#ifndef DT_APP_OVERFLOW_H
#define DT_APP_OVERFLOW_H

#include "app/worker/worker.h"

// Whether stories go on when their context is full.
bool dt_overflow_goes_on(const struct dt_settings *settings);

// Drops the oldest tokens that are not pinned from the context: their older half (shift), or a
// quarter, in a chat in whole turns, which the session drops without evaluating the rest again
// (window, where the model allows it). Returns how many; 0: nothing can be dropped.
uint32_t dt_overflow_drop_oldest(struct dt_worker *w);

// Whether the session holds the tokens of the story, with the logits of the last one.
bool dt_overflow_is_evaluated(struct dt_worker *w);

// What overflow does to a story, "the rest is evaluated again" or "nothing is evaluated again".
const char *dt_overflow_says(const struct dt_settings *settings);

#endif
