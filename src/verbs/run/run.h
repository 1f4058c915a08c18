// SPDX-License-Identifier: MIT
// duotale run in its parts: what was asked for (run_options.c), the story being told
// (run_generate.c), a chat (run_chat.c), the figures (run_figures.c). run.c puts them together.
#ifndef DT_VERBS_RUN_H
#define DT_VERBS_RUN_H

#include "core/sampling/sampler.h"
#include "host/json.h"
#include "base/text.h"
#include "verbs/run/sink.h"
#include "verbs/run/speak.h"
#include "verbs/verb.h"

enum dt_run_stop {
    DT_RUN_STOP_END, // BOS, EOS or an end of turn; not printed
    DT_RUN_STOP_BOS, // llama2.c: BOS alone, and control pieces are printed
};

struct dt_run_options {
    struct dt_verb_model model;
    struct dt_sampling sampling;
    uint64_t seed;
    uint32_t steps;
    const char *prompt, *system, *prompt_file, *template_name; // argv's
    enum dt_run_stop stop;
    bool chat, ids, json, quiet, verbose;
    struct dt_verb_voice voice;
};

// Reads the command line. -1: go on; else the exit code (help was printed, or what is wrong was
// told).
int dt_run_options(struct dt_run_options *out, int argc, char **argv);

// One run: what was asked for, and how far it has come.
struct dt_run {
    struct dt_run_options *options;
    struct dt_engine *engine;
    struct dt_sink sink;
    struct dt_text_filter filter;
    struct dt_json json;
    uint32_t limit;    // positions
    uint32_t previous; // token, for decoding
    uint32_t prompt_tokens, output;
    const char *ended;     // why: "end", "length", "context", "interrupted"
    uint64_t begun, first; // clock: when the first prompt began, when the first token was chosen
    uint64_t decode_ns;    // spent on tokens after the first of each turn
    uint32_t decoded;      // how many positions were evaluated in that time
};

// Tells a story that begins with text[0..n). DT_OK also where the prompt filled the context;
// DT_CANCELLED; DT_FAILED when stdout is gone.
dt_status dt_run_story(struct dt_run *run, const char *text, size_t n, struct dt_error *err);

// Takes turns with standard input; first (may be NULL) is the first thing said. DT_OK also when the
// context is full; DT_USAGE and DT_UNSUPPORTED for a template of no known family; else as
// dt_run_story.
dt_status dt_run_chat(struct dt_run *run, const char *first, struct dt_error *err);

// The session holds everything up to the last token told or given: samples and tells from there
// until the turn ends.
dt_status dt_run_continue(struct dt_run *run, struct dt_error *err);

// Ends the text of a turn: what the filter holds, and a newline. False when stdout is gone.
bool dt_run_finish_text(struct dt_run *run);

// What is about to run, on stderr.
void dt_run_announce(const struct dt_run_options *options, struct dt_engine *engine,
                     const struct dt_engine_plan *plan);

// The figures, on stderr and as JSON's last object; done: the clock when the last token was told.
void dt_run_report(struct dt_run *run, uint64_t done);

#endif
