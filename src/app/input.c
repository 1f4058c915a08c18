// SPDX-License-Identifier: MIT
// What was typed: commands found, done at once or handed to the worker. The ui thread's side.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/settings/command_ids.h"
#include "app/view.h"
#include "app/settings/name_match.h"
#include "app/worker.h"

#define LINES_AHEAD 8 // how many may wait while a story is told

struct commands {
    const struct dt_command *table;
    size_t count;
};

static const char *command_at(const void *list, size_t i)
{
    const struct commands *commands = list;
    return i < commands->count ? commands->table[i].name : NULL;
}

static void completed_path(struct dt_app *app, char *out, size_t size)
{
    pthread_mutex_lock(&app->settings_lock);
    snprintf(out, size, "%s", app->model_path);
    pthread_mutex_unlock(&app->settings_lock);
}

// ---- help and settings ----

static void describe_setting(FILE *out, const struct dt_settings *settings, int id)
{
    static const char *const when[] = {"from the next token on", "from the next turn on",
                                       "when a model is opened", "when the program starts"};
    const struct dt_setting *s = &dt_settings_table()[id];
    char range[256];
    fprintf(out, "%s = %s\n  %s\n  takes %s; default %s; felt %s\n", s->name,
            dt_settings_text(settings, id), s->help, dt_settings_range(s, range, sizeof range),
            *s->initial ? s->initial : "(empty)", when[s->when]);
}

static void help(struct dt_app *app, const char *about)
{
    char *text = NULL;
    size_t n = 0;
    struct commands commands;
    FILE *out = open_memstream(&text, &n);
    struct dt_settings *settings = malloc(sizeof *settings);
    if (!out || !settings)
        goto out;
    dt_app_settings(app, settings);
    commands.table = dt_app_commands(app, &commands.count);
    if (*about == '/')
        about++;
    if (*about) {
        int i = dt_name_match_find(about, command_at, &commands), id = dt_settings_find(about);
        if (i >= 0)
            fprintf(out, "/%s %s\n  %s\n", commands.table[i].name, commands.table[i].arguments,
                    commands.table[i].help);
        if (id >= 0)
            describe_setting(out, settings, id);
        if (i < 0 && id < 0)
            fprintf(out, "Nothing is called '%s'. /help lists what can be said.\n", about);
    } else {
        for (size_t i = 0; i < commands.count; i++) {
            char name[64];
            snprintf(name, sizeof name, "/%s %s", commands.table[i].name,
                     commands.table[i].arguments);
            fprintf(out, "%-24s %s\n", name, commands.table[i].help);
        }
        fputs("Anything else is how the story goes on. A backslash at the end of a line, or "
              "Ctrl-J, makes another line.\n"
              "Ctrl-C stops the story, Ctrl-D or /quit leaves; Tab completes; beginnings of names "
              "are enough.\n",
              out);
    }
out:
    free(settings);
    if (out)
        fclose(out);
    if (text)
        dt_app_output(app, text);
    free(text);
}

static void show_settings(struct dt_app *app)
{
    static const char *const from[] = {"", " (the model's)", " (file)", " (environment)", " (set)"};
    char *text = NULL;
    size_t n = 0;
    const char *group = "";
    FILE *out = open_memstream(&text, &n);
    struct dt_settings *settings = malloc(sizeof *settings);
    if (out && settings) {
        dt_app_settings(app, settings);
        for (int id = 0; id < DT_SET_COUNT; id++) {
            const struct dt_setting *s = &dt_settings_table()[id];
            if (strcmp(group, s->group) != 0)
                fprintf(out, "%s:\n", s->group);
            group = s->group;
            fprintf(out, "  %-16s %s%s\n", s->name, dt_settings_text(settings, id),
                    from[settings->value[id].source]);
        }
        fputs("/help NAME tells more, /set NAME VALUE changes one.\n", out);
    }
    free(settings);
    if (out)
        fclose(out);
    if (text)
        dt_app_output(app, text);
    free(text);
}

