// SPDX-License-Identifier: MIT
// The commands of voices and ears: the ui thread's side.
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/speech/listen.h"
#include "host/audio/voices.h"

static void list_voices(struct dt_app *app)
{
    struct dt_voices *voices = NULL;
    struct dt_error err = {0};
    char *text = NULL;
    size_t n = 0;
    if (dt_voices_new(&voices, &err) != DT_OK) {
        dt_app_error(app, &err);
        return;
    }
    FILE *out = open_memstream(&text, &n);
    for (size_t i = 0; out && i < dt_voices_count(voices); i++) {
        const struct dt_voice_info *v = dt_voices_at(voices, i);
        fprintf(out, "%-6s %-14s %s%s\n", v->kind == DT_SPEECH_VOICE ? "voice" : "ear", v->name,
                v->score ? v->description : "cannot be used: ", v->score ? "" : v->reason);
    }
    if (out) {
        fputs(dt_voices_count(voices) ? "/voice NAME chooses who reads, /speak on begins.\n"
                                      : "No voice and no ear was found.\n",
              out);
        fclose(out);
    }
    if (text)
        dt_app_output(app, text);
    free(text);
    dt_voices_free(voices);
}

void dt_voice_command(struct dt_app *app, const char *arguments)
{
    struct dt_voices *voices = NULL;
    const struct dt_voice_info *info;
    const char *variant;
    struct dt_error err = {0};
    if (!*arguments) {
        list_voices(app);
        return;
    }
    // Refused here, and not in mid-story.
    dt_status status = dt_voices_new(&voices, &err);
    if (status == DT_OK)
        status = dt_voices_choose(voices, DT_SPEECH_VOICE, arguments, &info, &variant, &err);
    if (status == DT_OK)
        status = dt_input_set(app, DT_SET_VOICE, arguments, &err);
    if (status == DT_OK)
        dt_app_notice(app, DT_NOTICE_INFO, "%s reads from the next turn on.", info->name);
    else
        dt_app_error(app, &err);
    dt_voices_free(voices);
}

static void set_listening(struct dt_app *app, bool listening)
{
    atomic_store(&app->listening, listening);
    dt_app_post(app, DT_EVENT_VOICE, "");
}

// On the listener's thread.
static void on_heard(void *arg, dt_status status, const char *text,
                     const struct dt_listen_figures *figures, const struct dt_error *err)
{
    struct dt_app *app = arg;
    set_listening(app, false);
    if (status != DT_OK) {
        dt_app_error(app, err);
    } else if (!*text) {
        dt_app_notice(app, DT_NOTICE_INFO, "Nothing was understood in %.1f s of sound.",
                      figures->sound_seconds);
    } else {
        dt_app_notice(app, DT_NOTICE_INFO,
                      "Heard by %s: %.1f s of sound%s, understood in %.2f s.%s", figures->ear,
                      figures->sound_seconds, figures->cut ? " (the first half minute)" : "",
                      figures->seconds, app->interactive ? " Enter tells it." : "");
        if (app->interactive)
            dt_app_post(app, DT_EVENT_INPUT, text);
        else // nobody is there to look it over
            dt_worker_ask(app, DT_REQUEST_PROMPT, 0, text, strlen(text), false);
    }
}

void dt_listen_command(struct dt_app *app, const char *arguments)
{
    struct dt_error err = {0};
    bool off = strcmp(arguments, "off") == 0;
    if (atomic_load(&app->listening)) { // the key was pressed again
        if (off) {
            dt_listen_free(app);
            dt_app_post(app, DT_EVENT_VOICE, "");
            dt_app_notice(app, DT_NOTICE_INFO, "Nobody listens any more.");
        } else {
            dt_listener_enough(app->listener);
        }
        return;
    }
    if (off)
        return;
    dt_listen_free(app);
    dt_stop_set(&app->silence); // a voice must not talk to itself
    struct dt_listen_options options = {.wav_path = *arguments ? arguments : NULL};
    if (!app->interactive) { // a pipe or a script: what was said comes before what follows, and
                             // nobody waits for the screen
        char text[512];
        struct dt_listen_figures figures;
        dt_stop_clear(&app->silence);
        options.stop = &app->silence;
        dt_status status = dt_listen(&options, text, sizeof text, &figures, &err);
        on_heard(app, status, text, &figures, &err);
        return;
    }
    set_listening(app, true);
    if (dt_listener_start(&app->listener, &options, on_heard, app, &err) != DT_OK) {
        set_listening(app, false);
        dt_app_error(app, &err);
    } else if (!*arguments) {
        dt_app_notice(app, DT_NOTICE_INFO,
                      "Listening: ask for a story. A pause ends it, or /listen again.");
    }
}

void dt_listen_free(struct dt_app *app)
{
    dt_listener_free(app->listener);
    app->listener = NULL;
    atomic_store(&app->listening, false);
}
