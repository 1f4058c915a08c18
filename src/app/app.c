// SPDX-License-Identifier: MIT
#include "app/app.h"

#include <stdlib.h>
#include <string.h>

#include "app/charset.h"
#include "app/commands/change.h"
#include "app/commands/commands_library.h"
#include "app/commands/commands_speech.h"
#include "app/commands/complete.h"
#include "app/commands/own_commands.h"
#include "app/commands/question.h"
#include "app/input.h"
#include "app/library/history.h"
#include "app/library_events.h"
#include "app/models.h"
#include "app/scripts.h"
#include "app/session.h"
#include "app/signals.h"
#include "app/worker/open_model.h"
#include "app/worker/prompts.h"
#include "app/worker/worker_events.h"
#include "core/kv/kv_cache.h"
#include "host/log.h"

// ---- beginning and end ----

static void on_log(void *arg, int level, const char *line)
{
    dt_report_notice(arg, level >= DT_LOG_ERROR ? DT_NOTICE_ERROR : DT_NOTICE_WARNING, "%s", line);
}

static dt_status new_engine(struct dt_app *app, const struct dt_settings *s, struct dt_error *err)
{
    char draft[512];
    const char *given = dt_settings_path(s, DT_SET_DRAFT, draft, sizeof draft);
    struct dt_engine_options engine = {
        .stack = dt_settings_text(s, DT_SET_BACKEND),
        .threads = (uint32_t)dt_settings_uint(s, DT_SET_THREADS),
        .context = (uint32_t)dt_settings_uint(s, DT_SET_CONTEXT),
        .batch = (uint32_t)dt_settings_uint(s, DT_SET_BATCH),
        .kv_type = dt_kv_type_of(dt_settings_text(s, DT_SET_KV)),
        .pack = dt_pack_policy_of(dt_settings_text(s, DT_SET_PACK)),
        .weights = dt_weights_place_of(dt_settings_text(s, DT_SET_WEIGHTS)),
        .memory_limit = (size_t)dt_settings_uint(s, DT_SET_MEM_LIMIT),
        .draft = dt_draft_policy_of(given ? given : "auto"),
        .draft_file = given ? dt_draft_file_of(given) : NULL,
        .without_shortlist = !dt_settings_on(s, DT_SET_SHORTLIST),
    };
    dt_status status = dt_engine_new(&app->engine, &engine, err);
    app->control.engine = app->engine;
    return status;
}

static dt_status new_writer(struct dt_app *app, const struct dt_app_options *options,
                            struct dt_error *err)
{
    char path[512];
    struct dt_writer_options writer = {
        .path = dt_settings_path(options->settings, DT_SET_LIBRARY, path, sizeof path),
        .listener = dt_library_events_on_report,
        .listener_arg = app,
        .offer_last = options->interactive && options->open == 0,
        .idle = dt_settings_on(options->settings, DT_SET_PRIVATE),
    };
    return dt_writer_new(&app->writer, &writer, err);
}

static dt_status new_worker(struct dt_app *app, bool force, struct dt_error *err)
{
    const struct dt_worker_parts parts = {
        .report = &app->report,
        .control = &app->control,
        .requests = &app->requests,
        .writer = app->writer,
        .engine = app->engine,
        .interactive = app->interactive,
        .force = force,
    };
    return dt_worker_new(&app->worker, &parts, err);
}

// The parts that need nothing of each other. An object without them cannot be freed by
// dt_app_free.
static struct dt_app *new_object(const struct dt_settings *settings, struct dt_error *err)
{
    struct dt_app *app = calloc(1, sizeof *app);
    if (!app || !dt_report_init(&app->report, settings)) {
        free(app);
        dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for an interactive session");
        return NULL;
    }
    if (dt_control_init(&app->control, &app->report.events, err) != DT_OK) {
        dt_report_free(&app->report);
        free(app);
        return NULL;
    }
    dt_requests_init(&app->requests, &app->report, &app->control);
    app->charset = -1;
    return app;
}

static void nothing(void *arg)
{
    (void)arg;
}

// Waits until the library was opened, so that the user knows before the first prompt if nothing can
// be saved.
static void wait_for_library(struct dt_worker *w, const char *unused)
{
    (void)unused;
    dt_writer_wait(w->writer, dt_writer_call(w->writer, nothing, NULL), &w->control->stopping, NULL,
                   NULL);
    dt_worker_post_figures(w, false);
}

