// SPDX-License-Identifier: MIT
// Messages that several front ends show. Each function writes to out and returns it.
#ifndef DT_UI_COMMON_MESSAGE_H
#define DT_UI_COMMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "app/api.h"

// "40 %, about 1.2 s left", of a progress event that is not over.
const char *ui_progress_text(const struct dt_app_event *event, char *out, size_t size);

// After the end of a story; whole on a screen of 60 columns.
#define UI_STORY_END "The end. Type to continue; Enter: new story; /retry: again"

// Whether a turn came to its own end.
bool ui_is_story_end(enum dt_app_turn_end end);

// While a model thinks and its thoughts are hidden.
#define UI_THINKING "thinking ..."

// After a turn that ended at the length limit.
const char *ui_length_limit_text(const struct dt_app_api *api, struct dt_app *app, char *out,
                                 size_t size);

// The reason why a front end cannot start: `bytes` could not be allocated.
const char *ui_no_memory_text(size_t bytes, char *out, size_t size);

#endif
