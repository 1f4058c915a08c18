// SPDX-License-Identifier: MIT
#include "app/speech/speech.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/format.h"
#include "base/sentence.h"
#include "host/clock.h"
#include "host/audio/sound.h"
#include "host/audio/voices.h"

#define QUEUE_BYTES 32768
// The voice and its thread here use the CPU time that generation leaves: with niceness 8 an eighth
// of a busy core, for the first sentence, which the user waits for; with 10 a tenth, which is
// enough for espeak-ng on a slow board. A file may take any time.
#define NICENESS_FIRST 8
#define NICENESS       10
#define NICENESS_FILE  19
// After so many failed sentences in a row the voice is turned off.
#define FAILURES 3
// Marks in the queue: no sentence has control characters.
#define END_OF_STORY '\x01'
#define NEW_STORY    '\x02' // from here on the figures are those of the story begun last

struct usage {
    uint64_t children_ns, thread_ns; // CPU time
    uint64_t sound_ns;               // made so far
};

struct dt_speech {
    struct dt_voices *voices;
    const struct dt_voice *voice;
    void *ctx;
    struct dt_speech_context context;
    struct dt_stop own_stop, *stop;
    struct dt_sound sound;          // the thread's
    char *spec, *wav_path, *device; // copies
    void (*notice)(void *arg, const char *line);
    void (*changed)(void *arg, const struct dt_speech_figures *figures);
    void *arg;
    uint32_t words_per_minute;
    pthread_t thread;
    bool have_thread;
    int niceness; // of the thread, above the program's

    pthread_mutex_t lock; // of everything below
    pthread_cond_t wake, idle;
    struct dt_sentence splitter;
    char queue[QUEUE_BYTES]; // NUL-terminated sentences
    size_t queued;
    uint32_t waiting_ms; // estimate for what is queued
    bool busy;           // the thread works on a sentence, or the player still plays
    bool forgotten;      // a stop has emptied the queue; what is in it now came later
    bool behind;         // it still speaks the story before the one begun last
    bool muted, output, quit, off;
    uint64_t begin_ns, begin_cpu_ns;
    struct usage now, before; // of the voice: as of the last look, and when the story began
    struct dt_speech_figures figures;
};

// ---- the voice's thread ----

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0
               ? (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec
               : 0;
}

// Updates the voice's usage. On its thread; the lock is held.
static void look(struct dt_speech *s)
{
    s->now.children_ns = atomic_load(&s->context.cpu_ns) + s->sound.cpu_ns;
    s->now.thread_ns = thread_cpu_ns();
    s->now.sound_ns = s->sound.duration_ns;
}

// Called by the voice with samples.
static int play(void *arg, uint32_t rate, const int16_t *samples, size_t n)
{
    struct dt_speech *s = arg;
    struct dt_error err = {0};
    dt_status status = dt_sound_write(&s->sound, rate, samples, n, &err);
    pthread_mutex_lock(&s->lock);
    if (status == DT_OK && !s->figures.first_sound_ns && !s->behind)
        s->figures.first_sound_ns = dt_clock_ns() - s->begin_ns;
    look(s);
    bool report = status != DT_OK && status != DT_CANCELLED && !s->off;
    s->off = s->off || report;
    pthread_mutex_unlock(&s->lock);
    if (report && s->notice) { // the sound device or the file failed
        char line[900];
        char text[768];
        dt_format(line, sizeof line, "%s; the story continues as text only",
                  dt_error_line(&err, text, sizeof text));
        s->notice(s->arg, line);
    }
    return status == DT_OK          ? DT_SPEECH_DONE
           : status == DT_CANCELLED ? DT_SPEECH_CANCELLED
                                    : DT_SPEECH_FAILED;
}

// The end of a story: waits until the player has played all of it.
static void drain(struct dt_speech *s)
{
    struct dt_error err = {0};
    char line[900], text[768];
    dt_status status = dt_sound_drain(&s->sound, &err);
    if (status == DT_OK || status == DT_CANCELLED)
        return;
    pthread_mutex_lock(&s->lock);
    bool report = !s->off;
    s->off = true;
    pthread_mutex_unlock(&s->lock);
    dt_format(line, sizeof line, "%s; the story continues as text only",
              dt_error_line(&err, text, sizeof text));
    if (report && s->notice)
        s->notice(s->arg, line);
}

