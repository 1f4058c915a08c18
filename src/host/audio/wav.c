// SPDX-License-Identifier: MIT
// The format: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0"
// (1991), and WAVEFORMATEXTENSIBLE.
#include "host/audio/wav.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/array.h"

enum {
    TAG_PCM = 1,
    TAG_FLOAT = 3,
    TAG_EXTENSIBLE = 0xfffe,
    FORMAT_BYTES = 40, // bytes of a `fmt ` chunk that have a meaning
    MAX_CHANNELS = 32,
};

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint16_t get16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

// ---- parsing ----

static dt_status parse_format(struct dt_wav_parser *p, const unsigned char *b, size_t n,
                              struct dt_error *err)
{
    uint16_t tag = get16(b);
    uint16_t channels = get16(b + 2);
    uint32_t rate = get32(b + 4);
    uint16_t align = get16(b + 12);
    uint16_t bits = get16(b + 14);
    if (tag == TAG_EXTENSIBLE && n >= 26)
        tag = get16(b + 24); // the sub-format's first two bytes
    if (tag != TAG_PCM && tag != TAG_FLOAT)
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "is a WAV file of format %u; only PCM and floats are supported (to "
                            "convert: sox IN -e signed OUT)",
                            tag);
    bool good_bits = tag == TAG_PCM ? bits == 8 || bits == 16 || bits == 24 || bits == 32
                                    : bits == 32 || bits == 64;
    if (!good_bits)
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "is a WAV file of %u-bit %s; samples of 8, 16, 24 and 32 bits and "
                            "floats of 32 and 64 bits are supported",
                            bits, tag == TAG_PCM ? "samples" : "floats");
    if (channels < 1 || channels > MAX_CHANNELS || align != channels * (bits / 8))
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "is a broken WAV file: %u channels of %u bits in frames of %u bytes",
                            channels, bits, align);
    if (rate < 1000 || rate > 384000)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "is a WAV file of %u Hz; 1000 to 384000 Hz are supported", rate);
    p->format = (struct dt_wav_format){
        .rate = rate, .channels = channels, .bits = bits, .is_float = tag == TAG_FLOAT};
    p->have_format = true;
    return DT_OK;
}

static float clamp(float x)
{
    return x > 1.0f ? 1.0f : x < -1.0f ? -1.0f : x; // NaN stays NaN
}

static int32_t sample_value(const struct dt_wav_format *format, const unsigned char *b)
{
    if (format->is_float) {
        double wide;
        float narrow;
        if (format->bits == 64) {
            memcpy(&wide, b, sizeof wide);
            narrow = (float)wide;
        } else {
            memcpy(&narrow, b, sizeof narrow);
        }
        return narrow == narrow ? (int32_t)(clamp(narrow) * 32767.0f) : 0;
    }
    switch (format->bits) {
    case 8:
        return ((int32_t)b[0] - 128) * 256;
    case 16:
        return (int16_t)get16(b);
    case 24:
        return (int16_t)get16(b + 1);
    default:
        return (int16_t)get16(b + 2);
    }
}

static dt_status pass_frames(struct dt_wav_parser *p, const unsigned char *bytes, size_t frames,
                             struct dt_error *err)
{
    int16_t samples[512];
    const struct dt_wav_format *format = &p->format;
    size_t size = format->bits / 8u;
    while (frames > 0) {
        size_t n = frames < 512 ? frames : 512;
        for (size_t i = 0; i < n; i++) {
            int32_t sum = 0;
            for (unsigned c = 0; c < format->channels; c++, bytes += size)
                sum += sample_value(format, bytes);
            samples[i] = (int16_t)(sum / format->channels);
        }
        frames -= n;
        p->frames += n;
        dt_status status = p->sink ? p->sink(p->arg, format, samples, n, err) : DT_OK;
        if (status != DT_OK)
            return status;
    }
    return DT_OK;
}

// Fills `held` up to `want` bytes. True when it has them all.
static bool collect(struct dt_wav_parser *p, const unsigned char **bytes, size_t *n, size_t want)
{
    size_t part = want - p->held_count;
    part = part < *n ? part : *n;
    memcpy(p->held + p->held_count, *bytes, part);
    p->held_count += part;
    *bytes += part;
    *n -= part;
    return p->held_count == want;
}

static dt_status begin_chunk(struct dt_wav_parser *p, struct dt_error *err)
{
    uint32_t size = get32(p->held + 4);
    p->chunk_left = size;
    if (memcmp(p->held, "fmt ", 4) == 0) {
        if (size < 16 || size > 4096)
            return dt_error_set(err, DT_BAD_INPUT, NULL,
                                "is a broken WAV file: its format has %u bytes", size);
    } else if (memcmp(p->held, "data", 4) == 0) {
        if (!p->have_format)
            return dt_error_set(err, DT_BAD_INPUT, NULL,
                                "is a broken WAV file: samples before their format");
        p->in_data = true;
        if (size == 0 || size >= 0x7ff00000u) // a stream: its writer did not know the size
            p->chunk_left = UINT64_MAX;
    } else {
        p->skipping = true;
        p->chunk_left += size & 1;
    }
    if (!p->in_data && !p->skipping)
        p->chunk_left += size & 1;
    p->held_count = 0;
    return DT_OK;
}

