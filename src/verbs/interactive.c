// SPDX-License-Identifier: MIT
#include "verbs/interactive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "app/app.h"
#include "app/charset.h"
#include "app/library/record.h"
#include "host/file.h"
#include "host/modules/modules.h"
#include "host/modules/probe.h"
#include "host/print.h"
#include "verbs/verb.h"

// ---- the command line ----

struct session {
    struct dt_settings flags, settings; // from the options alone; from all sources
    const char *config, *script, *prompt;
    bool no_config, force;
    int64_t open; // number of the story to continue, -1: the last one, 0: none
    struct dt_error err;
};

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct session *s = arg;
    switch (id) {
    case DT_OPTION_OPEN:
        s->open = -1;
        if (value->text && strcmp(value->text, "last") != 0 &&
            !dt_story_number(value->text, &s->open))
            return dt_options_usage(
                DT_VERB_SESSION, "--open: must be the number of a story (got \"%s\")", value->text);
        return 0;
    case DT_OPTION_CONFIG:
        s->config = value->text;
        return 0;
    case DT_OPTION_FORCE:
        s->force = true;
        return 0;
    case DT_OPTION_NO_CONFIG:
        s->no_config = true;
        return 0;
    case DT_OPTION_SCRIPT:
        s->script = value->text;
        return 0;
    case DT_OPTION_PROMPT:
        s->prompt = value->text;
        return 0;
    default:
        if (dt_settings_set_flag(&s->flags, id, value->text, &s->err) == DT_OK)
            return 0;
        return dt_options_usage(DT_VERB_SESSION, "--%s", s->err.message);
    }
}

// Reads the sources of settings, the weaker ones first: file, environment, options.
static dt_status read_settings(struct session *s, char *config, size_t size, struct dt_error *err)
{
    dt_settings_init(&s->settings);
    if (s->config && !dt_file_readable(s->config))
        return dt_error_set(err, DT_BAD_INPUT, s->config, "cannot read the settings file");
    if (s->script && !dt_file_readable(s->script))
        return dt_error_set(err, DT_BAD_INPUT, s->script, "cannot read the script");
    if (!s->config && !s->no_config && dt_settings_file(config, size))
        s->config = config;
    dt_status status = DT_OK;
    if (s->config && !s->no_config)
        status = dt_settings_read(&s->settings, s->config, err);
    if (status == DT_OK)
        status = dt_settings_environment(&s->settings, err);
    for (int id = 0; id < DT_SET_COUNT; id++) {
        if (s->flags.value[id].source == DT_FROM_USER)
            s->settings.value[id] = s->flags.value[id];
    }
    return status;
}

// -1: all was read; else the exit code.
static int read_arguments(struct session *s, int argc, char **argv)
{
    static char config[512];
    struct dt_error err = {0};
    dt_settings_init(&s->flags);
    int code = dt_options_read(DT_VERB_SESSION, argc, argv, on_option, s);
    if (code >= 0)
        return code;
    if (optind < argc &&
        dt_settings_set(&s->flags, DT_SET_MODEL, argv[optind], DT_FROM_USER, &err) != DT_OK)
        return dt_verb_fail(&err);
    if (optind + 1 < argc)
        return dt_options_usage(DT_VERB_SESSION, "%s: only one model can be given",
                                argv[optind + 1]);
    return read_settings(s, config, sizeof config, &err) == DT_OK ? -1 : dt_verb_fail(&err);
}

// ---- front ends ----

struct front_end {
    char name[32];
    const struct dt_ui *ui;   // NULL while its module is not loaded
    struct dt_module *module; // NULL: compiled in
};

struct front_ends {
    struct front_end items[16];
    size_t count;
    struct dt_modules modules;
    char refused[600]; // modules that cannot be used, with reasons, for messages
};

static const struct dt_module_kind kind = {"ui", DT_UI_SYMBOL, "duotale-ui-"};

struct front_end_name {
    char text[32];
};

// In a child: what a module is.
static void look(void *arg, const struct dt_module *module, void *finding, char *reason)
{
    const struct dt_ui *ui = module->symbol;
    struct front_end_name *name = finding;
    (void)arg;
    if (ui->size != sizeof *ui || strcmp(ui->build, DT_UI_BUILD) != 0)
        snprintf(reason, DT_PROBE_REASON, "was built for duotale %.40s, this is %s",
                 ui->size >= 2 * sizeof(void *) ? ui->build : "?", DT_UI_BUILD);
    else
        snprintf(name->text, sizeof name->text, "%s", ui->name);
}

static void add_front_end(struct front_ends *all, const struct dt_ui *ui, struct dt_module *module,
                          const char *name)
{
    struct front_end *f = &all->items[all->count++];
    f->ui = ui;
    f->module = module;
    snprintf(f->name, sizeof f->name, "%s", name);
}

static void add_module(struct front_ends *all, struct dt_module *module, const char *name)
{
    size_t n = strlen(all->refused);
    if (module->reason)
        snprintf(all->refused + n, sizeof all->refused - n, "%s%s: %s", n ? "; " : "", module->path,
                 module->reason);
    else
        add_front_end(all, NULL, module, name);
}

