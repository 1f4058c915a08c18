// SPDX-License-Identifier: MIT
// duotale profile: where the time of a token goes, by operator and layer, and where the memory is.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "core/profile.h"
#include "host/clock.h"
#include "verbs/bench/bandwidth.h"
#include "verbs/bench/stats.h"
#include "verbs/verb.h"

static const char help[] =
    "usage: duotale profile [MODEL] [options]\n"
    "Where the time of decoding goes: by operator, by layer, token by token; bytes moved, and "
    "their share of the bandwidth measured on the spot; where\n"
    "the memory is, with the kernel's own figures beside it.\n"
    "      --gen N             tokens decoded in a round (128)\n"
    "      --at POSITION       decode from there, over a KV cache filled with fixed values (0)\n"
    "      --rounds N          rounds with the hooks on, and as many with them off (5)\n"
    "  -t, --temperature T     how tokens are chosen (0: the likeliest), the same seed every "
    "round\n"
    "  -p, --top-p P           among the likeliest that together have this probability (0.9)\n"
    "      --layers            the table by layers besides\n"
    "      --json              instead of the tables\n"
    "      --svg FILE          the time of each token as a chart besides\n" DT_MODEL_OPTIONS_HELP
    "  -h, --help\n";

enum {
    OPTION_GEN = DT_OPTION_OWN,
    OPTION_AT,
    OPTION_ROUNDS,
    OPTION_LAYERS,
    OPTION_JSON,
    OPTION_SVG
};

static const struct option long_options[] = {
    {"gen", required_argument, NULL, OPTION_GEN},
    {"at", required_argument, NULL, OPTION_AT},
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"temperature", required_argument, NULL, 't'},
    {"top-p", required_argument, NULL, 'p'},
    {"layers", no_argument, NULL, OPTION_LAYERS},
    {"json", no_argument, NULL, OPTION_JSON},
    {"svg", required_argument, NULL, OPTION_SVG},
    {"help", no_argument, NULL, 'h'},
    DT_MODEL_LONG_OPTIONS,
    {NULL, 0, NULL, 0},
};

struct spent {
    uint64_t ns, bytes;
};

struct profile {
    struct dt_engine *engine;
    struct dt_sampling sampling;
    uint32_t gen, at, rounds, layers;
    struct spent op[DT_OP_COUNT];
    struct spent *layer; // layers of the model
    uint64_t sampler_ns;
    uint64_t wall_ns;                 // of the rounds with hooks
    uint64_t *token_ns;               // gen of them, summed over the rounds
    double *on, *off;                 // seconds of each round
    struct dt_shortlist_facts listed; // of the rounds with hooks
    uint64_t some, unsure;            // and how often the list was enough for the sampler
    double bandwidth;
    size_t token_bytes; // weights a token reads
};

static uint64_t now(void *arg)
{
    (void)arg;
    return dt_clock_ns();
}

static void record(void *arg, enum dt_operator op, uint32_t layer, uint32_t columns,
                   uint64_t nanoseconds, size_t bytes)
{
    (void)columns;
    struct profile *p = arg;
    p->op[op].ns += nanoseconds;
    p->op[op].bytes += bytes;
    if (layer != DT_NO_LAYER) {
        p->layer[layer].ns += nanoseconds;
        p->layer[layer].bytes += bytes;
    }
}

