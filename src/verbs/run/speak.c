// SPDX-License-Identifier: MIT
#include "verbs/run/speak.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/print.h"
#include "verbs/verb.h"

// ---- speaking ----

static void notice(void *arg, const char *line)
{
    (void)arg;
    dt_print(stderr, "duotale: %s\n", line);
}

dt_status dt_verb_voice_open(struct dt_verb_voice *v, struct dt_error *err)
{
    if (!v->speak)
        return DT_OK;
    const struct dt_speech_options options = {
        .voice = v->voice,
        .wav_path = v->wav_path,
        .replace = v->force,
        .words_per_minute = v->words_per_minute,
        .pitch = v->pitch,
        .notice = notice,
    };
    dt_status status = dt_speech_open(&v->speech, &options, err);
    if (status != DT_UNSUPPORTED)
        return status;
    v->missing = true;
    char line[1024];
    dt_print(stderr, "duotale: %s; continuing without sound\n",
             dt_error_line(err, line, sizeof line));
    *err = (struct dt_error){0};
    return DT_OK;
}

bool dt_verb_voice_finish(struct dt_verb_voice *v, struct dt_engine *engine)
{
    if (!v->speech)
        return !(v->missing && v->wav_path);
    bool cut = dt_engine_cancelled(engine);
    if (!cut)
        dt_speech_finish(v->speech);
    while (!cut && !dt_speech_wait(v->speech, 20))
        cut = dt_engine_cancelled(engine);
    if (cut) {
        dt_speech_stop(v->speech);
        dt_speech_wait(v->speech, 1000);
    }
    dt_speech_figures(v->speech, &v->figures);
    return cut || !v->wav_path || (!v->figures.off && v->figures.failed == 0);
}

void dt_verb_voice_close(struct dt_verb_voice *v)
{
    dt_speech_close(v->speech);
    v->speech = NULL;
}

// ---- listening ----

struct recording {
    struct dt_stop done;
    dt_status status;
    struct dt_error err;
    struct dt_listen_figures figures;
    char text[512];
};

static void on_heard(void *arg, dt_status status, const char *text,
                     const struct dt_listen_figures *figures, const struct dt_error *err)
{
    struct recording *h = arg;
    h->status = status;
    h->figures = *figures;
    if (err)
        h->err = *err;
    snprintf(h->text, sizeof h->text, "%s", text);
    dt_stop_set(&h->done);
}

// Listens on a thread of its own, so that Ctrl-C and Enter work meanwhile.
static dt_status record(struct dt_verb_voice *v, struct dt_engine *engine, struct recording *h)
{
    struct dt_listener *listener = NULL;
    const struct dt_listen_options options = {.ear = v->ear, .wav_path = v->sound_path};
    bool keyboard = !v->sound_path && isatty(STDIN_FILENO);
    if (!v->sound_path && !v->quiet)
        dt_print(stderr, "Listening. Ask for a story%s.\n",
                 keyboard ? "; Enter ends the recording" : "");
    dt_status status = dt_listener_start(&listener, &options, on_heard, h, &h->err);
    if (status != DT_OK)
        return status;
    while (!atomic_load(&h->done.set) && !dt_engine_cancelled(engine)) {
        struct pollfd fds[2] = {{.fd = h->done.fd, .events = POLLIN},
                                {.fd = keyboard ? STDIN_FILENO : -1, .events = POLLIN}};
        if (poll(fds, 2, 100) > 0 && fds[1].revents) {
            char line[256];
            keyboard = read(STDIN_FILENO, line, sizeof line) < 0;
            dt_listener_enough(listener);
        }
    }
    dt_listener_free(listener);
    return atomic_load(&h->done.set) ? h->status : DT_CANCELLED;
}

