// SPDX-License-Identifier: MIT
// What belongs to a story of the library and not to the session: its sampling, system prompt and
// premise. They are used while the story is open; another story does not inherit them.
#ifndef DT_APP_STORY_SETTINGS_H
#define DT_APP_STORY_SETTINGS_H

#include "app/worker/worker.h"

// The sampling settings as NAME = VALUE lines, as the library has them.
void dt_story_settings_write(struct dt_worker *w, char *out, size_t size);

// A story was opened: uses its settings where they were not set by options, the environment or the
// user; its system prompt, unless `first` (the session begins with this story) and it was set; its
// premise. The record is a row of a library, so other settings in its lines are ignored.
void dt_story_settings_use(struct dt_worker *w, const struct dt_story_record *record, bool first);

// The story is left: everything that came from it has the value from before it was opened.
void dt_story_settings_leave(struct dt_worker *w);

#endif
