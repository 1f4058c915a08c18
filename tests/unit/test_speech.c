// SPDX-License-Identifier: MIT
// Reading aloud: what is said, what happens when the voice is slow, fails, hangs or dies, and
// silence. Engines and players are stand-ins: a voice that whistles, and small scripts in a folder
// of their own.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/speech/speech.h"
#include "base/sentence.h"
#include "host/audio/wav.h"

static const char story[] = "Once upon a time, there was a little girl named Lily. She had a big "
                            "red ball and a small dog.\n"
                            "One day, Mr. Fox came by. \"Can I play too?\" he asked. Lily said, "
                            "\"Yes, you can!\" They played all day in the park.\n"
                            "When it was dark, they went home and slept. The end";
enum { SENTENCES = 8 };

static uint32_t patience; // milliseconds; 0: the usual ten seconds, which no working script takes
static char folder[] = "/tmp/test_speech_XXXXXX";
static char wav[64], real_path[4096];

static struct {
    int count;
    char last[512];
} notices;

static void notice(void *arg, const char *line)
{
    assert_ptr_equal(arg, &notices);
    notices.count++;
    snprintf(notices.last, sizeof notices.last, "%s", line);
}

// What the voice's thread said of itself.
static struct {
    int count, begun; // calls, and those with something being said
    bool speaking;    // the last one
} changes;

static void changed(void *arg, const struct dt_speech_figures *figures)
{
    assert_ptr_equal(arg, &notices);
    changes.count++;
    changes.begun += figures->speaking;
    changes.speaking = figures->speaking;
}

// A program for the test: a script that comes first in PATH.
static void script(const char *name, const char *body)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", body);
    fclose(f);
    assert_int_equal(chmod(path, 0700), 0);
}

// The number a script has left in a file: its process.
static int left_in(const char *name)
{
    char path[256];
    int number = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (int i = 0; i < 1000 && number == 0; i++) { // it may still be starting
        const struct timespec t = {0, 10000000};
        FILE *f = fopen(path, "r");
        if (f && fscanf(f, "%d", &number) != 1)
            number = 0;
        if (f)
            fclose(f);
        if (number == 0)
            nanosleep(&t, NULL);
    }
    return number;
}

static bool is_gone(int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", pid);
    return access(path, F_OK) != 0;
}

static struct dt_speech *open_speech(const char *voice, bool file)
{
    struct dt_speech *speech = NULL;
    struct dt_error err = {0};
    const struct dt_speech_options options = {
        .voice = voice,
        .wav_path = file ? wav : NULL,
        .replace = true,
        .words_per_minute = 160,
        .pitch = 50,
        .hang_milliseconds = patience,
        .notice = notice,
        .changed = changed,
        .arg = &notices,
    };
    memset(&notices, 0, sizeof notices);
    memset(&changes, 0, sizeof changes);
    dt_status status = dt_speech_open(&speech, &options, &err);
    if (status != DT_OK)
        fail_msg("cannot open %s: %s", voice, err.message);
    return speech;
}

static void feed_in_pieces(struct dt_speech *speech, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i += 3)
        dt_speech_feed(speech, text + i, n - i < 3 ? n - i : 3);
}

static double loudness(const int16_t *samples, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += abs(samples[i]);
    return count ? sum / (double)count : 0;
}

