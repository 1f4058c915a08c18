// SPDX-License-Identifier: MIT
// WAV: all supported formats, in pieces of all sizes; broken files; writing; resampling.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/audio/wav.h"

static const double pi = 3.14159265358979323846;

struct form {
    uint16_t tag, bits, channels;
    uint32_t rate;
};

static void put(unsigned char *p, uint32_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

// Makes a WAV file of a 440 Hz sine at half loudness and returns its size. Of several channels the
// first two are equal, the others have alternating signs.
static size_t make(unsigned char *out, const struct form *form, size_t frames, bool stream,
                   bool extensible)
{
    unsigned width = form->bits / 8u, frame = width * form->channels;
    size_t n = 0;
    uint32_t data = (uint32_t)(frames * frame);
    memcpy(out, "RIFF....WAVELIST\5\0\0\0abcde\0fmt ",
           30); // an unknown chunk of odd size
    n = 30;
    put(out + 4, stream ? 0xffffffffu : data + 60, 4);
    put(out + n, extensible ? 40 : 16, 4);
    n += 4;
    memset(out + n, 0, 40);
    put(out + n, extensible ? 0xfffe : form->tag, 2);
    put(out + n + 2, form->channels, 2);
    put(out + n + 4, form->rate, 4);
    put(out + n + 8, form->rate * frame, 4);
    put(out + n + 12, frame, 2);
    put(out + n + 14, form->bits, 2);
    put(out + n + 24, form->tag, 2);
    n += extensible ? 40 : 16;
    memcpy(out + n, "data", 4);
    put(out + n + 4, stream ? 0x7ffff000u : data, 4);
    n += 8;
    for (size_t i = 0; i < frames; i++) {
        double y = 0.5 * sin(2 * pi * 440 * (double)i / form->rate);
        for (unsigned c = 0; c < form->channels; c++, n += width) {
            float narrow = (float)y;
            if (form->tag == 3 && form->bits == 64)
                memcpy(out + n, &y, 8);
            else if (form->tag == 3)
                memcpy(out + n, &narrow, 4);
            else if (form->bits == 8)
                out[n] = (unsigned char)(128 + (int)lrint(y * 127));
            else
                put(out + n, (uint32_t)(int32_t)lrint(y * 32767) << 16 >> (32 - form->bits),
                    (int)width);
        }
    }
    if (!stream)
        n += (size_t)sprintf((char *)out + n, "more %s", "chunks follow");
    return n;
}

struct collected {
    int16_t samples[4096];
    size_t count;
};

static dt_status collect(void *arg, const struct dt_wav_format *format, const int16_t *samples,
                         size_t n, struct dt_error *err)
{
    struct collected *h = arg;
    (void)format, (void)err;
    assert_true(h->count + n <= sizeof h->samples / sizeof h->samples[0]);
    memcpy(h->samples + h->count, samples, n * sizeof *samples);
    h->count += n;
    return DT_OK;
}

static void test_forms(void **state)
{
    (void)state;
    static const struct form forms[] = {
        {1, 8, 1, 8000},   {1, 8, 2, 11025},  {1, 16, 1, 16000},
        {1, 16, 2, 44100}, {1, 24, 1, 48000}, {1, 32, 2, 96000},
        {3, 32, 1, 22050}, {3, 64, 2, 48000}, {1, 16, 6, 48000},
    };
    static unsigned char file[65536];
    static struct collected collected;
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        for (int kind = 0; kind < 4; kind++) {
            size_t n = make(file, &forms[f], 1000, kind & 1, kind & 2);
            for (size_t step = 1; step < n; step = step < 70 ? step + 1 : step * 3) {
                struct dt_wav_parser parser = {.sink = collect, .arg = &collected};
                struct dt_error err = {0};
                collected.count = 0;
                for (size_t at = 0; at < n; at += step)
                    assert_int_equal(
                        dt_wav_parser_push(&parser, file + at, n - at < step ? n - at : step, &err),
                        DT_OK);
                assert_int_equal(dt_wav_parser_finish(&parser, &err), DT_OK);
                assert_int_equal(collected.count, 1000);
                assert_int_equal(parser.format.rate, forms[f].rate);
                int tolerance = forms[f].bits == 8 ? 260 : 2;
                for (size_t i = 0; i < 1000; i++) {
                    int want =
                        (int)lrint(0.5 * sin(2 * pi * 440 * (double)i / forms[f].rate) * 32767);
                    assert_true(abs(collected.samples[i] - want) <= tolerance);
                }
            }
        }
    }
}