dt_status dt_wav_parser_push(struct dt_wav_parser *p, const void *data, size_t n,
                             struct dt_error *err)
{
    const unsigned char *bytes = data;
    dt_status status = DT_OK;
    while (n > 0 && !p->done && status == DT_OK) {
        if (!p->past_riff) {
            if (!collect(p, &bytes, &n, 12))
                break;
            if (memcmp(p->held, "RIFF", 4) != 0 || memcmp(p->held + 8, "WAVE", 4) != 0)
                return dt_error_set(err, DT_BAD_INPUT, NULL,
                                    "is not a WAV file: it does not begin with RIFF....WAVE");
            p->past_riff = true;
            p->held_count = 0;
        } else if (p->in_data) {
            size_t frame = p->format.channels * (p->format.bits / 8u);
            size_t part = n < p->chunk_left ? n : (size_t)p->chunk_left;
            if (p->held_count > 0 || part < frame) { // a frame split between two pushes
                size_t before = n, left = part;
                bool whole = collect(p, &bytes, &left, frame);
                size_t took = part - left;
                n = before - took;
                if (p->chunk_left != UINT64_MAX)
                    p->chunk_left -= took;
                if (whole) {
                    p->held_count = 0;
                    status = pass_frames(p, p->held, 1, err);
                }
            } else {
                size_t frames = part / frame;
                status = pass_frames(p, bytes, frames, err);
                bytes += frames * frame;
                n -= frames * frame;
                if (p->chunk_left != UINT64_MAX)
                    p->chunk_left -= frames * frame;
            }
            if (p->chunk_left == 0)
                p->done = true;
        } else if (p->skipping) {
            size_t part = n < p->chunk_left ? n : (size_t)p->chunk_left;
            bytes += part;
            n -= part;
            p->chunk_left -= part;
            p->skipping = p->chunk_left > 0;
        } else if (p->chunk_left > 0) { // `fmt `
            size_t want = p->chunk_left < FORMAT_BYTES ? (size_t)p->chunk_left : FORMAT_BYTES;
            if (!collect(p, &bytes, &n, want))
                break;
            status = parse_format(p, p->held, want, err);
            p->chunk_left -= want;
            p->skipping = p->chunk_left > 0;
            p->held_count = 0;
        } else {
            if (!collect(p, &bytes, &n, 8))
                break;
            status = begin_chunk(p, err);
        }
    }
    return status;
}

dt_status dt_wav_parser_finish(const struct dt_wav_parser *p, struct dt_error *err)
{
    if (p->in_data)
        return DT_OK;
    if (!p->past_riff && p->held_count == 0)
        return dt_error_set(err, DT_BAD_INPUT, NULL, "is empty, not a WAV file");
    return dt_error_set(err, DT_BAD_INPUT, NULL,
                        "is a broken WAV file: it ends before its samples");
}

// ---- files ----

struct collector {
    uint32_t rate;
    size_t limit;
    struct dt_resampler *resampler;
    int16_t *samples;
    size_t count, capacity;
    bool full;
};

static dt_status reserve(struct collector *c, size_t more, struct dt_error *err)
{
    if (dt_array_grow(&c->samples, &c->capacity, c->count + more, sizeof *c->samples))
        return DT_OK;
    return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %zu samples of sound",
                        c->count + more);
}

static dt_status gather(void *arg, const struct dt_wav_format *format, const int16_t *samples,
                        size_t n, struct dt_error *err)
{
    struct collector *c = arg;
    dt_status status = DT_OK;
    if (c->count >= c->limit) {
        c->full = true;
        return DT_OK;
    }
    if (!c->resampler && format->rate != c->rate)
        status = dt_resampler_new(&c->resampler, format->rate, c->rate, err);
    if (status == DT_OK)
        status = reserve(c, c->resampler ? dt_resampler_capacity(c->resampler, n) : n, err);
    if (status != DT_OK)
        return status;
    if (c->resampler) {
        c->count += dt_resampler_push(c->resampler, samples, n, false, c->samples + c->count);
    } else {
        memcpy(c->samples + c->count, samples, n * sizeof *samples);
        c->count += n;
    }
    return DT_OK;
}

