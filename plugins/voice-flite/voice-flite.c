// SPDX-License-Identifier: MIT
// A voice with flite: recorded American voices, which need more memory than espeak-ng's. Each
// sentence is one child process.
#include <stdio.h>
#include <string.h>

#include "abi/voice.h"

// The voices of Debian's flite, and the mean pitch of each in Hz, as flite's option is in Hz.
static const struct {
    const char *name;
    unsigned hertz;
} voices[] = {
    {"slt", 170}, {"kal", 105}, {"kal16", 105}, {"awb", 120}, {"rms", 95},
};

struct flite {
    const struct dt_speech_host *host;
    const char *voice;
    char stretch[40], pitch[40];
};

static int probe(const struct dt_speech_host *host, char *reason, size_t reason_size)
{
    if (host->find_program(host->host, "flite", NULL, 0))
        return 10;
    snprintf(reason, reason_size,
             "needs flite, which is not installed; install it (Debian: flite)");
    return 0;
}

static int open_voice(const struct dt_speech_host *host, const struct dt_voice_settings *settings,
                      void **ctx, char *reason, size_t reason_size)
{
    size_t chosen = 0, count = sizeof voices / sizeof voices[0];
    if (*settings->variant) {
        while (chosen < count && strcmp(voices[chosen].name, settings->variant) != 0)
            chosen++;
        if (chosen == count) {
            snprintf(reason, reason_size,
                     "flite has no voice \"%s\"; use slt, kal, kal16, awb or rms",
                     settings->variant);
            return DT_SPEECH_FAILED;
        }
    }
    struct flite *f = host->allocate(host->host, sizeof *f);
    if (!f) {
        snprintf(reason, reason_size, "no memory for the voice (%zu bytes); close other programs",
                 sizeof *f);
        return DT_SPEECH_FAILED;
    }
    f->host = host;
    f->voice = voices[chosen].name;
    // flite's normal speed is about 175 words per minute. Formats integers, so that the locale's
    // decimal comma does not matter.
    unsigned stretch = 175000u / (settings->words_per_minute ? settings->words_per_minute : 175);
    snprintf(f->stretch, sizeof f->stretch, "duration_stretch=%u.%03u", stretch / 1000,
             stretch % 1000);
    // 0 to 100 is 0.5 to 1.5 times the normal pitch
    snprintf(f->pitch, sizeof f->pitch, "int_f0_target_mean=%u.0",
             voices[chosen].hertz * (50 + settings->pitch) / 100);
    *ctx = f;
    return DT_SPEECH_DONE;
}

static int say(void *ctx, const char *sentence, const struct dt_speech_sink *sink, char *reason,
               size_t reason_size)
{
    struct flite *f = ctx;
    // with a text file, flite seeks in its output, which a pipe cannot; with -t it does not
    const char *argv[] = {"flite",  "-voice", f->voice, "--setf", f->stretch,       "--setf",
                          f->pitch, "-t",     sentence, "-o",     DT_SPEECH_STDOUT, NULL};
    struct dt_speech_child child = {
        .size = sizeof child,
        .output = DT_SPEECH_OUTPUT_WAV,
        .argv = argv,
        .sink = sink,
    };
    return f->host->run(f->host->host, &child, reason, reason_size);
}

static void close_voice(void *ctx)
{
    struct flite *f = ctx;
    f->host->release(f->host->host, f);
}

static const struct dt_voice voice = {
    .size = sizeof voice,
    .open = open_voice,
    .say = say,
    .close = close_voice,
};

DT_SPEECH_EXPORT(voice_flite) = {
    .abi = DT_SPEECH_ABI,
    .size = sizeof(struct dt_speech_module),
    .kind = DT_SPEECH_VOICE,
    .name = "flite",
    .description = "flite; variants are its voices: flite:slt, flite:kal, flite:awb, flite:rms",
    .probe = probe,
    .voice = &voice,
};