static void test_file(void **state)
{
    (void)state;
    struct dt_speech *speech = open_speech("tones", true);
    struct dt_speech_figures f;
    dt_speech_begin(speech);
    feed_in_pieces(speech, story);
    dt_speech_finish(speech);
    assert_true(dt_speech_wait(speech, -1));
    dt_speech_figures(speech, &f);
    assert_int_equal(f.sentences, SENTENCES);
    assert_int_equal(f.spoken, SENTENCES);
    assert_true(f.waiting == 0 && f.dropped == 0 && f.failed == 0 && f.waiting_seconds == 0 &&
                !f.speaking && !f.off);
    assert_true(f.first_sentence_ns > 0 && f.first_sound_ns >= f.first_sentence_ns);
    assert_true(f.silent_ns >= f.output_ns && f.output_ns >= f.first_sentence_ns);
    assert_true(f.voice_cpu_seconds > 0 && f.real_time_factor > 0 && f.cpu_share > 0 &&
                f.cpu_share <= 1);
    char line[256];
    assert_non_null(strstr(dt_speech_line(&f, line, sizeof line), "8 of 8 sentences"));
    dt_speech_close(speech);
    assert_true(changes.begun >= SENTENCES && changes.count > changes.begun && !changes.speaking);

    int16_t *samples;
    size_t count;
    struct dt_error err = {0};
    assert_int_equal(dt_wav_read(wav, 16000, 600, &samples, &count, NULL, NULL, &err), DT_OK);
    double seconds = (double)count / 16000,
           estimate = dt_sentence_milliseconds(story, strlen(story), 160) / 1000.0;
    assert_true(seconds > 0.75 * estimate && seconds < 1.25 * estimate);
    assert_true(seconds > f.sound_seconds - 0.01 && seconds < f.sound_seconds + 0.01);
    assert_true(loudness(samples, count) > 1000);
    free(samples);
    assert_int_equal(notices.count, 0);
}

// A voice that never finishes: text is still accepted, sentences for which the queue is full are
// counted, and a stop ends it.
static void test_never_waits(void **state)
{
    (void)state;
    struct dt_speech *speech = open_speech("tones:hang", true);
    struct dt_speech_figures f;
    dt_speech_begin(speech);
    for (int i = 0; i < 100; i++)
        dt_speech_feed(speech, "He ran on and on. ", 18);
    dt_speech_figures(speech, &f);
    assert_int_equal(f.sentences, 99); // the last one may go on
    assert_true(f.waiting == 98 || f.waiting == 99);
    assert_true(f.spoken == 0 && f.dropped == 0 && f.speaking && f.waiting_seconds > 60);
    for (int i = 0; i < 3000; i++)
        dt_speech_feed(speech, "He ran on and on. ", 18);
    dt_speech_finish(speech);
    dt_speech_figures(speech, &f);
    assert_true(f.dropped > 1000 && f.waiting > 1000 && f.waiting + f.dropped + 1 >= f.sentences);
    assert_int_equal(notices.count, 1);
    assert_non_null(strstr(notices.last, "behind the story"));
    assert_false(dt_speech_wait(speech, 10));
    dt_speech_stop(speech);
    assert_true(dt_speech_wait(speech, -1));
    dt_speech_figures(speech, &f);
    assert_true(f.waiting == 0 && !f.speaking && !f.off);
    // Silence lasts until the next story.
    dt_speech_feed(speech, "Nobody hears this. Or this. ", 28);
    assert_true(dt_speech_wait(speech, -1));
    dt_speech_begin(speech);
    dt_speech_feed(speech, "Somebody does. Now. ", 20);
    dt_speech_figures(speech, &f);
    assert_true(f.speaking && f.sentences == 1);
    dt_speech_close(speech); // in mid-sentence
}

// Two stories one after the other: both are said, and the figures are the second one's.
static void test_two_stories(void **state)
{
    (void)state;
    struct dt_speech *speech = open_speech("tones:slow", true);
    struct dt_speech_figures f;
    dt_speech_begin(speech);
    dt_speech_feed(speech, "The first story. It has two sentences.", 38);
    dt_speech_finish(speech);
    dt_speech_begin(speech);
    dt_speech_feed(speech, "The second story.", 17);
    dt_speech_finish(speech);
    assert_true(dt_speech_wait(speech, -1));
    dt_speech_figures(speech, &f);
    assert_true(f.sentences == 1 && f.spoken == 1);
    double one = dt_sentence_milliseconds("The second story.", 17, 160) / 1000.0;
    assert_true(f.sound_seconds > 0.5 * one && f.sound_seconds < 1.5 * one);
    assert_true(f.silent_ns > 0);
    dt_speech_close(speech);
    int16_t *samples;
    size_t count;
    assert_int_equal(dt_wav_read(wav, 16000, 600, &samples, &count, NULL, NULL, NULL), DT_OK);
    assert_true((double)count / 16000 > 2.5 * f.sound_seconds);
    free(samples);
}

