// SPDX-License-Identifier: MIT
// duotale bench: measures speed. Runs are interleaved: one run of each entry, then the next run of
// each, so that changes of the machine affect all entries alike.
#include "verbs/bench/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "host/clock.h"
#include "verbs/spawn.h"

// ---- one run ----

static double per_second(uint32_t tokens, uint64_t nanoseconds)
{
    return nanoseconds ? tokens / ((double)nanoseconds / 1e9) : 0;
}

static uint32_t first_token(const struct dt_engine *engine)
{
    uint32_t bos = dt_engine_model(engine)->vocab.bos;
    return bos != DT_NO_TOKEN && bos < dt_engine_model(engine)->hp.vocab ? bos : 1;
}

static void reset_sampling(struct dt_engine *engine, const struct dt_bench_options *o)
{
    struct dt_sampling sampling = {
        .temperature = o->temperature, .top_p = o->top_p, .repeat_penalty = 1};
    for (uint32_t i = 0; i < dt_engine_sessions(engine); i++)
        dt_engine_set_sampling_at(engine, i, &sampling, o->seed + i);
}

static dt_status run_prompt(struct dt_bench_entry *e, const struct dt_bench_options *o,
                            double *tok_s, double *first_ms, struct dt_error *err)
{
    uint32_t tokens[4096], vocab = dt_engine_model(e->engine)->hp.vocab;
    struct dt_session *session = dt_engine_session(e->engine);
    uint32_t count =
        o->prompt < dt_session_capacity(session) ? o->prompt : dt_session_capacity(session);
    tokens[0] = first_token(e->engine);
    for (uint32_t i = 1; i < count; i++)
        tokens[i] = (i * 2654435761u >> 8) % vocab; // any tokens cost the same
    dt_session_truncate(session, 0);
    reset_sampling(e->engine, o);
    uint64_t begun = dt_clock_ns();
    dt_status status = dt_engine_eval(e->engine, tokens, count, err);
    uint64_t evaluated = dt_clock_ns();
    if (status != DT_OK)
        return status;
    dt_engine_next(e->engine);
    *tok_s = per_second(count, evaluated - begun);
    *first_ms = (double)(dt_clock_ns() - begun) / 1e6;
    return DT_OK;
}

static dt_status run_decode(struct dt_bench_entry *e, const struct dt_bench_options *o,
                            double *tok_s, struct dt_error *err)
{
    struct dt_session_part part[DT_SESSIONS_MAX] = {{0}};
    uint32_t token[DT_SESSIONS_MAX], vocab = dt_engine_model(e->engine)->hp.vocab;
    dt_status status = DT_OK;
    for (uint32_t k = 0; k < e->sequences; k++) {
        token[k] = (first_token(e->engine) + k * 101) % vocab;
        part[k] = (struct dt_session_part){.session = dt_engine_session_at(e->engine, k),
                                           .tokens = &token[k],
                                           .count = 1,
                                           .err = err};
        dt_session_truncate(part[k].session, 0);
        dt_session_fill(part[k].session, o->at);
    }
    reset_sampling(e->engine, o);
    uint64_t begun = dt_clock_ns();
    for (uint32_t i = 0; i < e->gen && status == DT_OK; i++) {
        status = dt_engine_eval_parts(e->engine, part, e->sequences, err);
        for (uint32_t k = 0; k < e->sequences && status == DT_OK; k++)
            token[k] = dt_engine_next_at(e->engine, k) % vocab;
    }
    *tok_s = per_second(e->gen * e->sequences, dt_clock_ns() - begun);
    return status;
}

// Starts a process that generates a story with this entry's model and stack.
static dt_status run_process(struct dt_bench_entry *e, const struct dt_verb_model *model,
                             const char *steps, bool json, struct dt_output *output,
                             struct dt_error *err)
{
    char threads[16], context[16], sequences[16];
    dt_format(threads, sizeof threads, "%u", e->threads);
    dt_format(context, sizeof context, "%u", model->engine.context);
    const char *argv[24] = {"duotale", "run",       e->model, "-t",      "0",
                            "-n",      steps,       "-b",     e->asked,  "-j",
                            threads,   "--context", context,  "--quiet", json ? "--json" : "--ids"};
    int n = 15;
    if (e->sequences > 1) {
        dt_format(sequences, sizeof sequences, "%u", e->sequences);
        argv[n++] = "--sequences";
        argv[n++] = sequences;
    }
    if (model->tokenizer) {
        argv[n++] = "-z";
        argv[n++] = model->tokenizer;
    }
    argv[n] = NULL;
    return dt_verb_spawn(argv, false, output, err);
}

