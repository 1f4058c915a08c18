// SPDX-License-Identifier: MIT
#include "app/app.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/charset.h"
#include "app/settings/command_ids.h"
#include "app/library/history.h"
#include "app/view.h"
#include "host/log.h"

// ---- saying things ----

void dt_app_post(struct dt_app *app, enum dt_app_event_type type, const char *text)
{
    struct dt_app_event event = {.type = type};
    dt_events_post(&app->events, &event, text, strlen(text), NULL, NULL);
}

static void post_notice(struct dt_app *app, enum dt_app_level level, const char *line)
{
    struct dt_app_event event = {.type = DT_EVENT_NOTICE, .level = level};
    dt_events_post(&app->events, &event, line, strlen(line), NULL, NULL);
}

void dt_app_notice(struct dt_app *app, enum dt_app_level level, const char *format, ...)
{
    char line[2000];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *p = line; *p; p++) { // names of files and models come from outside
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
    post_notice(app, level, line);
}

void dt_app_error(struct dt_app *app, const struct dt_error *error)
{
    char line[900];
    dt_app_notice(app, DT_NOTICE_ERROR, "%s", dt_error_line(error, line, sizeof line));
}

void dt_app_output(struct dt_app *app, const char *text)
{
    dt_app_post(app, DT_EVENT_OUTPUT, text);
}

void dt_app_stop(struct dt_app *app)
{
    dt_stop_set(&app->silence);
    atomic_fetch_add(&app->stops, 1);
    atomic_store(&app->stopping, 1);
    if (app->engine)
        dt_engine_cancel(app->engine);
    dt_events_wake(&app->events); // a front end that was about to wait looks again
}

// ---- settings ----

void dt_app_settings(struct dt_app *app, struct dt_settings *out)
{
    pthread_mutex_lock(&app->settings_lock);
    *out = app->settings;
    pthread_mutex_unlock(&app->settings_lock);
}

dt_status dt_app_set(struct dt_app *app, int id, const char *value, enum dt_setting_source source,
                     struct dt_error *err)
{
    pthread_mutex_lock(&app->settings_lock);
    dt_status status = dt_settings_set(&app->settings, id, value, source, err);
    pthread_mutex_unlock(&app->settings_lock);
    if (status != DT_OK)
        return status;
    atomic_fetch_add(&app->settings_changes, 1);
    struct dt_app_event event = {.type = DT_EVENT_SETTING, .setting = id};
    dt_events_post(&app->events, &event, NULL, 0, NULL, NULL);
    return DT_OK;
}

// ---- the library writer's news ----

static void print_stories(struct dt_app *app, const struct dt_library_entry *entries, size_t count)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return;
    for (size_t i = 0; i < count; i++) {
        char when[32];
        time_t t = (time_t)entries[i].updated;
        struct tm parts;
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", localtime_r(&t, &parts));
        fprintf(out, "%5lld  %s  %3u turn%s  %s\n", (long long)entries[i].id, when,
                entries[i].turns, entries[i].turns == 1 ? " " : "s", entries[i].title);
    }
    fputs(count ? "/open N goes on with one of them.\n" : "No story is like that.\n", out);
    fclose(out);
    if (text)
        dt_app_output(app, text);
    free(text);
}

static void on_writer_report(void *arg, const struct dt_writer_report *report)
{
    struct dt_app *app = arg;
    struct dt_app_event event = {0};
    switch (report->type) {
    case DT_WRITER_NOTICE:
        dt_app_notice(app, report->level, "%s", report->text);
        break;
    case DT_WRITER_LAST:
        if (app->interactive)
            dt_app_notice(app, DT_NOTICE_INFO,
                          "Last time: \"%s\" (%zu turn%s). /open goes on with it.", report->text,
                          report->count, report->count == 1 ? "" : "s");
        break;
    case DT_WRITER_LIST: {
        struct dt_view_list *list = dt_view_list_new(report->count, sizeof(struct dt_app_entry));
        if (list) {
            struct dt_app_entry *items = list->items;
            for (size_t i = 0; i < report->count; i++) {
                const struct dt_library_entry *from = &report->entries[i];
                items[i] = (struct dt_app_entry){
                    .id = from->id,
                    .title = dt_view_list_text(list, from->title),
                    .model = dt_view_list_text(list, from->model),
                    .stack = dt_view_list_text(list, from->stack),
                    .snippet = dt_view_list_text(list, from->snippet),
                    .created = from->created,
                    .updated = from->updated,
                    .turns = from->turns,
                };
            }
        }
        if (atomic_load(&app->print_search) == report->number && report->text)
            dt_app_notice(app, DT_NOTICE_WARNING, "%s: there are no stories to look through.",
                          report->text);
        else if (atomic_load(&app->print_search) == report->number)
            print_stories(app, report->entries, report->count);
        dt_library_entries_free(report->entries, report->count);
        event.type = DT_EVENT_LIBRARY;
        event.id = report->number;
        if (list)
            dt_events_post(&app->events, &event, NULL, 0, list, dt_view_list_free);
        break;
    }
    case DT_WRITER_STORY:
    case DT_WRITER_HEALTH:
        break;
    }
}

