// SPDX-License-Identifier: MIT
// The tokens of a story: what its context should hold, made from its text. The worker's thread; a
// model is open.
#ifndef DT_APP_CONTEXT_H
#define DT_APP_CONTEXT_H

#include "app/worker/worker.h"

// Appends the tokens of the last turn's prompt, and of what closes the turn before. Makes all
// tokens anew if they are stale. DT_CONTEXT_FULL if the prompt alone is too long; the story has no
// tokens of it then.
dt_status dt_context_put_prompt(struct dt_worker *w, struct dt_error *err);

// Removes the token that ended the last turn from the context, so that text continues the story.
void dt_context_reopen(struct dt_worker *w);

// Makes all tokens from the text. The oldest are dropped if the story is longer than the context.
dt_status dt_context_rebuild(struct dt_worker *w, struct dt_error *err);

// Replaces the text of the last turn. The tokens of an unchanged beginning stay.
dt_status dt_context_replace_text(struct dt_worker *w, const char *text, struct dt_error *err);

#endif
