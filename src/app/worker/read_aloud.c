// SPDX-License-Identifier: MIT
#include "app/worker/read_aloud.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Any thread. figures NULL: nothing is read aloud any more.
static void post_voice(struct dt_report *report, const struct dt_speech_figures *figures)
{
    struct dt_app_voice *voice = calloc(1, sizeof *voice);
    struct dt_app_event event = {.type = DT_EVENT_VOICE};
    if (!voice)
        return;
    if (figures) {
        memcpy(voice->name, figures->voice, sizeof voice->name);
        voice->speaking = figures->speaking && !figures->off;
        voice->waiting = figures->waiting;
        voice->real_time_factor = figures->real_time_factor;
    }
    dt_events_post(&report->events, &event, NULL, 0, voice, free);
}

static void on_change(void *arg, const struct dt_speech_figures *figures)
{
    post_voice(arg, figures);
}

static void on_notice(void *arg, const char *line)
{
    dt_report_notice(arg, DT_NOTICE_WARNING, "%s", line);
}

static void close_speech(struct dt_worker *w)
{
    if (!w->speech)
        return;
    dt_speech_close(w->speech);
    w->speech = NULL;
    post_voice(w->report, NULL);
}

// Makes the name of a file that does not exist from one that does: story.wav, story-2.wav, ...
static bool another_file(const char *path, char *other, size_t other_size)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    if (!dot || (slash && dot < slash))
        dot = path + strlen(path);
    for (unsigned i = 2; i < 1000; i++) {
        int n = snprintf(other, other_size, "%.*s-%u%s", (int)(dot - path), path, i, dot);
        if (n < 0 || (size_t)n >= other_size)
            return false;
        if (access(other, F_OK) != 0)
            return true;
    }
    return false;
}

bool dt_read_aloud_open(struct dt_worker *w)
{
    struct dt_error err = {0};
    char path[512], other[512], wanted[sizeof w->speech_options];
    struct dt_speech_options options = {
        .voice = dt_settings_text(&w->settings, DT_SET_VOICE),
        .wav_path = dt_settings_path(&w->settings, DT_SET_SPEAK_TO, path, sizeof path),
        .words_per_minute = (uint32_t)dt_settings_uint(&w->settings, DT_SET_VOICE_SPEED),
        .pitch = (uint32_t)dt_settings_uint(&w->settings, DT_SET_VOICE_PITCH),
        .notice = on_notice,
        .changed = on_change,
        .arg = w->report,
        .stop = &w->control->silence,
    };
    snprintf(wanted, sizeof wanted, "%s\n%s\n%u %u", options.voice,
             options.wav_path ? options.wav_path : "", options.words_per_minute, options.pitch);
    if (w->speech && strcmp(wanted, w->speech_options) != 0)
        close_speech(w);
    if (w->speech)
        return true;
    memcpy(w->speech_options, wanted, sizeof wanted);
    // what this session has spoken before is kept, whatever --force says
    bool named = options.wav_path && strcmp(w->spoken_to, path) == 0;
    bool spoken = named && w->has_spoken && access(path, F_OK) == 0;
    if (spoken && another_file(path, other, sizeof other))
        options.wav_path = other;
    options.replace = !spoken && (named || w->force);
    if (dt_speech_open(&w->speech, &options, &err) == DT_OK) {
        snprintf(w->spoken_to, sizeof w->spoken_to, "%s", options.wav_path ? path : "");
        w->has_spoken = options.wav_path != NULL;
        if (spoken)
            dt_report_notice(w->report, DT_NOTICE_INFO,
                             "The voice has changed: from here on the sound goes to %s.",
                             options.wav_path);
        return true;
    }
    w->speech = NULL;
    dt_report_error(w->report, &err);
    if (options.wav_path) // once, not with every turn
        dt_report_set(w->report, DT_SET_SPEAK_TO, "", DT_FROM_USER, NULL);
    if (options.wav_path && !w->interactive)
        atomic_store(&w->control->exit_code, dt_status_exit_code(err.status));
    dt_report_set(w->report, DT_SET_SPEAK, "off", DT_FROM_USER, NULL);
    return false;
}

void dt_read_aloud_begin(struct dt_worker *w, const char *opening)
{
    // speak-to names a file: it is written even if `speak` is off
    bool wanted = dt_settings_on(&w->settings, DT_SET_SPEAK) ||
                  *dt_settings_text(&w->settings, DT_SET_SPEAK_TO);
    w->reading_aloud = false;
    if (!wanted) {
        close_speech(w);
    } else if (dt_read_aloud_open(w)) {
        dt_speech_begin(w->speech);
        if (opening)
            dt_speech_feed(w->speech, opening, strlen(opening));
        w->reading_aloud = true;
    }
}

void dt_read_aloud_feed(struct dt_worker *w, const char *text, size_t n)
{
    if (w->reading_aloud)
        dt_speech_feed(w->speech, text, n);
}

void dt_read_aloud_end(struct dt_worker *w, bool stopped)
{
    if (!w->reading_aloud)
        return;
    if (stopped)
        dt_speech_stop(w->speech);
    else
        dt_speech_finish(w->speech);
    w->reading_aloud = false;
    while (!stopped && !w->interactive && !dt_worker_stopped(w) && !dt_speech_wait(w->speech, 20))
        continue;
}

void dt_read_aloud_post_figures(struct dt_worker *w)
{
    struct dt_speech_figures figures;
    if (!w->reading_aloud)
        return;
    dt_speech_figures(w->speech, &figures);
    post_voice(w->report, &figures);
}
