// SPDX-License-Identifier: MIT
// duotale voices: lists voices and speech recognisers (ears), with the reason where one cannot be
// used.
#include <stdio.h>
#include <string.h>

#include "host/audio/voices.h"
#include "host/json.h"
#include "host/print.h"
#include "verbs/verb.h"

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    bool *json = arg;
    (void)value;
    *json = id == DT_OPTION_JSON;
    return 0;
}

int dt_verb_voices(int argc, char **argv)
{
    bool json = false;
    int code = dt_options_read(DT_VERB_VOICES, argc, argv, on_option, &json);
    if (code >= 0)
        return code;
    if (optind < argc)
        return dt_options_usage(DT_VERB_VOICES, "%s: unexpected argument", argv[optind]);
    struct dt_voices *voices = NULL;
    struct dt_error err = {0};
    struct dt_json j;
    dt_status status = dt_voices_new(&voices, &err);
    if (status != DT_OK)
        return dt_verb_fail(&err);
    dt_json_init(&j, stdout, 0);
    for (size_t i = 0; i < dt_voices_count(voices); i++) {
        const struct dt_voice_info *v = dt_voices_at(voices, i);
        const char *kind = v->kind == DT_SPEECH_VOICE ? "voice" : "ear";
        if (json) {
            dt_json_object(&j);
            dt_json_put_text(&j, "kind", kind);
            dt_json_put_text(&j, "name", v->name);
            dt_json_put_text(&j, "description", v->description);
            dt_json_put_text(&j, "path", v->path);
            dt_json_put_uint(&j, "score", (uint64_t)v->score);
            dt_json_put_text(&j, "reason", v->reason);
            dt_json_end(&j);
        } else {
            dt_print(stdout, "%-6s %-14s %s%s\n", kind, v->name,
                     v->score ? v->description : "cannot be used: ", v->score ? "" : v->reason);
        }
    }
    if (dt_voices_count(voices) == 0)
        fputs("duotale: no voice or ear module was found beside the program, in the install folder "
              "or "
              "in DUOTALE_MODULES; install the duotale plugins\n",
              stderr);
    dt_voices_free(voices);
    return dt_verb_flush();
}
