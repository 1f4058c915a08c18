// SPDX-License-Identifier: MIT
// duotale bench: how fast. Everything is interleaved: one run of each entry, then the next run of
// each.
#include "verbs/bench/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "host/clock.h"
#include "verbs/spawn.h"

static const char help[] =
    "usage: duotale bench MODEL... [-b stack[,stack...]] [options]\n"
    "       duotale bench --kernels [-b backend,...] [--shapes 15M,7B] [--baseline REPORT.json]\n"
    "       duotale bench --contest MODEL|LOG... [--against MODEL|LOG]\n"
    "Speed of prompts and of decoding, interleaved over models and stacks; tokens are chosen and "
    "dropped, nothing is written.\n"
    "      --prompt N          tokens of the prompt (64); 0: none\n"
    "      --gen N             tokens decoded after it is measured apart, from an empty context "
    "(256); at most the context\n"
    "      --at POSITION       decode from there, over a KV cache filled with fixed values\n"
    "      --runs N            measured runs (5)\n"
    "      --warm N            runs before those (1)\n"
    "  -t, --temperature F     0: greedy (0)\n"
    "  -p, --top-p F           (0.9)\n"
    "  -s, --seed N            (1)\n"
    "      --no-start          do not start fresh processes for start-up time and memory\n"
    "      --json, --csv       instead of the table\n"
    "      --svg FILE          a chart besides\n"
    "      --contest           30 runs as in RVSPOC S2311: -t 1.0 -p 0.9 -s 123 -i \"Once upon a "
    "time\"; or its logs\n"
    "      --speak             the same stories told with and without a voice\n"
    "      --voice NAME        which one (duotale voices)\n"
    "      --against FILE      whose story the others are compared with (the fp32 "
    "one)\n" DT_MODEL_OPTIONS_HELP "  -h, --help\n";

enum {
    OPTION_JSON = DT_OPTION_OWN,
    OPTION_CSV,
    OPTION_SVG,
    OPTION_PROMPT,
    OPTION_GEN,
    OPTION_AT,
    OPTION_RUNS,
    OPTION_WARM,
    OPTION_NO_START,
    OPTION_KERNELS,
    OPTION_SHAPES,
    OPTION_BASELINE,
    OPTION_CONTEST,
    OPTION_AGAINST,
    OPTION_SPEAK,
    OPTION_VOICE
};

static const struct option long_options[] = {
    {"prompt", required_argument, NULL, OPTION_PROMPT},
    {"gen", required_argument, NULL, OPTION_GEN},
    {"at", required_argument, NULL, OPTION_AT},
    {"runs", required_argument, NULL, OPTION_RUNS},
    {"warm", required_argument, NULL, OPTION_WARM},
    {"temperature", required_argument, NULL, 't'},
    {"top-p", required_argument, NULL, 'p'},
    {"seed", required_argument, NULL, 's'},
    {"no-start", no_argument, NULL, OPTION_NO_START},
    {"json", no_argument, NULL, OPTION_JSON},
    {"csv", no_argument, NULL, OPTION_CSV},
    {"svg", required_argument, NULL, OPTION_SVG},
    {"kernels", no_argument, NULL, OPTION_KERNELS},
    {"shapes", required_argument, NULL, OPTION_SHAPES},
    {"baseline", required_argument, NULL, OPTION_BASELINE},
    {"contest", no_argument, NULL, OPTION_CONTEST},
    {"against", required_argument, NULL, OPTION_AGAINST},
    {"speak", no_argument, NULL, OPTION_SPEAK},
    {"voice", required_argument, NULL, OPTION_VOICE},
    {"help", no_argument, NULL, 'h'},
    DT_MODEL_LONG_OPTIONS,
    {NULL, 0, NULL, 0},
};

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
    dt_engine_set_sampling(engine, &sampling, o->seed);
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
    struct dt_session *session = dt_engine_session(e->engine);
    uint32_t token = first_token(e->engine), vocab = dt_engine_model(e->engine)->hp.vocab;
    dt_status status = DT_OK;
    dt_session_truncate(session, 0);
    dt_session_fill(session, o->at);
    reset_sampling(e->engine, o);
    uint64_t begun = dt_clock_ns();
    for (uint32_t i = 0; i < e->gen && status == DT_OK; i++) {
        status = dt_engine_eval(e->engine, &token, 1, err);
        if (status == DT_OK)
            token = dt_engine_next(e->engine) % vocab;
    }
    *tok_s = per_second(e->gen, dt_clock_ns() - begun);
    return status;
}