dt_status dt_input_set(struct dt_app *app, int id, const char *value, struct dt_error *err)
{
    dt_status status = dt_app_set(app, id, value, DT_FROM_USER, err);
    struct dt_settings *settings = status == DT_OK ? malloc(sizeof *settings) : NULL;
    if (!settings)
        return status;
    dt_app_settings(app, settings);
    const char *text = dt_settings_text(settings, id);
    switch (id) { // some are not only numbers to be looked at
    case DT_SET_BACKEND:
        dt_worker_ask(app, DT_REQUEST_COMMAND, DT_COMMAND_BACKEND, text, strlen(text), true);
        break;
    case DT_SET_THREADS:
        dt_worker_ask(app, DT_REQUEST_COMMAND, DT_COMMAND_THREADS, text, strlen(text), true);
        break;
    case DT_SET_MODEL:
    case DT_SET_TOKENIZER:
    case DT_SET_TEMPLATE:
        dt_app_stop(app);
        dt_worker_ask(app, DT_REQUEST_MODEL, 0, NULL, 0, false);
        break;
    case DT_SET_CONTEXT:
        dt_app_stop(app);
        dt_worker_ask(app, DT_REQUEST_COMMAND, DT_ACT_CONTEXT, NULL, 0, false);
        break;
    case DT_SET_SYSTEM:
        dt_worker_ask(app, DT_REQUEST_COMMAND, DT_COMMAND_SYSTEM, NULL, 0, false);
        break;
    case DT_SET_SPEAK:
        dt_worker_ask(app, DT_REQUEST_COMMAND, DT_COMMAND_SPEAK, NULL, 0, true);
        break;
    case DT_SET_PRIVATE:
        dt_worker_ask(app, DT_REQUEST_COMMAND, DT_COMMAND_PRIVATE, NULL, 0, true);
        break;
    default:
        break;
    }
    free(settings);
    return DT_OK;
}

static void set(struct dt_app *app, char *arguments)
{
    struct dt_error err = {0};
    char *value = arguments + strcspn(arguments, " =");
    if (*value) {
        *value++ = '\0';
        value += strspn(value, " =");
    }
    if (!*arguments) {
        show_settings(app);
        return;
    }
    int id = dt_settings_find(arguments);
    if (id < 0) {
        const char *near = dt_settings_nearest(arguments);
        if (near)
            dt_app_notice(app, DT_NOTICE_WARNING, "There is no setting '%s': did you mean '%s'?",
                          arguments, near);
        else
            dt_app_notice(app, DT_NOTICE_WARNING, "There is no setting '%s': /set lists them.",
                          arguments);
        return;
    }
    if (!*value) {
        help(app, dt_settings_table()[id].name);
        return;
    }
    if (dt_input_set(app, id, strcmp(value, "\"\"") == 0 ? "" : value, &err) != DT_OK) {
        dt_app_error(app, &err);
        return;
    }
    const struct dt_setting *s = &dt_settings_table()[id];
    struct dt_settings *settings = malloc(sizeof *settings);
    if (!settings)
        return;
    dt_app_settings(app, settings);
    dt_app_notice(app, DT_NOTICE_INFO, "%s = %s%s", s->name, dt_settings_text(settings, id),
                  s->when == DT_SETTING_START ? " (felt at the next start: /save-settings keeps it)"
                  : id == DT_SET_MODE
                      ? " (a story keeps the mode it began with: /new begins another)"
                      : "");
    free(settings);
}

static void save_settings(struct dt_app *app)
{
    struct dt_error err = {0};
    struct dt_settings *settings = malloc(sizeof *settings);
    if (!app->settings_file[0]) {
        dt_app_notice(app, DT_NOTICE_ERROR,
                      "There is no home folder for the settings: set XDG_CONFIG_HOME.");
    } else if (settings) {
        dt_app_settings(app, settings);
        if (dt_settings_write(settings, app->settings_file, &err) == DT_OK)
            dt_app_notice(app, DT_NOTICE_INFO, "Settings are written to %s.", app->settings_file);
        else
            dt_app_error(app, &err);
    }
    free(settings);
}

static void set_from_command(struct dt_app *app, int id, const char *value)
{
    struct dt_error err = {0};
    if (dt_input_set(app, id, value, &err) != DT_OK) {
        dt_app_error(app, &err);
        return;
    }
    if (id == DT_SET_SEED || id == DT_SET_SYSTEM)
        dt_app_notice(app, DT_NOTICE_INFO, "%s = %s", dt_settings_table()[id].name, value);
    if (id == DT_SET_PRIVATE)
        dt_app_notice(app, DT_NOTICE_INFO,
                      strcmp(value, "on") == 0 ? "Private: nothing is written from now on. What "
                                                 "was written stays; /delete removes it."
                                               : "What is told is kept again.");
}

