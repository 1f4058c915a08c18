// SPDX-License-Identifier: MIT
#include "app/speech/listen.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "abi/voice.h"
#include "base/format.h"
#include "host/clock.h"
#include "host/audio/sound.h"
#include "host/audio/voices.h"
#include "host/audio/wav.h"

#define MOST_SECONDS 30

void dt_listen_sentence(char *text, size_t size)
{
    static const char *const questions[] = {"can ",  "could ", "will ", "would ", "do ",
                                            "what ", "who ",   "why ",  "how ",   "where "};
    size_t n = strlen(text);
    if (n == 0)
        return;
    const char *end = ".";
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++)
        if (strncmp(text, questions[i], strlen(questions[i])) == 0)
            end = "?";
    for (size_t i = 0; i < n; i++) { // "i" and "i'm"
        bool alone = text[i] == 'i' && (i == 0 || text[i - 1] == ' ') &&
                     (text[i + 1] == '\0' || text[i + 1] == ' ' || text[i + 1] == '\'');
        if (alone)
            text[i] = 'I';
    }
    if (text[0] >= 'a' && text[0] <= 'z')
        text[0] = (char)(text[0] - 'a' + 'A');
    if (n + 2 <= size)
        memcpy(text + n, end, 2);
}

static dt_status get_sound(const struct dt_listen_options *o, int16_t **samples, size_t *count,
                           struct dt_listen_figures *figures, struct dt_error *err)
{
    if (o->wav_path) {
        struct dt_wav_format format;
        dt_status status = dt_wav_read(o->wav_path, DT_EAR_RATE, MOST_SECONDS, samples, count,
                                       &format, &figures->cut, err);
        if (status == DT_OK)
            figures->converted =
                format.rate != DT_EAR_RATE || format.channels != 1 || format.bits != 16;
        return status;
    }
    const struct dt_record_options record = {
        .device = o->device,
        .until_stopped = o->push_to_talk,
        .enough = o->enough,
        .stop = o->stop,
    };
    return dt_record(&record, samples, count, err);
}

dt_status dt_listen(const struct dt_listen_options *o, char *text, size_t text_size,
                    struct dt_listen_figures *out, struct dt_error *err)
{
    struct dt_listen_figures figures = {0};
    struct dt_voices *voices = NULL;
    const struct dt_voice_info *info;
    const char *variant;
    struct dt_speech_context context;
    void *ctx = NULL;
    int16_t *samples = NULL;
    size_t count = 0;
    char reason[512] = "";

    text[0] = '\0';
    dt_speech_context_init(&context, o->stop);
    dt_status status = dt_voices_new(&voices, err);
    if (status == DT_OK)
        status =
            dt_voices_choose(voices, DT_SPEECH_EAR, o->ear ? o->ear : "auto", &info, &variant, err);
    if (status != DT_OK)
        goto out;
    struct dt_ear_settings settings = {.size = sizeof settings, .mode = DT_EAR_AUTO};
    if (strcmp(variant, "request") == 0) {
        settings.mode = DT_EAR_REQUEST;
    } else if (strcmp(variant, "free") == 0) {
        settings.mode = DT_EAR_FREE;
    } else if (*variant) {
        status = dt_error_set(
            err, DT_USAGE, NULL,
            "speech recognition has the variants \"request\" and \"free\" (got \"%s\")", variant);
        goto out;
    }
    dt_format(figures.ear, sizeof figures.ear, "%s%s%s", info->name, *variant ? ":" : "", variant);
    status = get_sound(o, &samples, &count, &figures, err);
    if (status != DT_OK)
        goto out;
    figures.sound_seconds = (double)count / DT_EAR_RATE;

    uint64_t begin = dt_clock_ns();
    int result = info->module->ear->open(&context.services, &settings, &ctx, reason, sizeof reason);
    if (result == DT_SPEECH_DONE) {
        result =
            info->module->ear->hear(ctx, samples, count, text, text_size, reason, sizeof reason);
        if (info->module->ear->close)
            info->module->ear->close(ctx);
    }
    figures.seconds = (double)(dt_clock_ns() - begin) * 1e-9;
    figures.cpu_seconds = (double)atomic_load(&context.cpu_ns) * 1e-9;
    if (result == DT_SPEECH_CANCELLED)
        status = dt_error_set(err, DT_CANCELLED, NULL, "listening was cancelled");
    else if (result != DT_SPEECH_DONE)
        status = dt_error_set(err, DT_FAILED, o->wav_path, "speech recognition failed: %s", reason);
    else
        dt_listen_sentence(text, text_size);
out:
    if (status != DT_OK)
        text[0] = '\0';
    free(samples);
    dt_voices_free(voices);
    if (out)
        *out = figures;
    return status;
}

// ---- on a thread ----

struct dt_listener {
    struct dt_listen_options options;
    char *ear, *wav_path, *device;
    struct dt_stop enough, stop;
    pthread_t thread;
    void (*done)(void *arg, dt_status status, const char *text,
                 const struct dt_listen_figures *figures, const struct dt_error *err);
    void *arg;
};

static void *listen_apart(void *arg)
{
    struct dt_listener *l = arg;
    char text[512];
    struct dt_listen_figures figures;
    struct dt_error err = {0};
    dt_status status = dt_listen(&l->options, text, sizeof text, &figures, &err);
    if (!atomic_load(&l->stop.set))
        l->done(l->arg, status, text, &figures, &err);
    return NULL;
}

static void destroy(struct dt_listener *l)
{
    dt_stop_free(&l->enough);
    dt_stop_free(&l->stop);
    free(l->ear);
    free(l->wav_path);
    free(l->device);
    free(l);
}

dt_status dt_listener_start(struct dt_listener **out, const struct dt_listen_options *options,
                            void (*done)(void *arg, dt_status status, const char *text,
                                         const struct dt_listen_figures *figures,
                                         const struct dt_error *err),
                            void *arg, struct dt_error *err)
{
    struct dt_listener *l = calloc(1, sizeof *l);
    *out = NULL;
    if (!l)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory to listen");
    l->enough.fd = l->stop.fd = -1;
    l->ear = options->ear ? strdup(options->ear) : NULL;
    l->wav_path = options->wav_path ? strdup(options->wav_path) : NULL;
    l->device = options->device ? strdup(options->device) : NULL;
    l->options = *options;
    l->options.ear = l->ear;
    l->options.wav_path = l->wav_path;
    l->options.device = l->device;
    l->options.enough = &l->enough;
    l->options.stop = &l->stop;
    l->done = done;
    l->arg = arg;
    dt_status status = dt_stop_init(&l->enough, err);
    if (status == DT_OK)
        status = dt_stop_init(&l->stop, err);
    if (status == DT_OK && pthread_create(&l->thread, NULL, listen_apart, l) != 0)
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "the thread that listens cannot be started");
    if (status != DT_OK) {
        destroy(l);
        return status;
    }
    *out = l;
    return DT_OK;
}

void dt_listener_enough(struct dt_listener *l)
{
    dt_stop_set(&l->enough);
}

void dt_listener_free(struct dt_listener *l)
{
    if (!l)
        return;
    dt_stop_set(&l->stop);
    pthread_join(l->thread, NULL);
    destroy(l);
}
