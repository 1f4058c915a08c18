// SPDX-License-Identifier: MIT
// Reads a story aloud while it is told. Text goes in as it comes from the model; a thread of its
// own hands it to a voice sentence by sentence. Nothing here ever waits for the voice but
// dt_speech_wait.
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
    const char *device;   // ALSA's name of the card, NULL: the default one
    uint32_t words_per_minute, pitch;
    // Set by whoever wants silence, from any thread or signal handler: as dt_speech_stop, without a
    // lock. Outlives the speech; cleared by dt_speech_begin and when it was obeyed. NULL: there is
    // none.
    struct dt_stop *stop;
    uint32_t hang_milliseconds; // a voice that does nothing for so long is given up; 0: 10 s
    // Gets one line when the voice fails; on the voice's thread or the caller's. May be NULL.
    void (*notice)(void *arg, const char *line);
    // Told of every sentence that begins and of silence behind the last one, on the voice's thread.
    // Must not call the speech. May be NULL.
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
    uint64_t output_ns;         // dt_speech_finish: the story was over
    uint64_t silent_ns;         // all of it was said
    double sound_seconds;       // of speech made
    double voice_cpu_seconds;   // CPU time of the voice's thread and children, the player included
    double real_time_factor;    // voice_cpu_seconds / sound_seconds, 0 without sound
    double cpu_share; // of the voice in the CPU time of program and children together, 0 .. 1,
                      // since begin
    bool speaking;
    bool off; // it failed for good: nothing more will be said
};

// Finds and opens a voice and starts its thread. DT_UNSUPPORTED (no engine, no aplay), DT_USAGE (no
// such voice), DT_FAILED (the file cannot be made) say what is missing. Strings of options are
// copied.
dt_status dt_speech_open(struct dt_speech **out, const struct dt_speech_options *options,
                         struct dt_error *err);

// Silences it and gives everything back. NULL is harmless.
void dt_speech_close(struct dt_speech *speech);

// A story (or a turn of one) begins: figures start anew, and a speech that was stopped speaks
// again. What still waits is said first.
void dt_speech_begin(struct dt_speech *speech);

// More of it. Never waits: when the voice is so far behind that its queue (32 KB, half an hour of
// speech) is full, sentences are left out and counted. Any thread, one at a time.
void dt_speech_feed(struct dt_speech *speech, const char *text, size_t n);

// It is over: what is left in the splitter is a sentence.
void dt_speech_finish(struct dt_speech *speech);

// Silence, now: what plays is cut off, what waits is forgotten, and what is fed before the next
// begin is not said. Any thread.
void dt_speech_stop(struct dt_speech *speech);

// Waits until everything was said, at most so long (negative: for ever); true if so. A stop by
// another thread ends it.
bool dt_speech_wait(struct dt_speech *speech, int milliseconds);

// Any thread.
void dt_speech_figures(struct dt_speech *speech, struct dt_speech_figures *out);

// One line of figures for people: "voice espeak: first sound after 0.12 s (0.03 s behind the first
// sentence), ...". Returns out.
const char *dt_speech_line(const struct dt_speech_figures *figures, char *out, size_t size);

#endif
