// SPDX-License-Identifier: MIT
// duotale bench --speak: how much a voice slows generation down. Processes generate the same story
// with and without a voice in turn; the sound goes to /dev/null. The figures come from their JSON.
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "host/print.h"
#include "verbs/bench/bench.h"
#include "verbs/spawn.h"

enum figure {
    TOK_S,
    FIRST_SENTENCE,
    FIRST_SOUND,
    GENERATED,
    SILENT,
    SOUND,
    FACTOR,
    SHARE,
    FIGURES
};

static const char *const keys[FIGURES] = {
    "tok_s",    "first_sentence_s", "first_sound_s",    "told_s",
    "silent_s", "sound_s",          "real_time_factor", "cpu_share",
};

struct side {
    double *figure[FIGURES]; // one value per run
};

// Finds the last "key": NUMBER in the output of `run --json`. False if it is missing, as the
// voice's figures are without a voice.
static bool find_number(const char *text, const char *key, double *out)
{
    char name[40];
    dt_format(name, sizeof name, "\"%s\": ", key);
    const char *at = NULL;
    for (const char *next = text; (next = strstr(next, name)); next++)
        at = next + strlen(name);
    char *end;
    *out = at ? strtod(at, &end) : 0;
    return at && end != at;
}

static dt_status run_story(const struct dt_verb_model *model, const char *path,
                           const struct dt_bench_options *o, const char *voice, struct side *side,
                           uint32_t run, struct dt_error *err)
{
    char threads[16], seed[24], gen[16];
    struct dt_output output;
    dt_format(threads, sizeof threads, "%u", model->engine.threads);
    dt_format(seed, sizeof seed, "%llu", (unsigned long long)o->seed);
    dt_format(gen, sizeof gen, "%u", o->gen);
    const char *argv[28] = {"duotale", "run", path,    "-i",     "Once upon a time",
                            "-t",      "0.8", "-s",    seed,     "-n",
                            gen,       "-j",  threads, "--json", "--quiet"};
    int n = 15;
    if (model->engine.stack) {
        argv[n++] = "-b";
        argv[n++] = model->engine.stack;
    }
    if (model->tokenizer) {
        argv[n++] = "-z";
        argv[n++] = model->tokenizer;
    }
    if (voice) {
        argv[n++] = "--speak-to";
        argv[n++] = "/dev/null";
        argv[n++] = "--voice";
        argv[n++] = voice;
    }
    dt_status status = dt_verb_spawn(argv, false, &output, err);
    if (status == DT_OK && output.code != 0)
        status = dt_error_set(err, DT_FAILED, path, "a run%s failed: %s",
                              voice ? " with a voice" : "", output.err);
    for (int f = 0; f < FIGURES && status == DT_OK; f++) {
        if (!find_number(output.out, keys[f], &side->figure[f][run]) && (voice || f == TOK_S))
            status = dt_error_set(err, DT_FAILED, path, "a run%s did not report %s",
                                  voice ? " with a voice" : "", keys[f]);
    }
    dt_output_free(&output);
    return status;
}

static void print(const char *path, const char *voice, const struct dt_stats alone[FIGURES],
                  const struct dt_stats aloud[FIGURES])
{
    dt_print(stdout, "%s, voice %s; medians of %zu interleaved runs\n", path, voice,
             alone[TOK_S].n);
    dt_print(stdout, "  decode without a voice   %10.1f tok/s (%.1f to %.1f)\n",
             alone[TOK_S].median, alone[TOK_S].min, alone[TOK_S].max);
    dt_print(stdout, "  decode with a voice      %10.1f tok/s (%.1f to %.1f), %.0f %%\n",
             aloud[TOK_S].median, aloud[TOK_S].min, aloud[TOK_S].max,
             alone[TOK_S].median > 0 ? 100 * aloud[TOK_S].median / alone[TOK_S].median : 0);
    dt_print(stdout, "  first sentence           %10.3f s\n", aloud[FIRST_SENTENCE].median);
    dt_print(stdout, "  first sound              %10.3f s, %.3f s after that\n",
             aloud[FIRST_SOUND].median, aloud[FIRST_SOUND].median - aloud[FIRST_SENTENCE].median);
    dt_print(stdout, "  story generated          %10.3f s; spoken %.3f s\n",
             aloud[GENERATED].median, aloud[SILENT].median);
    dt_print(
        stdout,
        "  sound                    %10.1f s, real-time factor %.4f, %.1f %% of the CPU time\n",
        aloud[SOUND].median, aloud[FACTOR].median, 100 * aloud[SHARE].median);
}

static void print_json(const char *path, const char *voice, const struct dt_stats alone[FIGURES],
                       const struct dt_stats aloud[FIGURES])
{
    struct dt_json j;
    dt_json_init(&j, stdout, 0);
    dt_json_object(&j);
    dt_json_put_text(&j, "model", path);
    dt_json_put_text(&j, "voice", voice);
    dt_stats_put(&j, "silent_tok_s", &alone[TOK_S]);
    for (int f = 0; f < FIGURES; f++)
        dt_stats_put(&j, keys[f], &aloud[f]);
    dt_json_end(&j);
}

dt_status dt_bench_speak(const struct dt_verb_model *model, const char *path,
                         const struct dt_bench_options *o, const char *voice, bool json,
                         struct dt_error *err)
{
    struct side sides[2] = {0};
    struct dt_stats stats[2][FIGURES];
    dt_status status = DT_OK;
    double *values = calloc((size_t)2 * FIGURES * (o->warm + o->runs), sizeof *values);
    if (!values)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for %u runs", o->runs);
    for (int s = 0; s < 2; s++)
        for (int f = 0; f < FIGURES; f++)
            sides[s].figure[f] = values + (size_t)(s * FIGURES + f) * (o->warm + o->runs);
    for (uint32_t run = 0; run < o->warm + o->runs && status == DT_OK; run++) {
        status = run_story(model, path, o, NULL, &sides[0], run, err);
        if (status == DT_OK)
            status = run_story(model, path, o, voice, &sides[1], run, err);
    }
    for (int s = 0; s < 2; s++)
        for (int f = 0; f < FIGURES; f++)
            stats[s][f] = dt_stats_of(sides[s].figure[f] + o->warm, o->runs);
    if (status == DT_OK)
        (json ? print_json : print)(path, voice, stats[0], stats[1]);
    free(values);
    return status;
}