static void on_log(void *arg, int level, const char *line)
{
    dt_app_notice(arg, level >= DT_LOG_ERROR ? DT_NOTICE_ERROR : DT_NOTICE_WARNING, "%s", line);
}

// ---- beginning and end ----

dt_status dt_app_new(struct dt_app **out, const struct dt_app_options *options,
                     struct dt_error *err)
{
    struct dt_app *app = calloc(1, sizeof *app);
    char path[512];
    dt_status status = DT_NO_MEMORY;
    *out = NULL;
    if (!app || !dt_events_init(&app->events)) {
        free(app);
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for a sitting");
    }
    if (dt_stop_init(&app->silence, err) != DT_OK) {
        dt_events_free(&app->events);
        free(app);
        return DT_FAILED;
    }
    pthread_mutex_init(&app->settings_lock, NULL);
    app->settings = *options->settings;
    app->charset = -1;
    app->interactive = options->interactive;
    atomic_init(&app->state, -1);
    if (options->settings_file)
        snprintf(app->settings_file, sizeof app->settings_file, "%s", options->settings_file);
    else
        dt_settings_file(app->settings_file, sizeof app->settings_file);
    const struct dt_settings *s = &app->settings;
    bool private = dt_settings_on(s, DT_SET_PRIVATE);
    struct dt_engine_options engine = {
        .stack = dt_settings_text(s, DT_SET_BACKEND),
        .threads = (uint32_t)dt_settings_uint(s, DT_SET_THREADS),
        .context = (uint32_t)dt_settings_uint(s, DT_SET_CONTEXT),
        .batch = (uint32_t)dt_settings_uint(s, DT_SET_BATCH),
        .kv_type = dt_settings_is(s, DT_SET_KV, "f16") ? DT_KV_F16 : DT_KV_F32,
        .memory_limit = (size_t)dt_settings_uint(s, DT_SET_MEM_LIMIT),
        .without_shortlist = !dt_settings_on(s, DT_SET_SHORTLIST),
    };
    struct dt_writer_options writer = {
        .path = dt_settings_path(s, DT_SET_LIBRARY, path, sizeof path),
        .listener = on_writer_report,
        .listener_arg = app,
        .offer_last = options->interactive && options->open == 0,
        .idle = private,
    };
    app->history = calloc(1, sizeof *app->history);
    if (!app->history || !dt_view_new(app)) {
        dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for a sitting");
        goto out;
    }
    if (!private && dt_settings_on(s, DT_SET_HISTORY) && options->interactive)
        dt_history_read(app->history);
    status = dt_engine_new(&app->engine, &engine, err);
    if (status != DT_OK)
        goto out;
    dt_signals_install(app);
    dt_log_set(on_log, app, DT_LOG_WARNING);
    status = dt_writer_new(&app->writer, &writer, err);
    if (status == DT_OK)
        status = dt_worker_new(app, err);
    if (status != DT_OK)
        goto out;
    dt_worker_ask(app, DT_REQUEST_MODEL, 0, NULL, 0, false);
    if (options->open) {
        int n =
            snprintf(path, sizeof path, "%lld", options->open > 0 ? (long long)options->open : 0ll);
        dt_worker_ask(app, DT_REQUEST_COMMAND, DT_COMMAND_OPEN, path, (size_t)n, false);
    }
    app->given = options->script || options->prompt;
    app->first_script = options->script ? strdup(options->script) : NULL;
    app->first_prompt = options->prompt ? strdup(options->prompt) : NULL;
out:
    if (status != DT_OK) {
        dt_app_free(app, NULL);
        return status;
    }
    *out = app;
    return DT_OK;
}

void dt_app_free(struct dt_app *app, void (*last)(const char *line))
{
    struct dt_event *event;
    if (!app)
        return;
    dt_listen_free(app);
    if (app->worker) {
        dt_app_stop(app);
        dt_worker_ask(app, DT_REQUEST_QUIT, 0, NULL, 0, false);
        dt_worker_free(app);
    }
    dt_writer_free(app->writer);
    dt_log_set(NULL, NULL, DT_LOG_ERROR);
    while ((event = dt_events_take(&app->events)) != NULL) {
        if (last && event->event.type == DT_EVENT_NOTICE && event->event.level != DT_NOTICE_INFO)
            last(event->text);
        dt_event_free(event);
    }
    dt_signals_install(NULL);
    dt_engine_free(app->engine);
    if (app->script)
        fclose(app->script);
    if (app->history)
        dt_history_free(app->history);
    free(app->history);
    free(app->all_commands);
    free(app->first_script);
    free(app->first_prompt);
    dt_complete_free(app);
    dt_view_free(app->view);
    dt_events_free(&app->events);
    pthread_mutex_destroy(&app->settings_lock);
    dt_stop_free(&app->silence);
    free(app);
}

int dt_app_exit_code(const struct dt_app *app)
{
    return atomic_load(&app->exit_code);
}