// Whatever is wrong with a voice: one line, and the story is not held up.
static void trouble(const char *voice, const char *says, bool given_up)
{
    struct dt_speech *speech = open_speech(voice, true);
    struct dt_speech_figures f;
    dt_speech_begin(speech);
    feed_in_pieces(speech, story);
    dt_speech_finish(speech);
    assert_true(dt_speech_wait(speech, -1));
    dt_speech_figures(speech, &f);
    if (!strstr(notices.last, says))
        fail_msg("\"%s\" is not in \"%s\"", says, notices.last);
    assert_int_equal(notices.count, 1);
    assert_int_equal(f.off, given_up);
    assert_int_equal(f.spoken, 0);
    dt_speech_close(speech);
}

static void test_trouble(void **state)
{
    (void)state;
    trouble("tones:fail", "the voice failed: tones: the variant fail always fails; use another one",
            true);
    patience = 200;
    script("espeak-ng", "cat >/dev/null; exec sleep 1000");
    trouble("espeak", "espeak-ng hung", true);
    script("espeak-ng", "sleep 1000"); // does not even read; a grandchild besides
    trouble("espeak", "espeak-ng hung", true);
    patience = 1000; // the time in which this program is stopped does not count
    script("espeak-ng", "kill -STOP $PPID; sleep 2; kill -CONT $PPID; exit 7");
    trouble("espeak", "espeak-ng ended with code 7", true);
    patience = 400; // nor that in which the voice has too little of the processor
    script("espeak-ng", "for i in 1 2 3 4 5 6 7 8 9 10 11; do sleep 0.1; done; exit 7");
    trouble("espeak", "espeak-ng ended with code 7", true);
    patience = 0;
    script("espeak-ng", "echo 'no such language' >&2; exit 7");
    trouble("espeak", "espeak-ng ended with code 7: no such language", true);
    script("espeak-ng", "kill -9 $$");
    trouble("espeak", "espeak-ng was ended by signal 9", true);
    script("espeak-ng", "echo this is no sound");
    trouble("espeak", "the output of espeak-ng is not a WAV file", true);
    script("espeak-ng", "printf 'RIFF....WAVE'");
    trouble("espeak", "the output of espeak-ng is a broken WAV file", true);
    script("espeak-ng", "exit 0");
    trouble("espeak", "the output of espeak-ng is empty", true);

    struct dt_speech *speech = NULL;
    struct dt_error err = {0};
    struct dt_speech_options options = {.voice = "nobody", .wav_path = wav, .replace = true};
    assert_int_equal(dt_speech_open(&speech, &options, &err), DT_USAGE);
    assert_non_null(strstr(err.message, "unknown voice \"nobody\"; available: "));
    assert_non_null(strstr(err.message, "tones"));
    options.voice = "tones:loud";
    assert_int_equal(dt_speech_open(&speech, &options, &err), DT_USAGE);
    options.voice = "tones";
    options.wav_path = "/nowhere/at/all.wav";
    assert_int_equal(dt_speech_open(&speech, &options, &err), DT_FAILED);
    assert_string_equal(err.file, "/nowhere/at/all.wav");
    assert_null(speech);
}

// One bad sentence does not silence the rest.
static void test_recovers(void **state)
{
    (void)state;
    char body[512];
    snprintf(body, sizeof body,
             "read line; case \"$line\" in *Fox*) exit 1;; esac; cat %s/beep.wav", folder);
    script("espeak-ng", body);
    char beep[80];
    snprintf(beep, sizeof beep, "%s/beep.wav", folder);
    struct dt_wav_writer writer;
    int16_t samples[800];
    for (int i = 0; i < 800; i++)
        samples[i] = (int16_t)(i % 20 < 10 ? 9000 : -9000);
    assert_int_equal(dt_wav_create(&writer, beep, 8000, NULL), DT_OK);
    assert_int_equal(dt_wav_write(&writer, samples, 800, NULL), DT_OK);
    assert_int_equal(dt_wav_close(&writer, NULL), DT_OK);

    struct dt_speech *speech = open_speech("espeak", true);
    struct dt_speech_figures f;
    dt_speech_begin(speech);
    feed_in_pieces(speech, story);
    dt_speech_finish(speech);
    assert_true(dt_speech_wait(speech, -1));
    dt_speech_figures(speech, &f);
    assert_true(f.spoken == SENTENCES - 1 && f.failed == 1 && !f.off);
    assert_int_equal(notices.count, 1);
    assert_true(f.sound_seconds > 0.699 && f.sound_seconds < 0.701);
    dt_speech_close(speech);
}