// ---- scripts ----

bool dt_input_script(struct dt_app *app, const char *path)
{
    FILE *in = fopen(path, "re");
    if (!in) {
        dt_app_notice(app, DT_NOTICE_ERROR, "%s: the script cannot be read: %s", path,
                      strerror(errno));
        return false;
    }
    if (app->script)
        fclose(app->script);
    app->script = in;
    app->script_stops = atomic_load(&app->stops);
    dt_events_wake(&app->events);
    return true;
}

bool dt_input_script_step(struct dt_app *app)
{
    if (!app->script || dt_worker_busy(app))
        return false;
    char *line = NULL;
    size_t capacity = 0, n = 0;
    char *whole = NULL;
    ssize_t got;
    bool more = true;
    if (atomic_load(&app->stops) != app->script_stops) {
        dt_app_notice(app, DT_NOTICE_INFO, "The script was stopped.");
        fclose(app->script);
        app->script = NULL;
        return true;
    }
    while (more && (got = getline(&line, &capacity, app->script)) > 0) {
        while (got > 0 && (line[got - 1] == '\n' || line[got - 1] == '\r'))
            got--;
        more = got > 0 && line[got - 1] == '\\';
        if (more)
            line[got - 1] = '\n';
        char *longer = realloc(whole, n + (size_t)got + 1);
        if (!longer)
            break;
        whole = longer;
        memcpy(whole + n, line, (size_t)got);
        n += (size_t)got;
        whole[n] = '\0';
    }
    free(line);
    if (!whole) {
        fclose(app->script);
        app->script = NULL;
        return false;
    }
    if (whole[0] != '#' && n > 0) {
        unsigned stops = atomic_load(&app->stops);
        dt_input(app, whole, n);
        // a command of the script that stops something does not stop the script
        if (atomic_load(&app->stops) != stops)
            app->script_stops = atomic_load(&app->stops);
    }
    free(whole);
    return true;
}

// ---- commands ----

static void ask_delete(struct dt_app *app, const char *arguments)
{
    const struct dt_app_story *story = dt_view_story(app);
    long long id = *arguments ? strtoll(arguments, NULL, 10) : (long long)story->id;
    char text[200];
    if (id <= 0 && (*arguments || story->turns == 0)) {
        dt_app_notice(app, DT_NOTICE_WARNING, "/delete N: which story? /library lists them.");
        return;
    }
    if (id > 0)
        snprintf(text, sizeof text, "Delete story %lld from the library for good?", id);
    else
        snprintf(text, sizeof text, "Delete this story for good?");
    snprintf(app->ask_text, sizeof app->ask_text, "%s", *arguments ? arguments : "");
    struct dt_app_event event = {.type = DT_EVENT_ASK, .id = ++app->ask_id, .yes_default = false};
    dt_events_post(&app->events, &event, text, strlen(text), NULL, NULL);
}

void dt_input_answer(struct dt_app *app, uint32_t id, bool yes)
{
    if (id != app->ask_id || id == 0)
        return;
    if (yes) {
        dt_app_stop(app);
        dt_worker_ask(app, DT_REQUEST_COMMAND, DT_COMMAND_DELETE, app->ask_text,
                      strlen(app->ask_text), false);
    } else {
        dt_app_notice(app, DT_NOTICE_INFO, "Nothing was deleted.");
    }
}

enum way { // how a command gets done
    WAY_HERE,
    WAY_LIVE, // by the worker, between two tokens if need be
    WAY_STOP, // by the worker, after what goes on was stopped
};

static enum way way_of(int id)
{
    switch (id) {
    case DT_COMMAND_BACKEND:
    case DT_COMMAND_THREADS:
    case DT_COMMAND_MEMORY:
    case DT_COMMAND_EXPORT:
    case DT_COMMAND_RENAME:
        return WAY_LIVE;
    case DT_COMMAND_NEW:
    case DT_COMMAND_CONTINUE:
    case DT_COMMAND_RETRY:
    case DT_COMMAND_UNDO:
    case DT_COMMAND_EDIT:
    case DT_COMMAND_COMPARE:
    case DT_COMMAND_OPEN:
    case DT_COMMAND_PIN:
        return WAY_STOP;
    default:
        return WAY_HERE;
    }
}

