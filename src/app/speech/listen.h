// SPDX-License-Identifier: MIT
// A prompt by voice: from the microphone or a WAV file, by way of an ear, to a sentence that can be
// edited and told.
#ifndef DT_APP_LISTEN_H
#define DT_APP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "host/child.h"

struct dt_listen_options {
    const char *ear; // "auto", "pocketsphinx"; a variant "request" or "free" behind a colon says
                     // what is to be understood; NULL: "auto"
    const char *wav_path;   // a file ("-": stdin); NULL: the microphone
    const char *device;     // ALSA's name of the microphone, NULL: the default one
    bool push_to_talk;      // the recording ends when `enough` is set, and only then; else at the
                            // silence behind speech as well
    struct dt_stop *enough; // may be NULL
    struct dt_stop *stop;   // gives up, may be NULL
};

struct dt_listen_figures {
    char ear[64];
    double sound_seconds; // that were listened to
    double seconds;       // that understanding took
    double cpu_seconds;   // of which CPU time
    bool cut;             // the file was longer than the half minute that is listened to
    bool converted;       // the file was no 16 kHz mono of 16 bits
};

// Listens, and writes what was understood to text as a sentence: "Tell me a story about a dragon."
// An empty text: nothing was understood. DT_UNSUPPORTED (no ear, no arecord), DT_FAILED (no
// microphone; the engine failed), DT_BAD_INPUT (the file) and DT_CANCELLED. Blocks: call it from a
// thread that may. figures may be NULL.
dt_status dt_listen(const struct dt_listen_options *options, char *text, size_t text_size,
                    struct dt_listen_figures *figures, struct dt_error *err);

// Makes words as an ear gives them ("tell me a story about a dragon") a sentence, in place; size:
// room in text.
void dt_listen_sentence(char *text, size_t size);

// The same on a thread of its own, for front ends that must go on drawing.
struct dt_listener;

// Starts listening. options->enough and ->stop are not used: dt_listener_enough and
// dt_listener_free take their place. done is called once, on the listener's thread, when text or an
// error is there (not after dt_listener_free began).
dt_status dt_listener_start(struct dt_listener **out, const struct dt_listen_options *options,
                            void (*done)(void *arg, dt_status status, const char *text,
                                         const struct dt_listen_figures *figures,
                                         const struct dt_error *err),
                            void *arg, struct dt_error *err);
void dt_listener_enough(struct dt_listener *listener); // the key was let go
void dt_listener_free(
    struct dt_listener *listener); // gives up if it still listens; NULL is harmless

#endif
