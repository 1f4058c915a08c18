// SPDX-License-Identifier: MIT
// The context of a chat whose template is run (host/chat.h).
#ifndef DT_APP_DIALOGUE_H
#define DT_APP_DIALOGUE_H

#include "app/worker/worker.h"

// The system prompt and the premise. The caller releases it with free(); NULL if memory is short.
char *dt_dialogue_system(struct dt_worker *w);

// Decides whether a turn is to be answered without thoughts: by the setting, but a text that it has
// already is continued as it began.
void dt_dialogue_choose_thinking(struct dt_worker *w, const struct dt_turn *turn);

// Makes the context hold the dialogue up to the prompt of turn n, the last one, rendered: appends
// the difference where the rendering continues the tokens so far, and replaces all tokens where it
// does not (the next evaluation keeps what both have in common) or where they are stale. If the
// rendering opens a thought, the turn's text begins with that. Errors as
// dt_chat_next and dt_engine_encode_chat; the story is stale after an error of memory.
dt_status dt_dialogue_put_turn(struct dt_worker *w, size_t n, struct dt_error *err);

#endif
