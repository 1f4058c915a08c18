// SPDX-License-Identifier: MIT
// Where speech goes: the sound card, by way of aplay, or a WAV file; and where it comes from: a
// microphone, by way of arecord.
#ifndef DT_HOST_SOUND_H
#define DT_HOST_SOUND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "host/child.h"
#include "host/audio/wav.h"

// A way out for sound. All functions are called by one thread.
struct dt_sound {
    const char *wav_path; // NULL: the sound card; not owned
    const char *device;   // ALSA's name of it, NULL: the default one; not owned
    struct dt_stop *stop; // silences it; may be NULL
    struct dt_child player;
    uint32_t rate; // of the player or the file, 0: not begun
    struct dt_wav_writer writer;
    struct dt_resampler *resampler; // where a voice's rate is not the file's
    uint32_t resampler_from;
    uint64_t duration_ns; // of sound handed over since the start
    uint64_t cpu_ns;      // of players that ended
};

// Begins nothing yet: the player starts, or the file is made, with the first sample (dt_sound_check
// tries beforehand). sound is filled; it is closed by dt_sound_close.
void dt_sound_init(struct dt_sound *sound, const char *wav_path, const char *device,
                   struct dt_stop *stop);

// Finds out early what can be found out: that the file can be made, that aplay is there. DT_FAILED
// or DT_UNSUPPORTED.
dt_status dt_sound_check(struct dt_sound *sound, struct dt_error *err);

// Hands n samples over; waits while the player's buffer is full. DT_CANCELLED on a stop; DT_FAILED
// with what aplay said (no card, busy card) or the file's trouble. A change of rate starts the
// player anew; a file keeps the rate it began with.
dt_status dt_sound_write(struct dt_sound *sound, uint32_t rate, const int16_t *samples, size_t n,
                         struct dt_error *err);

// Waits until all of it was heard and gives the card back. The file stays open for more.
// DT_CANCELLED on a stop.
dt_status dt_sound_drain(struct dt_sound *sound, struct dt_error *err);

// Silence at once: what the player still has is not heard.
void dt_sound_silence(struct dt_sound *sound);

// Ends the player and finishes the file.
dt_status dt_sound_close(struct dt_sound *sound, struct dt_error *err);

// What a recording listens for.
struct dt_record_options {
    const char *device;     // NULL: the default one
    uint32_t seconds;       // at most; 0: 12
    bool until_stopped;     // push-to-talk: ends at `enough` only; else also at the silence behind
                            // speech
    struct dt_stop *enough; // ends the recording, what was heard is kept; may be NULL
    struct dt_stop *stop;   // gives it up; may be NULL
};

// Records 16 kHz mono into *samples, malloc'ed, the caller's. Without until_stopped it ends 0.8 s
// after the last word, or after 6 s without one. DT_CANCELLED on stop, DT_UNSUPPORTED or DT_FAILED
// with what arecord said. Blocks.
dt_status dt_record(const struct dt_record_options *options, int16_t **samples, size_t *count,
                    struct dt_error *err);

#endif