// The first requests to the worker, and what follows when the front end asks for events. False if
// memory is short.
static bool begin(struct dt_app *app, const struct dt_app_options *options)
{
    char number[32] = ""; // the last story
    bool good = dt_requests_ask(&app->requests, dt_open_model, NULL, 0, false) &&
                dt_requests_ask(&app->requests, wait_for_library, NULL, 0, false);
    if (options->open && good) {
        if (options->open > 0)
            snprintf(number, sizeof number, "%lld", (long long)options->open);
        good =
            dt_requests_ask(&app->requests, dt_command_open_first, number, strlen(number), false);
    }
    app->has_first_input = options->script || options->prompt;
    app->first_script = options->script ? strdup(options->script) : NULL;
    app->first_prompt = options->prompt ? strdup(options->prompt) : NULL;
    return good && !app->first_script == !options->script && !app->first_prompt == !options->prompt;
}

dt_status dt_app_new(struct dt_app **out, const struct dt_app_options *options,
                     struct dt_error *err)
{
    const struct dt_settings *s = options->settings;
    struct dt_error inner = {0};
    *out = NULL;
    struct dt_app *app = new_object(s, &inner);
    dt_status status = app ? DT_OK : inner.status;
    if (!app)
        goto out;
    app->interactive = options->interactive;
    if (options->settings_file)
        snprintf(app->settings_file, sizeof app->settings_file, "%s", options->settings_file);
    else
        dt_settings_file(app->settings_file, sizeof app->settings_file);
    app->history = calloc(1, sizeof *app->history);
    app->view = dt_view_new();
    if (!app->history || !app->view)
        status =
            dt_error_set(&inner, DT_NO_MEMORY, NULL, "out of memory for an interactive session");
    if (status == DT_OK && !dt_settings_on(s, DT_SET_PRIVATE) &&
        dt_settings_on(s, DT_SET_HISTORY) && options->interactive)
        dt_history_read(app->history);
    if (status == DT_OK)
        status = new_engine(app, s, &inner);
    if (status == DT_OK) {
        dt_signals_install(&app->control);
        dt_log_set(on_log, &app->report, DT_LOG_WARNING);
        status = new_writer(app, options, &inner);
    }
    if (status == DT_OK)
        status = new_worker(app, options->force, &inner);
    if (status == DT_OK && !begin(app, options))
        status =
            dt_error_set(&inner, DT_NO_MEMORY, NULL, "out of memory for an interactive session");
out:
    if (status != DT_OK) {
        if (err)
            *err = inner;
        dt_app_free(app, NULL);
        return status;
    }
    *out = app;
    return DT_OK;
}

unsigned dt_app_free(struct dt_app *app, void (*last)(const char *line))
{
    struct dt_event *event;
    if (!app)
        return 0;
    dt_commands_speech_free(app);
    dt_control_stop(&app->control);
    dt_worker_free(app->worker);
    unsigned lost = dt_writer_free(app->writer);
    dt_log_set(NULL, NULL, DT_LOG_ERROR);
    while ((event = dt_events_fetch(&app->report.events)) != NULL) {
        if (last && event->event.type == DT_EVENT_NOTICE && event->event.level != DT_NOTICE_INFO)
            last(event->text);
        dt_event_free(event);
    }
    dt_signals_install(NULL);
    dt_engine_free(app->engine);
    dt_scripts_end(app);
    if (app->history)
        dt_history_free(app->history);
    free(app->history);
    dt_own_commands_set(app, NULL, 0);
    free(app->question);
    free(app->first_script);
    free(app->first_prompt);
    dt_complete_free(app);
    dt_view_free(app->view);
    dt_requests_free(&app->requests);
    dt_control_free(&app->control);
    dt_report_free(&app->report);
    free(app);
    return lost;
}

int dt_app_exit_code(const struct dt_app *app)
{
    int code = atomic_load(&app->control.exit_code), leaving = atomic_load(&app->control.leaving);
    if (leaving > 1) // a signal's, also if what it cancelled has set its own since
        return 128 + leaving - 1;
    return !code && atomic_load(&app->report.events.lost) ? dt_status_exit_code(DT_NO_MEMORY)
                                                          : code;
}

