// SPDX-License-Identifier: MIT
// duotale run: the command line. Options that are settings have the defaults of the settings table,
// which are llama2.c's. The settings file, the environment and the model's hints are ignored, so
// that one command line gives one story.
#include "verbs/run/run.h"

#include <string.h>
#include <unistd.h>

#include "app/settings/settings.h"
#include "host/clock.h"

// Reads the options of llama2.c as it does: a number out of range becomes the default. -1: none of
// them.
static int read_llama2c(struct dt_run_options *o, int id, const char *text)
{
    double number;
    switch (id) {
    case DT_SET_TEMPERATURE:
    case DT_SET_TOP_P:
        if (!dt_options_real(text, &number))
            return dt_options_usage(DT_VERB_RUN, "--%s: must be a number (got \"%s\")",
                                    dt_settings_table()[id].name, text);
        if (id == DT_SET_TEMPERATURE)
            o->sampling.temperature = number < 0 ? 0 : (float)number;
        else
            o->sampling.top_p = number < 0 || number > 1 ? 0.9f : (float)number;
        return 0;
    case DT_SET_SEED:
        return dt_options_seed(text, &o->seed)
                   ? 0
                   : dt_options_usage(DT_VERB_RUN, "--seed: must be a whole number (got \"%s\")",
                                      text);
    default:
        return -1;
    }
}

// Reads a text, which may be longer here than a setting's value. False: not one of them.
static bool read_text(struct dt_run_options *o, int id, const char *text)
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

static int add_stop_text(struct dt_stop_text *stops, const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n > DT_STOP_TEXT_MAX || stops->count == DT_STOP_TEXTS)
        return dt_options_usage(DT_VERB_RUN,
                                "--stop-text: at most %u texts of 1 to %u bytes (got %zu bytes)",
                                DT_STOP_TEXTS, DT_STOP_TEXT_MAX, n);
    stops->text[stops->count++] = text;
    return 0;
}

static int read_setting(struct dt_run_options *o, int id, const struct dt_option_value *v)
{
    struct dt_setting_value value = {0};
    struct dt_error err = {0};
    int code = dt_verb_model_option(DT_VERB_RUN, &o->model, id, v);
    if (code < 0)
        code = read_llama2c(o, id, v->text);
    if (code >= 0)
        return code;
    if (id == DT_SET_STOP_TEXT)
        return add_stop_text(&o->stops, v->text);
    if (read_text(o, id, v->text))
        return 0;
    if (dt_settings_parse(id, v->text, &value, &err) != DT_OK)
        return dt_options_usage(DT_VERB_RUN, "--%s", err.message);
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
        o->mode_open = strcmp(value.text, "auto") == 0;
        break;
    case DT_SET_STOP:
        o->stop = strcmp(value.text, "bos") == 0 ? DT_RUN_STOP_BOS : DT_RUN_STOP_END;
        break;
    case DT_SET_THINKING:
        o->without_thinking = strcmp(value.text, "off") == 0;
        o->show_thoughts = strcmp(value.text, "show") == 0 ||
                           (strcmp(value.text, "auto") == 0 && isatty(STDOUT_FILENO));
        break;
    case DT_SET_SPEAK:
        o->voice.speak = value.integer != 0;
        break;
    case DT_SET_REMOTE_TIMEOUT:
        o->remote_timeout = (uint32_t)value.integer;
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

static int on_option(void *arg, int id, const struct dt_option_value *v)
{
    struct dt_run_options *o = arg;
    switch (id) {
    case DT_OPTION_STEPS:
        o->steps = (uint32_t)v->integer;
        return 0;
    case DT_OPTION_PROMPT:
        o->prompt = v->text;
        return 0;
    case DT_OPTION_PROMPT_FILE:
        o->prompt_file = v->text;
        return 0;
    case DT_OPTION_SEQUENCES:
        o->sequences = (uint32_t)v->integer;
        return 0;
    case DT_OPTION_OVERFLOW:
        o->overflow = dt_overflow_of(v->text);
        return 0;
    case DT_OPTION_IDS:
        o->ids = true;
        return 0;
    case DT_OPTION_SPECIAL:
        o->special = true;
        return 0;
    case DT_OPTION_JSON:
        o->json = true;
        return 0;
    case DT_OPTION_LISTEN:
        o->voice.listen = true;
        o->voice.sound_path = v->text;
        return 0;
    case DT_OPTION_EAR:
        o->voice.ear = v->text;
        return 0;
    case DT_OPTION_FORCE:
        o->voice.force = true;
        return 0;
    case DT_OPTION_QUIET:
        o->quiet = true;
        return 0;
    case DT_OPTION_VERBOSE:
        o->verbose = true;
        return 0;
    default:
        return read_setting(o, id, v);
    }
}

int dt_run_options(struct dt_run_options *o, int argc, char **argv)
{
    const struct dt_verb_page *page = dt_verb_page(DT_VERB_RUN);
    *o = (struct dt_run_options){
        .steps = UINT32_MAX, .sequences = 1, .model.engine.draft = DT_DRAFT_AUTO};
    for (size_t i = 0; i < page->setting_count; i++) {
        const struct dt_setting *setting = &dt_settings_table()[page->settings[i]];
        const struct dt_option_value initial = {.text = setting->initial};
        if (setting->type != DT_SETTING_TEXT && setting->type != DT_SETTING_FILE &&
            setting->type != DT_SETTING_TEXTS)
            read_setting(o, page->settings[i], &initial); // other texts stay NULL
    }
    int code = dt_options_read(DT_VERB_RUN, argc, argv, on_option, o);
    if (code >= 0)
        return code;
    if (optind + 1 < argc)
        return dt_options_usage(DT_VERB_RUN, "%s: only one model can be given", argv[optind + 1]);
    o->model.path = optind < argc ? argv[optind] : NULL;
    if (o->prompt && o->prompt_file)
        return dt_options_usage(DT_VERB_RUN, "--prompt and --prompt-file cannot be combined");
    if (o->special && o->chat)
        return dt_options_usage(DT_VERB_RUN, "--special and --chat cannot be combined");
    if (o->sequences > 1 && (o->chat || o->voice.speak || o->voice.listen))
        return dt_options_usage(DT_VERB_RUN, "--sequences cannot be combined with %s",
                                o->chat          ? "a chat"
                                : o->voice.speak ? "--speak"
                                                 : "--listen");
    if (o->overflow != DT_OVERFLOW_STOP && o->chat)
        return dt_options_usage(DT_VERB_RUN, "--overflow cannot be combined with a chat");
    o->model.engine.sessions = o->sequences;
    if (o->steps == UINT32_MAX) // not given: a chat has the whole context
        o->steps = o->chat ? 0 : 256;
    o->model.engine.context_at_least = o->overflow == DT_OVERFLOW_STOP ? o->steps : 0;
    if (o->seed == 0)
        o->seed = dt_clock_seed();
    return -1;
}