// One round of decoding; the same tokens every time.
static dt_status round_of(struct profile *p, bool hooks, double *seconds, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(p->engine);
    const struct dt_profile profile = {.arg = p, .now = now, .record = record};
    const struct dt_vocab *vocab = &dt_engine_model(p->engine)->vocab;
    uint32_t size = dt_engine_model(p->engine)->hp.vocab,
             token = vocab->bos < size ? vocab->bos : 1 % size;
    dt_status status = DT_OK;
    dt_session_truncate(session, 0);
    dt_session_fill(session, p->at);
    dt_engine_set_sampling(p->engine, &p->sampling, 1);
    dt_session_set_profile(session, hooks ? &profile : NULL);
    uint64_t begun = dt_clock_ns(), at = begun;
    for (uint32_t i = 0; i < p->gen && status == DT_OK; i++) {
        status = dt_engine_eval(p->engine, &token, 1, err);
        if (status != DT_OK)
            break;
        if (!hooks) {
            token = dt_engine_next(p->engine) % size;
            continue;
        }
        uint64_t sampling = dt_clock_ns(), classifier = p->op[DT_OP_CLASSIFIER].ns;
        token = dt_engine_next(p->engine) % size;
        uint64_t done = dt_clock_ns();
        // where a shortlist did not decide, all logits were computed now, and counted where they
        // belong
        p->sampler_ns += done - sampling - (p->op[DT_OP_CLASSIFIER].ns - classifier);
        p->token_ns[i] += done - at;
        at = done;
    }
    uint64_t wall = dt_clock_ns() - begun;
    dt_session_set_profile(session, NULL);
    *seconds = (double)wall / 1e9;
    if (hooks)
        p->wall_ns += wall;
    return status;
}

static void forget(struct profile *p)
{
    memset(p->op, 0, sizeof p->op);
    memset(p->layer, 0, p->layers * sizeof *p->layer);
    memset(p->token_ns, 0, p->gen * sizeof *p->token_ns);
    p->sampler_ns = p->wall_ns = 0;
}

static dt_status measure(struct profile *p, struct dt_error *err)
{
    double unused;
    dt_status status = round_of(p, true, &unused, err); // pages in, caches warm
    forget(p);
    struct dt_shortlist_facts before, after;
    for (uint32_t i = 0; i < p->rounds && status == DT_OK; i++) {
        dt_engine_shortlist(p->engine, &before);
        status = round_of(p, true, &p->on[i], err);
        dt_engine_shortlist(p->engine, &after);
        p->listed.used += after.used - before.used;
        p->listed.rows += after.rows - before.rows;
        p->listed.full += after.full - before.full;
        p->some += dt_engine_sampler(p->engine)->some;
        p->unsure += dt_engine_sampler(p->engine)->unsure;
        if (status == DT_OK)
            status = round_of(p, false, &p->off[i], err);
    }
    return status;
}

// ---- memory, as the kernel sees it ----

struct places {
    uint64_t model, files, heap, stack, anonymous; // resident bytes
};

// Every mapping of /proc/self/smaps falls into one place.
static void look_at_memory(const char *model, struct places *out)
{
    char line[4352], real[4096];
    uint64_t *place = &out->anonymous;
    memset(out, 0, sizeof *out);
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f)
        return;
    if (!realpath(model, real))
        real[0] = 0;
    while (fgets(line, sizeof line, f)) {
        unsigned long long kib;
        char *path = strchr(line, '/');
        if (sscanf(line, "Rss: %llu kB", &kib) == 1) {
            *place += kib * 1024;
        } else if (strchr(line, '-') && strspn(line, "0123456789abcdef") ==
                                            strcspn(line, "-")) { // a mapping's first line
            line[strcspn(line, "\n")] = 0;
            place = strstr(line, "[heap]")                     ? &out->heap
                    : strstr(line, "[stack]")                  ? &out->stack
                    : path && *real && strcmp(path, real) == 0 ? &out->model
                    : path                                     ? &out->files
                                                               : &out->anonymous;
        }
    }
    fclose(f);
}

// ---- telling ----

static double per_token_us(const struct profile *p, uint64_t ns)
{
    return (double)ns / 1e3 / ((double)p->gen * p->rounds);
}

static uint64_t accounted(const struct profile *p)
{
    uint64_t sum = p->sampler_ns;
    for (int i = 0; i < DT_OP_COUNT; i++)
        sum += p->op[i].ns;
    return sum;
}

static double rate(const struct spent *s)
{
    return s->ns ? (double)s->bytes / (double)s->ns : 0; // GB/s
}

