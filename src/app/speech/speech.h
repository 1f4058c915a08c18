// SPDX-License-Identifier: MIT
// Reads a story aloud while it is generated. Text is added as the model generates it; a separate
// thread passes it to a voice sentence by sentence. Only dt_speech_wait waits for the voice.
#ifndef DT_APP_SPEECH_H
#define DT_APP_SPEECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "host/child.h"

struct dt_speech;
struct dt_speech_figures;

struct dt_speech_options {
    const char *voice;    // "auto", "espeak", "espeak:en-us+f3"; NULL: "auto"
    const char *wav_path; // write a WAV file; NULL: the sound card
    bool replace;         // the WAV file may exist
    const char *device;   // ALSA's name of the card, NULL: the default one
    uint32_t words_per_minute, pitch;
    // Setting it has the effect of dt_speech_stop, from any thread or signal handler. Outlives the
    // speech; cleared by dt_speech_begin and when the voice is silent. NULL: none.
    struct dt_stop *stop;
    uint32_t hang_milliseconds; // a voice that does nothing for this time is ended; 0: 10 s
    // Called with one line when the voice fails; on the voice's thread or the caller's. May be
    // NULL.
    void (*notice)(void *arg, const char *line);
    // Called when a sentence begins and when the last one has been spoken, on the voice's thread.
    // Must not call functions of the speech. May be NULL.
    void (*changed)(void *arg, const struct dt_speech_figures *figures);
    void *arg; // of both
};

// Times are nanoseconds since dt_speech_begin, 0: not yet. They are those of the story that was
// begun last.
struct dt_speech_figures {
    char voice[64];     // "espeak:en-us"
    uint32_t sentences; // complete so far
    uint32_t spoken, waiting, dropped, failed;
    uint32_t waiting_seconds;   // an estimate of what waits in the queue
    uint64_t first_sentence_ns; // the first sentence was complete
    uint64_t first_sound_ns;    // its first sample went out
    uint64_t output_ns;         // dt_speech_finish: the end of the text
    uint64_t silent_ns;         // all of it was spoken
    double sound_seconds;       // of speech made
    double voice_cpu_seconds;   // CPU time of the voice's thread and children, the player included
    double real_time_factor;    // voice_cpu_seconds / sound_seconds, 0 without sound
    double cpu_share; // of the voice in the CPU time of program and children together, 0 .. 1,
                      // since begin
    bool speaking;
    bool off; // it failed: nothing more is spoken
};

// Finds and opens a voice and starts its thread. DT_UNSUPPORTED (no engine, no aplay), DT_USAGE (no
// such voice), DT_FAILED (the file cannot be made) say what is missing. Strings of options are
// copied.
dt_status dt_speech_open(struct dt_speech **out, const struct dt_speech_options *options,
                         struct dt_error *err);

// Silences the voice, joins the thread, frees everything. NULL is allowed.
void dt_speech_close(struct dt_speech *speech);

// A story (or a turn of one) begins: figures are reset, and a stopped speech
// continues. Sentences that still wait are spoken first.
void dt_speech_begin(struct dt_speech *speech);

// More of it. Never waits: when the voice is so far behind that its queue (32 KB, half an hour of
// speech) is full, sentences are left out and counted. Any thread, one at a time.
void dt_speech_feed(struct dt_speech *speech, const char *text, size_t n);

// The text has ended: the rest of it is a sentence.
void dt_speech_finish(struct dt_speech *speech);

// Silences the voice at once: sentences that wait are dropped, and text before the next begin is
// ignored. Any thread.
void dt_speech_stop(struct dt_speech *speech);

// Waits until everything was spoken, at most this time (negative: without limit). Returns whether
// it was. A stop by another thread ends the wait.
bool dt_speech_wait(struct dt_speech *speech, int milliseconds);

// Any thread.
void dt_speech_figures(struct dt_speech *speech, struct dt_speech_figures *out);

// One line of figures for people: "voice espeak: first sound after 0.12 s (0.03 s behind the first
// sentence), ...". Returns out.
const char *dt_speech_line(const struct dt_speech_figures *figures, char *out, size_t size);

#endif
