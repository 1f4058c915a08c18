// SPDX-License-Identifier: MIT
// duotale run: the command line. What a session knows as well is taken from the table of settings,
// whose defaults are llama2.c's; but neither the settings file nor the environment nor the model's
// wishes are heard: the same line tells the same story everywhere.
#include "verbs/run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/settings.h"
#include "host/clock.h"

// What is shared, in the order of the table.
static const int shared[] = {
    DT_SET_TOKENIZER, DT_SET_BACKEND,   DT_SET_THREADS,        DT_SET_CONTEXT,     DT_SET_BATCH,
    DT_SET_KV,        DT_SET_MEM_LIMIT, DT_SET_SHORTLIST,      DT_SET_TEMPERATURE, DT_SET_TOP_P,
    DT_SET_TOP_K,     DT_SET_MIN_P,     DT_SET_REPEAT_PENALTY, DT_SET_REPEAT_LAST, DT_SET_SEED,
    DT_SET_MODE,      DT_SET_TEMPLATE,  DT_SET_SYSTEM,         DT_SET_STOP,        DT_SET_SPEAK,
    DT_SET_SPEAK_TO,  DT_SET_VOICE,     DT_SET_VOICE_SPEED,    DT_SET_VOICE_PITCH,
};
#define SHARED (sizeof shared / sizeof *shared)

enum { OPTION_IDS = 3000, OPTION_JSON, OPTION_PROMPT_FILE, OPTION_VERBOSE };

static const struct option own[] = {
    {"steps", required_argument, NULL, 'n'},
    {"prompt", required_argument, NULL, 'i'},
    {"prompt-file", required_argument, NULL, OPTION_PROMPT_FILE},
    {"ids", no_argument, NULL, OPTION_IDS},
    {"json", no_argument, NULL, OPTION_JSON},
    {"pack", required_argument, NULL, DT_OPTION_PACK},
    {"check-scales", no_argument, NULL, DT_OPTION_CHECK},
    DT_LISTEN_LONG_OPTIONS,
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, 'h'},
};

static int print_help(void)
{
    fputs(
        "usage: duotale run [MODEL] [options]\n"
        "Tells a story on standard output; figures go to standard error. Short flags are "
        "llama2.c's.\n\n"
        "  -i, --prompt TEXT           how the story begins, or the first thing said in a chat\n"
        "      --prompt-file FILE      the same from a file, - for standard input\n"
        "  -n, --steps N               tokens in all, prompt included; 0: as many as the context "
        "holds (256)\n"
        "      --ids                   print token ids instead of text\n"
        "      --json                  one JSON object a token, and a last one with the figures\n"
        "      --pack never|always     use a backend's own weight layout where it has one\n"
        "      --check-scales          look at every scale of the file before using it\n"
        "      --listen [FILE.wav]     ask for the story by voice: by microphone, or from a file\n"
        "      --ear NAME              auto, pocketsphinx:request, pocketsphinx:free\n"
        "  -q, --quiet                 no figures\n"
        "      --verbose               what is loaded, and from where\n"
        "  -h, --help\n\n",
        stdout);
    dt_settings_help(stdout, shared, SHARED, 100);
    fputs("\nIn --mode, generate and auto are other words for story; --chat-template takes a name "
          "(plain, llama2, llama3,\n"
          "chatml, zephyr, gemma, mistral, story) or a file with a template of one of these "
          "families.\n"
          "Exit codes: 0 done, 1 failed, 2 usage, 3 bad model or input file, 4 not enough memory, "
          "130 interrupted.\n",
          stdout);
    return dt_verb_flush();
}

// llama2.c's own flags are read as it reads them: any number will do, and nonsense is answered with
// its defaults. -1: none of them.
static int take_llama2c(struct dt_run_options *o, int id, const char *text)
{
    double number;
    switch (id) {
    case DT_SET_TEMPERATURE:
    case DT_SET_TOP_P:
        if (!dt_verb_float(text, &number))
            return dt_verb_usage("run", "--%s takes a number, not \"%s\"",
                                 dt_settings_table()[id].name, text);
        if (id == DT_SET_TEMPERATURE)
            o->sampling.temperature = number < 0 ? 0 : (float)number;
        else
            o->sampling.top_p = number < 0 || number > 1 ? 0.9f : (float)number;
        return 0;
    case DT_SET_SEED:
        return dt_verb_seed(text, &o->seed)
                   ? 0
                   : dt_verb_usage("run", "--seed takes a whole number, not \"%s\"", text);
    default:
        return -1;
    }
}

// Texts are taken whole: on a command line they may be longer than a setting's. False: not one of
// them.
static bool take_text(struct dt_run_options *o, int id, const char *text)
{
    switch (id) {
    case DT_SET_TEMPLATE:
        o->template_name = strcmp(text, "auto") == 0 ? NULL : text;
        return true;
    case DT_SET_SYSTEM:
        o->system = text;
        return true;
    case DT_SET_SPEAK_TO:
        o->voice.speak = true;
        o->voice.wav_path = text;
        return true;
    case DT_SET_VOICE:
        o->voice.voice = text;
        return true;
    default:
        return false;
    }
}