// What a token reads of weights, keys and values, in the mean.
static double bytes_moved(const struct profile *p)
{
    uint64_t sum = 0;
    for (int i = 0; i < DT_OP_COUNT; i++)
        sum += p->op[i].bytes;
    return (double)sum / ((double)p->gen * p->rounds);
}

// Tokens a second if nothing but these bytes took time; 0 where that is not known.
static double limit(const struct profile *p)
{
    return bytes_moved(p) > 0 ? p->bandwidth / bytes_moved(p) : 0;
}

static double overhead(struct profile *p)
{
    double on = dt_stats_of(p->on, p->rounds).median, off = dt_stats_of(p->off, p->rounds).median;
    return off > 0 ? on / off - 1 : 0;
}

static void timeline(const struct profile *p, char *out)
{
    static const char *const blocks[] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83",
                                         "\xe2\x96\x84", "\xe2\x96\x85", "\xe2\x96\x86",
                                         "\xe2\x96\x87", "\xe2\x96\x88"};
    uint64_t cell[64] = {0}, most = 1;
    uint32_t cells = p->gen < 64 ? p->gen : 64;
    for (uint32_t c = 0; c < cells; c++) {
        uint32_t from = p->gen * c / cells, to = p->gen * (c + 1) / cells;
        for (uint32_t i = from; i < to; i++)
            cell[c] += p->token_ns[i] / (to - from);
        most = cell[c] > most ? cell[c] : most;
    }
    *out = 0;
    for (uint32_t c = 0; c < cells; c++)
        strcat(out, blocks[cell[c] * 7 / most]);
}

static double rows_a_list(const struct profile *p)
{
    return p->listed.used ? (double)p->listed.rows / (double)p->listed.used : 0;
}

// What the classifier's shortlist saved.
static void print_shortlist(const struct profile *p)
{
    const struct dt_matrix *w = &dt_engine_weights(p->engine)->classifier.matrix;
    struct dt_shortlist_facts facts;
    if (!dt_engine_shortlist(p->engine, &facts)) {
        puts("shortlist          off: the classifier is computed whole (--no-shortlist, too small, "
             "or its backend cannot)\n");
        return;
    }
    double tokens = (double)p->gen * p->rounds, whole = (double)w->bytes / 1e6;
    printf("shortlist          %.1f of %u rows a list (%.2f %%); it decided %.2f %% of the tokens, "
           "was not enough for %.2f %%\n",
           rows_a_list(p), w->rows, 100 * rows_a_list(p) / w->rows, 100 * (double)p->some / tokens,
           100 * (double)p->unsure / tokens);
    printf("                   classifier %.3f MB a token instead of %.3f: %.1f %% saved\n\n",
           (double)p->op[DT_OP_CLASSIFIER].bytes / 1e6 / tokens, whole,
           100 * (1 - (double)p->op[DT_OP_CLASSIFIER].bytes / 1e6 / tokens / whole));
}

static const char *mib(uint64_t bytes, char *out)
{
    dt_format(out, 16, "%8.2f MB", (double)bytes / 1e6);
    return out;
}