static void test_player(void **state)
{
    (void)state;
    char body[512];
    struct dt_speech_figures f;
    // Everything goes through it, raw.
    snprintf(body, sizeof body, "echo \"$@\" >%s/arguments; exec cat >%s/raw", folder, folder);
    script("aplay", body);
    struct dt_speech *speech = open_speech("tones", false);
    dt_speech_begin(speech);
    feed_in_pieces(speech, story);
    dt_speech_finish(speech);
    assert_true(dt_speech_wait(speech, -1));
    dt_speech_figures(speech, &f);
    dt_speech_close(speech);
    char path[80], text[128] = "";
    struct stat info;
    snprintf(path, sizeof path, "%s/raw", folder);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal((int)(f.sound_seconds * 32000 + 0.5), (int)info.st_size);
    snprintf(path, sizeof path, "%s/arguments", folder);
    FILE *file = fopen(path, "r");
    assert_true(file && fgets(text, sizeof text, file) && fclose(file) == 0);
    assert_string_equal(text, "-q -t raw -f S16_LE -c 1 -r 16000\n");

    // No card, or a busy one: one line.
    script("aplay",
           "echo 'aplay: main:831: audio open error: Device or resource busy' >&2; exit 1");
    speech = open_speech("tones", false);
    dt_speech_begin(speech);
    for (int i = 0; i < 20; i++)
        feed_in_pieces(speech, story);
    dt_speech_finish(speech);
    assert_true(dt_speech_wait(speech, -1));
    dt_speech_figures(speech, &f);
    assert_int_equal(notices.count, 1);
    assert_non_null(strstr(notices.last, "no sound: aplay ended with code 1: aplay: main:831: "
                                         "audio open error: Device or resource busy"));
    assert_true(f.off);
    dt_speech_close(speech);
}

// Silence cuts off what the player holds, and neither it nor the voice is left.
static void test_silence(void **state)
{
    (void)state;
    char body[256];
    for (int round = 0; round < 3; round++) {
        snprintf(body, sizeof body, "echo $$ >%s/player%d; %s", folder, round,
                 round == 1 ? "trap '' INT TERM; sleep 1000" : "exec sleep 1000");
        script("aplay", body);
        struct dt_speech *speech = open_speech("tones", false);
        dt_speech_begin(speech);
        // Short: it waits for the player to end. Long: its pipe to the player is full.
        for (int i = 0; i < (round == 2 ? 1 : 40); i++)
            feed_in_pieces(speech, "A bird sang. ");
        dt_speech_finish(speech);
        snprintf(body, sizeof body, "player%d", round);
        int player = left_in(body);
        assert_true(player > 0);
        assert_false(is_gone(player));
        assert_false(dt_speech_wait(speech, 50));
        if (round == 0) {
            dt_speech_close(speech);
        } else {
            dt_speech_stop(speech);
            assert_true(dt_speech_wait(speech, -1));
        }
        assert_true(is_gone(player));
        assert_int_equal(notices.count, 0);
        if (round > 0)
            dt_speech_close(speech);
    }
}

static int set_up(void **state)
{
    (void)state;
    char path[sizeof real_path + 64];
    const char *root = getenv("DT_BUILD_ROOT");
    if (!mkdtemp(folder))
        return -1;
    snprintf(wav, sizeof wav, "%s/story.wav", folder);
    snprintf(real_path, sizeof real_path, "%s", getenv("PATH"));
    snprintf(path, sizeof path, "%s:%s", folder, real_path);
    setenv("PATH", path, 1);
    if (root)
        setenv("DUOTALE_MODULES", root, 1);
    script("espeak-ng", "exit 0");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),        cmocka_unit_test(test_never_waits),
        cmocka_unit_test(test_two_stories), cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_recovers),    cmocka_unit_test(test_player),
        cmocka_unit_test(test_silence),
    };
    return cmocka_run_group_tests_name("app: reading aloud", tests, set_up, tear_down);
}