static void test_broken(void **state)
{
    (void)state;
    static unsigned char good[4096], file[4096];
    const struct form form = {1, 16, 1, 16000};
    size_t n = make(good, &form, 100, false, false);
    static const struct {
        size_t at;
        const char *bytes;
        size_t length;
        dt_status status;
        const char *message;
    } changes[] = {
        {0, "RIFX", 4, DT_BAD_INPUT, "not a WAV"},
        {8, "AVI ", 4, DT_BAD_INPUT, "not a WAV"},
        {34, "\x55\0", 2, DT_UNSUPPORTED, "format 85"},
        {36, "\0\0", 2, DT_BAD_INPUT, "0 channels"},
        {36, "\xff\xff", 2, DT_BAD_INPUT, "channels"},
        {38, "\0\0\0\0", 4, DT_BAD_INPUT, "WAV file of 0 Hz"},
        {48, "\x0c\0", 2, DT_UNSUPPORTED, "12-bit"},
        {46, "\3\0", 2, DT_BAD_INPUT, "frames of 3"},
        {30, "\2\0\0\0", 4, DT_BAD_INPUT, "2 bytes"},
        {26, "data", 4, DT_BAD_INPUT, "before their format"},
    };
    struct dt_error err;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        memcpy(file, good, n);
        memcpy(file + changes[i].at, changes[i].bytes, changes[i].length);
        struct dt_wav_parser parser = {0};
        memset(&err, 0, sizeof err);
        assert_int_equal(dt_wav_parser_push(&parser, file, n, &err), changes[i].status);
        assert_non_null(strstr(err.message, changes[i].message));
    }
    // Truncated before the samples: an error at the end of the stream, not earlier. Truncated
    // later: all complete frames.
    for (size_t cut = 0; cut <= n; cut++) {
        static struct collected collected;
        struct dt_wav_parser parser = {.sink = collect, .arg = &collected};
        collected.count = 0;
        memset(&err, 0, sizeof err);
        assert_int_equal(dt_wav_parser_push(&parser, good, cut, &err), DT_OK);
        assert_int_equal(dt_wav_parser_finish(&parser, &err), cut < 58 ? DT_BAD_INPUT : DT_OK);
        size_t frames = cut < 58 ? 0 : (cut - 58) / 2 < 100 ? (cut - 58) / 2 : 100;
        assert_int_equal(collected.count, frames);
    }
}