static void print(struct profile *p, bool by_layers)
{
    char line[64 * 3 + 1], a[16], b[16];
    double total = (double)p->wall_ns, speed = (double)p->gen * p->rounds / (total / 1e9);
    printf("%s, %s, %u thread%s; %u tokens from position %u, %u rounds: %.1f tok/s\n",
           dt_engine_path(p->engine), dt_engine_stack_name(p->engine), dt_engine_threads(p->engine),
           dt_engine_threads(p->engine) == 1 ? "" : "s", p->gen, p->at, p->rounds, speed);
    printf("these weights are read here by %u thread%s at %.1f GB/s: a token's %.1f MB, %.1f of "
           "them weights, at most %.0f times a second\n"
           "reached: %.1f %% of it\n\n",
           dt_engine_threads(p->engine), dt_engine_threads(p->engine) == 1 ? "" : "s",
           p->bandwidth / 1e9, bytes_moved(p) / 1e6, (double)p->token_bytes / 1e6, limit(p),
           limit(p) > 0 ? 100 * speed / limit(p) : 0);
    printf("%-18s %10s %7s %10s %8s %7s\n", "operator", "us/token", "share", "MB/token", "GB/s",
           "of peak");
    for (int i = 0; i < DT_OP_COUNT; i++) {
        const struct spent *s = &p->op[i];
        printf("%-18s %10.2f %6.1f%% %10.3f %8.2f %6.1f%%\n", dt_operator_name((enum dt_operator)i),
               per_token_us(p, s->ns), 100 * (double)s->ns / total,
               (double)s->bytes / 1e6 / ((double)p->gen * p->rounds), rate(s),
               p->bandwidth > 0 ? 100e9 * rate(s) / p->bandwidth : 0);
    }
    printf("%-18s %10.2f %6.1f%%\n", "sampler", per_token_us(p, p->sampler_ns),
           100 * (double)p->sampler_ns / total);
    printf("%-18s %10.2f %6.1f%%  (between the operators)\n", "other",
           per_token_us(p, p->wall_ns - accounted(p)),
           100 * (total - (double)accounted(p)) / total);
    printf("%-18s %10.2f; the hooks cost %.2f %%\n\n", "wall", per_token_us(p, p->wall_ns),
           100 * overhead(p));
    for (uint32_t i = 0; by_layers && i < p->layers; i++)
        printf("layer %-12u %10.2f %6.1f%% %10.3f %8.2f\n", i, per_token_us(p, p->layer[i].ns),
               100 * (double)p->layer[i].ns / total,
               (double)p->layer[i].bytes / 1e6 / ((double)p->gen * p->rounds), rate(&p->layer[i]));
    print_shortlist(p);
    timeline(p, line);
    printf("token by token     %s  first %.0f us, last %.0f us\n\n", line,
           (double)p->token_ns[0] / 1e3 / p->rounds,
           (double)p->token_ns[p->gen - 1] / 1e3 / p->rounds);

    struct dt_engine_plan m;
    struct dt_memory_facts facts;
    struct places places;
    dt_engine_memory(p->engine, &m);
    dt_memory_facts(&facts);
    look_at_memory(dt_engine_path(p->engine), &places);
    printf("memory taken by the engine            resident, as the kernel counts\n");
    printf("KV cache         %s         model file       %s\n", mib(m.session.kv, a),
           mib(places.model, b));
    printf("logits, tables   %s         program and libs %s\n",
           mib(m.session.own - m.session.kv, a), mib(places.files, b));
    printf("scratch          %s         heap             %s\n", mib(m.session.scratch, a),
           mib(places.heap, b));
    printf("converted weights%s         stack            %s\n", mib(m.weights.arena_bytes, a),
           mib(places.stack, b));
    printf("model, vocabulary%s         other anonymous  %s\n",
           mib(m.model_tables + m.tokenizer, a), mib(places.anonymous, b));
    uint64_t sum = places.model + places.files + places.heap + places.stack + places.anonymous;
    printf("sampler          %s         sum              %s (VmRSS %.2f MB, %+.2f %%)\n",
           mib(m.sampler, a), mib(sum, b), (double)facts.rss / 1e6,
           facts.rss ? 100 * ((double)sum - (double)facts.rss) / (double)facts.rss : 0);
    printf("shortlist        %s         anonymous        %s\n", mib(m.shortlist, a),
           mib(facts.anonymous, b));
    printf("all of ours      %s\n", mib(m.total, a));
}

static void put_spent(struct dt_json *json, const struct profile *p, const struct spent *s)
{
    dt_json_put_number(json, "us_per_token", per_token_us(p, s->ns));
    dt_json_put_number(json, "share", (double)s->ns / (double)p->wall_ns);
    dt_json_put_number(json, "bytes_per_token", (double)s->bytes / ((double)p->gen * p->rounds));
    dt_json_put_number(json, "gb_s", rate(s));
    dt_json_put_number(json, "share_of_bandwidth",
                       p->bandwidth > 0 ? 1e9 * rate(s) / p->bandwidth : 0);
}