static dt_status measure_process(struct dt_bench_entry *e, const struct dt_verb_model *model,
                                 const struct dt_bench_options *o, struct dt_error *err)
{
    struct dt_output output;
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < o->runs && status == DT_OK; i++) {
        status = run_process(e, model, "1", false, &output, err);
        if (status == DT_OK)
            e->start[e->starts++] = (double)output.first_byte_ns / 1e6;
        dt_output_free(&output);
    }
    if (status != DT_OK)
        return status;
    char steps[16];
    dt_format(steps, sizeof steps, "%u", e->gen);
    status = run_process(e, model, steps, true, &output, err);
    if (status == DT_OK) { // the last object contains the figures
        const char *anonymous = strstr(output.out, "\"anonymous_kib\": ");
        e->peak_rss = output.peak_rss;
        e->anonymous =
            anonymous ? strtoull(anonymous + strlen("\"anonymous_kib\": "), NULL, 10) * 1024 : 0;
    }
    dt_output_free(&output);
    return status;
}

// ---- entries ----

static dt_status open_entry(struct dt_bench_entry *e, const struct dt_verb_model *model,
                            const struct dt_bench_options *o, struct dt_error *err)
{
    struct dt_engine_options options = model->engine;
    options.stack = e->asked;
    options.without_vocabulary = true;
    options.sessions = e->sequences;
    uint32_t needed = o->at + 1;
    if (o->prompt > needed)
        needed = o->prompt;
    options.context_at_least = needed;
    if (o->at_given && needed < o->at + o->gen)
        options.context_at_least = o->at + o->gen;
    dt_status status = dt_engine_new(&e->engine, &options, err);
    if (status == DT_OK)
        status = dt_engine_open(e->engine, e->model, model->tokenizer, err);
    if (status != DT_OK)
        return status;
    uint32_t capacity = dt_session_capacity(dt_engine_session(e->engine));
    if (needed > capacity)
        return dt_error_set(err, DT_USAGE, e->model,
                            "position %u is beyond the context of %u; use a smaller --at or "
                            "--prompt, or a larger --context",
                            needed - 1, capacity);
    e->gen = o->gen < capacity - o->at ? o->gen : capacity - o->at;
    if (o->at_given && e->gen < o->gen)
        return dt_error_set(err, DT_USAGE, e->model,
                            "%u tokens from position %u exceed the context of %u; use a smaller "
                            "--gen or --at",
                            o->gen, o->at, capacity);
    e->threads = dt_engine_threads(e->engine);
    e->weights_bytes = dt_engine_model(e->engine)->weight_bytes;
    dt_format(e->resolved, sizeof e->resolved, "%s", dt_engine_stack_name(e->engine));
    size_t runs = o->runs;
    e->prompt = calloc(runs, sizeof *e->prompt);
    e->decode = calloc(runs, sizeof *e->decode);
    e->first = calloc(runs, sizeof *e->first);
    e->start = calloc(runs, sizeof *e->start);
    if (!e->prompt || !e->decode || !e->first || !e->start)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for %u runs", o->runs);
    return DT_OK;
}

static void close_entry(struct dt_bench_entry *e)
{
    dt_engine_free(e->engine);
    free(e->prompt);
    free(e->decode);
    free(e->first);
    free(e->start);
}

