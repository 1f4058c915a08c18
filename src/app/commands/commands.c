// SPDX-License-Identifier: MIT
#include "app/commands/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands/commands_library.h"
#include "app/commands/commands_model.h"
#include "app/commands/commands_session.h"
#include "app/commands/commands_settings.h"
#include "app/commands/commands_speech.h"
#include "app/commands/commands_story.h"
#include "app/commands/own_commands.h"

// Where a command runs: one of the two functions.
struct runs {
    void (*ui)(struct dt_app *app, char *arguments);
    dt_worker_function *worker;
    bool stop;      // on the worker: stops what runs first
    bool front_end; // a command of the front end with this name replaces it
};

#define UI(function)                                                                               \
    {                                                                                              \
        .ui = function                                                                             \
    }
#define FRONT_END(function)                                                                        \
    {                                                                                              \
        .ui = function, .front_end = true                                                          \
    }
#define LIVE(function)                                                                             \
    {                                                                                              \
        .worker = function                                                                         \
    }
#define STOP(function)                                                                             \
    {                                                                                              \
        .worker = function, .stop = true                                                           \
    }

#define COMMAND(name, arguments, help, complete, runs_) runs_,

// In the order of dt_command_table.
static const struct runs table[] = {
#include "app/settings/command_list.h"
};

static void report_unknown(struct dt_app *app, const char *name, int match, const char *nearest)
{
    if (match == -2)
        dt_report_notice(&app->report, DT_NOTICE_WARNING,
                         "Several commands begin with /%s. /help lists the commands.", name);
    else if (nearest)
        dt_report_notice(&app->report, DT_NOTICE_WARNING, "Unknown command /%s. Did you mean /%s?",
                         name, nearest);
    else
        dt_report_notice(&app->report, DT_NOTICE_WARNING,
                         "Unknown command /%s. /help lists the commands.", name);
}

static void run(struct dt_app *app, const struct dt_command *command, const struct runs *runs,
                char *arguments)
{
    const struct dt_command *own = command;
    if (runs && runs->front_end)
        own = dt_own_commands_find(app, command->name);
    if (own && (!runs || runs->front_end)) {
        struct dt_app_event event = {.type = DT_EVENT_COMMAND, .command = own};
        dt_events_post(&app->report.events, &event, arguments, strlen(arguments), NULL, NULL);
    } else if (runs->ui) {
        runs->ui(app, arguments);
    } else {
        if (runs->stop && dt_requests_busy(&app->requests))
            dt_control_stop(&app->control);
        dt_requests_ask(&app->requests, runs->worker, arguments, strlen(arguments), !runs->stop);
    }
}

bool dt_commands_run(struct dt_app *app, const char *entry)
{
    char name[64];
    const char *nearest;
    size_t n = strcspn(entry, " \t\n"), count;
    snprintf(name, sizeof name, "%.*s", (int)n, entry);
    int match = dt_own_commands_match(app, name, &nearest);
    if (match < 0) {
        report_unknown(app, name, match, nearest);
        return true; // the entry was answered; the history has it for a correction
    }
    char *arguments = strdup(entry + n + strspn(entry + n, " \t"));
    if (!arguments) {
        dt_report_notice(&app->report, DT_NOTICE_ERROR, "Out of memory: the command was not run.");
        return false;
    }
    for (size_t end = strlen(arguments); end > 0 && strchr(" \t\n", arguments[end - 1]); end--)
        arguments[end - 1] = '\0';
    const struct dt_command *command = &dt_own_commands_all(app, &count)[match];
    bool ours = (size_t)match < sizeof table / sizeof *table;
    if (*arguments && !*command->arguments)
        dt_report_notice(&app->report, DT_NOTICE_WARNING,
                         "/%s takes no argument (got \"%s\"). Nothing was done.", command->name,
                         arguments);
    else
        run(app, command, ours ? &table[match] : NULL, arguments);
    free(arguments);
    return true;
}
