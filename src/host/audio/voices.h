// SPDX-License-Identifier: MIT
// The registry of voices and ears (speech recognisers).
#ifndef DT_HOST_VOICES_H
#define DT_HOST_VOICES_H

#include <stddef.h>
#include <stdint.h>

#include "abi/voice.h"
#include "base/status.h"
#include "host/audio/speech_context.h"

// A module that was found, usable or not.
struct dt_voice_info {
    const struct dt_speech_module *module; // NULL if its file was refused
    uint32_t kind;           // enum dt_speech_kind; by the file's name if it was refused
    const char *name;        // "espeak"
    const char *description; // "" if it was refused
    const char *path;        // the file, or "compiled in"
    int score;               // the result of its probe; 0: cannot be used
    const char *reason;      // why it cannot be used; NULL if it can
};

struct dt_voices;

// Finds voices and ears, compiled in and as modules, and probes each. Those that cannot be used are
// listed with a reason and are no error. The caller frees *out with dt_voices_free.
dt_status dt_voices_new(struct dt_voices **out, struct dt_error *err);
void dt_voices_free(struct dt_voices *voices);

// All modules: voices first, then by falling score, then by name. Valid as long as the registry.
size_t dt_voices_count(const struct dt_voices *voices);
const struct dt_voice_info *dt_voices_at(const struct dt_voices *voices, size_t i);

// Finds the module that `spec` names: "auto" or "" is the best of its kind; "espeak"; or
// "espeak:en-us+f3". *variant points to the part of spec after the colon, or to "". DT_USAGE for an
// unknown name (the message lists the usable ones), DT_UNSUPPORTED if it cannot be used here or if
// no module of this kind can.
dt_status dt_voices_choose(const struct dt_voices *voices, uint32_t kind, const char *spec,
                           const struct dt_voice_info **out, const char **variant,
                           struct dt_error *err);

#endif