// ---- the table: events, and what the user does ----

static int api_fd(struct dt_app *app)
{
    return app->report.events.fd;
}

static bool api_leaving(struct dt_app *app)
{
    return atomic_load(&app->control.leaving) != 0;
}

static bool api_next(struct dt_app *app, struct dt_app_event *out)
{
    dt_input_first(app);
    do {
        if (dt_view_next(app->view, &app->report.events, out))
            return true;
        int leaving = atomic_load(&app->control.leaving);
        if (leaving && !app->leaving_shown) {
            app->leaving_shown = true;
            *out = (struct dt_app_event){.type = DT_EVENT_QUIT,
                                         .text = leaving == 1   ? ""
                                                 : leaving == 2 ? "The terminal is gone."
                                                                : "A signal asked duotale to end."};
            out->length = strlen(out->text);
            return true;
        }
        if (leaving)
            return false;
    } while (dt_view_state(app->view) == DT_APP_IDLE && !atomic_load(&app->answers) &&
             dt_input_script_step(app));
    return false;
}

static bool api_edit(struct dt_app *app, const char *text, size_t length)
{
    if (length && *text == '/' && !(length > 1 && text[1] == '/'))
        return dt_input(app, text, length); // a command is never the text of a story
    if (length && *text == '/') {
        text++;
        length--;
    }
    if (dt_requests_busy(&app->requests)) {
        dt_report_notice(&app->report, DT_NOTICE_WARNING,
                         "The worker is still busy. Ctrl-C stops it.");
        return false;
    }
    char *clean = dt_input_clean(text, length);
    bool accepted =
        clean && dt_requests_ask(&app->requests, dt_prompt_edited, clean, strlen(clean), false);
    free(clean);
    return accepted;
}

static void api_stop(struct dt_app *app)
{
    atomic_store(&app->answers, 0); // do not wait for a disk that does not answer
    dt_control_stop(&app->control);
}

static void api_notice(struct dt_app *app, enum dt_app_level level, const char *line)
{
    dt_report_notice(&app->report, level, "%s", line);
}

// ---- the table: the view ----

static enum dt_app_state api_state(struct dt_app *app)
{
    // A request is under way even before the worker has reported its state.
    enum dt_app_state state = dt_view_state(app->view);
    if (state == DT_APP_IDLE && dt_requests_busy(&app->requests))
        return dt_view_figures(app->view)->model[0] ? DT_APP_READING : DT_APP_LOADING;
    if (state == DT_APP_IDLE && atomic_load(&app->answers))
        return DT_APP_READING; // a list is on its way
    return state;
}

static const struct dt_app_figures *api_figures(struct dt_app *app)
{
    return dt_view_figures(app->view);
}

static const struct dt_app_voice *api_voice(struct dt_app *app)
{
    struct dt_app_voice *voice = dt_view_voice(app->view);
    voice->listening = atomic_load(&app->listening);
    return voice;
}

static const struct dt_app_story *api_story(struct dt_app *app)
{
    return dt_view_story(app->view);
}

static bool api_turn(struct dt_app *app, size_t i, struct dt_app_turn *out)
{
    return dt_view_turn(app->view, i, out);
}

static const struct dt_app_backend *api_backends(struct dt_app *app, size_t *count)
{
    return dt_view_backends(app->view, count);
}

static void api_find_models(struct dt_app *app)
{
    dt_models_find(app, false);
}

static const struct dt_app_model *api_models(struct dt_app *app, size_t *count)
{
    return dt_view_models(app->view, count);
}

static uint32_t api_search(struct dt_app *app, const char *words, uint32_t offset, uint32_t limit)
{
    uint32_t number = ++app->searches;
    dt_writer_search(app->writer, words, offset, limit, number);
    return number;
}

static const struct dt_app_entry *api_library(struct dt_app *app, size_t *count)
{
    return dt_view_library(app->view, count);
}

static const struct dt_app_compare *api_compare(struct dt_app *app)
{
    return dt_view_compare(app->view);
}

// ---- the table: settings and history ----

static const struct dt_setting *api_settings(struct dt_app *app, size_t *count)
{
    (void)app;
    *count = DT_SET_COUNT;
    return dt_settings_table();
}