static void stats(struct dt_app *app, const char *arguments)
{
    if (!*arguments)
        dt_worker_ask(app, DT_REQUEST_COMMAND, DT_COMMAND_STATS, NULL, 0, true);
    else if (strcmp(arguments, "live on") == 0 || strcmp(arguments, "live") == 0)
        set_from_command(app, DT_SET_STATS, "live");
    else if (strcmp(arguments, "live off") == 0 || strcmp(arguments, "on") == 0)
        set_from_command(app, DT_SET_STATS, "turn");
    else
        set_from_command(app, DT_SET_STATS, arguments);
}

static void do_here(struct dt_app *app, int id, char *arguments)
{
    char path[512];
    switch (id) {
    case DT_COMMAND_HELP:
        help(app, arguments);
        break;
    case DT_COMMAND_QUIT:
        atomic_store(&app->leaving, 1);
        dt_app_stop(app);
        dt_events_wake(&app->events);
        break;
    case DT_COMMAND_SET:
        set(app, arguments);
        break;
    case DT_COMMAND_SAVE_SETTINGS:
        save_settings(app);
        break;
    case DT_COMMAND_MODEL:
        completed_path(app, path, sizeof path);
        if (!*arguments) {
            dt_models_find(app, true, path);
        } else {
            dt_app_stop(app);
            // names of the list stand for their paths
            size_t count;
            const struct dt_app_model *models = dt_view_models(app, &count);
            for (size_t i = 0; i < count; i++) {
                if (strcmp(models[i].name, arguments) == 0)
                    arguments = (char *)models[i].path;
            }
            dt_worker_ask(app, DT_REQUEST_MODEL, 0, arguments, strlen(arguments), false);
        }
        break;
    case DT_COMMAND_STATS:
        stats(app, arguments);
        break;
    case DT_COMMAND_LIBRARY: {
        uint32_t number = ++app->searches;
        atomic_store(&app->print_search, number);
        dt_writer_search(app->writer, arguments, 0, 20, number);
        break;
    }
    case DT_COMMAND_DELETE:
        ask_delete(app, arguments);
        break;
    case DT_COMMAND_SYSTEM:
        if (!*arguments)
            help(app, "system");
        else
            set_from_command(app, DT_SET_SYSTEM, strcmp(arguments, "-") == 0 ? "" : arguments);
        break;
    case DT_COMMAND_SEED:
        if (*arguments)
            set_from_command(app, DT_SET_SEED, arguments);
        else
            dt_app_notice(app, DT_NOTICE_INFO, "The seed of the last turn: %llu",
                          (unsigned long long)dt_view_figures(app)->seed);
        break;
    case DT_COMMAND_SPEAK:
        set_from_command(app, DT_SET_SPEAK, *arguments ? arguments : "on");
        break;
    case DT_COMMAND_VOICE:
        dt_voice_command(app, arguments);
        break;
    case DT_COMMAND_LISTEN:
        dt_listen_command(app, arguments);
        break;
    case DT_COMMAND_PRIVATE:
        set_from_command(app, DT_SET_PRIVATE, *arguments ? arguments : "on");
        break;
    case DT_COMMAND_SCRIPT:
        if (*arguments)
            dt_input_script(app, arguments);
        else
            dt_app_notice(app, DT_NOTICE_WARNING, "/script FILE plays the lines of a file.");
        break;
    default:
        break;
    }
}

