// SPDX-License-Identifier: MIT
// duotale voices: the voices and ears there are, and why those that cannot be used cannot.
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "host/json.h"
#include "host/audio/voices.h"
#include "verbs/verb.h"

static const char help[] = "usage: duotale voices [--json]\n"
                           "Lists what can read stories aloud and what can listen, the first "
                           "usable one of each kind being the usual one.\n";

int dt_verb_voices(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'J'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h')
            return fputs(help, stdout) < 0;
        if (option != 'J')
            return 2;
        json = true;
    }
    if (optind < argc)
        return dt_verb_usage("voices", "takes no arguments: \"%s\"", argv[optind]);
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
            printf("%-6s %-14s %s%s\n", kind, v->name,
                   v->score ? v->description : "cannot be used: ", v->score ? "" : v->reason);
        }
    }
    if (dt_voices_count(voices) == 0)
        fputs("no voice and no ear was found (folders that hold plugins: beside the program, the "
              "install folder, DUOTALE_MODULES)\n",
              stderr);
    dt_voices_free(voices);
    return dt_verb_flush();
}