static void find_front_ends(struct front_ends *all, const struct dt_ui *const *compiled,
                            size_t compiled_count)
{
    struct dt_error err = {0};
    for (size_t i = 0; i < compiled_count; i++)
        add_front_end(all, compiled[i], NULL, compiled[i]->name);
    if (dt_modules_find(&all->modules, &kind, &err) != DT_OK)
        return; // a static build has no modules
    const struct dt_examination how = {&kind, look, NULL, sizeof(struct front_end_name),
                                       !getenv("DUOTALE_MODULES")};
    struct front_end_name *names = calloc(all->modules.count + 1, sizeof *names);
    if (names && dt_modules_examine(&all->modules, &how, names, &err) == DT_OK) {
        for (size_t i = 0; i < all->modules.count && all->count < 16; i++)
            add_module(all, &all->modules.items[i], names[i].text);
    } else {
        snprintf(all->refused, sizeof all->refused, "%s",
                 err.status ? err.message : "out of memory");
    }
    free(names);
}

static struct front_end *find_by_name(struct front_ends *all, const char *name)
{
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->items[i].name, name) == 0)
            return &all->items[i];
    }
    return NULL;
}

// Unloads every other front end with its libraries: curses and readline need as much memory as a
// small model's KV cache. NULL, with a reason, if this one cannot be loaded.
static const struct dt_ui *load_alone(struct front_ends *all, struct front_end *f, char *reason,
                                      size_t size)
{
    struct dt_error err = {0};
    for (size_t i = 0; i < all->count; i++) {
        struct front_end *other = &all->items[i];
        if (other != f && other->module && other->ui) {
            dt_module_unload(other->module);
            other->ui = NULL;
        }
    }
    if (!f->ui && dt_module_load(f->module, &kind, &err) == DT_OK)
        f->ui = f->module->symbol;
    if (!f->ui)
        snprintf(reason, size, "%s", err.message);
    return f->ui;
}

// The front ends to try, in order; ended by NULL.
static void choose_order(const char *name, bool interactive, const char *order[4])
{
    const char *term = getenv("TERM");
    bool dumb = !term || !*term || strcmp(term, "dumb") == 0;
    size_t n = 0;
    if (strcmp(name, "auto") != 0) {
        order[n++] = name;
    } else if (!interactive) {
        order[n++] = "plain";
    } else {
        if (!dumb)
            order[n++] = "tui";
        order[n++] = "line";
        order[n++] = "plain";
    }
    order[n] = NULL;
}

// Runs the first front end that can be used. False if there is none; the reason is written.
static bool run_front_end(struct front_ends *all, struct dt_app *app, const char *name,
                          bool interactive)
{
    const struct dt_app_api *api = dt_app_api();
    const char *order[4];
    char reason[300] = "", line[400];
    bool by_name = strcmp(name, "auto") != 0, replaced = false;
    choose_order(name, interactive, order);
    for (size_t i = 0; order[i]; i++) {
        struct front_end *f = find_by_name(all, order[i]);
        const struct dt_ui *ui = f ? load_alone(all, f, reason, sizeof reason) : NULL;
        if (!ui)
            continue;
        if (replaced) {
            snprintf(line, sizeof line, "Using the %s front end.", ui->name);
            api->notice(app, DT_NOTICE_INFO, line);
        }
        if (ui->usable(api, app, reason, sizeof reason) == 0 &&
            ui->run(api, app, reason, sizeof reason) == 0)
            return true;
        if (!by_name) {
            snprintf(line, sizeof line, "Front end %s cannot be used: %s.", ui->name, reason);
            api->notice(app, DT_NOTICE_INFO, line);
            replaced = true;
        }
    }
    dt_print(stderr, "duotale: front end %s cannot be used: %s\n", by_name ? name : "plain",
             reason);
    return false;
}

static int unknown_front_end(const struct front_ends *all, const char *name)
{
    char names[200] = "";
    for (size_t i = 0; i < all->count; i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", all->items[i].name);
    }
    return dt_options_usage(DT_VERB_SESSION, "--ui: unknown front end \"%s\" (available: %s%s%s)",
                            name, names, *all->refused ? "; refused: " : "", all->refused);
}

// ---- the session ----

static void print_last_line(const char *line)
{
    dt_print(stderr, "%s\n", line);
}

int dt_interactive(int argc, char **argv, const struct dt_ui *const *compiled,
                   size_t compiled_count)
{
    static struct session s; // too large for a small stack
    struct front_ends front_ends = {0};
    struct dt_error err = {0};
    struct dt_app *app = NULL;
    bool interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    dt_charset_set_locale();
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1); // the three threads allocate too little to need a heap each
#endif
    int code = read_arguments(&s, argc, argv);
    if (code >= 0)
        return code;
    const char *name = dt_settings_text(&s.settings, DT_SET_UI);
    find_front_ends(&front_ends, compiled, compiled_count);
    struct dt_app_options options = {
        .settings = &s.settings,
        .settings_file = s.config,
        .script = s.script,
        .prompt = s.prompt,
        .open = s.open,
        .force = s.force,
        .interactive = interactive,
    };
    if (strcmp(name, "auto") != 0 && !find_by_name(&front_ends, name)) {
        code = unknown_front_end(&front_ends, name);
    } else if (dt_app_new(&app, &options, &err) != DT_OK) {
        code = dt_verb_fail(&err);
    } else {
        bool ran = run_front_end(&front_ends, app, name, interactive);
        code = ran ? dt_app_exit_code(app) : dt_status_exit_code(DT_FAILED);
        if (dt_app_free(app, print_last_line) > 0 && code == 0)
            code = dt_status_exit_code(DT_FAILED);
    }
    dt_modules_free(&front_ends.modules);
    return code ? code : dt_verb_flush();
}
