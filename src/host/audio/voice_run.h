// SPDX-License-Identifier: MIT
// Runs a speech engine for a module: the host's side of dt_speech_host.run.
#ifndef DT_HOST_VOICE_RUN_H
#define DT_HOST_VOICE_RUN_H

#include "host/audio/voices.h"

// Runs the child to its end: feeds its input, reads its output as text or WAV, watches for silence
// and for the desk's stop. See dt_speech_host.run. On the thread that calls it, which must live as
// long as the child.
int dt_voice_run(struct dt_speech_context *context, const struct dt_speech_child *spec,
                 char *reason, size_t reason_size);

#endif
