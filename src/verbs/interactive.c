// SPDX-License-Identifier: MIT
#include "verbs/interactive.h"

#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "app/app.h"
#include "host/file.h"
#include "host/modules/modules.h"
#include "verbs/verb.h"

enum { OPTION_OPEN = 3000, OPTION_CONFIG, OPTION_SCRIPT, OPTION_NO_CONFIG };

static const struct option extra[] = {
    {"open", optional_argument, NULL, OPTION_OPEN},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"no-config", no_argument, NULL, OPTION_NO_CONFIG},
    {"script", required_argument, NULL, OPTION_SCRIPT},
    {"prompt", required_argument, NULL, 'i'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
};

struct session {
    struct dt_settings settings;
    const char *config, *script, *prompt;
    int64_t open;
};

static int print_help(void)
{
    fputs(
        "\nduotale [MODEL] [options]: sit down and talk; from a pipe: one story, then it "
        "leaves.\n\n"
        "  -i, --prompt TEXT           what to begin with\n"
        "      --open[=N]              goes on with story N of the library, or with the last one\n"
        "      --script FILE           plays a file as if it were typed\n"
        "      --config FILE           reads settings from this file; --no-config: from none\n"
        "  -h, --help                  this; -V, --version\n\n",
        stdout);
    dt_settings_help(stdout, NULL, 0, 100);
    puts("\nEvery setting can also stand in the configuration file (NAME = VALUE) or the "
         "environment (DUOTALE_NAME).\n"
         "Exit codes: 0 done, 1 failed, 2 usage, 3 bad model or input file, 4 not enough memory, "
         "128 + N ended by signal N.");
    return dt_verb_flush();
}

static int usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("duotale: ", stderr);
    vfprintf(stderr, format, args);
    fputs(" (see duotale --help)\n", stderr);
    va_end(args);
    return dt_status_exit_code(DT_USAGE);
}