static bool command(struct dt_app *app, const char *text, size_t length)
{
    char name[64], *arguments = NULL;
    struct commands commands;
    size_t n = strcspn(text, " \t\n");
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    commands.table = dt_app_commands(app, &commands.count);
    int i = dt_name_match_find(name, command_at, &commands);
    if (i < 0) {
        const char *near = dt_name_match_nearest(name, command_at, &commands);
        if (i == -2)
            dt_app_notice(app, DT_NOTICE_WARNING,
                          "/%s is the beginning of several commands: /help lists them.", name);
        else if (near)
            dt_app_notice(app, DT_NOTICE_WARNING, "There is no command /%s: did you mean /%s?",
                          name, near);
        else
            dt_app_notice(app, DT_NOTICE_WARNING, "There is no command /%s: /help lists them.",
                          name);
        return true; // it was answered; who wants to mend it has it in the history
    }
    n += strspn(text + n, " \t");
    arguments = strndup(text + n, length - n);
    if (!arguments)
        return false;
    for (size_t end = strlen(arguments); end > 0 && strchr(" \t\n", arguments[end - 1]); end--)
        arguments[end - 1] = '\0';
    const struct dt_command *found = &commands.table[i];
    size_t ours_count;
    const struct dt_command *ours = dt_command_table(&ours_count);
    bool is_ours = (size_t)i < ours_count;
    // a front end may have its own help and script
    for (size_t j = 0; is_ours && j < app->own_command_count && app->own_commands; j++) {
        if (strcmp(app->own_commands[j].name, found->name) == 0 &&
            (found->id == DT_COMMAND_HELP || found->id == DT_COMMAND_SCRIPT)) {
            found = &app->own_commands[j];
            is_ours = false;
        }
    }
    if (!is_ours) {
        struct dt_app_event event = {.type = DT_EVENT_COMMAND, .command = found};
        dt_events_post(&app->events, &event, arguments, strlen(arguments), NULL, NULL);
        free(arguments);
        return true;
    }
    int id = ours[i].id;
    // with arguments, these are settings as well
    if ((id == DT_COMMAND_BACKEND && *arguments) || id == DT_COMMAND_THREADS) {
        set_from_command(app, id == DT_COMMAND_BACKEND ? DT_SET_BACKEND : DT_SET_THREADS,
                         *arguments ? arguments : "0");
    } else if (way_of(id) == WAY_HERE) {
        do_here(app, id, arguments);
    } else {
        if (way_of(id) == WAY_STOP && dt_worker_busy(app))
            dt_app_stop(app);
        dt_worker_ask(app, DT_REQUEST_COMMAND, id, arguments, strlen(arguments),
                      way_of(id) == WAY_LIVE);
    }
    free(arguments);
    return true;
}

bool dt_input(struct dt_app *app, const char *text, size_t length)
{
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    char *line = strndup(text, length);
    bool taken = false;
    if (!line)
        return false;
    if (line[0] == '/' && line[1] != '/') {
        taken = command(app, line + 1, strlen(line + 1));
        goto out;
    }
    const char *prompt = line[0] == '/' ? line + 1 : line;
    if (prompt[strspn(prompt, " \t\n")] == '\0') {
        const struct dt_app_story *story = dt_view_story(app);
        struct dt_app_turn last;
        // an empty line goes on with a story that was cut
        if (!dt_worker_busy(app) && story->turns > 0 && !story->chat &&
            dt_view_turn(app, story->turns - 1, &last) && last.end != DT_END_STORY)
            taken = dt_worker_ask(app, DT_REQUEST_COMMAND, DT_COMMAND_CONTINUE, NULL, 0, false);
        else if (story->turns == 0)
            taken = dt_worker_ask(app, DT_REQUEST_PROMPT, 0, NULL, 0, false);
        goto out;
    }
    if (atomic_load(&app->worker->waiting) >= LINES_AHEAD) {
        dt_app_notice(app, DT_NOTICE_WARNING, "%d lines wait already: Ctrl-C stops the story.",
                      LINES_AHEAD);
        goto out;
    }
    if (atomic_load(&app->state) >= DT_APP_READING && dt_worker_busy(app) && app->interactive)
        dt_app_notice(app, DT_NOTICE_INFO,
                      "That comes when this turn is over; Ctrl-C ends it now.");
    taken = dt_worker_ask(app, DT_REQUEST_PROMPT, 0, prompt, strlen(prompt), false);
out:
    free(line);
    return taken;
}

void dt_input_first(struct dt_app *app)
{
    char *script = app->first_script, *prompt = app->first_prompt;
    app->first_script = app->first_prompt = NULL;
    if (prompt)
        dt_worker_ask(app, DT_REQUEST_PROMPT, 0, prompt, strlen(prompt), false);
    char line[4200];
    if (script) { // as a command: a front end may have its own way to play scripts
        snprintf(line, sizeof line, "/script %s", script);
        dt_input(app, line, strlen(line));
    }
    free(script);
    free(prompt);
}