// ---- the table ----

static int api_fd(struct dt_app *app)
{
    return app->events.fd;
}

static bool api_leaving(struct dt_app *app)
{
    return atomic_load(&app->leaving) != 0;
}

static bool api_edit(struct dt_app *app, const char *text, size_t length)
{
    if (dt_worker_busy(app)) {
        dt_app_notice(app, DT_NOTICE_WARNING, "Something is still going on: Ctrl-C stops it.");
        return false;
    }
    return dt_worker_ask(app, DT_REQUEST_EDIT, 0, text, length, false);
}

static void api_notice(struct dt_app *app, enum dt_app_level level, const char *line)
{
    dt_app_notice(app, level, "%s", line);
}

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
    pthread_mutex_lock(&app->settings_lock);
    memcpy(app->value, dt_settings_text(&app->settings, setting), sizeof app->value);
    pthread_mutex_unlock(&app->settings_lock);
    return app->value;
}

static dt_status api_step(struct dt_app *app, int setting, int steps, struct dt_error *err)
{
    char text[DT_SETTING_TEXT_MAX];
    pthread_mutex_lock(&app->settings_lock);
    bool has = dt_settings_step(&app->settings, setting, steps, text, sizeof text);
    pthread_mutex_unlock(&app->settings_lock);
    if (!has)
        return dt_error_set(err, DT_USAGE, NULL, "%s has no steps: type a value",
                            dt_settings_table()[setting].name);
    return dt_input_set(app, setting, text, err);
}

const struct dt_command *dt_app_commands(struct dt_app *app, size_t *count)
{
    const struct dt_command *ours = dt_command_table(count);
    if (!app->own_command_count)
        return ours;
    if (!app->all_commands) {
        size_t n = 0;
        app->all_commands = calloc(*count + app->own_command_count, sizeof *app->all_commands);
        if (!app->all_commands)
            return ours;
        for (size_t i = 0; i < *count; i++) {
            app->all_commands[n] = ours[i];
            app->all_commands[n++].id = (int)i;
        }
        for (size_t i = 0; i < app->own_command_count; i++) {
            bool known = false;
            for (size_t j = 0; j < *count && !known; j++)
                known = strcmp(ours[j].name, app->own_commands[i].name) == 0;
            if (!known)
                app->all_commands[n++] = app->own_commands[i];
        }
        app->own_command_count = n - *count; // those that are new
    }
    *count += app->own_command_count;
    return app->all_commands;
}

static void api_own_commands(struct dt_app *app, const struct dt_command *table, size_t count)
{
    free(app->all_commands);
    app->all_commands = NULL;
    app->own_commands = table;
    app->own_command_count = count;
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
    pthread_mutex_lock(&app->settings_lock);
    bool write = dt_settings_on(&app->settings, DT_SET_HISTORY) &&
                 !dt_settings_on(&app->settings, DT_SET_PRIVATE);
    pthread_mutex_unlock(&app->settings_lock);
    dt_history_add(app, app->history, entry, write);
}

static void api_find_models(struct dt_app *app)
{
    char path[512];
    pthread_mutex_lock(&app->settings_lock);
    memcpy(path, app->model_path, sizeof path);
    pthread_mutex_unlock(&app->settings_lock);
    dt_models_find(app, false, path);
}

static uint32_t api_search(struct dt_app *app, const char *words, uint32_t offset, uint32_t limit)
{
    uint32_t number = ++app->searches;
    dt_writer_search(app->writer, words, offset, limit, number);
    return number;
}

static enum dt_app_charset api_charset(struct dt_app *app)
{
    // resolved once: every piece of text that is drawn asks, and what get() has handed out must
    // stand
    if (app->charset < 0)
        app->charset = (int)dt_charset_resolve(api_get(app, DT_SET_CHARSET));
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
    return app->given;
}

static void api_exit_code(struct dt_app *app, int code)
{
    atomic_store(&app->exit_code, code);
}

const struct dt_app_api *dt_app_api(void)
{
    static const struct dt_app_api api = {
        .size = sizeof api,
        .build = DT_UI_BUILD,
        .fd = api_fd,
        .next = dt_view_next,
        .leaving = api_leaving,
        .input = dt_input,
        .edit = api_edit,
        .answer = dt_input_answer,
        .stop = dt_app_stop,
        .notice = api_notice,
        .state = dt_view_state,
        .figures = dt_view_figures,
        .voice = dt_view_voice,
        .story = dt_view_story,
        .turn = dt_view_turn,
        .settings = api_settings,
        .get = api_get,
        .set = dt_input_set,
        .step = api_step,
        .commands = dt_app_commands,
        .own_commands = api_own_commands,
        .complete = dt_complete,
        .history_count = api_history_count,
        .history = api_history,
        .remember = api_remember,
        .backends = dt_view_backends,
        .find_models = api_find_models,
        .models = dt_view_models,
        .search = api_search,
        .library = dt_view_library,
        .compare = dt_view_compare,
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