static int take_setting(struct dt_run_options *o, int id, const char *text)
{
    struct dt_setting_value value = {0};
    struct dt_error err = {0};
    int code = dt_verb_model_setting("run", &o->model, id, text);
    if (code < 0)
        code = take_llama2c(o, id, text);
    if (code >= 0)
        return code;
    if (take_text(o, id, text))
        return 0;
    if (dt_settings_parse(id, text, &value, &err) != DT_OK)
        return dt_verb_usage("run", "--%s", err.message);
    switch (id) {
    case DT_SET_TOP_K:
        o->sampling.top_k = (uint32_t)value.integer;
        break;
    case DT_SET_MIN_P:
        o->sampling.min_p = (float)value.number;
        break;
    case DT_SET_REPEAT_PENALTY:
        o->sampling.repeat_penalty = (float)value.number;
        break;
    case DT_SET_REPEAT_LAST:
        o->sampling.repeat_last = (uint32_t)value.integer;
        break;
    case DT_SET_MODE:
        o->chat = strcmp(value.text, "chat") == 0;
        break;
    case DT_SET_STOP:
        o->stop = strcmp(value.text, "bos") == 0 ? DT_RUN_STOP_BOS : DT_RUN_STOP_END;
        break;
    case DT_SET_SPEAK:
        o->voice.speak = value.integer != 0;
        break;
    case DT_SET_VOICE_SPEED:
        o->voice.words_per_minute = (uint32_t)value.integer;
        break;
    case DT_SET_VOICE_PITCH:
        o->voice.pitch = (uint32_t)value.integer;
        break;
    default:
        break;
    }
    return 0;
}

static int take_own(struct dt_run_options *o, int option, const char *value)
{
    switch (option) {
    case 'n':
        return dt_verb_count(value, INT32_MAX, &o->steps)
                   ? 0
                   : dt_verb_usage("run", "--steps takes a whole number from 0, not \"%s\"", value);
    case 'i':
        o->prompt = value;
        return 0;
    case OPTION_PROMPT_FILE:
        o->prompt_file = value;
        return 0;
    case OPTION_IDS:
        o->ids = true;
        return 0;
    case OPTION_JSON:
        o->json = true;
        return 0;
    case 'q':
        o->quiet = true;
        return 0;
    case OPTION_VERBOSE:
        o->verbose = true;
        return 0;
    default:
        return -1;
    }
}

// One result of getopt: 0, or 2 with the line written.
static int take(struct dt_run_options *o, int option, const char *value, int argc, char **argv)
{
    int code = take_own(
        o, option,
        value); // first: -n is not the setting of that letter, which counts a turn's tokens
    if (code < 0)
        code = dt_verb_listen_option(&o->voice, option, value, argc, argv);
    if (code < 0)
        code = dt_verb_model_option("run", &o->model, option, value);
    if (code >= 0)
        return code;
    int id = dt_settings_flag(option,
                              &value); // which may change the value: a switch has none of its own
    return take_setting(o, id, value);
}

int dt_run_options(struct dt_run_options *o, int argc, char **argv)
{
    char *letters = NULL;
    struct option *options =
        dt_settings_options(shared, SHARED, own, sizeof own / sizeof *own, "n:i:qh", &letters);
    int result, code = -1;
    *o = (struct dt_run_options){.steps = 256};
    if (!options) {
        fputs("duotale: no memory to read the command line\n", stderr);
        return dt_status_exit_code(DT_NO_MEMORY);
    }
    for (size_t i = 0; i < SHARED; i++) {
        const struct dt_setting *setting = &dt_settings_table()[shared[i]];
        if (setting->type != DT_SETTING_TEXT &&
            setting->type != DT_SETTING_FILE) // a text that nobody gave stays NULL
            take_setting(o, shared[i], setting->initial);
    }
    while (code < 0 && (result = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (result == 'h')
            code = print_help();
        else if (result == '?' ||
                 take(o, result, optarg, argc, argv) != 0) // getopt, or who took it, has said what
            code = dt_status_exit_code(DT_USAGE);
    }
    free(options);
    free(letters);
    if (code >= 0)
        return code;
    if (optind + 1 < argc)
        return dt_verb_usage("run", "one model at a time: \"%s\" is a second one",
                             argv[optind + 1]);
    o->model.path = optind < argc ? argv[optind] : NULL;
    if (o->prompt && o->prompt_file)
        return dt_verb_usage("run", "give --prompt or --prompt-file, not both");
    if (o->seed == 0)
        o->seed = dt_clock_unix();
    return -1;
}
