// SPDX-License-Identifier: MIT
// The voices and ears there are, and what the host does for them.
#ifndef DT_HOST_VOICES_H
#define DT_HOST_VOICES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/voice.h"
#include "base/status.h"
#include "host/child.h"

// What an open voice or ear works with, and what it has used. Owned by whoever opens one; must not
// move while it is open.
struct dt_speech_context {
    struct dt_speech_host services; // .host is this desk
    struct dt_stop *stop;           // set by others to silence it
    int nice;                       // of its children: the story comes first
    uint32_t hang_milliseconds;     // for children that do not say themselves
    atomic_uint_fast64_t cpu_ns;    // of children that ended
    bool hung;                      // the last failure was a child that hung
};

// Fills a desk. stop outlives it.
void dt_speech_context_init(struct dt_speech_context *context, struct dt_stop *stop);

// One module that was found, usable or not.
struct dt_voice_info {
    const struct dt_speech_module *module; // NULL when its file was refused
    uint32_t kind;           // enum dt_speech_kind, by the file's name where it was refused
    const char *name;        // "espeak"
    const char *description; // "" when it was refused
    const char *path;        // the file, "compiled in"
    int score;               // probe's; 0: cannot be used
    const char *reason;      // why, NULL when it can
};

struct dt_voices;

// Finds voices and ears, compiled in and as modules, and asks each whether it can work. Broken ones
// are listed with their reason and are no error.
dt_status dt_voices_new(struct dt_voices **out, struct dt_error *err);
void dt_voices_free(struct dt_voices *voices);

// All that were found: voices first, the best score first, then by name. Valid as long as the
// registry.
size_t dt_voices_count(const struct dt_voices *voices);
const struct dt_voice_info *dt_voices_at(const struct dt_voices *voices, size_t i);

// The one that `spec` names ("auto" or "": the best of its kind; "espeak"; "espeak:en-us+f3", whose
// variant, behind the colon, is put into *variant, a pointer into spec, "" if there is none).
// DT_USAGE for a name nobody knows (the message lists those that can be had), DT_UNSUPPORTED for
// one that cannot work here, or if there is none of the kind at all.
dt_status dt_voices_choose(const struct dt_voices *voices, uint32_t kind, const char *spec,
                           const struct dt_voice_info **out, const char **variant,
                           struct dt_error *err);

#endif
