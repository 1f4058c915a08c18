// SPDX-License-Identifier: MIT
// flite: recorded American voices, softer than espeak-ng's and heavier (15 to 22 MB a sentence).
// One child process a sentence.
#include <stdio.h>
#include <string.h>

#include "abi/voice.h"

// The voices that Debian's flite has, with the mean pitch each was made at, in Hz: flite takes
// absolute ones.
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
             "needs the program flite, which is not installed (Debian: flite)");
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
                     "flite has no voice \"%s\"; there are slt, kal, kal16, awb and rms",
                     settings->variant);
            return DT_SPEECH_FAILED;
        }
    }
    struct flite *f = host->allocate(host->host, sizeof *f);
    if (!f) {
        snprintf(reason, reason_size, "no memory for a voice");
        return DT_SPEECH_FAILED;
    }
    f->host = host;
    f->voice = voices[chosen].name;
    // Its own speed is about 175 words a minute. No decimal comma here: the host's numbers are
    // written in the C locale.
    unsigned stretch = 175000u / (settings->words_per_minute ? settings->words_per_minute : 175);
    snprintf(f->stretch, sizeof f->stretch, "duration_stretch=%u.%03u", stretch / 1000,
             stretch % 1000);
    // 0 .. 100 is half to one and a half times its pitch.
    snprintf(f->pitch, sizeof f->pitch, "int_f0_target_mean=%u.0",
             voices[chosen].hertz * (50 + settings->pitch) / 100);
    *ctx = f;
    return DT_SPEECH_DONE;
}

static int say(void *ctx, const char *sentence, const struct dt_speech_sink *sink, char *reason,
               size_t reason_size)
{
    struct flite *f = ctx;
    // Given a file of text, flite writes a WAV by seeking in it, which a pipe cannot; given -t, it
    // writes one from front to back.
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
