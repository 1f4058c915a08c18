// SPDX-License-Identifier: MIT
// The measurements of `bench` and their reports.
#ifndef DT_VERBS_BENCH_H
#define DT_VERBS_BENCH_H

#include <stdio.h>

#include "verbs/bench/stats.h"
#include "verbs/verb.h"

#define DT_BENCH_MAX 16u // entries: models times stacks times numbers of sequences

struct dt_bench_options {
    uint32_t prompt, gen, at, runs, warm;
    bool at_given;
    float temperature, top_p;
    uint64_t seed;
    const char *sequences; // numbers of 1 to DT_SESSIONS_MAX, separated by commas
    bool processes;        // also start processes, for start-up time and memory
};

// One model with one stack and one number of texts decoded together.
struct dt_bench_entry {
    const char *model;
    uint32_t sequences;
    char asked[128]; // as on the command line
    struct dt_engine *engine;
    double *prompt, *decode, *first, *start; // one per run: tok/s, tok/s, ms, ms
    uint32_t starts;
    struct dt_stats prompt_tok_s, decode_tok_s, first_token_ms, start_ms;
    uint64_t peak_rss, anonymous; // bytes, of a process of its own
    char resolved[128];
    uint32_t threads, gen;
    size_t weights_bytes;
};

struct dt_bench {
    struct dt_bench_options options;
    struct dt_bench_entry entry[DT_BENCH_MAX];
    uint32_t count;
};

void dt_bench_print(const struct dt_bench *bench, FILE *out);
void dt_bench_json(const struct dt_bench *bench, FILE *out);
void dt_bench_csv(const struct dt_bench *bench, FILE *out);
void dt_bench_svg(const struct dt_bench *bench,
                  FILE *out); // one bar per entry: median decode speed, whiskers from min to max

// Generates stories with and without a voice ("auto", "espeak:en-us") in turn, and prints a table
// or JSON object: the model's speed, the time to the first sound, the voice's real-time factor and
// share of CPU time. o->gen is the story's length, including the prompt.
dt_status dt_bench_speak(const struct dt_verb_model *model, const char *path,
                         const struct dt_bench_options *o, const char *voice, bool json,
                         struct dt_error *err);

// The contest's report on each path: `runs` runs of a model, or a log of such runs. against: the
// fp32 model or log whose story the others are compared with, or NULL. Returns the exit code.
int dt_bench_contest(const struct dt_verb_model *model, const char *const *paths, uint32_t count,
                     const char *against, uint32_t runs, bool json);

// Times every kernel of the backends ("int8,fp32@avx2"; NULL: all that run here) over the shapes
// ("15M,7B"; NULL: all). baseline: an earlier report to compare with, or NULL. Returns the exit
// code.
int dt_bench_kernels(const char *backends, const char *shapes, const char *baseline, bool json);

#endif
