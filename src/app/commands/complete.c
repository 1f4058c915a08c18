// SPDX-License-Identifier: MIT
#include "app/commands/complete.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/commands/own_commands.h"
#include "base/text.h"
#include "host/audio/voices.h"

#define WORDS_MAX 300

struct dt_completion {
    struct dt_app_completion out;
    char *words[WORDS_MAX], *hints[WORDS_MAX];
    size_t count;
};

static void clear(struct dt_completion *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->words[i]);
        free(c->hints[i]);
    }
    memset(c, 0, sizeof *c);
}

void dt_complete_free(struct dt_app *app)
{
    if (app->completion)
        clear(app->completion);
    free(app->completion);
    app->completion = NULL;
}

// Offers a word if it begins with what was typed.
static void offer(struct dt_completion *c, const char *typed, size_t n, const char *word,
                  const char *hint)
{
    if (strncmp(word, typed, n) != 0 || c->count == WORDS_MAX)
        return;
    char *copy = strdup(word);
    if (!copy)
        return;
    c->words[c->count] = copy;
    c->hints[c->count++] = hint ? strdup(hint) : NULL;
}

static void sort(struct dt_completion *c)
{
    for (size_t i = 1; i < c->count; i++) { // few words
        for (size_t j = i; j > 0 && strcmp(c->words[j - 1], c->words[j]) > 0; j--) {
            char *word = c->words[j], *hint = c->hints[j];
            c->words[j] = c->words[j - 1];
            c->hints[j] = c->hints[j - 1];
            c->words[j - 1] = word;
            c->hints[j - 1] = hint;
        }
    }
}

static void offer_files(struct dt_completion *c, const char *typed, size_t n, bool models)
{
    char folder[1024], whole[2048];
    size_t slash = n;
    while (slash > 0 && typed[slash - 1] != '/')
        slash--;
    if (slash >= sizeof folder - 2)
        return;
    snprintf(folder, sizeof folder, "%.*s", (int)slash, typed);
    if (folder[0] == '~' && folder[1] == '/' && getenv("HOME"))
        snprintf(folder, sizeof folder, "%s%.*s", getenv("HOME"), (int)(slash - 1), typed + 1);
    DIR *dir = opendir(*folder ? folder : ".");
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        struct stat st;
        char path[2400];
        if ((name[0] == '.' && typed[slash] != '.') ||
            !dt_text_is_clean(name, strlen(name), DT_TEXT_LINE)) // it cannot be entered
            continue;
        snprintf(path, sizeof path, "%s%s", folder, name);
        bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
        const char *ending = strrchr(name, '.');
        if (models && !is_folder &&
            !(ending && (strcmp(ending, ".gguf") == 0 || strcmp(ending, ".bin") == 0)))
            continue;
        snprintf(whole, sizeof whole, "%.*s%s%s", (int)slash, typed, name, is_folder ? "/" : "");
        offer(c, typed, n, whole, NULL);
    }
    if (dir)
        closedir(dir);
}

static void offer_backends(struct dt_app *app, struct dt_completion *c, const char *typed, size_t n)
{
    size_t count;
    const struct dt_app_backend *list = dt_view_backends(app->view, &count);
    if (c->out.from == 0 || typed[-1] != '+')
        offer(c, typed, n, "auto", "the fastest for this model");
    for (size_t i = 0; i < count; i++) {
        char name[64];
        if (list[i].reason)
            continue;
        offer(c, typed, n, list[i].name, list[i].description);
        // the plain name of a variant is offered too
        snprintf(name, sizeof name, "%s", list[i].name);
        char *at = strchr(name, '@');
        if (at) {
            *at = '\0';
            bool known = false;
            for (size_t j = 0; j < c->count; j++)
                known = known || strcmp(c->words[j], name) == 0;
            if (!known)
                offer(c, typed, n, name, "its fastest variant here");
        }
    }
}

// The voices that work here. Only a module knows the variants after its colon.
static void offer_voices(struct dt_completion *c, const char *typed, size_t n)
{
    struct dt_voices *voices = NULL;
    struct dt_error err;
    offer(c, typed, n, "auto", "the best available");
    if (dt_voices_new(&voices, &err) != DT_OK)
        return;
    for (size_t i = 0; i < dt_voices_count(voices); i++) {
        const struct dt_voice_info *v = dt_voices_at(voices, i);
        if (v->kind == DT_SPEECH_VOICE && v->score > 0)
            offer(c, typed, n, v->name, v->description);
    }
    dt_voices_free(voices);
}

static void offer_values(struct dt_app *app, struct dt_completion *c, int id, const char *typed,
                         size_t n)
{
    const struct dt_setting *setting = &dt_settings_table()[id];
    char word[64];
    if (id == DT_SET_BACKEND) {
        offer_backends(app, c, typed, n);
    } else if (id == DT_SET_VOICE) {
        offer_voices(c, typed, n);
    } else if (setting->type == DT_SETTING_BOOL) {
        offer(c, typed, n, "on", NULL);
        offer(c, typed, n, "off", NULL);
    } else if (setting->type == DT_SETTING_FILE) {
        offer_files(c, typed, n, id == DT_SET_MODEL);
    } else {
        for (size_t i = 0; dt_settings_choice(setting, i, word, sizeof word); i++)
            offer(c, typed, n, word, NULL);
    }
}

