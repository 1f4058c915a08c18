// SPDX-License-Identifier: MIT
// Handlers of the commands about the story at hand.
#ifndef DT_APP_COMMANDS_STORY_H
#define DT_APP_COMMANDS_STORY_H

#include "app/session.h"

void dt_command_new(struct dt_worker *w, const char *arguments);
void dt_command_continue(struct dt_worker *w, const char *arguments);
void dt_command_retry(struct dt_worker *w, const char *arguments);
void dt_command_undo(struct dt_worker *w, const char *arguments);
void dt_command_edit(struct dt_worker *w, const char *arguments);
void dt_command_pin(struct dt_worker *w, const char *arguments);

#endif
