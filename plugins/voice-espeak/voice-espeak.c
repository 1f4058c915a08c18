// SPDX-License-Identifier: MIT
// A voice with espeak-ng. Each sentence is one child process: it starts so fast that a permanent
// one would only occupy memory between sentences.
#include <stdio.h>
#include <string.h>

#include "abi/voice.h"

struct espeak {
    const struct dt_speech_host *host;
    const char *program;
    char speed[12], pitch[12], voice[64];
};

static const char *find(const struct dt_speech_host *host)
{
    static const char *const names[] = {"espeak-ng", "espeak"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (host->find_program(host->host, names[i], NULL, 0))
            return names[i];
    return NULL;
}

static int probe(const struct dt_speech_host *host, char *reason, size_t reason_size)
{
    if (find(host))
        return 20;
    snprintf(reason, reason_size,
             "needs espeak-ng, which is not installed; install it (Debian: espeak-ng)");
    return 0;
}

static int run(struct espeak *e, const char *text, size_t n, const struct dt_speech_sink *sink,
               char *reason, size_t reason_size)
{
    const char *argv[] = {e->program, "-v",     e->voice,  "-s",       e->speed,
                          "-p",       e->pitch, "--stdin", "--stdout", NULL};
    struct dt_speech_child child = {
        .size = sizeof child,
        .output = DT_SPEECH_OUTPUT_WAV,
        .argv = argv,
        .input = text,
        .input_length = n,
        .sink = sink,
    };
    return e->host->run(e->host->host, &child, reason, reason_size);
}

static int drop(void *arg, uint32_t rate, const int16_t *samples, size_t n)
{
    (void)arg, (void)rate, (void)samples, (void)n;
    return DT_SPEECH_DONE;
}

static int open_voice(const struct dt_speech_host *host, const struct dt_voice_settings *settings,
                      void **ctx, char *reason, size_t reason_size)
{
    const char *variant = settings->variant;
    // espeak opens a file of this name: no path may leave its folder
    if (strlen(variant) >= sizeof((struct espeak *)0)->voice ||
        variant[strspn(variant,
                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_")]) {
        snprintf(
            reason, reason_size,
            "espeak-ng voice \"%s\": not a valid name; use en-us, en-gb, en-us+f3 or another of "
            "espeak-ng --voices",
            variant);
        return DT_SPEECH_FAILED;
    }
    struct espeak *e = host->allocate(host->host, sizeof *e);
    if (!e) {
        snprintf(reason, reason_size, "no memory for the voice (%zu bytes); close other programs",
                 sizeof *e);
        return DT_SPEECH_FAILED;
    }
    e->host = host;
    e->program = find(host);
    snprintf(e->voice, sizeof e->voice, "%s", *variant ? variant : "en-us");
    snprintf(e->speed, sizeof e->speed, "%u", settings->words_per_minute);
    snprintf(e->pitch, sizeof e->pitch, "%u", settings->pitch > 99 ? 99 : settings->pitch);
    if (*variant) { // only espeak can check it
        const struct dt_speech_sink nowhere = {.size = sizeof nowhere, .play = drop};
        char why[256];
        int result = run(e, "a\n", 2, &nowhere, why, sizeof why);
        if (result != DT_SPEECH_DONE) {
            snprintf(reason, reason_size,
                     "espeak-ng has no voice \"%s\" (%s); espeak-ng --voices lists them", variant,
                     why);
            host->release(host->host, e);
            return result;
        }
    }
    *ctx = e;
    return DT_SPEECH_DONE;
}

static int say(void *ctx, const char *sentence, const struct dt_speech_sink *sink, char *reason,
               size_t reason_size)
{
    struct espeak *e = ctx;
    char text[1024];
    size_t n = 0;
    for (; sentence[n] && n + 2 < sizeof text; n++) {
        char c = sentence[n];
        // "[[" starts phonemes
        text[n] = c == '[' ? '(' : c == ']' ? ')' : c;
    }
    text[n++] = '\n';
    return run(e, text, n, sink, reason, reason_size);
}

static void close_voice(void *ctx)
{
    struct espeak *e = ctx;
    e->host->release(e->host->host, e);
}

static const struct dt_voice voice = {
    .size = sizeof voice,
    .open = open_voice,
    .say = say,
    .close = close_voice,
};

DT_SPEECH_EXPORT(voice_espeak) = {
    .abi = DT_SPEECH_ABI,
    .size = sizeof(struct dt_speech_module),
    .kind = DT_SPEECH_VOICE,
    .name = "espeak",
    .description = "espeak-ng; variants are its voices: espeak:en-gb, espeak:en-us+f3",
    .probe = probe,
    .voice = &voice,
};