// Flags, environment, file, in the order of their strength. -1: go on; else the exit code.
static int read_arguments(struct session *s, int argc, char **argv)
{
    static char config[512];
    struct dt_error err = {0};
    struct dt_settings flags;
    char *letters = NULL;
    struct option *options =
        dt_settings_options(NULL, 0, extra, sizeof extra / sizeof *extra, "i:hV", &letters);
    int result, code = -1;
    bool no_config = false;
    if (!options) {
        fputs("duotale: no memory to read the command line\n", stderr);
        return dt_status_exit_code(DT_NO_MEMORY);
    }
    dt_settings_init(&flags);
    optind = 0;
    while (code < 0 && (result = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (dt_settings_option(&flags, result, optarg, &err)) {
            code = err.status ? dt_verb_fail(&err) : -1;
            continue;
        }
        switch (result) {
        case OPTION_OPEN:
            s->open = optarg && strcmp(optarg, "last") != 0 ? strtoll(optarg, NULL, 10) : -1;
            if (s->open == 0)
                code = usage("--open takes the number of a story, not \"%s\"", optarg);
            break;
        case OPTION_CONFIG:
            s->config = optarg;
            break;
        case OPTION_NO_CONFIG:
            no_config = true;
            break;
        case OPTION_SCRIPT:
            s->script = optarg;
            break;
        case 'i':
            s->prompt = optarg;
            break;
        case 'h':
            code = print_help();
            break;
        case 'V':
            puts("duotale " DT_VERSION);
            code = dt_verb_flush();
            break;
        default: // getopt has said what
            fputs("(see duotale --help)\n", stderr);
            code = dt_status_exit_code(DT_USAGE);
            break;
        }
    }
    if (code < 0 && optind < argc &&
        dt_settings_set(&flags, DT_SET_MODEL, argv[optind], DT_FROM_USER, &err) != DT_OK)
        code = dt_verb_fail(&err);
    if (code < 0 && optind + 1 < argc)
        code = usage("one model at a time, not also \"%s\"", argv[optind + 1]);
    free(options);
    free(letters);
    if (code >= 0)
        return code;
    dt_settings_init(&s->settings);
    if (s->config && !dt_file_readable(s->config)) {
        dt_error_set(&err, DT_BAD_INPUT, s->config, "the settings cannot be read");
        return dt_verb_fail(&err);
    }
    if (s->script && !dt_file_readable(s->script)) {
        dt_error_set(&err, DT_BAD_INPUT, s->script, "the script cannot be read");
        return dt_verb_fail(&err);
    }
    if (!s->config && !no_config && dt_settings_file(config, sizeof config))
        s->config = config;
    if (s->config && !no_config && dt_settings_read(&s->settings, s->config, &err) != DT_OK)
        return dt_verb_fail(&err);
    if (dt_settings_environment(&s->settings, &err) != DT_OK)
        return dt_verb_fail(&err);
    for (int id = 0; id < DT_SET_COUNT; id++) {
        if (flags.value[id].source == DT_FROM_USER)
            s->settings.value[id] = flags.value[id];
    }
    return -1;
}

// ---- front ends ----

struct face {
    char name[32];
    const struct dt_ui *ui;   // NULL while its module is out of memory
    struct dt_module *module; // NULL: compiled in
};

struct faces {
    struct face face[16];
    size_t count;
    struct dt_modules modules;
    char refused[600]; // why modules were left out, for messages
};

static const struct dt_module_kind kind = {"ui", DT_UI_SYMBOL};

static void add_face(struct faces *faces, const struct dt_ui *ui, struct dt_module *module)
{
    struct face *face = &faces->face[faces->count++];
    face->ui = ui;
    face->module = module;
    snprintf(face->name, sizeof face->name, "%s", ui->name);
}

static void find_faces(struct faces *faces, const struct dt_ui *const *compiled,
                       size_t compiled_count)
{
    struct dt_error err = {0};
    for (size_t i = 0; i < compiled_count; i++)
        add_face(faces, compiled[i], NULL);
    if (dt_modules_load(&faces->modules, &kind, &err) != DT_OK)
        return; // static builds have none
    for (size_t i = 0; i < faces->modules.count && faces->count < 16; i++) {
        struct dt_module *module = &faces->modules.items[i];
        const struct dt_ui *ui = module->symbol;
        size_t n = strlen(faces->refused);
        if (!ui)
            snprintf(faces->refused + n, sizeof faces->refused - n, "%s%s: %s", n ? "; " : "",
                     module->path, module->reason ? module->reason : "");
        else if (ui->size != sizeof *ui || strcmp(ui->build, DT_UI_BUILD) != 0)
            snprintf(faces->refused + n, sizeof faces->refused - n,
                     "%s%s: it was built for duotale %.40s, this is %s", n ? "; " : "",
                     module->path, ui->size >= 2 * sizeof(void *) ? ui->build : "?", DT_UI_BUILD);
        else
            add_face(faces, ui, module);
    }
}

static struct face *face_called(struct faces *faces, const char *name)
{
    for (size_t i = 0; i < faces->count; i++) {
        if (strcmp(faces->face[i].name, name) == 0)
            return &faces->face[i];
    }
    return NULL;
}

// Leaves this one front end in memory, and the libraries of this one: curses and readline take as
// much as a small model's cache. NULL if its module cannot be had again.
static const struct dt_ui *alone(struct faces *faces, struct face *face)
{
    struct dt_error err = {0};
    for (size_t i = 0; i < faces->count; i++) {
        struct face *other = &faces->face[i];
        if (other != face && other->module && other->ui) {
            dt_module_unload(other->module);
            other->ui = NULL;
        }
    }
    if (!face->ui && dt_module_reload(face->module, &kind, &err) == DT_OK)
        face->ui = face->module->symbol;
    return face->ui;
}

static void last_words(const char *line)
{
    fprintf(stderr, "%s\n", line);
}

// Runs the front ends that were wished for, in order, until one has run. False: none could.
static bool run_faces(struct faces *faces, struct dt_app *app, const char *wanted, bool interactive)
{
    const struct dt_app_api *api = dt_app_api();
    const char *order[4] = {"tui", "line", "plain", NULL};
    const char *term = getenv("TERM");
    char reason[300] = "";
    bool by_name = strcmp(wanted, "auto") != 0, fell = false;
    if (by_name) {
        order[0] = wanted;
        order[1] = NULL;
    } else if (!interactive) {
        order[0] = "plain";
        order[1] = NULL;
    } else if (!term || !*term || strcmp(term, "dumb") == 0) {
        order[0] = "line";
        order[1] = "plain";
        order[2] = NULL;
    }
    for (size_t i = 0; order[i]; i++) {
        struct face *face = face_called(faces, order[i]);
        const struct dt_ui *ui = face ? alone(faces, face) : NULL;
        if (!ui)
            continue;
        if (fell) {
            char line[400];
            snprintf(line, sizeof line, "This is the %s front end.", ui->name);
            api->notice(app, DT_NOTICE_INFO, line);
        }
        if (ui->usable(api, app, reason, sizeof reason) == 0 &&
            ui->run(api, app, reason, sizeof reason) == 0)
            return true;
        if (by_name) {
            fprintf(stderr, "duotale: the front end %s cannot be used: %s\n", wanted, reason);
        } else {
            char line[400];
            snprintf(line, sizeof line, "The front end %s cannot be used here: %s.", ui->name,
                     reason);
            api->notice(app, DT_NOTICE_INFO, line);
            fell = true;
        }
    }
    return false;
}

int dt_sit(int argc, char **argv, const struct dt_ui *const *compiled, size_t compiled_count)
{
    struct session s = {0};
    struct faces faces = {0};
    struct dt_error err = {0};
    struct dt_app *app = NULL;
    bool interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    setlocale(LC_CTYPE, "");
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1); // three threads that allocate little need no heap each
#endif
    int code = read_arguments(&s, argc, argv);
    if (code >= 0)
        return code;
    const char *wanted = dt_settings_text(&s.settings, DT_SET_UI);
    find_faces(&faces, compiled, compiled_count);
    if (strcmp(wanted, "auto") != 0 && !face_called(&faces, wanted)) {
        char names[200] = "";
        for (size_t i = 0; i < faces.count; i++) {
            size_t n = strlen(names);
            snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", faces.face[i].name);
        }
        code = usage("there is no front end \"%s\"; there are: %s%s%s", wanted, names,
                     *faces.refused ? ". Refused: " : "", faces.refused);
        goto out;
    }
    struct dt_app_options options = {
        .settings = &s.settings,
        .settings_file = s.config,
        .script = s.script,
        .prompt = s.prompt,
        .open = s.open,
        .interactive = interactive,
    };
    if (dt_app_new(&app, &options, &err) != DT_OK) {
        code = dt_verb_fail(&err);
        goto out;
    }
    bool ran = run_faces(&faces, app, wanted, interactive);
    code = ran ? dt_app_exit_code(app) : dt_status_exit_code(DT_FAILED);
    dt_app_free(app, last_words);
out:
    dt_modules_free(&faces.modules);
    if (code == 0)
        code = dt_verb_flush();
    return code;
}
