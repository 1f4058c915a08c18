// SPDX-License-Identifier: MIT
#include "app/commands/commands_settings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/commands/change.h"
#include "app/commands/commands_session.h"
#include "app/commands/question.h"
#include "app/worker/worker.h"
#include "host/string_buffer.h"

static void list_settings(struct dt_app *app)
{
    static const char *const from[] = {
        [DT_FROM_DEFAULT] = "",
        [DT_FROM_MODEL] = " (model)",
        [DT_FROM_FILE] = " (file)",
        [DT_FROM_STORY] = " (story)",
        [DT_FROM_ENVIRONMENT] = " (environment)",
        [DT_FROM_USER] = " (set)",
    };
    struct dt_string_buffer out = {0};
    const char *group = "";
    struct dt_settings *settings = malloc(sizeof *settings);
    if (!settings)
        return;
    dt_report_settings(&app->report, settings);
    for (int id = 0; id < DT_SET_COUNT; id++) {
        const struct dt_setting *s = &dt_settings_table()[id];
        if (strcmp(group, s->group) != 0)
            dt_string_buffer_printf(&out, "%s:\n", s->group);
        group = s->group;
        dt_string_buffer_printf(&out, "  %-16s %s%s\n", s->name, dt_settings_text(settings, id),
                                from[settings->value[id].source]);
    }
    dt_string_buffer_printf(&out, "/help NAME describes a setting, /set NAME VALUE changes it.\n");
    free(settings);
    if (out.text)
        dt_report_output(&app->report, out.text);
    dt_string_buffer_free(&out);
}

static void report_value(struct dt_app *app, int id)
{
    const struct dt_setting *s = &dt_settings_table()[id];
    struct dt_settings *settings = malloc(sizeof *settings);
    const char *note = "";
    if (!settings)
        return;
    dt_report_settings(&app->report, settings);
    if (s->when == DT_SETTING_START)
        note = ". Takes effect when duotale starts again; /save-settings stores it.";
    else if (id == DT_SET_MODE)
        note = ". Takes effect with the next story; /new begins one.";
    dt_report_notice(&app->report, DT_NOTICE_INFO, "%s = %s%s", s->name,
                     dt_settings_text(settings, id), note);
    free(settings);
}

static void speak_over(struct dt_worker *w, const char *value)
{
    char path[512];
    dt_report_set(w->report, DT_SET_SPEAK_TO, value, DT_FROM_USER, NULL);
    dt_worker_see_settings(w);
    w->has_spoken = false;
    if (dt_settings_path(&w->settings, DT_SET_SPEAK_TO, path, sizeof path))
        snprintf(w->spoken_to, sizeof w->spoken_to, "%s", path);
    dt_report_notice(w->report, DT_NOTICE_INFO, "speak-to = %s", value);
}

// Whether the file exists that speech is to be written to; asks then.
static bool ask_to_speak_over(struct dt_app *app, const char *value)
{
    char path[600], question[700];
    struct stat st;
    bool home = value[0] == '~' && value[1] == '/' && getenv("HOME");
    snprintf(path, sizeof path, "%s%s", home ? getenv("HOME") : "", home ? value + 1 : value);
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    snprintf(question, sizeof question, "%.300s exists. Replace it with the next turn?", path);
    dt_question_post(
        &app->report,
        dt_question_open(app, speak_over, value, "The file exists; speak-to is unchanged.", false),
        question);
    return true;
}

void dt_command_set(struct dt_app *app, char *arguments)
{
    char *value = arguments + strcspn(arguments, " =");
    if (*value) {
        *value++ = '\0';
        value += strspn(value, " =");
    }
    if (!*arguments) {
        list_settings(app);
        return;
    }
    int id = dt_settings_find(arguments);
    if (id < 0) {
        const char *near = dt_settings_nearest(arguments);
        if (near)
            dt_report_notice(&app->report, DT_NOTICE_WARNING,
                             "Unknown setting \"%s\". Did you mean \"%s\"?", arguments, near);
        else
            dt_report_notice(&app->report, DT_NOTICE_WARNING,
                             "Unknown setting \"%s\". /set lists the settings.", arguments);
        return;
    }
    if (!*value) {
        dt_command_help(app, (char *)dt_settings_table()[id].name);
        return;
    }
    if (id == DT_SET_SPEAK_TO && ask_to_speak_over(app, value))
        return;
    if (dt_change_or_report(app, id, strcmp(value, "\"\"") == 0 ? "" : value) &&
        !dt_change_is_reported(id))
        report_value(app, id);
}

void dt_command_save_settings(struct dt_app *app, char *arguments)
{
    (void)arguments;
    struct dt_error err = {0};
    struct dt_settings *settings = malloc(sizeof *settings);
    if (!app->settings_file[0]) {
        dt_report_notice(&app->report, DT_NOTICE_ERROR,
                         "No home directory to store settings in. Set XDG_CONFIG_HOME.");
    } else if (settings) {
        dt_report_settings(&app->report, settings);
        if (dt_settings_write(settings, app->settings_file, &err) == DT_OK)
            dt_report_notice(&app->report, DT_NOTICE_INFO, "Settings saved to %s.",
                             app->settings_file);
        else
            dt_report_error(&app->report, &err);
    }
    free(settings);
}

void dt_command_system(struct dt_app *app, char *arguments)
{
    char name[] = "system";
    const char *value = strcmp(arguments, "-") == 0 ? "" : arguments;
    if (!*arguments)
        dt_command_help(app, name);
    else if (dt_change_or_report(app, DT_SET_SYSTEM, value))
        dt_report_notice(&app->report, DT_NOTICE_INFO, "system = %s", value);
}

void dt_command_seed(struct dt_app *app, char *arguments)
{
    if (!*arguments)
        dt_report_notice(&app->report, DT_NOTICE_INFO, "The seed of the last turn is %llu.",
                         (unsigned long long)dt_view_figures(app->view)->seed);
    else if (dt_change_or_report(app, DT_SET_SEED, arguments))
        dt_report_notice(&app->report, DT_NOTICE_INFO, "seed = %s", arguments);
}

void dt_command_private(struct dt_app *app, char *arguments)
{
    const char *value = *arguments ? arguments : "on";
    if (dt_change_or_report(app, DT_SET_PRIVATE, value))
        dt_report_notice(&app->report, DT_NOTICE_INFO, "%s",
                         strcmp(value, "on") == 0
                             ? "Private mode: nothing is saved from now on. /delete removes what "
                               "was saved before."
                             : "Stories are saved again.");
}
