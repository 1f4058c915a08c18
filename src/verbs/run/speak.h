// SPDX-License-Identifier: MIT
// Reading a story aloud and recording its prompt by voice, for `run`.
#ifndef DT_VERBS_SPEAK_H
#define DT_VERBS_SPEAK_H

#include <stdbool.h>

#include "app/speech/listen.h"
#include "app/speech/speech.h"
#include "host/engine.h"
#include "host/json.h"

struct dt_verb_voice {
    bool speak, listen;
    bool force;                       // replace the WAV file
    const char *wav_path, *voice;     // of speaking: the WAV file or NULL, the voice
    const char *sound_path, *ear;     // of listening: the WAV file or NULL, the recogniser
    uint32_t words_per_minute, pitch; // as in the settings
    bool quiet;
    struct dt_speech *speech; // NULL: silent
    bool missing;             // the voice is not installed
    struct dt_speech_figures figures;
    struct dt_listen_figures listened;
    bool recorded; // listened is valid
};

// Opens the voice if v->speak is set. If it is not installed, prints a line to stderr, sets missing
// and returns DT_OK. DT_USAGE for an unknown voice, DT_FAILED for a file that cannot be created.
dt_status dt_verb_voice_open(struct dt_verb_voice *voice, struct dt_error *err);

// After a story: waits until it has been spoken, or stops at once if `engine` is cancelled. Fills
// figures. False if the WAV file is incomplete.
bool dt_verb_voice_finish(struct dt_verb_voice *voice, struct dt_engine *engine);
void dt_verb_voice_close(struct dt_verb_voice *voice);

// Records a prompt, which can be corrected if there is a terminal. Returns it malloc'ed; NULL if
// nothing was understood (the reason is printed) or engine was cancelled.
char *dt_verb_voice_listen(struct dt_verb_voice *voice, struct dt_engine *engine);

// Write the figures: as lines to `out`, and as members of the innermost JSON object.
void dt_verb_voice_report(const struct dt_verb_voice *voice, FILE *out);
void dt_verb_voice_json(const struct dt_verb_voice *voice, struct dt_json *json);

#endif
