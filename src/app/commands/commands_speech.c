// SPDX-License-Identifier: MIT
#include "app/commands/commands_speech.h"

#include <stdlib.h>
#include <string.h>

#include "app/commands/change.h"
#include "app/speech/listen.h"
#include "app/worker/prompts.h"
#include "host/audio/voices.h"
#include "host/string_buffer.h"

void dt_command_speak(struct dt_app *app, char *arguments)
{
    dt_change_or_report(app, DT_SET_SPEAK, *arguments ? arguments : "on");
}

static void list_voices(struct dt_app *app)
{
    struct dt_voices *voices = NULL;
    struct dt_error err = {0};
    struct dt_string_buffer out = {0};
    if (dt_voices_new(&voices, &err) != DT_OK) {
        dt_report_error(&app->report, &err);
        return;
    }
    for (size_t i = 0; i < dt_voices_count(voices); i++) {
        const struct dt_voice_info *v = dt_voices_at(voices, i);
        dt_string_buffer_printf(
            &out, "%-6s %-14s %s%s\n", v->kind == DT_SPEECH_VOICE ? "voice" : "ear", v->name,
            v->score ? v->description : "cannot be used: ", v->score ? "" : v->reason);
    }
    dt_string_buffer_printf(&out, "%s",
                            dt_voices_count(voices)
                                ? "/voice NAME chooses the voice, /speak on begins reading.\n"
                                : "No voice and no speech recognition found.\n");
    if (out.text)
        dt_report_output(&app->report, out.text);
    dt_string_buffer_free(&out);
    dt_voices_free(voices);
}

void dt_command_voice(struct dt_app *app, char *arguments)
{
    struct dt_voices *voices = NULL;
    const struct dt_voice_info *info;
    const char *variant;
    struct dt_error err = {0};
    if (!*arguments) {
        list_voices(app);
        return;
    }
    // checked now, so that it does not fail within a story
    dt_status status = dt_voices_new(&voices, &err);
    if (status == DT_OK)
        status = dt_voices_choose(voices, DT_SPEECH_VOICE, arguments, &info, &variant, &err);
    if (status == DT_OK)
        status = dt_change_setting(app, DT_SET_VOICE, arguments, &err);
    if (status == DT_OK)
        dt_report_notice(&app->report, DT_NOTICE_INFO, "%s reads aloud from the next turn on.",
                         info->name);
    else
        dt_report_error(&app->report, &err);
    dt_voices_free(voices);
}

// ---- listening ----

static void set_listening(struct dt_app *app, bool listening)
{
    atomic_store(&app->listening, listening);
    dt_report_post(&app->report, DT_EVENT_VOICE, "");
}

// On the listener's thread.
static void on_listened(void *arg, dt_status status, const char *text,
                        const struct dt_listen_figures *figures, const struct dt_error *err)
{
    struct dt_app *app = arg;
    set_listening(app, false);
    if (status != DT_OK) {
        dt_report_error(&app->report, err);
        return;
    }
    if (!*text) {
        dt_report_notice(&app->report, DT_NOTICE_INFO, "No words recognised in %.1f s of sound.",
                         figures->sound_seconds);
        return;
    }
    dt_report_notice(&app->report, DT_NOTICE_INFO,
                     "Recognised by %s: %.1f s of sound%s in %.2f s.%s", figures->ear,
                     figures->sound_seconds, figures->cut ? " (the first 30 s)" : "",
                     figures->seconds, app->interactive ? " Enter sends it." : "");
    if (app->interactive)
        dt_report_entry(&app->report, DT_EVENT_INPUT, text);
    else
        dt_requests_ask(&app->requests, dt_prompt, text, strlen(text), false);
}

// From a pipe or a script: blocks, so that the prompt comes before the lines that follow.
static void listen_here(struct dt_app *app, struct dt_listen_options *options)
{
    char text[512];
    struct dt_listen_figures figures;
    struct dt_error err = {0};
    dt_stop_clear(&app->control.silence);
    options->stop = &app->control.silence;
    dt_status status = dt_listen(options, text, sizeof text, &figures, &err);
    on_listened(app, status, text, &figures, &err);
}

void dt_command_listen(struct dt_app *app, char *arguments)
{
    struct dt_error err = {0};
    bool off = strcmp(arguments, "off") == 0;
    if (atomic_load(&app->listening)) {
        if (off) {
            dt_commands_speech_free(app);
            dt_report_post(&app->report, DT_EVENT_VOICE, "");
            dt_report_notice(&app->report, DT_NOTICE_INFO, "Listening cancelled.");
        } else {
            dt_listener_enough(app->listener);
        }
        return;
    }
    if (off)
        return;
    dt_commands_speech_free(app);
    dt_stop_set(&app->control.silence); // so that the microphone does not record the voice
    struct dt_listen_options options = {.wav_path = *arguments ? arguments : NULL};
    if (!app->interactive) {
        listen_here(app, &options);
        return;
    }
    set_listening(app, true);
    if (dt_listener_start(&app->listener, &options, on_listened, app, &err) != DT_OK) {
        set_listening(app, false);
        dt_report_error(&app->report, &err);
    } else if (!*arguments) {
        dt_report_notice(&app->report, DT_NOTICE_INFO,
                         "Listening: say what the story is about. A pause, or /listen again, ends "
                         "the recording.");
    }
}

void dt_commands_speech_free(struct dt_app *app)
{
    dt_listener_free(app->listener);
    app->listener = NULL;
    atomic_store(&app->listening, false);
}