// Adds a model and a stack of n bytes with every number of sequences.
static int add_sequences(struct dt_bench *bench, const char *path, const char *stack, size_t n)
{
    const char *at = bench->options.sequences;
    for (char *end;; at = end + 1) {
        unsigned long number = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0;
        if (number < 1 || number > DT_SESSIONS_MAX || (*end && *end != ','))
            return dt_options_usage(DT_VERB_BENCH,
                                    "--sequences: must be numbers of 1 to %u, separated by commas "
                                    "(got \"%s\")",
                                    DT_SESSIONS_MAX, bench->options.sequences);
        if (bench->count == DT_BENCH_MAX)
            return dt_options_usage(
                DT_VERB_BENCH, "at most %u combinations of model, stack and sequences are possible",
                DT_BENCH_MAX);
        struct dt_bench_entry *e = &bench->entry[bench->count++];
        e->model = path;
        e->sequences = (uint32_t)number;
        dt_format(e->asked, sizeof e->asked, "%.*s", (int)n, stack);
        if (!*end)
            return 0;
    }
}

// Adds every model with every stack of a list "a,b,c".
static int add_entries(struct dt_bench *bench, const struct dt_verb_model *model, char **paths,
                       int count)
{
    const char *stacks = model->engine.stack ? model->engine.stack : "auto";
    for (int i = 0; i < count; i++) {
        for (const char *at = stacks;;) {
            size_t n = strcspn(at, ",");
            int code = add_sequences(bench, paths[i], at, n);
            if (code != 0)
                return code;
            if (!at[n])
                break;
            at += n + 1;
        }
    }
    return 0;
}

static dt_status measure(struct dt_bench *bench, const struct dt_verb_model *model,
                         struct dt_error *err)
{
    const struct dt_bench_options *o = &bench->options;
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < bench->count && status == DT_OK; i++)
        status = open_entry(&bench->entry[i], model, o, err);
    for (uint32_t run = 0; run < o->warm + o->runs; run++) {
        for (uint32_t i = 0; i < bench->count && status == DT_OK; i++) {
            struct dt_bench_entry *e = &bench->entry[i];
            double prompt = 0, first = 0, decode = 0;
            if (o->prompt)
                status = run_prompt(e, o, &prompt, &first, err);
            if (status == DT_OK && o->gen)
                status = run_decode(e, o, &decode, err);
            if (run >= o->warm) {
                e->prompt[run - o->warm] = prompt;
                e->first[run - o->warm] = first;
                e->decode[run - o->warm] = decode;
            }
        }
    }
    for (uint32_t i = 0; i < bench->count && status == DT_OK && o->processes; i++)
        status = measure_process(&bench->entry[i], model, o, err);
    for (uint32_t i = 0; i < bench->count && status == DT_OK; i++) {
        struct dt_bench_entry *e = &bench->entry[i];
        e->prompt_tok_s = dt_stats_of(e->prompt, o->prompt ? o->runs : 0);
        e->first_token_ms = dt_stats_of(e->first, o->prompt ? o->runs : 0);
        e->decode_tok_s = dt_stats_of(e->decode, o->gen ? o->runs : 0);
        e->start_ms = dt_stats_of(e->start, e->starts);
    }
    return status;
}

// ---- the verb ----

struct request {
    struct dt_verb_model model;
    struct dt_bench bench;
    bool json, csv, contest, kernels, runs_given;
    const char *svg, *against, *voice, *shapes, *baseline; // NULL: not given
};