// A fresh process that tells a story with this entry's model and stack.
static dt_status run_process(struct dt_bench_entry *e, const struct dt_verb_model *model,
                             const char *steps, bool json, struct dt_output *output,
                             struct dt_error *err)
{
    char threads[16], context[16];
    dt_format(threads, sizeof threads, "%u", e->threads);
    dt_format(context, sizeof context, "%u", model->engine.context);
    const char *argv[24] = {"duotale", "run",       e->model, "-t",      "0",
                            "-n",      steps,       "-b",     e->asked,  "-j",
                            threads,   "--context", context,  "--quiet", json ? "--json" : "--ids"};
    int n = 15;
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
    if (status == DT_OK) { // the figures are in the last object
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
    uint32_t wanted = o->at + 1;
    if (o->prompt > wanted)
        wanted = o->prompt;
    dt_status status = dt_engine_new(&e->engine, &options, err);
    if (status == DT_OK)
        status = dt_engine_open(e->engine, e->model, model->tokenizer, err);
    if (status != DT_OK)
        return status;
    uint32_t capacity = dt_session_capacity(dt_engine_session(e->engine));
    if (wanted > capacity)
        return dt_error_set(err, DT_USAGE, e->model,
                            "position %u is beyond its context of %u; take a smaller --at or "
                            "--prompt, or a --context",
                            wanted - 1, capacity);
    e->gen = o->gen < capacity - o->at ? o->gen : capacity - o->at;
    if (o->at_given && e->gen < o->gen)
        return dt_error_set(err, DT_USAGE, e->model,
                            "%u tokens from position %u are more than its context of %u holds",
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
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %u runs", o->runs);
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

// Every model with every stack of "a,b,c".
static int add_entries(struct dt_bench *bench, const struct dt_verb_model *model, char **paths,
                       int count)
{
    const char *stacks = model->engine.stack ? model->engine.stack : "auto";
    for (int i = 0; i < count; i++) {
        for (const char *at = stacks;;) {
            size_t n = strcspn(at, ",");
            if (bench->count == DT_BENCH_MAX)
                return dt_verb_usage("bench",
                                     "at most %u models and stacks can be compared at a time",
                                     DT_BENCH_MAX);
            struct dt_bench_entry *e = &bench->entry[bench->count++];
            e->model = paths[i];
            dt_format(e->asked, sizeof e->asked, "%.*s", (int)n, at);
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

static int number(const char *name, const char *text, uint32_t max, uint32_t *out)
{
    if (dt_verb_count(text, max, out))
        return 0;
    return dt_verb_usage("bench", "%s takes a whole number up to %u, not \"%s\"", name, max, text);
}

static int real(const char *name, const char *text, float *out)
{
    double value;
    if (!dt_verb_float(text, &value) || value < 0 || value > 1000)
        return dt_verb_usage("bench", "%s takes a number from 0, not \"%s\"", name, text);
    *out = (float)value;
    return 0;
}

int dt_verb_bench(int argc, char **argv)
{
    struct dt_verb_model model = {0};
    struct dt_bench bench = {.options = {.prompt = 64,
                                         .gen = 256,
                                         .runs = 5,
                                         .warm = 1,
                                         .top_p = 0.9f,
                                         .seed = 1,
                                         .processes = true}};
    struct dt_bench_options *o = &bench.options;
    bool json = false, csv = false, contest = false, kernels = false, runs_given = false;
    const char *svg = NULL, *against = NULL, *voice = NULL, *shapes = NULL, *baseline = NULL;
    int option, code = 0;
    while (code == 0 && (option = getopt_long(argc, argv, "t:p:s:h" DT_MODEL_SHORT_OPTIONS,
                                              long_options, NULL)) != -1) {
        switch (option) {
        case 'h':
            return fputs(help, stdout) < 0;
        case 't':
            code = real("--temperature", optarg, &o->temperature);
            break;
        case 'p':
            code = real("--top-p", optarg, &o->top_p);
            break;
        case 's':
            code = dt_verb_seed(optarg, &o->seed)
                       ? 0
                       : dt_verb_usage("bench", "--seed takes a whole number, not \"%s\"", optarg);
            break;
        case OPTION_PROMPT:
            code = number("--prompt", optarg, 4096, &o->prompt);
            break;
        case OPTION_GEN:
            code = number("--gen", optarg, DT_MAX_CONTEXT, &o->gen);
            break;
        case OPTION_AT:
            code = number("--at", optarg, DT_MAX_CONTEXT, &o->at);
            o->at_given = true;
            break;
        case OPTION_RUNS:
            runs_given = true;
            code = number("--runs", optarg, 10000, &o->runs);
            if (code == 0 && o->runs == 0)
                code = dt_verb_usage("bench", "zero runs measure nothing: --runs takes 1 or more");
            break;
        case OPTION_WARM:
            code = number("--warm", optarg, 10000, &o->warm);
            break;
        case OPTION_NO_START:
            o->processes = false;
            break;
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_CSV:
            csv = true;
            break;
        case OPTION_SVG:
            svg = optarg;
            break;
        case OPTION_KERNELS:
            kernels = true;
            break;
        case OPTION_SHAPES:
            shapes = optarg;
            break;
        case OPTION_BASELINE:
            baseline = optarg;
            break;
        case OPTION_CONTEST:
            contest = true;
            break;
        case OPTION_AGAINST:
            against = optarg;
            break;
        case OPTION_SPEAK:
            voice = voice ? voice : "auto";
            break;
        case OPTION_VOICE:
            voice = optarg;
            break;
        default:
            code = dt_verb_model_option("bench", &model, option, optarg) ? 2 : 0;
        }
    }
    if (code != 0)
        return code;
    if (json && csv)
        return dt_verb_usage("bench", "--json or --csv, not both");
    dt_verb_log(false);
    if (kernels && optind < argc)
        return dt_verb_usage("bench", "--kernels takes no model: \"%s\"", argv[optind]);
    if (kernels)
        return dt_bench_kernels(model.engine.stack, shapes, baseline, json);
    struct dt_error err = {0};
    dt_status status = DT_OK;
    if (optind == argc) {
        status = dt_verb_model_path(&model, &err);
        if (status != DT_OK)
            return dt_verb_fail(&err);
        argv[--optind] = (char *)(uintptr_t)model.path;
    }
    if (contest)
        return dt_bench_contest(&model, (const char *const *)argv + optind,
                                (uint32_t)(argc - optind), against, runs_given ? o->runs : 30,
                                json);
    for (int i = optind; voice && i < argc && status == DT_OK; i++)
        status = dt_bench_speak(&model, argv[i], o, voice, json, &err);
    if (voice)
        return status == DT_OK ? dt_verb_flush() : dt_verb_fail(&err);
    code = add_entries(&bench, &model, argv + optind, argc - optind);
    if (code == 0) {
        status = measure(&bench, &model, &err);
        FILE *chart = NULL;
        if (status == DT_OK && svg && !(chart = fopen(svg, "w")))
            status =
                dt_error_set(&err, DT_FAILED, svg, "cannot write the chart: %s", strerror(errno));
        if (chart) {
            dt_bench_svg(&bench, chart);
            if (fclose(chart) != 0)
                status = dt_error_set(&err, DT_FAILED, svg, "cannot write the chart: %s",
                                      strerror(errno));
        }
        if (status == DT_OK) {
            (json ? dt_bench_json : csv ? dt_bench_csv : dt_bench_print)(&bench, stdout);
            code = dt_verb_flush();
        } else {
            code = dt_verb_fail(&err);
        }
    }
    for (uint32_t i = 0; i < bench.count; i++)
        close_entry(&bench.entry[i]);
    return code;
}
