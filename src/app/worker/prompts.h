// SPDX-License-Identifier: MIT
// What the worker does with a prompt, and with the edited text of a turn.
#ifndef DT_APP_PROMPTS_H
#define DT_APP_PROMPTS_H

#include "app/worker/worker.h"

// Generates a turn for this prompt, in a new story where the last one has ended. "": an opening,
// if there is no story yet. If the prompt does not fit into the context, it is put back into the
// input line.
void dt_prompt(struct dt_worker *w, const char *text);

// Where the part of the last turn's text begins that a user edits: its answer, or all of it where
// it was cut inside a thought.
size_t dt_prompt_edited_from(const struct dt_worker *w, const struct dt_turn *turn);

// Replaces that part of the last turn's text, and generates from its end.
void dt_prompt_edited(struct dt_worker *w, const char *text);

// Removes the story's turns and reports why.
void dt_story_begin(struct dt_worker *w, const char *why);

#endif