dt_status dt_wav_read(const char *path, uint32_t rate, uint32_t seconds, int16_t **samples,
                      size_t *count, struct dt_wav_format *format, bool *cut, struct dt_error *err)
{
    struct collector c = {.rate = rate, .limit = (size_t)rate * seconds};
    struct dt_wav_parser parser = {.sink = gather, .arg = &c};
    struct dt_error what = {0};
    unsigned char bytes[8192];
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rbe");
    dt_status status = DT_OK;
    *samples = NULL;
    *count = 0;
    if (!file)
        return dt_error_set(err, DT_BAD_INPUT, path, "cannot be read: %s", strerror(errno));
    size_t n;
    while (status == DT_OK && !c.full && (n = fread(bytes, 1, sizeof bytes, file)) > 0)
        status = dt_wav_parser_push(&parser, bytes, n, &what);
    if (status == DT_OK && ferror(file))
        status = dt_error_set(&what, DT_BAD_INPUT, NULL, "cannot be read: %s", strerror(errno));
    if (status == DT_OK)
        status = dt_wav_parser_finish(&parser, &what);
    if (status == DT_OK && c.resampler) {
        status = reserve(&c, dt_resampler_capacity(c.resampler, 0), &what);
        if (status == DT_OK)
            c.count += dt_resampler_push(c.resampler, NULL, 0, true, c.samples + c.count);
    }
    if (status == DT_OK && c.count == 0)
        status = dt_error_set(&what, DT_BAD_INPUT, NULL, "is a WAV file without samples");
    if (!standard)
        fclose(file);
    dt_resampler_free(c.resampler);
    if (status != DT_OK) {
        free(c.samples);
        return dt_error_set(err, status, standard ? "standard input" : path, "%s", what.message);
    }
    if (cut)
        *cut = c.count > c.limit || c.full;
    if (format)
        *format = parser.format;
    *samples = c.samples;
    *count = c.count < c.limit ? c.count : c.limit;
    return DT_OK;
}

static bool write_header(struct dt_wav_writer *w)
{
    unsigned char h[44] = "RIFF....WAVEfmt ";
    put32(h + 4, 36 + w->samples * 2);
    put32(h + 16, 16);
    put32(h + 20, TAG_PCM | 1u << 16); // one channel
    put32(h + 24, w->rate);
    put32(h + 28, w->rate * 2);
    put32(h + 32, 2 | 16u << 16); // bytes a frame, bits
    memcpy(h + 36, "data", 4);
    put32(h + 40, w->samples * 2);
    // Not SEEK_END: if the path is a device, its end is not where the samples end.
    const off_t end = (off_t)sizeof h + (off_t)w->samples * 2;
    return fseeko(w->file, 0, SEEK_SET) == 0 && fwrite(h, sizeof h, 1, w->file) == 1 &&
           fseeko(w->file, end, SEEK_SET) == 0;
}

dt_status dt_wav_create(struct dt_wav_writer *w, const char *path, uint32_t rate,
                        struct dt_error *err)
{
    *w = (struct dt_wav_writer){.file = fopen(path, "wbe"), .path = path, .rate = rate};
    if (!w->file)
        return dt_error_set(err, DT_FAILED, path, "cannot be written: %s", strerror(errno));
    if (!write_header(w) || fflush(w->file) != 0) {
        dt_error_set(err, DT_FAILED, path, "cannot be written: %s", strerror(errno));
        fclose(w->file);
        w->file = NULL;
        return DT_FAILED;
    }
    return DT_OK;
}

dt_status dt_wav_write(struct dt_wav_writer *w, const int16_t *samples, size_t n,
                       struct dt_error *err)
{
    if (n > (UINT32_MAX - 64) / 2 - w->samples)
        return dt_error_set(err, DT_FAILED, w->path, "is full: a WAV file holds at most 4 GB");
    unsigned char bytes[1024];
    for (size_t i = 0; i < n;) {
        size_t part = n - i < 512 ? n - i : 512;
        for (size_t k = 0; k < part; k++) {
            bytes[2 * k] = (unsigned char)((uint16_t)samples[i + k] & 0xff);
            bytes[2 * k + 1] = (unsigned char)((uint16_t)samples[i + k] >> 8);
        }
        if (fwrite(bytes, 2, part, w->file) != part)
            return dt_error_set(err, DT_FAILED, w->path, "cannot be written: %s", strerror(errno));
        i += part;
    }
    w->samples += (uint32_t)n;
    if (!write_header(w) || fflush(w->file) != 0)
        return dt_error_set(err, DT_FAILED, w->path, "cannot be written: %s", strerror(errno));
    return DT_OK;
}

dt_status dt_wav_close(struct dt_wav_writer *w, struct dt_error *err)
{
    if (!w->file)
        return DT_OK;
    int wrong = fclose(w->file);
    w->file = NULL;
    return wrong ? dt_error_set(err, DT_FAILED, w->path, "cannot be written: %s", strerror(errno))
                 : DT_OK;
}
