// SPDX-License-Identifier: MIT
// RIFF/WAVE files and streams as 16-bit mono: reading, writing, resampling.
#ifndef DT_HOST_WAV_H
#define DT_HOST_WAV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

// The format of the samples in a WAV header.
struct dt_wav_format {
    uint32_t rate; // frames a second, 1000 .. 384000
    uint16_t channels, bits;
    bool is_float;
};

// Receives n mono samples at format->rate, each the mean of the channels. A result other than DT_OK
// ends dt_wav_parser_push, which returns it.
typedef dt_status dt_wav_sink(void *arg, const struct dt_wav_format *format, const int16_t *samples,
                              size_t n, struct dt_error *err);

// A streaming parser, fed with pieces of any size. Zero it and set sink and arg. Reads PCM of 8,
// 16, 24 and 32 bits and floats of 32 and 64 bits, 1 to 32 channels. A size of 0 or near 2 GB, as
// streams have it, means that the data ends with the stream.
struct dt_wav_parser {
    dt_wav_sink *sink;
    void *arg;
    struct dt_wav_format format;
    bool have_format, in_data, done;
    unsigned char held[256]; // an incomplete header or frame
    size_t held_count;
    uint64_t chunk_left; // bytes left of the current chunk
    bool skipping, past_riff;
    uint64_t frames;
};

// Parses the next n bytes. Bytes after the data are ignored. DT_BAD_INPUT for what is not a valid
// WAV file, DT_UNSUPPORTED for a compressed format.
dt_status dt_wav_parser_push(struct dt_wav_parser *parser, const void *bytes, size_t n,
                             struct dt_error *err);

// Ends the stream. DT_BAD_INPUT if it ended before its data began.
dt_status dt_wav_parser_finish(const struct dt_wav_parser *parser, struct dt_error *err);

// Changes the sampling rate of a stream by a windowed sinc. When the rate falls, it removes the
// frequencies that the lower rate cannot represent.
struct dt_resampler;

// from, to: 1000 .. 384000 Hz. The caller frees *out with dt_resampler_free. DT_NO_MEMORY.
dt_status dt_resampler_new(struct dt_resampler **out, uint32_t from, uint32_t to,
                           struct dt_error *err);
void dt_resampler_free(struct dt_resampler *resampler);

// Upper bound of the samples that a push of n samples returns.
size_t dt_resampler_capacity(const struct dt_resampler *resampler, size_t n);

// Reads n samples and writes the samples that are ready to out, which must have capacity for
// dt_resampler_capacity(n); returns their number. `end` (n may be 0) writes the rest and restarts
// the stream; the total is then n_in * to / from, rounded.
size_t dt_resampler_push(struct dt_resampler *resampler, const int16_t *samples, size_t n, bool end,
                         int16_t *out);

// Reads at most `seconds` of a file ("-": stdin), resampled to `rate`. *samples is malloc'ed and
// belongs to the caller. *format (may be NULL) receives the file's format, *cut (may be NULL)
// whether the file is longer. DT_BAD_INPUT if it is unreadable, broken or empty.
dt_status dt_wav_read(const char *path, uint32_t rate, uint32_t seconds, int16_t **samples,
                      size_t *count, struct dt_wav_format *format, bool *cut, struct dt_error *err);

// A WAV file that is being written: 16-bit mono. Every dt_wav_write updates the header, so the file
// is valid even after a crash.
struct dt_wav_writer {
    FILE *file;
    const char *path; // not owned
    uint32_t rate;
    uint32_t samples;
};

// Creates or truncates the file. DT_FAILED names it.
dt_status dt_wav_create(struct dt_wav_writer *writer, const char *path, uint32_t rate,
                        struct dt_error *err);
// Appends samples. DT_FAILED if the disk is full or the file would exceed 4 GB.
dt_status dt_wav_write(struct dt_wav_writer *writer, const int16_t *samples, size_t n,
                       struct dt_error *err);
// Closes the file. Harmless if none is open.
dt_status dt_wav_close(struct dt_wav_writer *writer, struct dt_error *err);

#endif
