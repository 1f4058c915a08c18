// SPDX-License-Identifier: MIT
// RIFF/WAVE: reading any usual form of it as 16-bit mono, from files and from streams; writing;
// changing the rate.
#ifndef DT_HOST_WAV_H
#define DT_HOST_WAV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

// What the header of a stream said.
struct dt_wav_format {
    uint32_t rate; // frames a second, 1000 .. 384000
    uint16_t channels, bits;
    bool is_float;
};

// Gets n mono samples at format->rate: the mean of the channels. A result other than DT_OK ends
// dt_wav_parser_push with it.
typedef dt_status dt_wav_sink(void *arg, const struct dt_wav_format *format, const int16_t *samples,
                              size_t n, struct dt_error *err);

// A parser that is fed bytes in pieces of any size, as they come through a pipe. Zeroed but for
// sink and arg, it is ready. Reads PCM of 8, 16, 24 and 32 bits and 32- and 64-bit floats, 1 to 32
// channels. Sizes in the headers of streams are often not true (0, or huge): the data then ends
// where the stream does.
struct dt_wav_parser {
    dt_wav_sink *sink;
    void *arg;
    struct dt_wav_format format;
    bool have_format, in_data, done;
    unsigned char held[256]; // a header or frame in the making
    size_t held_count;
    uint64_t chunk_left; // bytes of the chunk we are in
    bool skipping, past_riff;
    uint64_t frames;
};

// DT_BAD_INPUT with what is wrong for bytes that are no WAV or a form of it that is not read
// (compressed ones). Bytes behind the data are ignored.
dt_status dt_wav_parser_push(struct dt_wav_parser *parser, const void *bytes, size_t n,
                             struct dt_error *err);

// The end of the stream: DT_BAD_INPUT if it ended before any data could begin.
dt_status dt_wav_parser_finish(const struct dt_wav_parser *parser, struct dt_error *err);

// Changes the rate of a stream of samples: a windowed sinc that cuts off what the lower rate cannot
// hold.
struct dt_resampler;

// from, to: 1000 .. 384000. Freed by dt_resampler_free. DT_NO_MEMORY.
dt_status dt_resampler_new(struct dt_resampler **out, uint32_t from, uint32_t to,
                           struct dt_error *err);
void dt_resampler_free(struct dt_resampler *resampler);

// How many samples n more can make at most.
size_t dt_resampler_capacity(const struct dt_resampler *resampler, size_t n);

// Takes n samples (n 0 with end set: the rest) and writes those that are ready to out, which has
// dt_resampler_capacity(n) places. Returns how many. After end, n_in * to / from samples, rounded,
// have come out in all, and the stream begins anew.
size_t dt_resampler_push(struct dt_resampler *resampler, const int16_t *samples, size_t n, bool end,
                         int16_t *out);

// Reads a file ("-": stdin) whole, at `rate`, at most `seconds` of it. *samples is malloc'ed, the
// caller's. format (may be NULL) gets what the file had, *cut (may be NULL) whether there was more.
// An unreadable, broken or empty file is DT_BAD_INPUT.
dt_status dt_wav_read(const char *path, uint32_t rate, uint32_t seconds, int16_t **samples,
                      size_t *count, struct dt_wav_format *format, bool *cut, struct dt_error *err);

// A WAV file in the making: 16-bit mono. Its header is right after every dt_wav_write, so that a
// file left behind by a crash can be played.
struct dt_wav_writer {
    FILE *file;
    const char *path; // not owned
    uint32_t rate;
    uint32_t samples;
};

// Makes (or empties) the file. DT_FAILED names it.
dt_status dt_wav_create(struct dt_wav_writer *writer, const char *path, uint32_t rate,
                        struct dt_error *err);
// Appends. DT_FAILED on a full disk and beyond the 4 GB a WAV can be.
dt_status dt_wav_write(struct dt_wav_writer *writer, const int16_t *samples, size_t n,
                       struct dt_error *err);
// Closes; harmless when nothing is open.
dt_status dt_wav_close(struct dt_wav_writer *writer, struct dt_error *err);

#endif
