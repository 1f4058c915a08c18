// SPDX-License-Identifier: MIT
#include "app/worker/story_settings.h"

#include <stdlib.h>
#include <string.h>

// The sampling, and last the system prompt.
static const int owned[] = {DT_SET_TEMPERATURE, DT_SET_TOP_P,          DT_SET_TOP_K,
                            DT_SET_MIN_P,       DT_SET_REPEAT_PENALTY, DT_SET_REPEAT_LAST,
                            DT_SET_LENGTH,      DT_SET_OVERFLOW,       DT_SET_SYSTEM};
#define OWNED    (sizeof owned / sizeof *owned)
#define SAMPLING (OWNED - 1)

void dt_story_settings_write(struct dt_worker *w, char *out, size_t size)
{
    size_t n = 0;
    *out = '\0';
    for (size_t i = 0; i < SAMPLING && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s = %s\n", dt_settings_table()[owned[i]].name,
                              dt_settings_text(&w->settings, owned[i]));
}

static bool is_sampling(int id)
{
    for (size_t i = 0; i < SAMPLING; i++) {
        if (owned[i] == id)
            return true;
    }
    return false;
}

// Changes lines.
static void use_lines(struct dt_worker *w, char *lines)
{
    char *rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *value = strstr(line, " = ");
        if (!value)
            continue;
        *value = '\0';
        int id = dt_settings_find(line);
        if (id >= 0 && is_sampling(id))
            dt_report_set(w->report, id, value + 3, DT_FROM_STORY, NULL);
    }
}

// What is usual, and not of a story that was opened before this one.
static void remember(struct dt_worker *w)
{
    struct dt_story_usual *usual = calloc(1, sizeof *usual);
    dt_story_settings_leave(w);
    dt_worker_see_settings(w);
    if (!usual)
        return;
    for (size_t i = 0; i < OWNED; i++)
        usual->values[i] = w->settings.value[owned[i]];
    usual->premise = w->story.premise;
    w->story.premise = NULL;
    w->usual = usual;
}

void dt_story_settings_use(struct dt_worker *w, const struct dt_story_record *record, bool first)
{
    remember(w);
    char *lines = strdup(record->settings);
    if (lines)
        use_lines(w, lines);
    free(lines);
    if (!first || w->settings.value[DT_SET_SYSTEM].source < DT_FROM_STORY) {
        struct dt_setting_value system = {.source = DT_FROM_STORY};
        // one that is too long for a setting is not used
        if (strlen(record->system) < sizeof system.text)
            memcpy(system.text, record->system, strlen(record->system) + 1);
        dt_report_put_value(w->report, DT_SET_SYSTEM, &system);
    }
    free(w->story.premise);
    w->story.premise = *record->premise ? strdup(record->premise) : NULL;
    w->story.premise_opened = true;
    dt_worker_see_settings(w);
}

void dt_story_settings_leave(struct dt_worker *w)
{
    struct dt_story_usual *usual = w->usual;
    if (!usual)
        return;
    w->usual = NULL;
    dt_worker_see_settings(w);
    for (size_t i = 0; i < OWNED; i++) {
        if (w->settings.value[owned[i]].source == DT_FROM_STORY) // what was set since stays
            dt_report_put_value(w->report, owned[i], &usual->values[i]);
    }
    if (w->story.premise_opened) {
        free(w->story.premise);
        w->story.premise = usual->premise;
        usual->premise = NULL;
        w->story.premise_opened = false;
    }
    dt_worker_see_settings(w);
    free(usual->premise);
    free(usual);
}
