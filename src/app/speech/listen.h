// SPDX-License-Identifier: MIT
// A prompt by voice: speech from the microphone or a WAV file, recognised by an "ear" module, as a
// sentence.
#ifndef DT_APP_LISTEN_H
#define DT_APP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "host/child.h"

struct dt_listen_options {
    const char *ear;      // "auto", "pocketsphinx"; followed by ":request" or ":free": the kind of
                          // speech to expect; NULL: "auto"
    const char *wav_path; // a file ("-": stdin); NULL: the microphone
    const char *device;   // ALSA's name of the microphone, NULL: the default one
    bool push_to_talk;    // the recording ends only when `enough` is set; else also at a pause
    struct dt_stop *enough; // may be NULL
    struct dt_stop *stop;   // cancels; may be NULL
};

struct dt_listen_figures {
    char ear[64];
    double sound_seconds; // recorded or read
    double seconds;       // of recognition
    double cpu_seconds;   // CPU time of recognition
    bool cut;             // the file is longer than 30 s; the rest was ignored
    bool converted;       // the file was not 16 kHz, mono, 16 bits
};

// Listens, and writes what was recognised to text as a sentence: "Tell me a story about a dragon."
// An empty text: no words. DT_UNSUPPORTED (no ear, no arecord), DT_FAILED (no
// microphone; the engine failed), DT_BAD_INPUT (the file) and DT_CANCELLED. Blocks. figures
// may be NULL.
dt_status dt_listen(const struct dt_listen_options *options, char *text, size_t text_size,
                    struct dt_listen_figures *figures, struct dt_error *err);

// Makes recognised words ("tell me a story about a dragon") a sentence, in place. size: capacity of
// text in bytes.
void dt_listen_sentence(char *text, size_t size);

// The same on a separate thread, so that the caller does not block.
struct dt_listener;

// Starts listening. options->enough and ->stop are not used: dt_listener_enough and
// dt_listener_free take their place. done is called once, on the listener's thread, when text or an
// error is there (not after dt_listener_free began).
dt_status dt_listener_start(struct dt_listener **out, const struct dt_listen_options *options,
                            void (*done)(void *arg, dt_status status, const char *text,
                                         const struct dt_listen_figures *figures,
                                         const struct dt_error *err),
                            void *arg, struct dt_error *err);
void dt_listener_enough(struct dt_listener *listener); // ends the recording
void dt_listener_free(struct dt_listener *listener); // cancels if it still listens; NULL is allowed

#endif