// Says one sentence and counts what became of it. failures: in a row, so far.
static void say(struct dt_speech *s, const char *sentence, uint32_t *failures)
{
    const struct dt_speech_sink sink = {.size = sizeof sink, .arg = s, .play = play};
    char reason[512] = "", line[700];
    pthread_mutex_lock(&s->lock);
    bool waited_for = !s->figures.first_sound_ns && !s->behind;
    s->context.nice = (waited_for    ? NICENESS_FIRST
                       : s->wav_path ? NICENESS_FILE
                                     : NICENESS) -
                      s->niceness;
    pthread_mutex_unlock(&s->lock);
    int result = s->voice->say(s->ctx, sentence, &sink, reason, sizeof reason);
    bool given_up = false, report = false;

    pthread_mutex_lock(&s->lock);
    if (result == DT_SPEECH_DONE) {
        s->figures.spoken += !s->behind;
        *failures = 0;
    } else if (result != DT_SPEECH_CANCELLED) {
        s->figures.failed += !s->behind;
        ++*failures;
        given_up = s->context.hung || *failures >= FAILURES;
        report = !s->off && (*failures == 1 || given_up) && reason[0];
        s->off = s->off || given_up;
    }
    pthread_mutex_unlock(&s->lock);
    if (!report || !s->notice || (*failures > 1 && !s->context.hung))
        return; // the first failure was reported; the third only turns the voice off
    dt_format(line, sizeof line, "the voice failed: %s; %s", reason,
              given_up ? "the story continues as text only"
                       : "it is tried again with the next sentence");
    s->notice(s->arg, line);
}

// Removes the first sentence from the queue. The lock is held.
static void remove_first(struct dt_speech *s, char sentence[DT_SENTENCE_MAX + 1])
{
    size_t n = strlen(s->queue) + 1;
    memcpy(sentence, s->queue, n);
    memmove(s->queue, s->queue + n, s->queued - n);
    s->queued -= n;
    if (sentence[0] != END_OF_STORY && sentence[0] != NEW_STORY) {
        uint32_t ms = dt_sentence_milliseconds(sentence, n - 1, s->words_per_minute);
        s->waiting_ms -= ms < s->waiting_ms ? ms : s->waiting_ms;
        s->figures.waiting -= s->figures.waiting > 0;
    }
}

// Drops what waits and what is fed before the next story. The lock is held.
static void forget(struct dt_speech *s)
{
    s->muted = true;
    s->queued = 0;
    s->waiting_ms = 0;
    s->figures.waiting = 0;
    memset(&s->splitter, 0, sizeof s->splitter);
    s->behind = false;
}

// Without the lock.
static void signal_change(struct dt_speech *s)
{
    struct dt_speech_figures figures;
    if (!s->changed)
        return;
    dt_speech_figures(s, &figures);
    s->changed(s->arg, &figures);
}

