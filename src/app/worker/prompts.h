// SPDX-License-Identifier: MIT
// What the worker does with a prompt, and with the edited text of a turn.
#ifndef DT_APP_PROMPTS_H
#define DT_APP_PROMPTS_H

#include "app/worker/worker.h"

// Generates a turn for this prompt, in a new story where the last one has ended. "": an opening,
// if there is no story yet. If the prompt does not fit into the context, it is put back into the
// input line.
void dt_prompt(struct dt_worker *w, const char *text);

// Replaces the text of the last turn and generates from its end.
void dt_prompt_edited(struct dt_worker *w, const char *text);

// Removes the story's turns and reports why.
void dt_story_begin(struct dt_worker *w, const char *why);

#endif