char *dt_verb_voice_listen(struct dt_verb_voice *v, struct dt_engine *engine)
{
    struct recording h = {.status = DT_CANCELLED};
    char line[1024];
    dt_status status = dt_stop_init(&h.done, &h.err);
    if (status == DT_OK)
        status = record(v, engine, &h);
    dt_stop_free(&h.done);
    if (dt_engine_cancelled(engine))
        return NULL;
    if (status != DT_OK)
        dt_print(stderr, "duotale: %s; %s\n", dt_error_line(&h.err, line, sizeof line),
                 isatty(STDIN_FILENO) ? "type the request instead" : "continuing without it");
    else if (!h.text[0])
        dt_print(stderr, "duotale: nothing was understood in %.1f s of sound\n",
                 h.figures.sound_seconds);
    v->listened = h.figures;
    v->recorded = status == DT_OK;

    char *text = h.text[0] && status == DT_OK ? strdup(h.text) : NULL;
    if (text)
        dt_print(stderr, "understood: %s\n", text);
    if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) { // offers to correct it
        char *typed = NULL;
        size_t capacity = 0;
        fputs(text ? "Press Enter to accept, or type another request: " : "> ", stderr);
        ssize_t n = getline(&typed, &capacity, stdin);
        if (n > 0 && typed[n - 1] == '\n')
            typed[--n] = '\0';
        if (n > 0) {
            free(text);
            return typed;
        }
        free(typed);
    }
    return text;
}

// ---- figures ----

void dt_verb_voice_report(const struct dt_verb_voice *v, FILE *out)
{
    char line[512];
    const struct dt_listen_figures *l = &v->listened;
    if (v->recorded)
        dt_print(out, "ear %s: %.1f s of sound%s%s understood in %.3f s, real-time factor %.4f\n",
                 l->ear, l->sound_seconds, l->converted ? ", converted to 16 kHz mono," : "",
                 l->cut ? " (cut to half a minute)" : "", l->seconds,
                 l->sound_seconds > 0 ? l->cpu_seconds / l->sound_seconds : 0);
    if (v->figures.voice[0])
        dt_print(out, "%s\n", dt_speech_line(&v->figures, line, sizeof line));
}

static void put_seconds(struct dt_json *json, const char *name, uint64_t ns)
{
    dt_json_name(json, name);
    if (ns)
        dt_json_number(json, (double)ns * 1e-9);
    else
        dt_json_text(json, NULL);
}

void dt_verb_voice_json(const struct dt_verb_voice *v, struct dt_json *json)
{
    const struct dt_speech_figures *f = &v->figures;
    const struct dt_listen_figures *l = &v->listened;
    if (v->recorded) {
        dt_json_name(json, "ear");
        dt_json_object(json);
        dt_json_put_text(json, "name", l->ear);
        dt_json_put_number(json, "sound_s", l->sound_seconds);
        dt_json_put_number(json, "seconds", l->seconds);
        dt_json_put_number(json, "cpu_s", l->cpu_seconds);
        dt_json_put_bool(json, "converted", l->converted);
        dt_json_put_bool(json, "cut", l->cut);
        dt_json_end(json);
    }
    if (!f->voice[0])
        return;
    dt_json_name(json, "voice");
    dt_json_object(json);
    dt_json_put_text(json, "name", f->voice);
    put_seconds(json, "first_sentence_s", f->first_sentence_ns);
    put_seconds(json, "first_sound_s", f->first_sound_ns);
    put_seconds(json, "told_s", f->output_ns);
    put_seconds(json, "silent_s", f->silent_ns);
    dt_json_put_uint(json, "sentences", f->sentences);
    dt_json_put_uint(json, "spoken", f->spoken);
    dt_json_put_uint(json, "left_out", f->dropped);
    dt_json_put_uint(json, "failed", f->failed);
    dt_json_put_number(json, "sound_s", f->sound_seconds);
    dt_json_put_number(json, "cpu_s", f->voice_cpu_seconds);
    dt_json_put_number(json, "real_time_factor", f->real_time_factor);
    dt_json_put_number(json, "cpu_share", f->cpu_share);
    dt_json_end(json);
}
