// SPDX-License-Identifier: MIT
// Handlers of the commands about reading aloud and listening.
#ifndef DT_APP_COMMANDS_SPEECH_H
#define DT_APP_COMMANDS_SPEECH_H

#include "app/session.h"

void dt_command_speak(struct dt_app *app, char *arguments);
void dt_command_voice(struct dt_app *app, char *arguments);

// Begins to listen to the microphone or a file, ends a recording that runs, or cancels ("off").
// What was understood becomes the input line, or a prompt if no person is at the terminal.
void dt_command_listen(struct dt_app *app, char *arguments);

// Cancels listening and frees the listener.
void dt_commands_speech_free(struct dt_app *app);

#endif