static void print_json(struct profile *p)
{
    struct dt_json json;
    dt_json_init(&json, stdout, 2);
    dt_json_object(&json);
    dt_json_put_text(&json, "model", dt_engine_path(p->engine));
    dt_json_put_text(&json, "backend", dt_engine_stack_name(p->engine));
    dt_json_put_uint(&json, "threads", dt_engine_threads(p->engine));
    dt_json_put_uint(&json, "tokens", p->gen);
    dt_json_put_uint(&json, "at", p->at);
    dt_json_put_uint(&json, "rounds", p->rounds);
    dt_json_put_number(&json, "wall_us_per_token", per_token_us(p, p->wall_ns));
    dt_json_put_number(&json, "accounted_share", (double)accounted(p) / (double)p->wall_ns);
    dt_json_put_number(&json, "overhead", overhead(p));
    dt_json_put_number(&json, "bandwidth_gb_s", p->bandwidth / 1e9);
    dt_json_put_uint(&json, "weight_bytes_per_token", p->token_bytes);
    dt_json_put_number(&json, "bytes_per_token", bytes_moved(p));
    dt_json_put_number(&json, "limit_tok_s", limit(p));
    dt_json_name(&json, "operators");
    dt_json_object(&json);
    for (int i = 0; i < DT_OP_COUNT; i++) {
        dt_json_name(&json, dt_operator_name((enum dt_operator)i));
        dt_json_object(&json);
        put_spent(&json, p, &p->op[i]);
        dt_json_end(&json);
    }
    dt_json_name(&json, "sampler");
    dt_json_object(&json);
    put_spent(&json, p, &(struct spent){p->sampler_ns, 0});
    dt_json_end(&json);
    dt_json_end(&json);
    dt_json_name(&json, "shortlist");
    dt_json_object(&json);
    dt_json_put_uint(&json, "rows", dt_engine_weights(p->engine)->classifier.matrix.rows);
    dt_json_put_uint(&json, "lists", p->listed.used);
    dt_json_put_number(&json, "rows_per_list", rows_a_list(p));
    dt_json_put_uint(&json, "decided", p->some);
    dt_json_put_uint(&json, "not_enough", p->unsure);
    dt_json_put_uint(&json, "computed_whole", p->listed.full);
    dt_json_end(&json);
    dt_json_name(&json, "layers");
    dt_json_array(&json);
    for (uint32_t i = 0; i < p->layers; i++) {
        dt_json_object(&json);
        put_spent(&json, p, &p->layer[i]);
        dt_json_end(&json);
    }
    dt_json_end(&json);
    dt_json_name(&json, "token_us");
    dt_json_array(&json);
    for (uint32_t i = 0; i < p->gen; i++)
        dt_json_number(&json, (double)p->token_ns[i] / 1e3 / p->rounds);
    dt_json_end(&json);

    struct dt_engine_plan m;
    struct dt_memory_facts facts;
    struct places places;
    dt_engine_memory(p->engine, &m);
    dt_memory_facts(&facts);
    look_at_memory(dt_engine_path(p->engine), &places);
    dt_json_name(&json, "memory_bytes");
    dt_json_object(&json);
    dt_json_put_uint(&json, "kv", m.session.kv);
    dt_json_put_uint(&json, "logits_and_tables", m.session.own - m.session.kv);
    dt_json_put_uint(&json, "scratch", m.session.scratch);
    dt_json_put_uint(&json, "converted_weights", m.weights.arena_bytes);
    dt_json_put_uint(&json, "vocabulary", m.model_tables + m.tokenizer);
    dt_json_put_uint(&json, "sampler", m.sampler);
    dt_json_put_uint(&json, "shortlist", m.shortlist);
    dt_json_put_uint(&json, "engine_total", m.total);
    dt_json_put_uint(&json, "resident_model", places.model);
    dt_json_put_uint(&json, "resident_files", places.files);
    dt_json_put_uint(&json, "resident_heap", places.heap);
    dt_json_put_uint(&json, "resident_stack", places.stack);
    dt_json_put_uint(&json, "resident_anonymous_other", places.anonymous);
    dt_json_put_uint(&json, "rss", facts.rss);
    dt_json_put_uint(&json, "anonymous", facts.anonymous);
    dt_json_end(&json);
    dt_json_end(&json);
}