// Resampling preserves duration, pitch and loudness, and removes what the lower rate cannot
// represent.
static void test_rates(void **state)
{
    (void)state;
    static const uint32_t pairs[][2] = {{44100, 16000}, {8000, 16000},  {22050, 16000},
                                        {16000, 48000}, {11025, 16000}, {96000, 8000}};
    static int16_t in[96000], out[96000 * 2];
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
        uint32_t from = pairs[p][0], to = pairs[p][1];
        for (size_t step = 1; step <= from; step = step * 37 + 1) {
            struct dt_resampler *r = NULL;
            struct dt_error err = {0};
            size_t made = 0;
            assert_int_equal(dt_resampler_new(&r, from, to, &err), DT_OK);
            for (uint32_t i = 0; i < from; i++)
                in[i] = (int16_t)lrint(10000 * sin(2 * pi * 440 * i / from));
            for (size_t at = 0; at < from; at += step) {
                size_t n = from - at < step ? from - at : step;
                size_t more = dt_resampler_push(r, in + at, n, false, out + made);
                assert_true(more <= dt_resampler_capacity(r, n));
                made += more;
            }
            size_t capacity = dt_resampler_capacity(r, 0);
            size_t rest = dt_resampler_push(r, NULL, 0, true, out + made);
            assert_true(rest <= capacity);
            assert_int_equal(made + rest, to);
            for (uint32_t i = to / 10; i < to * 9 / 10; i++)
                assert_true(fabs(out[i] - 10000 * sin(2 * pi * 440 * i / to)) < 60);
            dt_resampler_free(r);
        }
    }
    // Without a filter 15 kHz at 44.1 kHz would become 1 kHz at 16 kHz.
    struct dt_resampler *r = NULL;
    assert_int_equal(dt_resampler_new(&r, 44100, 16000, NULL), DT_OK);
    for (uint32_t i = 0; i < 44100; i++)
        in[i] = (int16_t)lrint(10000 * sin(2 * pi * 15000 * i / 44100));
    size_t made = dt_resampler_push(r, in, 44100, true, out);
    assert_int_equal(made, 16000);
    for (size_t i = 100; i + 100 < made; i++)
        assert_true(abs(out[i]) < 100);
    dt_resampler_free(r);
}

static void test_files(void **state)
{
    (void)state;
    char path[] = "/tmp/test_wav_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct dt_wav_writer writer;
    struct dt_wav_format format;
    struct dt_error err = {0};
    int16_t *samples = NULL, wave[1000];
    size_t count;
    bool cut;
    for (int i = 0; i < 1000; i++)
        wave[i] = (int16_t)(i * 7);
    assert_int_equal(dt_wav_create(&writer, path, 16000, &err), DT_OK);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(dt_wav_write(&writer, wave, 1000, &err), DT_OK);
        // It is readable at any time, as after a crash.
        assert_int_equal(dt_wav_read(path, 16000, 10, &samples, &count, &format, &cut, &err),
                         DT_OK);
        assert_int_equal(count, 1000 * (i + 1));
        assert_memory_equal(samples + 1000 * i, wave, sizeof wave);
        assert_false(cut);
        free(samples);
    }
    assert_int_equal(dt_wav_close(&writer, &err), DT_OK);
    assert_int_equal(dt_wav_close(&writer, &err), DT_OK);
    assert_int_equal(dt_wav_read(path, 16000, 1, &samples, &count, &format, &cut, &err), DT_OK);
    assert_true(cut && count == 16000 && format.bits == 16 && format.channels == 1);
    free(samples);

    // 44.1 kHz stereo of 8 bits, as 16 kHz mono.
    static unsigned char file[200000];
    const struct form form = {1, 8, 2, 44100};
    size_t n = make(file, &form, 44100, false, false);
    FILE *f = fopen(path, "wb");
    assert_true(f && fwrite(file, 1, n, f) == n && fclose(f) == 0);
    assert_int_equal(dt_wav_read(path, 16000, 10, &samples, &count, &format, &cut, &err), DT_OK);
    assert_int_equal(count, 16000);
    assert_true(format.rate == 44100 && format.channels == 2 && format.bits == 8);
    for (size_t i = 1000; i < 15000; i++)
        assert_true(fabs(samples[i] - 16384 * sin(2 * pi * 440 * (double)i / 16000)) < 400);
    free(samples);

    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(dt_wav_read(path, 16000, 10, &samples, &count, &format, &cut, &err),
                     DT_BAD_INPUT);
    assert_string_equal(err.file, path);
    assert_null(samples);
    unlink(path);
    assert_int_equal(dt_wav_read(path, 16000, 10, &samples, &count, &format, &cut, &err),
                     DT_BAD_INPUT);
    assert_int_equal(dt_wav_create(&writer, "/nowhere/at/all.wav", 16000, &err), DT_FAILED);
    assert_int_equal(dt_wav_close(&writer, &err), DT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests_name("host: sound files", tests, NULL, NULL);
}