static void offer_settings(struct dt_app *app, struct dt_completion *c, const char *typed, size_t n)
{
    struct dt_settings *settings = malloc(sizeof *settings);
    if (!settings)
        return;
    dt_report_settings(&app->report, settings);
    for (int id = 0; id < DT_SET_COUNT; id++) {
        char range[200], hint[300];
        dt_settings_range(&dt_settings_table()[id], range, sizeof range);
        snprintf(hint, sizeof hint, "%s, now %.60s", range, dt_settings_text(settings, id));
        offer(c, typed, n, dt_settings_table()[id].name, hint);
    }
    free(settings);
}

// The models of the server that is open.
static void offer_remote_models(struct dt_app *app, struct dt_completion *c, const char *typed,
                                size_t n)
{
    char *lines = dt_report_remote_models(&app->report), *rest = NULL;
    for (char *line = lines ? strtok_r(lines, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest))
        offer(c, typed, n, line, "on the server");
    free(lines);
}

static void offer_argument(struct dt_app *app, struct dt_completion *c,
                           const struct dt_command *command, const char *line, const char *typed,
                           size_t n)
{
    const char *arguments = line + strcspn(line, " ");
    arguments += strspn(arguments, " ");
    char first[64];
    size_t count;
    switch (command->complete) {
    case DT_COMPLETE_COMMAND: {
        const struct dt_command *table = dt_own_commands_all(app, &count);
        for (size_t i = 0; i < count; i++)
            offer(c, typed, n, table[i].name, table[i].help);
        offer_settings(app, c, typed, n);
        break;
    }
    case DT_COMPLETE_SETTING:
        if (arguments == typed) {
            offer_settings(app, c, typed, n);
        } else {
            snprintf(first, sizeof first, "%.*s", (int)strcspn(arguments, " ="), arguments);
            int id = dt_settings_find(first);
            if (id >= 0)
                offer_values(app, c, id, typed, n);
        }
        break;
    case DT_COMPLETE_BACKEND: {
        size_t plus = n;
        while (plus > 0 && typed[plus - 1] != '+')
            plus--;
        c->out.from += plus;
        offer_backends(app, c, typed + plus, n - plus);
        break;
    }
    case DT_COMPLETE_MODEL: {
        const struct dt_app_model *models = dt_view_models(app->view, &count);
        for (size_t i = 0; i < count; i++) {
            if (models[i].format)
                offer(c, typed, n, models[i].name,
                      models[i].reason ? models[i].reason : models[i].format);
        }
        offer_remote_models(app, c, typed, n);
        offer_files(c, typed, n, true);
        break;
    }
    case DT_COMPLETE_FILE:
        offer_files(c, typed, n, false);
        break;
    case DT_COMPLETE_STORY: {
        const struct dt_app_entry *list = dt_view_library(app->view, &count);
        for (size_t i = 0; i < count; i++) {
            snprintf(first, sizeof first, "%lld", (long long)list[i].id);
            offer(c, typed, n, first, list[i].title);
        }
        break;
    }
    case DT_COMPLETE_ON_OFF:
        offer(c, typed, n, "off", NULL);
        offer(c, typed, n, "on", NULL);
        break;
    case DT_COMPLETE_VOICE:
        offer_voices(c, typed, n);
        break;
    case DT_COMPLETE_STATS:
        offer(c, typed, n, "off", NULL);
        offer(c, typed, n, "turn", "after each turn");
        offer(c, typed, n, "live", "during generation too");
        break;
    case DT_COMPLETE_NONE:
        break;
    }
}

const struct dt_app_completion *dt_complete(struct dt_app *app, const char *line, size_t cursor)
{
    char *copy = strndup(line, cursor);
    struct dt_completion *c = app->completion;
    size_t count;
    if (!c)
        c = app->completion = calloc(1, sizeof *c);
    if (!c || !copy) {
        static const struct dt_app_completion nothing = {0};
        free(copy);
        return &nothing;
    }
    clear(c);
    size_t from = strlen(copy);
    c->out.suffix = ' ';
    if (copy[0] == '/' && copy[1] != '/') {
        while (from > 0 && copy[from - 1] != ' ')
            from--;
        const struct dt_command *table = dt_own_commands_all(app, &count);
        c->out.from = from;
        if (from == 0) {
            c->out.from = 1;
            for (size_t i = 0; i < count; i++)
                offer(c, copy + 1, strlen(copy + 1), table[i].name, table[i].help);
        } else {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)strcspn(copy + 1, " "), copy + 1);
            int i = dt_own_commands_match(app, name, NULL);
            if (i >= 0)
                offer_argument(app, c, &table[i], copy, copy + from, strlen(copy + from));
        }
    }
    sort(c);
    if (c->count == 1 && strlen(c->words[0]) > 0 && c->words[0][strlen(c->words[0]) - 1] == '/')
        c->out.suffix = 0;
    c->out.count = c->count;
    c->out.words = (const char *const *)c->words;
    c->out.hints = (const char *const *)c->hints;
    free(copy);
    return &c->out;
}