// A bar a token.
static int draw(const struct profile *p, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) {
        fprintf(stderr, "duotale: %s: the chart cannot be written: %s\n", path, strerror(errno));
        return 1;
    }
    double most = 1, width = 800, height = 260, step = width / p->gen;
    for (uint32_t i = 0; i < p->gen; i++)
        most = (double)p->token_ns[i] > most ? (double)p->token_ns[i] : most;
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"880\" height=\"330\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<text x=\"50\" y=\"20\">microseconds a token, %s, from position %u</text>\n"
            "<text x=\"5\" y=\"45\">%.0f</text><text x=\"5\" y=\"300\">0</text>\n",
            dt_engine_stack_name(p->engine), p->at, most / 1e3 / p->rounds);
    for (uint32_t i = 0; i < p->gen; i++) {
        double tall = (double)p->token_ns[i] / most * height;
        fprintf(f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#38c\"/>\n",
                50 + i * step, 300 - tall, step * 0.9, tall);
    }
    fprintf(f, "<text x=\"50\" y=\"320\">%u</text><text x=\"820\" y=\"320\">%u</text>\n</svg>\n",
            p->at, p->at + p->gen - 1);
    if (fclose(f) == 0)
        return 0;
    fprintf(stderr, "duotale: %s: the chart could not be written whole: %s\n", path,
            strerror(errno));
    return 1;
}

// What a token reads of the weights: every matrix once, but a row of the embedding.
static size_t bytes_a_token(const struct dt_weights *w)
{
    size_t bytes = w->classifier.matrix.bytes;
    for (uint32_t i = 0; i < w->model->hp.layers; i++) {
        const struct dt_weights_layer *l = &w->layers[i];
        bytes += l->query.matrix.bytes + l->key.matrix.bytes + l->value.matrix.bytes +
                 l->output.matrix.bytes + l->gate.matrix.bytes + l->up.matrix.bytes +
                 l->down.matrix.bytes;
    }
    return bytes;
}

// Where a matrix lies: its scales are among the quants, or apart.
static size_t add_spans(struct dt_span *spans, const struct dt_matrix *w)
{
    size_t quants = w->form == DT_FORM_I8 ? w->rows * w->row_stride : w->bytes;
    spans[0] = (struct dt_span){
        w->quants, quants < 128 ? 0 : quants / 64 * 64 - 64}; // blocks begin before their quants
    if (w->form != DT_FORM_I8)
        return 1;
    spans[1] = (struct dt_span){w->scales, w->rows * w->scale_row_stride / 64 * 64};
    return 2;
}

// How fast as many threads as decode read these weights, where they lie.
static double measure_bandwidth(const struct profile *p)
{
    const struct dt_weights *w = dt_engine_weights(p->engine);
    struct dt_span *spans = calloc((size_t)p->layers * 14 + 2, sizeof *spans);
    if (!spans)
        return 0;
    size_t n = add_spans(spans, &w->classifier.matrix);
    for (uint32_t i = 0; i < p->layers; i++) {
        const struct dt_weights_layer *l = &w->layers[i];
        const struct dt_linear *all[] = {&l->query, &l->key, &l->value, &l->output,
                                         &l->gate,  &l->up,  &l->down};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            n += add_spans(spans + n, &all[k]->matrix);
    }
    double rate = dt_bandwidth_read(spans, n, dt_engine_threads(p->engine));
    free(spans);
    return rate;
}

