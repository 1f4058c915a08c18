// SPDX-License-Identifier: MIT
// Listening: from files and a microphone (a script in its place), and what is understood: ten
// requests, spoken by espeak-ng. Tests that need an engine are skipped by name where it is not
// installed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/speech/listen.h"
#include "app/speech/speech.h"
#include "host/audio/sound.h"
#include "host/audio/voices.h"
#include "host/audio/wav.h"

static char folder[] = "/tmp/test_listen_XXXXXX";
static char wav[64], raw[64], arecord[64];

static bool has(uint32_t kind, const char *name)
{
    struct dt_voices *voices = NULL;
    bool found = false;
    assert_int_equal(dt_voices_new(&voices, NULL), DT_OK);
    for (size_t i = 0; i < dt_voices_count(voices); i++) {
        const struct dt_voice_info *v = dt_voices_at(voices, i);
        found = found || (v->kind == kind && v->score > 0 && strcmp(v->name, name) == 0);
    }
    dt_voices_free(voices);
    return found;
}

// Has a voice say the text into the file.
static void render(const char *voice, const char *text)
{
    struct dt_speech *speech = NULL;
    struct dt_error err = {0};
    unlink(wav); // a file that exists is refused
    const struct dt_speech_options options = {
        .voice = voice, .wav_path = wav, .words_per_minute = 160, .pitch = 50};
    if (dt_speech_open(&speech, &options, &err) != DT_OK)
        fail_msg("%s", err.message);
    dt_speech_begin(speech);
    dt_speech_feed(speech, text, strlen(text));
    dt_speech_finish(speech);
    assert_true(dt_speech_wait(speech, -1));
    dt_speech_close(speech);
}

static dt_status recognise(const char *path, const char *ear, char *text,
                           struct dt_listen_figures *figures, struct dt_error *err)
{
    const struct dt_listen_options options = {.ear = ear, .wav_path = path};
    memset(err, 0, sizeof *err);
    return dt_listen(&options, text, 256, figures, err);
}

static void test_requests(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "Tell me a story about a dragon.",
        "Tell me a story about a princess and a frog.",
        "I want a story about a dog.",
        "Can you tell me a story about a bird?",
        "Please tell me a story about a bear and a rabbit.",
        "A story about a robot please.",
        "Tell me about an elephant.",
        "Write a story with a monkey and a boat.",
        "Tell me a story about a castle.",
        "Can you tell me a story about a kitten and a butterfly?",
    };
    if (!has(DT_SPEECH_EAR, "pocketsphinx") || !has(DT_SPEECH_VOICE, "espeak")) {
        print_message("requests: skipped, espeak-ng or pocketsphinx is not installed\n");
        skip();
    }
    int understood = 0;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        char text[256];
        struct dt_listen_figures figures;
        struct dt_error err;
        render("espeak", requests[i]);
        assert_int_equal(recognise(wav, "auto", text, &figures, &err), DT_OK);
        if (strcmp(text, requests[i]) == 0)
            understood++;
        else
            print_message("\"%s\" was heard as \"%s\"\n", requests[i], text);
        assert_true(figures.converted && !figures.cut && figures.sound_seconds > 1 &&
                    figures.cpu_seconds > 0);
    }
    print_message("%d of 10 requests were understood\n", understood);
    assert_true(understood >= 8);
}

// The same sound as 44.1 kHz stereo of 8 bits.
static void test_conversion(void **state)
{
    (void)state;
    if (!has(DT_SPEECH_EAR, "pocketsphinx") || !has(DT_SPEECH_VOICE, "espeak")) {
        print_message("conversion: skipped, espeak-ng or pocketsphinx is not installed\n");
        skip();
    }
    int16_t *samples;
    size_t count;
    char text[256];
    struct dt_listen_figures figures;
    struct dt_error err;
    render("espeak", "Tell me a story about a castle.");
    assert_int_equal(dt_wav_read(wav, 44100, 30, &samples, &count, NULL, NULL, &err), DT_OK);
    FILE *f = fopen(wav, "wb");
    uint32_t size = (uint32_t)count * 2;
    unsigned char header[44] =
        "RIFF....WAVEfmt \x10\0\0\0\1\0\2\0\x44\xac\0\0\x88\x58\1\0\2\0\x8\0data";
    for (int i = 0; i < 4; i++) {
        header[4 + i] = (unsigned char)((size + 36) >> (8 * i));
        header[40 + i] = (unsigned char)(size >> (8 * i));
    }
    assert_true(f && fwrite(header, 44, 1, f) == 1);
    for (size_t i = 0; i < count; i++) {
        int byte = 128 + samples[i] / 256;
        assert_true(fputc(byte, f) == byte && fputc(byte, f) == byte);
    }
    assert_int_equal(fclose(f), 0);
    free(samples);
    assert_int_equal(recognise(wav, NULL, text, &figures, &err), DT_OK);
    assert_true(figures.converted);
    assert_string_equal(text, "Tell me a story about a castle.");
}

