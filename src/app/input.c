// SPDX-License-Identifier: MIT
#include "app/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands/commands.h"
#include "app/commands/commands_story.h"
#include "app/scripts.h"
#include "app/worker/overflow.h"
#include "app/worker/prompts.h"
#include "base/text.h"
#include "base/typed_text.h"
#include "host/string_buffer.h"

#define PROMPTS_AHEAD 8 // so many prompts may wait while a turn is generated

// Stops a turn that nothing else ends. False if none is generated.
static bool stop_endless(struct dt_app *app)
{
    pthread_mutex_lock(&app->report.lock);
    bool endless = dt_settings_uint(&app->report.settings, DT_SET_LENGTH) == 0 &&
                   dt_overflow_goes_on(&app->report.settings);
    pthread_mutex_unlock(&app->report.lock);
    if (!endless || !app->interactive || atomic_load(&app->report.state) != DT_APP_GENERATING)
        return false;
    dt_control_stop(&app->control);
    return true;
}

// An empty entry: continues a story whose last turn was cut off, or begins one, also after the end
// of a story.
static bool enter_nothing(struct dt_app *app)
{
    const struct dt_app_story *story = dt_view_story(app->view);
    struct dt_app_turn last;
    if (stop_endless(app))
        return true;
    if (story->turns == 0)
        return dt_requests_ask(&app->requests, dt_prompt, NULL, 0, false);
    if (dt_requests_busy(&app->requests) || story->chat ||
        !dt_view_turn(app->view, story->turns - 1, &last))
        return false;
    if (last.end != DT_END_STORY && last.end != DT_END_STOP_TEXT)
        return dt_requests_ask(&app->requests, dt_command_continue, NULL, 0, false);
    return dt_requests_ask(&app->requests, dt_command_new, NULL, 0, false) &&
           dt_requests_ask(&app->requests, dt_prompt, NULL, 0, false);
}

static bool enter_prompt(struct dt_app *app, const char *prompt)
{
    stop_endless(app); // the prompt continues the story

    if (atomic_load(&app->requests.waiting) >= PROMPTS_AHEAD) {
        dt_report_notice(&app->report, DT_NOTICE_WARNING,
                         "%d prompts are waiting already. Ctrl-C stops the generation.",
                         PROMPTS_AHEAD);
        return false;
    }
    if (atomic_load(&app->report.state) >= DT_APP_READING && dt_requests_busy(&app->requests) &&
        app->interactive)
        dt_report_notice(&app->report, DT_NOTICE_INFO,
                         "The prompt waits for the end of this turn. Ctrl-C ends it now.");
    return dt_requests_ask(&app->requests, dt_prompt, prompt, strlen(prompt), false);
}

char *dt_input_clean(const char *text, size_t length)
{
    struct dt_text_filter filter = {0};
    char *clean = malloc(3 * (length + 4) + 12 + 1);
    if (!clean)
        return NULL;
    size_t n = dt_text_filter_push(&filter, text, length, clean);
    n += dt_text_filter_flush(&filter, clean + n);
    clean[n] = '\0';
    return clean;
}

// Drops what editors add to a typed text. False: it is UTF-16, which is reported; a pipe then ends
// with an exit code.
static bool clean_typed(struct dt_app *app, char *text, size_t *length)
{
    struct dt_error err = {0};
    if (!dt_typed_text_clean(text, length, NULL, &err))
        return true;
    dt_report_notice(&app->report, DT_NOTICE_ERROR, "The prompt was not accepted: %s.",
                     err.message);
    if (!app->interactive)
        atomic_store(&app->control.exit_code, dt_status_exit_code(err.status));
    return false;
}

// Enters a line that is clean, or that holds a path as the file system has it.
static bool enter(struct dt_app *app, const char *line)
{
    const char *prompt = line[0] == '/' ? line + 1 : line;
    const char *slash = line + strspn(line, " \t"); // blanks before a command do not matter
    if (slash[0] == '/' && slash[1] != '/')
        return dt_commands_run(app, slash + 1);
    if (prompt[strspn(prompt, " \t\n")] == '\0')
        return enter_nothing(app);
    return enter_prompt(app, prompt);
}

// An entry that cannot be processed, except that the session can always be left.
static bool without_memory(struct dt_app *app, const char *text, size_t length)
{
    if (length == 5 && memcmp(text, "/quit", 5) == 0)
        dt_control_leave(&app->control, 1);
    else
        dt_events_lose(&app->report.events, DT_EVENT_NONE);
    return false;
}

bool dt_input(struct dt_app *app, const char *text, size_t length)
{
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    char *typed = malloc(length + 1);
    if (!typed)
        return without_memory(app, text, length);
    memcpy(typed, text, length);
    bool good = clean_typed(app, typed, &length);
    char *line = good ? dt_input_clean(typed, length) : NULL;
    free(typed);
    if (!good)
        return false;
    if (!line)
        return without_memory(app, text, length);
    bool accepted = enter(app, line);
    free(line);
    return accepted;
}

void dt_input_first(struct dt_app *app)
{
    char *script = app->first_script, *given = app->first_prompt, *prompt = NULL;
    char line[4200];
    app->first_script = app->first_prompt = NULL;
    size_t length = given ? strlen(given) : 0;
    if (given && clean_typed(app, given, &length))
        prompt = dt_input_clean(given, length);
    if (prompt)
        dt_requests_ask(&app->requests, dt_prompt, prompt, strlen(prompt), false);
    if (script) { // as a command, since the front end may have its own
        snprintf(line, sizeof line, "/script %s", script);
        enter(app, line);
    }
    free(script);
    free(given);
    free(prompt);
}

// ---- scripts ----

// Reads an entry: a line, and those after it while a line ends with a backslash. False at the end
// of the file.
static bool read_entry(FILE *in, struct dt_string_buffer *entry)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    bool more = true;
    while (more && (n = getline(&line, &capacity, in)) > 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        more = n > 0 && line[n - 1] == '\\';
        if (more)
            line[n - 1] = '\n';
        if (!dt_string_buffer_append(entry, line, (size_t)n) || entry->failed)
            break;
        if (!more)
            break;
    }
    free(line);
    return entry->text != NULL;
}

bool dt_input_script_step(struct dt_app *app)
{
    struct dt_string_buffer entry = {0};
    if (app->script_count == 0 || dt_requests_busy(&app->requests))
        return false;
    if (atomic_load(&app->control.stops) != app->script_stops) {
        dt_report_notice(&app->report, DT_NOTICE_INFO, "The script was stopped.");
        dt_scripts_end(app);
        return true;
    }
    if (!read_entry(app->scripts[app->script_count - 1], &entry)) {
        dt_string_buffer_free(&entry);
        dt_scripts_end_last(app);
        return app->script_count > 0;
    }
    if (!clean_typed(app, entry.text, &entry.length)) { // the rest is no text either
        dt_scripts_end(app);
    } else if (entry.length > 0 && entry.text[0] != '#') {
        unsigned stops = atomic_load(&app->control.stops);
        dt_input(app, entry.text, entry.length);
        // a command of the script that stops something does not stop the script
        if (atomic_load(&app->control.stops) != stops && app->script_count > 0)
            app->script_stops = atomic_load(&app->control.stops);
    }
    dt_string_buffer_free(&entry);
    return true;
}