// The options of a measurement; -1 if the option is none of them.
static int on_measure_option(struct request *r, int id, const struct dt_option_value *value)
{
    struct dt_bench_options *o = &r->bench.options;
    switch (id) {
    case DT_OPTION_TEMPERATURE:
        o->temperature = (float)value->number;
        return 0;
    case DT_OPTION_TOP_P:
        o->top_p = (float)value->number;
        return 0;
    case DT_OPTION_SEED:
        o->seed = value->integer;
        return 0;
    case DT_OPTION_PROMPT:
        o->prompt = (uint32_t)value->integer;
        return 0;
    case DT_OPTION_GEN:
        o->gen = (uint32_t)value->integer;
        return 0;
    case DT_OPTION_AT:
        o->at = (uint32_t)value->integer;
        o->at_given = true;
        return 0;
    case DT_OPTION_RUNS:
        o->runs = (uint32_t)value->integer;
        r->runs_given = true;
        return 0;
    case DT_OPTION_WARM:
        o->warm = (uint32_t)value->integer;
        return 0;
    case DT_OPTION_SEQUENCES:
        o->sequences = value->text;
        return 0;
    case DT_OPTION_NO_START:
        o->processes = false;
        return 0;
    default:
        return -1;
    }
}

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct request *r = arg;
    if (on_measure_option(r, id, value) == 0)
        return 0;
    switch (id) {
    case DT_OPTION_JSON:
        r->json = true;
        return 0;
    case DT_OPTION_CSV:
        r->csv = true;
        return 0;
    case DT_OPTION_SVG:
        r->svg = value->text;
        return 0;
    case DT_OPTION_KERNELS:
        r->kernels = true;
        return 0;
    case DT_OPTION_SHAPES:
        r->shapes = value->text;
        return 0;
    case DT_OPTION_BASELINE:
        r->baseline = value->text;
        return 0;
    case DT_OPTION_CONTEST:
        r->contest = true;
        return 0;
    case DT_OPTION_AGAINST:
        r->against = value->text;
        return 0;
    case DT_OPTION_SPEAK:
        r->voice = r->voice ? r->voice : "auto";
        return 0;
    case DT_OPTION_VOICE:
        r->voice = value->text;
        return 0;
    default:
        return dt_verb_model_option(DT_VERB_BENCH, &r->model, id, value);
    }
}

static dt_status write_chart(const struct dt_bench *bench, const char *path, struct dt_error *err)
{
    FILE *chart = fopen(path, "w");
    if (chart) {
        dt_bench_svg(bench, chart);
        if (fclose(chart) == 0)
            return DT_OK;
    }
    return dt_error_set(err, DT_FAILED, path, "cannot write the chart: %s", strerror(errno));
}

static int bench_models(struct request *r, char **paths, int count)
{
    struct dt_error err = {0};
    struct dt_bench *bench = &r->bench;
    int code = add_entries(bench, &r->model, paths, count);
    if (code == 0) {
        dt_status status = measure(bench, &r->model, &err);
        if (status == DT_OK && r->svg)
            status = write_chart(bench, r->svg, &err);
        if (status == DT_OK) {
            (r->json ? dt_bench_json : r->csv ? dt_bench_csv : dt_bench_print)(bench, stdout);
            code = dt_verb_flush();
        } else {
            code = dt_verb_fail(&err);
        }
    }
    for (uint32_t i = 0; i < bench->count; i++)
        close_entry(&bench->entry[i]);
    return code;
}

static int bench_voice(struct request *r, char **paths, int count)
{
    struct dt_error err = {0};
    dt_status status = DT_OK;
    for (int i = 0; i < count && status == DT_OK; i++)
        status = dt_bench_speak(&r->model, paths[i], &r->bench.options, r->voice, r->json, &err);
    return status == DT_OK ? dt_verb_flush() : dt_verb_fail(&err);
}

int dt_verb_bench(int argc, char **argv)
{
    struct request r = {.bench.options = {.prompt = 64,
                                          .gen = 256,
                                          .runs = 5,
                                          .warm = 1,
                                          .top_p = 0.9f,
                                          .seed = 1,
                                          .sequences = "1",
                                          .processes = true}};
    struct dt_error err = {0};
    int code = dt_options_read(DT_VERB_BENCH, argc, argv, on_option, &r);
    if (code >= 0)
        return code;
    if (r.json && r.csv)
        return dt_options_usage(DT_VERB_BENCH, "--json and --csv cannot be combined");
    dt_verb_log(false);
    if (r.kernels && optind < argc)
        return dt_options_usage(DT_VERB_BENCH, "%s: --kernels uses no model", argv[optind]);
    if (r.kernels)
        return dt_bench_kernels(r.model.engine.stack, r.shapes, r.baseline, r.json);
    if (optind == argc) {
        if (dt_verb_model_path(&r.model, &err) != DT_OK)
            return dt_verb_fail(&err);
        argv[--optind] = (char *)(uintptr_t)r.model.path;
    }
    char **paths = argv + optind;
    int count = argc - optind;
    if (r.contest)
        return dt_bench_contest(&r.model, (const char *const *)paths, (uint32_t)count, r.against,
                                r.runs_given ? r.bench.options.runs : 30, r.json);
    return r.voice ? bench_voice(&r, paths, count) : bench_models(&r, paths, count);
}
