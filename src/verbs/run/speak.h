// SPDX-License-Identifier: MIT
// The options of verbs that speak or listen, and what they do around a story.
#ifndef DT_VERBS_SPEAK_H
#define DT_VERBS_SPEAK_H

#include <getopt.h>
#include <stdbool.h>

#include "app/speech/listen.h"
#include "app/speech/speech.h"
#include "host/engine.h"
#include "host/json.h"

struct dt_verb_voice {
    bool speak, listen;
    const char *wav_path, *voice, *heard_path, *ear;
    uint32_t words_per_minute, pitch; // as the settings have them
    bool quiet;
    struct dt_speech *speech; // NULL: silent
    bool missing;             // because what speaks is not installed
    struct dt_speech_figures figures;
    struct dt_listen_figures listened;
    bool was_heard;
};

// Options for hearing, with values outside of those of verb.h and of the settings. (Those for
// speaking are settings.)
enum { DT_OPTION_LISTEN = 4000, DT_OPTION_EAR };

#define DT_LISTEN_LONG_OPTIONS                                                                     \
    {"listen", optional_argument, NULL, DT_OPTION_LISTEN},                                         \
    {                                                                                              \
        "ear", required_argument, NULL, DT_OPTION_EAR                                              \
    }

// Takes one of them: 0 taken, -1 not one of these. --listen takes the next word of argv as its file
// if that ends in ".wav".
int dt_verb_listen_option(struct dt_verb_voice *voice, int option, const char *value, int argc,
                          char **argv);

// Opens the voice, if one is wanted. A voice that is not there is one line on stderr, and the story
// goes on in text: DT_OK. DT_USAGE and DT_FAILED are for what was asked for and cannot be: a voice
// of no known name, a file that cannot be made.
dt_status dt_verb_voice_open(struct dt_verb_voice *voice, struct dt_error *err);

// The story is over: says the rest, or silences it at once when `engine` is cancelled, now or while
// it speaks. Fills figures. False if a file that was asked for is not whole.
bool dt_verb_voice_finish(struct dt_verb_voice *voice, struct dt_engine *engine);
void dt_verb_voice_close(struct dt_verb_voice *voice);

// Listens for a prompt: malloc'ed, to be edited on the terminal where there is one; NULL if there
// is none (the line that says why is written) or if engine was cancelled meanwhile.
char *dt_verb_voice_listen(struct dt_verb_voice *voice, struct dt_engine *engine);

// Figures: lines on `out`; members of the innermost JSON object.
void dt_verb_voice_report(const struct dt_verb_voice *voice, FILE *out);
void dt_verb_voice_json(const struct dt_verb_voice *voice, struct dt_json *json);

#endif