static const char *api_get(struct dt_app *app, int setting)
{
    if (setting < 0 || setting >= DT_SET_COUNT)
        return "";
    pthread_mutex_lock(&app->report.lock);
    memcpy(app->value, dt_settings_text(&app->report.settings, setting), sizeof app->value);
    pthread_mutex_unlock(&app->report.lock);
    return app->value;
}

static dt_status api_step(struct dt_app *app, int setting, int steps, struct dt_error *err)
{
    char text[DT_SETTING_TEXT_MAX];
    pthread_mutex_lock(&app->report.lock);
    bool has = dt_settings_step(&app->report.settings, setting, steps, text, sizeof text);
    pthread_mutex_unlock(&app->report.lock);
    if (!has)
        return dt_error_set(err, DT_USAGE, NULL, "%s has no steps; type a value",
                            dt_settings_table()[setting].name);
    return dt_change_setting(app, setting, text, err);
}

static size_t api_history_count(struct dt_app *app)
{
    return app->history->count;
}

static const char *api_history(struct dt_app *app, size_t i)
{
    return i < app->history->count ? app->history->entries[i] : NULL;
}

static void api_remember(struct dt_app *app, const char *entry)
{
    pthread_mutex_lock(&app->report.lock);
    bool write = dt_settings_on(&app->report.settings, DT_SET_HISTORY) &&
                 !dt_settings_on(&app->report.settings, DT_SET_PRIVATE);
    pthread_mutex_unlock(&app->report.lock);
    dt_history_add(app->history, write ? app->writer : NULL, entry);
}

// ---- the table: the terminal ----

static enum dt_app_charset api_charset(struct dt_app *app)
{
    // resolved once: every piece of drawn text needs it, and api_get would invalidate the answer of
    // the front end's last get()
    if (app->charset < 0) {
        const char *word = api_get(app, DT_SET_CHARSET);
        bool pipe = !app->interactive && strcmp(word, "auto") == 0; // a pipe is never converted
        app->charset = (int)dt_charset_resolve(pipe ? "utf8" : word);
    }
    return (enum dt_app_charset)app->charset;
}

static bool api_colour(struct dt_app *app)
{
    const char *when = api_get(app, DT_SET_COLOR), *no = getenv("NO_COLOR");
    if (strcmp(when, "auto") != 0)
        return strcmp(when, "always") == 0;
    return app->interactive && !(no && *no);
}

static size_t api_encode(struct dt_app *app, const char *s, size_t n, char *out)
{
    return dt_charset_encode(api_charset(app), s, n, out);
}

static size_t api_decode(struct dt_app *app, const char *s, size_t n, char *out)
{
    return dt_charset_decode(api_charset(app), s, n, out);
}

static void api_crash_bytes(struct dt_app *app, const char *bytes, size_t n)
{
    (void)app;
    dt_signals_crash_bytes(bytes, n);
}

static bool api_given(struct dt_app *app)
{
    return app->has_first_input;
}

static void api_exit_code(struct dt_app *app, int code)
{
    atomic_store(&app->control.exit_code, code);
}

const struct dt_app_api *dt_app_api(void)
{
    static const struct dt_app_api api = {
        .size = sizeof api,
        .build = DT_UI_BUILD,
        .fd = api_fd,
        .next = api_next,
        .leaving = api_leaving,
        .input = dt_input,
        .edit = api_edit,
        .answer = dt_question_answer,
        .stop = api_stop,
        .notice = api_notice,
        .state = api_state,
        .figures = api_figures,
        .voice = api_voice,
        .story = api_story,
        .turn = api_turn,
        .settings = api_settings,
        .get = api_get,
        .set = dt_change_setting,
        .step = api_step,
        .commands = dt_own_commands_all,
        .own_commands = dt_own_commands_set,
        .complete = dt_complete,
        .history_count = api_history_count,
        .history = api_history,
        .remember = api_remember,
        .backends = api_backends,
        .find_models = api_find_models,
        .models = api_models,
        .search = api_search,
        .library = api_library,
        .compare = api_compare,
        .charset = api_charset,
        .colour = api_colour,
        .encode = api_encode,
        .decode = api_decode,
        .crash_bytes = api_crash_bytes,
        .exit_code = api_exit_code,
        .given = api_given,
    };
    return &api;
}
