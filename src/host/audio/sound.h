// SPDX-License-Identifier: MIT
// Sound output (aplay or a WAV file) and recording (arecord).
#ifndef DT_HOST_SOUND_H
#define DT_HOST_SOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "host/audio/wav.h"
#include "host/child.h"

// A sound output. All functions must be called on the same thread.
struct dt_sound {
    const char *wav_path; // NULL: the sound card; not owned
    const char *device;   // ALSA device, NULL: the default; not owned
    struct dt_stop *stop; // ends the sound; may be NULL
    struct dt_child player;
    uint32_t rate; // of the player or the file in Hz; 0: not started
    struct dt_wav_writer writer;
    struct dt_resampler *resampler; // used if a voice has another rate than the file
    uint32_t resampler_from;
    uint64_t duration_ns; // of all sound written
    uint64_t cpu_ns;      // CPU time of the players that ended
};

// Fills `sound` without starting anything: the first samples start the player or create the file.
// Release it with dt_sound_close.
void dt_sound_init(struct dt_sound *sound, const char *wav_path, const char *device,
                   struct dt_stop *stop);

// Checks early that sound can be written: creates the file, or looks for aplay. DT_FAILED or
// DT_UNSUPPORTED.
dt_status dt_sound_check(struct dt_sound *sound, struct dt_error *err);

// Writes n samples; blocks while the player's buffer is full. DT_CANCELLED after a stop; DT_FAILED
// with aplay's message or the file's error. A change of rate restarts the player; a file keeps its
// first rate, and later samples are resampled.
dt_status dt_sound_write(struct dt_sound *sound, uint32_t rate, const int16_t *samples, size_t n,
                         struct dt_error *err);

// Waits until everything is played and releases the sound card. A file stays open. DT_CANCELLED
// after a stop.
dt_status dt_sound_drain(struct dt_sound *sound, struct dt_error *err);

// Kills the player, which discards the sound in its buffer.
void dt_sound_silence(struct dt_sound *sound);

// Ends the player and completes the file.
dt_status dt_sound_close(struct dt_sound *sound, struct dt_error *err);

#define DT_SOUND_ARGUMENTS 13

// Fills argv for aplay or arecord: raw 16-bit mono samples at `rate` on `device` (NULL: the
// default).
void dt_sound_arguments(const char *argv[DT_SOUND_ARGUMENTS], const char *program, const char *rate,
                        const char *device);

struct dt_record_options {
    const char *device;     // ALSA device, NULL: the default
    uint32_t seconds;       // limit; 0: 12
    bool until_stopped;     // push-to-talk: only `enough` ends it; else also silence after speech
    struct dt_stop *enough; // ends the recording and returns it; may be NULL
    struct dt_stop *stop;   // cancels the recording; may be NULL
};

// Records 16 kHz mono. *samples is malloc'ed and belongs to the caller. Without until_stopped the
// recording ends 0.8 s after the last word, or after 6 s without one. DT_CANCELLED on stop;
// DT_UNSUPPORTED or DT_FAILED with arecord's message. Blocks.
dt_status dt_record(const struct dt_record_options *options, int16_t **samples, size_t *count,
                    struct dt_error *err);

#endif