static void test_trouble(void **state)
{
    (void)state;
    char text[256];
    struct dt_listen_figures figures;
    struct dt_error err;
    assert_int_equal(recognise(wav, "nobody", text, &figures, &err), DT_USAGE);
    assert_non_null(strstr(err.message, "unknown ear \"nobody\""));
    if (!has(DT_SPEECH_EAR, "pocketsphinx")) {
        print_message("trouble: skipped, pocketsphinx is not installed\n");
        skip();
    }
    assert_int_equal(recognise(wav, "pocketsphinx:loudly", text, &figures, &err), DT_USAGE);
    assert_int_equal(recognise("/nowhere/at/all.wav", NULL, text, &figures, &err), DT_BAD_INPUT);
    assert_string_equal(err.file, "/nowhere/at/all.wav");
    FILE *f = fopen(wav, "w");
    assert_true(f && fputs("This is no sound at all, but a text.", f) >= 0 && fclose(f) == 0);
    assert_int_equal(recognise(wav, NULL, text, &figures, &err), DT_BAD_INPUT);
    assert_non_null(strstr(err.message, "is not a WAV file"));
    assert_string_equal(text, "");
    // Silence: nothing was said, and that is no error.
    struct dt_wav_writer writer;
    static const int16_t silence[16000];
    assert_int_equal(dt_wav_create(&writer, wav, 16000, &err), DT_OK);
    assert_int_equal(dt_wav_write(&writer, silence, 16000, &err), DT_OK);
    assert_int_equal(dt_wav_close(&writer, &err), DT_OK);
    assert_int_equal(recognise(wav, "pocketsphinx:request", text, &figures, &err), DT_OK);
    assert_string_equal(text, "");
}

static void script(const char *body)
{
    FILE *f = fopen(arecord, "w");
    assert_true(f && fprintf(f, "#!/bin/sh\n%s\n", body) > 0 && fclose(f) == 0);
    assert_int_equal(chmod(arecord, 0700), 0);
}

// A microphone that hears quiet noise, then speech, then noise for ever: the recording ends behind
// the speech.
static void test_microphone(void **state)
{
    (void)state;
    enum { QUIET = 16000, SPEECH = 24000, REST = 160000 };
    struct dt_record_options options = {0};
    struct dt_error err = {0};
    struct dt_stop stop;
    int16_t *samples = NULL;
    size_t count = 0;
    char body[200];
    FILE *f = fopen(raw, "wb");
    assert_non_null(f);
    for (int i = 0; i < QUIET + SPEECH + REST; i++) {
        bool speech = i >= QUIET && i < QUIET + SPEECH && i % 4000 < 3000; // with gaps
        int16_t sample =
            (int16_t)((i * 7919 % 200) - 100 + (speech ? (i / 40 % 2 ? 3000 : -3000) : 0));
        assert_int_equal(fwrite(&sample, sizeof sample, 1, f), 1);
    }
    assert_int_equal(fclose(f), 0);
    snprintf(body, sizeof body, "echo \"$@\" >%s/arguments; cat %s; exec sleep 1000", folder, raw);
    script(body);
    assert_int_equal(dt_record(&options, &samples, &count, &err), DT_OK);
    assert_true(count >= QUIET + SPEECH && count < QUIET + SPEECH + 16000 * 3 / 2);
    free(samples);

    // Nobody speaks: six seconds are enough.
    snprintf(body, sizeof body, "cat /dev/zero");
    script(body);
    assert_int_equal(dt_record(&options, &samples, &count, &err), DT_OK);
    assert_true(count >= 16000 * 6 && count < 16000 * 7);
    free(samples);

    // Push-to-talk: until the key is let go, or the time is up.
    assert_int_equal(dt_stop_init(&stop, &err), DT_OK);
    options.until_stopped = true;
    options.seconds = 1;
    options.enough = &stop;
    assert_int_equal(dt_record(&options, &samples, &count, &err), DT_OK);
    assert_int_equal(count, 16000);
    free(samples);
    script("exec sleep 1000");
    dt_stop_set(&stop);
    assert_int_equal(dt_record(&options, &samples, &count, &err), DT_OK);
    assert_int_equal(count, 0);
    free(samples);
    options.stop = &stop;
    assert_int_equal(dt_record(&options, &samples, &count, &err), DT_CANCELLED);
    assert_null(samples);
    dt_stop_free(&stop);

    // No card.
    options = (struct dt_record_options){0};
    script("echo 'arecord: main:831: audio open error: No such file or directory' >&2; exit 1");
    assert_int_equal(dt_record(&options, &samples, &count, &err), DT_FAILED);
    assert_non_null(
        strstr(err.message,
               "no microphone: arecord ended with code 1: arecord: main:831: audio open error"));
}

static void test_sentences(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"tell me a story about a dragon", "Tell me a story about a dragon."},
        {"can you tell me a story about a cat", "Can you tell me a story about a cat?"},
        {"i want a story i'm five", "I want a story I'm five."},
        {"candy is nice", "Candy is nice."},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", cases[i][0]);
        dt_listen_sentence(text, sizeof text);
        assert_string_equal(text, cases[i][1]);
    }
    char tight[5] = "hi i";
    dt_listen_sentence(tight, sizeof tight);
    assert_string_equal(tight, "Hi I");
}

static int set_up(void **state)
{
    (void)state;
    char path[4200];
    const char *root = getenv("DT_BUILD_ROOT");
    if (!mkdtemp(folder))
        return -1;
    snprintf(wav, sizeof wav, "%s/said.wav", folder);
    snprintf(raw, sizeof raw, "%s/raw", folder);
    snprintf(arecord, sizeof arecord, "%s/arecord", folder);
    snprintf(path, sizeof path, "%s:%s", folder, getenv("PATH"));
    setenv("PATH", path, 1);
    if (root)
        setenv("DUOTALE_MODULES", root, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char arguments[64];
    snprintf(arguments, sizeof arguments, "%s/arguments", folder);
    unlink(arguments);
    unlink(wav);
    unlink(raw);
    unlink(arecord);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences), cmocka_unit_test(test_microphone),
        cmocka_unit_test(test_trouble),   cmocka_unit_test(test_conversion),
        cmocka_unit_test(test_requests),
    };
    return cmocka_run_group_tests_name("app: listening", tests, set_up, tear_down);
}
