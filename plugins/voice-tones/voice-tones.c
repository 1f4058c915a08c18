// SPDX-License-Identifier: MIT
// A voice for tests: one tone for each word. The length depends on its syllables, the pitch on its
// letters. It needs no engine and gives the same samples everywhere. The variants slow, fail and
// hang behave as faulty voices do.
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "abi/voice.h"

enum { RATE = 16000 };

enum variant { PLAIN, SLOW, FAIL, HANG };

struct tones {
    const struct dt_speech_host *host;
    enum variant variant;
    uint32_t syllable; // samples
    double hertz;
    int16_t samples[RATE * 2];
};

static int probe(const struct dt_speech_host *host, char *reason, size_t reason_size)
{
    (void)host, (void)reason, (void)reason_size;
    return 1; // used only if named
}

static int open_voice(const struct dt_speech_host *host, const struct dt_voice_settings *settings,
                      void **ctx, char *reason, size_t reason_size)
{
    static const char *const names[] = {"", "slow", "fail", "hang"};
    size_t variant = 0;
    while (variant < 4 && strcmp(names[variant], settings->variant) != 0)
        variant++;
    struct tones *t = variant < 4 ? host->allocate(host->host, sizeof *t) : NULL;
    if (!t) {
        snprintf(reason, reason_size,
                 variant < 4 ? "no memory for the voice; close other programs"
                             : "tones has no variant \"%s\"; use slow, fail or hang",
                 settings->variant);
        return DT_SPEECH_FAILED;
    }
    t->host = host;
    t->variant = (enum variant)variant;
    t->syllable = RATE * 40 / settings->words_per_minute; // 1.5 syllables for each word
    t->hertz = 220.0 + 4.0 * settings->pitch;
    *ctx = t;
    return DT_SPEECH_DONE;
}

// Sleeps until the time is over or the speech is cancelled.
static int wait_for(struct tones *t, int milliseconds)
{
    const struct timespec step = {0, 5000000};
    for (; milliseconds > 0; milliseconds -= 5) {
        if (t->host->cancelled(t->host->host))
            return DT_SPEECH_CANCELLED;
        nanosleep(&step, NULL);
    }
    return DT_SPEECH_DONE;
}

static int is_vowel(char c)
{
    return c && strchr("aeiouyAEIOUY", c) != NULL;
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (unsigned char)c >= 0x80;
}

static int play_tone(struct tones *t, uint32_t length, double hertz,
                     const struct dt_speech_sink *sink)
{
    const double pi = 3.14159265358979323846;
    uint32_t most = sizeof t->samples / sizeof t->samples[0];
    length = length < most ? length : most;
    for (uint32_t i = 0; i < length; i++) {
        // fades in and out over 5 ms, to avoid clicks
        uint32_t edge = i < length - i ? i : length - i;
        double fade = edge < 80 ? edge / 80.0 : 1.0;
        t->samples[i] = (int16_t)(hertz > 0 ? 8000.0 * fade * sin(2 * pi * hertz * i / RATE) : 0);
    }
    return sink->play(sink->arg, RATE, t->samples, length);
}

static int say(void *ctx, const char *sentence, const struct dt_speech_sink *sink, char *reason,
               size_t reason_size)
{
    struct tones *t = ctx;
    int result = DT_SPEECH_DONE;
    if (t->variant == FAIL) {
        snprintf(reason, reason_size, "tones: the variant fail always fails; use another one");
        return DT_SPEECH_FAILED;
    }
    if (t->variant == HANG) // until the speech is cancelled
        return wait_for(t, 1000000);
    if (t->variant == SLOW)
        result = wait_for(t, 300);
    for (const char *p = sentence; *p && result == DT_SPEECH_DONE;) {
        uint32_t syllables = 0, letters = 0;
        for (; is_letter(*p); p++) {
            syllables += is_vowel(*p) && (letters == 0 || !is_vowel(p[-1]));
            letters += (unsigned char)*p % 13u + 1;
        }
        if (letters > 0)
            result = play_tone(t, t->syllable * (syllables ? syllables : 1),
                               t->hertz + letters % 29 * 8, sink);
        while (*p && !is_letter(*p) && result == DT_SPEECH_DONE) {
            uint32_t pause = *p == '.' || *p == '!' || *p == '?' ? 2
                             : *p == ',' || *p == ';'            ? 1
                                                                 : 0;
            if (pause)
                result = play_tone(t, t->syllable * pause, 0, sink);
            p++;
        }
    }
    return result;
}

static void close_voice(void *ctx)
{
    struct tones *t = ctx;
    t->host->release(t->host->host, t);
}

static const struct dt_voice voice = {
    .size = sizeof voice,
    .open = open_voice,
    .say = say,
    .close = close_voice,
};

DT_SPEECH_EXPORT(voice_tones) = {
    .abi = DT_SPEECH_ABI,
    .size = sizeof(struct dt_speech_module),
    .kind = DT_SPEECH_VOICE,
    .name = "tones",
    .description = "one tone for each word, for tests; needs no engine",
    .probe = probe,
    .voice = &voice,
};
