// SPDX-License-Identifier: MIT
// A complete voice built out of tree: one short note for each word.
//
//     cc -std=c11 -O2 -shared -fPIC $(pkg-config --cflags duotale) -o voice-bell.so bell.c
//     DUOTALE_MODULES=$PWD duotale run --speak-to story.wav --voice bell
#include <duotale/voice.h>

enum { rate = 8000, length = rate / 8 };

struct bell {
    const struct dt_speech_host *host;
    int16_t note[length];
};

static int probe(const struct dt_speech_host *host, char *reason, size_t reason_size)
{
    (void)host;
    (void)reason;
    (void)reason_size;
    return 1; // works everywhere; used only if named
}

static int open_bell(const struct dt_speech_host *host, const struct dt_voice_settings *settings,
                     void **ctx, char *reason, size_t reason_size)
{
    static const char message[] = "bell: no memory for a note; close other programs";
    struct bell *bell = host->allocate(host->host, sizeof *bell);
    if (!bell) {
        for (size_t i = 0; i < reason_size; i++)
            reason[i] = i + 1 < reason_size && i < sizeof message ? message[i] : '\0';
        return DT_SPEECH_FAILED;
    }
    bell->host = host;
    int period = 20 - (int)(settings->pitch < 100 ? settings->pitch : 100) / 10; // in samples
    for (int i = 0; i < length; i++)
        bell->note[i] = (int16_t)((i % period < period / 2 ? 6000 : -6000) * (length - i) / length);
    *ctx = bell;
    return DT_SPEECH_DONE;
}

static int say(void *ctx, const char *sentence, const struct dt_speech_sink *sink, char *reason,
               size_t reason_size)
{
    struct bell *bell = ctx;
    (void)reason;
    (void)reason_size;
    for (const char *p = sentence; *p; p++) {
        if (*p == ' ' || (p != sentence && p[-1] != ' '))
            continue; // not the first letter of a word
        int result = sink->play(sink->arg, rate, bell->note, length);
        if (result != DT_SPEECH_DONE)
            return result;
    }
    return DT_SPEECH_DONE;
}

static void close_bell(void *ctx)
{
    struct bell *bell = ctx;
    bell->host->release(bell->host->host, bell);
}

static const struct dt_voice voice = {
    .size = sizeof voice,
    .open = open_bell,
    .say = say,
    .close = close_bell,
};

DT_SPEECH_EXPORT(bell) = {
    .abi = DT_SPEECH_ABI,
    .size = sizeof(struct dt_speech_module),
    .kind = DT_SPEECH_VOICE,
    .name = "bell",
    .description = "one short note for each word: an example of a voice built out of tree",
    .probe = probe,
    .voice = &voice,
};