static dt_status prepare(struct profile *p, struct dt_verb_model *model, struct dt_error *err)
{
    model->engine.without_vocabulary = true;
    dt_status status = dt_verb_model_path(model, err);
    if (status == DT_OK)
        status = dt_engine_new(&p->engine, &model->engine, err);
    if (status == DT_OK)
        status = dt_engine_open(p->engine, model->path, model->tokenizer, err);
    if (status != DT_OK)
        return status;
    uint32_t capacity = dt_session_capacity(dt_engine_session(p->engine));
    if (p->at >= capacity || p->gen > capacity - p->at)
        return dt_error_set(err, DT_USAGE, model->path,
                            "%u tokens from position %u are more than its context of %u holds",
                            p->gen, p->at, capacity);
    p->layers = dt_engine_model(p->engine)->hp.layers;
    p->layer = calloc(p->layers, sizeof *p->layer);
    p->token_ns = calloc(p->gen, sizeof *p->token_ns);
    p->on = calloc(p->rounds, sizeof *p->on);
    p->off = calloc(p->rounds, sizeof *p->off);
    if (!p->layer || !p->token_ns || !p->on || !p->off)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the figures of %u tokens",
                            p->gen);
    p->token_bytes = bytes_a_token(dt_engine_weights(p->engine));
    return DT_OK;
}

static int count(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    if (dt_verb_count(text, max, out) && *out >= min)
        return 0;
    return dt_verb_usage("profile", "%s takes a whole number from %u to %u, not \"%s\"", name, min,
                         max, text);
}

int dt_verb_profile(int argc, char **argv)
{
    struct dt_verb_model model = {0};
    struct profile p = {.gen = 128, .rounds = 5, .sampling = {.top_p = 0.9f, .repeat_penalty = 1}};
    bool json = false, by_layers = false;
    const char *svg = NULL;
    double number = 0;
    int option, code = 0;
    while (code == 0 && (option = getopt_long(argc, argv, "ht:p:" DT_MODEL_SHORT_OPTIONS,
                                              long_options, NULL)) != -1) {
        switch (option) {
        case 'h':
            return fputs(help, stdout) < 0;
        case 't':
            if (!dt_verb_float(optarg, &number) || number < 0)
                code = dt_verb_usage("profile",
                                     "--temperature takes a number, 0 or more, not \"%s\"", optarg);
            p.sampling.temperature = (float)number;
            break;
        case 'p':
            if (!dt_verb_float(optarg, &number) || number < 0 || number > 1)
                code = dt_verb_usage("profile", "--top-p takes a number from 0 to 1, not \"%s\"",
                                     optarg);
            p.sampling.top_p = (float)number;
            break;
        case OPTION_GEN:
            code = count("--gen", optarg, 1, DT_MAX_CONTEXT, &p.gen);
            break;
        case OPTION_AT:
            code = count("--at", optarg, 0, DT_MAX_CONTEXT, &p.at);
            break;
        case OPTION_ROUNDS:
            code = count("--rounds", optarg, 1, 1000, &p.rounds);
            break;
        case OPTION_LAYERS:
            by_layers = true;
            break;
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_SVG:
            svg = optarg;
            break;
        default:
            code = dt_verb_model_option("profile", &model, option, optarg) == 0 ? 0 : 2;
        }
    }
    if (code)
        return code;
    if (optind < argc)
        model.path = argv[optind++];
    if (optind < argc)
        return dt_verb_usage("profile", "one model at a time; \"%s\" is one too many",
                             argv[optind]);
    struct dt_error err = {0};
    dt_status status = prepare(&p, &model, &err);
    if (status == DT_OK)
        p.bandwidth = measure_bandwidth(&p);
    if (status == DT_OK)
        status = measure(&p, &err);
    if (status == DT_OK) {
        if (json)
            print_json(&p);
        else
            print(&p, by_layers);
        code = svg ? draw(&p, svg) : 0;
        if (dt_verb_flush())
            code = 1;
    } else {
        code = dt_verb_fail(&err);
    }
    dt_engine_free(p.engine);
    free(p.layer);
    free(p.token_ns);
    free(p.on);
    free(p.off);
    return code;
}
