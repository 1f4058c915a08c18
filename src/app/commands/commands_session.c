// SPDX-License-Identifier: MIT
#include "app/commands/commands_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands/own_commands.h"
#include "host/string_buffer.h"
#include "app/scripts.h"
#include "host/file.h"

static void describe_setting(struct dt_string_buffer *out, const struct dt_settings *settings,
                             int id)
{
    const struct dt_setting *s = &dt_settings_table()[id];
    char range[256];
    dt_string_buffer_printf(out, "%s = %s\n  %s\n  %s; default %s; takes effect %s\n", s->name,
                            dt_settings_text(settings, id), s->help,
                            dt_settings_range(s, range, sizeof range),
                            *s->initial ? s->initial : "(empty)", dt_settings_when(s));
}

static void describe(struct dt_app *app, struct dt_string_buffer *out, const char *name)
{
    size_t count;
    const struct dt_command *table = dt_own_commands_all(app, &count);
    int i = dt_own_commands_match(app, name, NULL), id = dt_settings_find(name);
    struct dt_settings *settings = id >= 0 ? malloc(sizeof *settings) : NULL;
    if (i >= 0)
        dt_string_buffer_printf(out, "/%s %s\n  %s\n", table[i].name, table[i].arguments,
                                table[i].help);
    if (settings) {
        dt_report_settings(&app->report, settings);
        describe_setting(out, settings, id);
    }
    if (i < 0 && id < 0)
        dt_string_buffer_printf(
            out,
            "No command or setting named \"%s\". /help lists the commands, /set the settings.\n",
            name);
    free(settings);
}

static void list_commands(struct dt_app *app, struct dt_string_buffer *out)
{
    size_t count;
    const struct dt_command *table = dt_own_commands_all(app, &count);
    for (size_t i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "/%s %s", table[i].name, table[i].arguments);
        dt_string_buffer_printf(out, "%-24s %s\n", name, table[i].help);
    }
    dt_string_buffer_printf(
        out,
        "Any other text continues the story. A backslash at the end of a line, or Ctrl-J, begins "
        "another line.\n"
        "Ctrl-C stops the generation, Ctrl-D or /quit quits, Tab completes. Names can be "
        "abbreviated.\n");
}

void dt_command_help(struct dt_app *app, char *arguments)
{
    struct dt_string_buffer out = {0};
    if (*arguments == '/')
        arguments++;
    if (*arguments)
        describe(app, &out, arguments);
    else
        list_commands(app, &out);
    if (out.text)
        dt_report_output(&app->report, out.text);
    dt_string_buffer_free(&out);
}

void dt_command_quit(struct dt_app *app, char *arguments)
{
    (void)arguments;
    dt_control_leave(&app->control, 1);
}

// The front end plays it line by line, when the worker is idle (input.c).
void dt_command_script(struct dt_app *app, char *arguments)
{
    if (!*arguments) {
        dt_report_notice(&app->report, DT_NOTICE_WARNING,
                         "Which script? /script FILE enters the lines of a file.");
        return;
    }
    FILE *in = dt_file_open_text(arguments);
    if (!in) {
        dt_report_notice(&app->report, DT_NOTICE_ERROR, "%s: the script cannot be read: %s.",
                         arguments, dt_file_reason(errno));
        return;
    }
    dt_scripts_begin(app, in);
    dt_events_wake(&app->report.events);
}