static void *speak(void *arg)
{
    struct dt_speech *s = arg;
    char sentence[DT_SENTENCE_MAX + 1];
    uint32_t failures = 0;
    s->niceness = dt_child_lower(NICENESS_FIRST) ? NICENESS_FIRST : 0;
    pthread_mutex_lock(&s->lock);
    while (!s->quit) {
        if (atomic_load(&s->stop->set)) {
            pthread_mutex_unlock(&s->lock);
            dt_sound_silence(&s->sound);
            pthread_mutex_lock(&s->lock);
            if (!s->forgotten) // by the stop alone
                forget(s);
            s->forgotten = false;
            dt_stop_clear(s->stop);
            failures = 0;
            continue;
        }
        if (s->queued == 0) {
            bool was_busy = s->busy;
            s->busy = false;
            look(s);
            pthread_cond_broadcast(&s->idle);
            if (was_busy) {
                pthread_mutex_unlock(&s->lock);
                signal_change(s);
                pthread_mutex_lock(&s->lock);
            } else {
                pthread_cond_wait(&s->wake, &s->lock);
            }
            continue;
        }
        s->busy = true;
        remove_first(s, sentence);
        bool off = s->off;
        if (sentence[0] == NEW_STORY) {
            look(s);
            s->before = s->now;
            s->behind = false;
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        signal_change(s);
        if (sentence[0] == END_OF_STORY)
            drain(s);
        else if (!off)
            say(s, sentence, &failures);
        pthread_mutex_lock(&s->lock);
        if (sentence[0] == END_OF_STORY && s->output && !s->behind && !s->figures.silent_ns)
            s->figures.silent_ns = dt_clock_ns() - s->begin_ns;
    }
    s->busy = false;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
    dt_sound_silence(&s->sound);
    return NULL;
}

// ---- feeding ----

// Appends a sentence or a mark. The lock is held. False if the queue is full.
static bool append(struct dt_speech *s, const char *sentence)
{
    size_t n = strlen(sentence) + 1;
    // The last 256 bytes are for marks.
    size_t capacity =
        sentence[0] == END_OF_STORY || sentence[0] == NEW_STORY ? QUEUE_BYTES : QUEUE_BYTES - 256;
    if (s->queued + n > capacity)
        return false;
    memcpy(s->queue + s->queued, sentence, n);
    s->queued += n;
    pthread_cond_signal(&s->wake);
    return true;
}

// The lock is held. Returns whether this is the first sentence that did not fit.
static bool enqueue(struct dt_speech *s, const char *sentence)
{
    struct dt_speech_figures *f = &s->figures;
    if (f->sentences++ == 0)
        f->first_sentence_ns = dt_clock_ns() - s->begin_ns;
    if (!append(s, sentence))
        return f->dropped++ == 0;
    f->waiting++;
    s->waiting_ms += dt_sentence_milliseconds(sentence, strlen(sentence), s->words_per_minute);
    return false;
}

void dt_speech_begin(struct dt_speech *s)
{
    pthread_mutex_lock(&s->lock);
    if (atomic_load(&s->stop->set)) { // it concerns what came before
        forget(s);
        s->forgotten = s->busy;
        if (!s->busy)
            dt_stop_clear(s->stop);
    }
    uint32_t waiting = s->figures.waiting;
    char voice[sizeof s->figures.voice];
    memcpy(voice, s->figures.voice, sizeof voice);
    memset(&s->figures, 0, sizeof s->figures);
    memcpy(s->figures.voice, voice, sizeof voice);
    memset(&s->splitter, 0, sizeof s->splitter);
    s->figures.waiting = waiting;
    s->muted = s->output = false;
    s->begin_ns = dt_clock_ns();
    s->begin_cpu_ns = dt_clock_cpu_ns();
    s->before = s->now;
    static const char mark[] = {NEW_STORY, '\0'};
    s->behind = (s->busy || s->queued > 0) && append(s, mark);
    pthread_mutex_unlock(&s->lock);
}

void dt_speech_feed(struct dt_speech *s, const char *text, size_t n)
{
    bool full = false;
    pthread_mutex_lock(&s->lock);
    while (n > 0 && !s->muted && !s->off) {
        bool complete;
        size_t took = dt_sentence_push(&s->splitter, text, n, &complete);
        text += took;
        n -= took;
        if (complete)
            full = enqueue(s, s->splitter.sentence) || full;
    }
    pthread_mutex_unlock(&s->lock);
    if (full && s->notice)
        s->notice(s->arg,
                  "the voice is half an hour behind the story: sentences that do not fit into "
                  "its queue are not read");
}

void dt_speech_finish(struct dt_speech *s)
{
    static const char end[] = {END_OF_STORY, '\0'};
    pthread_mutex_lock(&s->lock);
    if (!s->muted && !s->output) {
        s->output = true;
        s->figures.output_ns = dt_clock_ns() - s->begin_ns;
        if (dt_sentence_flush(&s->splitter) && !s->off)
            enqueue(s, s->splitter.sentence);
        append(s, end);
    }
    pthread_mutex_unlock(&s->lock);
}

void dt_speech_stop(struct dt_speech *s)
{
    pthread_mutex_lock(&s->lock);
    forget(s);
    s->forgotten = true;
    s->busy = true; // until the thread has silenced the player, which may still have sound
    dt_stop_set(s->stop);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

bool dt_speech_wait(struct dt_speech *s, int milliseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    int result = 0;
    pthread_mutex_lock(&s->lock);
    while ((s->busy || s->queued > 0) && result == 0)
        result = milliseconds < 0 ? pthread_cond_wait(&s->idle, &s->lock)
                                  : pthread_cond_timedwait(&s->idle, &s->lock, &until);
    bool silent = !s->busy && s->queued == 0;
    pthread_mutex_unlock(&s->lock);
    return silent;
}

void dt_speech_figures(struct dt_speech *s, struct dt_speech_figures *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->figures;
    out->waiting_seconds = (s->waiting_ms + 500) / 1000;
    out->speaking = s->busy || s->queued > 0;
    out->off = s->off;
    uint64_t children = s->now.children_ns - s->before.children_ns;
    uint64_t voice = children + s->now.thread_ns - s->before.thread_ns;
    out->sound_seconds = (double)(s->now.sound_ns - s->before.sound_ns) * 1e-9;
    out->voice_cpu_seconds = (double)voice * 1e-9;
    // The time of the process includes the voice's thread, but not its children.
    uint64_t all = dt_clock_cpu_ns() - s->begin_cpu_ns + children;
    if (all < voice) // the voice's thread also counts what it used before the story began
        all = voice;
    out->cpu_share = all > 0 ? (double)voice / (double)all : 0;
    out->real_time_factor =
        out->sound_seconds > 0 ? out->voice_cpu_seconds / out->sound_seconds : 0;
    pthread_mutex_unlock(&s->lock);
}

const char *dt_speech_line(const struct dt_speech_figures *f, char *out, size_t size)
{
    size_t n = dt_format(out, size, "voice %s: ", f->voice);
    if (!f->first_sound_ns) {
        n = n < size ? n : size;
        dt_format(out + n, size - n, "nothing spoken%s", f->off ? " (it failed)" : "");
        return out;
    }
    double first = (double)f->first_sound_ns * 1e-9, sentence = (double)f->first_sentence_ns * 1e-9;
    n += dt_format(out + n, size - n,
                   "first sound after %.3f s (%.3f s after the first sentence), %u of %u "
                   "sentences, %.1f s of sound, "
                   "real-time factor %.4f, %.1f %% of the CPU time",
                   first, first - sentence, f->spoken, f->sentences, f->sound_seconds,
                   f->real_time_factor, f->cpu_share * 100);
    if (n < size && f->dropped)
        dt_format(out + n, size - n, ", %u skipped", f->dropped);
    return out;
}

// ---- opening and closing ----

static char *copy(const char *text)
{
    return text && *text ? strdup(text) : NULL;
}

static void destroy(struct dt_speech *s)
{
    if (s->ctx && s->voice->close)
        s->voice->close(s->ctx);
    dt_sound_close(&s->sound, NULL);
    dt_voices_free(s->voices);
    dt_stop_free(&s->own_stop);
    pthread_cond_destroy(&s->idle);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s->spec);
    free(s->wav_path);
    free(s->device);
    free(s);
}

static dt_status open_voice(struct dt_speech *s, const struct dt_speech_options *o,
                            struct dt_error *err)
{
    const struct dt_voice_info *info;
    const char *variant;
    char reason[512] = "";
    dt_status status = dt_voices_new(&s->voices, err);
    if (status == DT_OK)
        status = dt_voices_choose(s->voices, DT_SPEECH_VOICE, s->spec ? s->spec : "auto", &info,
                                  &variant, err);
    if (status != DT_OK)
        return status;
    const struct dt_voice_settings settings = {
        .size = sizeof settings,
        .words_per_minute = s->words_per_minute,
        .pitch = o->pitch > 100 ? 100 : o->pitch,
        .variant = variant,
    };
    if (info->module->voice->open(&s->context.services, &settings, &s->ctx, reason,
                                  sizeof reason) != DT_SPEECH_DONE) {
        s->ctx = NULL;
        return dt_error_set(err, DT_USAGE, NULL, "the voice %s cannot be used: %s", info->name,
                            reason);
    }
    s->voice = info->module->voice;
    dt_format(s->figures.voice, sizeof s->figures.voice, "%s%s%s", info->name, *variant ? ":" : "",
              variant);
    return DT_OK;
}

// A file with content that could be lost: not a device.
static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

dt_status dt_speech_open(struct dt_speech **out, const struct dt_speech_options *o,
                         struct dt_error *err)
{
    pthread_condattr_t monotonic;
    struct dt_speech *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for a voice");
    s->own_stop.fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_cond_init(&s->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->notice = o->notice;
    s->changed = o->changed;
    s->arg = o->arg;
    s->words_per_minute = o->words_per_minute < 50    ? 160
                          : o->words_per_minute > 450 ? 450
                                                      : o->words_per_minute;
    s->spec = copy(o->voice);
    s->wav_path = copy(o->wav_path);
    s->device = copy(o->device);
    dt_status status = o->stop ? DT_OK : dt_stop_init(&s->own_stop, err);
    s->stop = o->stop ? o->stop : &s->own_stop;
    dt_sound_init(&s->sound, s->wav_path, s->device, s->stop);
    dt_speech_context_init(&s->context, s->stop);
    if (o->hang_milliseconds)
        s->context.hang_milliseconds = o->hang_milliseconds;
    if (status == DT_OK && s->wav_path && !o->replace && is_file(s->wav_path))
        status = dt_error_set(err, DT_FAILED, s->wav_path,
                              "the file exists; name another one, or replace it with --force");
    if (status == DT_OK)
        status = open_voice(s, o, err);
    if (status == DT_OK)
        status = dt_sound_check(&s->sound, err);
    if (status == DT_OK) {
        dt_speech_begin(s);
        s->have_thread = pthread_create(&s->thread, NULL, speak, s) == 0;
        if (!s->have_thread)
            status =
                dt_error_set(err, DT_NO_MEMORY, NULL, "the thread of the voice cannot be started");
    }
    if (status != DT_OK) {
        destroy(s);
        return status;
    }
    *out = s;
    return DT_OK;
}

void dt_speech_close(struct dt_speech *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    s->queued = 0;
    dt_stop_set(s->stop);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    destroy(s);
}
