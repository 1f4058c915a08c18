// SPDX-License-Identifier: MIT
// Settings on the command line, and the table as help.
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/settings.h"
#include "base/typed_text.h"

// "no-NAME" for switches. Static, because the options that getopt_long uses point to them.
static char negations[DT_SET_COUNT][32];

// The setting at place i of a caller's choice; all of them where there is none.
static int chosen(const int *ids, size_t i)
{
    return ids ? ids[i] : (int)i;
}

struct option *dt_settings_options(const int *ids, size_t count, const struct option *extra,
                                   size_t extra_count, const char *extra_short,
                                   char **short_options)
{
    struct option *options = calloc(2 * DT_SET_COUNT + extra_count + 1, sizeof *options);
    char *letters = calloc(2 * DT_SET_COUNT + strlen(extra_short) + 1, 1);
    size_t n = 0, l = 0;
    if (!options || !letters) {
        free(options);
        free(letters);
        return NULL;
    }
    for (size_t i = 0; i < (ids ? count : DT_SET_COUNT); i++) {
        int id = chosen(ids, i);
        const struct dt_setting *setting = &dt_settings_table()[id];
        bool toggle = setting->type == DT_SETTING_BOOL;
        options[n++] = (struct option){setting->name, toggle ? no_argument : required_argument,
                                       NULL, DT_SETTING_FLAG + id};
        if (toggle) {
            snprintf(negations[id], sizeof negations[id], "no-%s", setting->name);
            options[n++] =
                (struct option){negations[id], no_argument, NULL, DT_SETTING_NO_FLAG + id};
        }
        if (setting->letter) {
            letters[l++] = setting->letter;
            if (!toggle)
                letters[l++] = ':';
        }
    }
    if (extra_count)
        memcpy(options + n, extra, extra_count * sizeof *extra);
    memcpy(letters + l, extra_short, strlen(extra_short));
    *short_options = letters;
    return options;
}

int dt_settings_flag(int result, const char **argument)
{
    if (result >= DT_SETTING_NO_FLAG && result < DT_SETTING_NO_FLAG + DT_SET_COUNT) {
        *argument = "off";
        return result - DT_SETTING_NO_FLAG;
    }
    if (result >= DT_SETTING_FLAG && result < DT_SETTING_FLAG + DT_SET_COUNT) {
        int id = result - DT_SETTING_FLAG;
        if (dt_settings_table()[id].type == DT_SETTING_BOOL)
            *argument = "on";
        return id;
    }
    for (int id = 0; result > 0 && result < 256 && id < DT_SET_COUNT; id++) {
        if (dt_settings_table()[id].letter == result)
            return id;
    }
    return -1;
}

dt_status dt_settings_set_flag(struct dt_settings *settings, int id, const char *text,
                               struct dt_error *err)
{
    struct dt_setting_value *value = &settings->value[id];
    char all[DT_SETTING_TEXT_MAX] = "";
    if (dt_settings_table()[id].type != DT_SETTING_TEXTS)
        return dt_settings_set(settings, id, text, DT_FROM_USER, err);
    if (value->source == DT_FROM_USER)
        memcpy(all, value->text, sizeof all);
    if (dt_settings_add_text(all, text) &&
        dt_settings_set(settings, id, all, DT_FROM_USER, err) == DT_OK)
        return DT_OK;
    return dt_error_set(err, DT_USAGE, NULL,
                        "%s: at most %u texts of 1 to %u bytes, %u in all (got %zu bytes)",
                        dt_settings_table()[id].name, DT_STOP_TEXTS, DT_STOP_TEXT_MAX,
                        DT_SETTING_TEXT_MAX - 1, strlen(text));
}

int dt_settings_option(struct dt_settings *settings, int result, const char *argument,
                       struct dt_error *err)
{
    struct dt_error inner = {0};
    int id = dt_settings_flag(result, &argument);
    if (id < 0)
        return 0;
    if (dt_settings_set_flag(settings, id, argument, &inner) != DT_OK)
        dt_error_set(err, DT_USAGE, NULL, "--%s", inner.message);
    return 1;
}

// Prints text from column `at` on, broken at spaces before `columns`; continuation lines begin at
// `indent`.
static void wrap(FILE *out, const char *text, size_t at, size_t indent, size_t columns)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        if (at > indent && at + 1 + n > columns) {
            fprintf(out, "\n%*s", (int)indent, "");
            at = indent;
        }
        if (at > indent) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", (int)n, text);
        at += n;
        text += n;
        text += *text == ' ';
    }
    fputc('\n', out);
}

void dt_settings_help_row(FILE *out, const char *flag, const char *help, size_t indent,
                          size_t columns)
{
    size_t n = strlen(flag);
    fputs(flag, out);
    if (n && n + 2 > indent)
        fprintf(out, "\n%*s", (int)indent, "");
    else
        fprintf(out, "%*s", (int)(indent - n), "");
    wrap(out, help, indent, indent, columns);
}

void dt_settings_help(FILE *out, const int *ids, size_t count, size_t columns)
{
    const size_t indent = 30;
    const char *group = "";
    for (size_t i = 0; i < (ids ? count : DT_SET_COUNT); i++) {
        const struct dt_setting *setting = &dt_settings_table()[chosen(ids, i)];
        char flag[80], letter[8] = "    ", help[400], range[128];
        if (strcmp(group, setting->group) != 0)
            fprintf(out, "%s%s:\n", *group ? "\n" : "", setting->group);
        group = setting->group;
        if (setting->letter)
            snprintf(letter, sizeof letter, "-%c, ", setting->letter);
        if (setting->type == DT_SETTING_BOOL)
            snprintf(flag, sizeof flag, "  %s--[no-]%s", letter, setting->name);
        else
            snprintf(flag, sizeof flag, "  %s--%s %s", letter, setting->name, setting->value);
        if (setting->type == DT_SETTING_CHOICE || setting->type == DT_SETTING_INT ||
            setting->type == DT_SETTING_REAL)
            snprintf(help, sizeof help, "%s (%s; default %s)", setting->help,
                     dt_settings_range(setting, range, sizeof range), setting->initial);
        else if (setting->initial[0])
            snprintf(help, sizeof help, "%s (default %s)", setting->help, setting->initial);
        else
            snprintf(help, sizeof help, "%s", setting->help);
        dt_settings_help_row(out, flag, help, indent, columns);
    }
}
