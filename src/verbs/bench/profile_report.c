// SPDX-License-Identifier: MIT
// Reports of a profile: tables, JSON and a chart.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "host/print.h"
#include "verbs/bench/profile.h"
#include "verbs/bench/stats.h"

// ---- memory as the kernel counts it ----

struct places {
    uint64_t model, files, heap, stack, anonymous; // resident bytes
};

// Adds up /proc/self/smaps by kind of mapping.
static void read_places(const char *model, struct places *out)
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

// ---- derived figures ----

static double per_token_us(const struct dt_token_profile *p, uint64_t ns)
{
    return (double)ns / 1e3 / ((double)p->gen * p->rounds);
}

static uint64_t accounted(const struct dt_token_profile *p)
{
    uint64_t sum = p->sampler_ns;
    for (int i = 0; i < DT_OP_COUNT; i++)
        sum += p->op[i].ns;
    return sum;
}

static double rate(const struct dt_spent *s)
{
    return s->ns ? (double)s->bytes / (double)s->ns : 0; // GB/s
}

// The memory bandwidth that limits decoding, in bytes per second.
static double bandwidth(const struct dt_token_profile *p)
{
    return p->in_place > p->in_private ? p->in_place : p->in_private;
}

// The rate of an operator as a share of the memory bandwidth; 0 if unknown.
static double share_of_bandwidth(const struct dt_token_profile *p, const struct dt_spent *s)
{
    return bandwidth(p) > 0 ? 1e9 * rate(s) / bandwidth(p) : 0;
}

// Mean bytes that a token reads of weights, keys and values.
static double bytes_moved(const struct dt_token_profile *p)
{
    uint64_t sum = 0;
    for (int i = 0; i < DT_OP_COUNT; i++)
        sum += p->op[i].bytes;
    return (double)sum / ((double)p->gen * p->rounds);
}

// Tokens per second if only reading these bytes took time; 0 if unknown.
static double limit(const struct dt_token_profile *p)
{
    return bytes_moved(p) > 0 ? bandwidth(p) / bytes_moved(p) : 0;
}

static double overhead(struct dt_token_profile *p)
{
    double on = dt_stats_of(p->on, p->rounds).median, off = dt_stats_of(p->off, p->rounds).median;
    return off > 0 ? on / off - 1 : 0;
}

static void timeline(const struct dt_token_profile *p, char *out)
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

static double rows_per_list(const struct dt_token_profile *p)
{
    return p->listed.used ? (double)p->listed.rows / (double)p->listed.used : 0;
}

// How much of the classifier the shortlist saved.
static void print_shortlist(const struct dt_token_profile *p)
{
    const struct dt_matrix *w = &dt_engine_weights(p->engine)->classifier.matrix;
    struct dt_shortlist_facts facts;
    if (!dt_engine_shortlist(p->engine, &facts)) {
        puts("shortlist          off: every row of the classifier is computed (--no-shortlist, a "
             "small "
             "classifier, or a backend without support)\n");
        return;
    }
    double tokens = (double)p->gen * p->rounds, whole = (double)w->bytes / 1e6;
    dt_print(
        stdout,
        "shortlist          %.1f of %u rows per list (%.2f %%); it decided %.2f %% of the tokens "
        "and did not suffice for %.2f %%\n",
        rows_per_list(p), w->rows, 100 * rows_per_list(p) / w->rows, 100 * (double)p->some / tokens,
        100 * (double)p->unsure / tokens);
    dt_print(stdout,
             "                   classifier %.3f MB per token instead of %.3f: %.1f %% saved\n\n",
             (double)p->op[DT_OP_CLASSIFIER].bytes / 1e6 / tokens, whole,
             100 * (1 - (double)p->op[DT_OP_CLASSIFIER].bytes / 1e6 / tokens / whole));
}

static const char *megabytes(uint64_t bytes, char *out)
{
    dt_format(out, 16, "%8.2f MB", (double)bytes / 1e6);
    return out;
}

static void print_operators(const struct dt_token_profile *p, double total)
{
    dt_print(stdout, "%-18s %10s %7s %10s %8s %7s\n", "operator", "us/token", "share", "MB/token",
             "GB/s", "of peak");
    for (int i = 0; i < DT_OP_COUNT; i++) {
        const struct dt_spent *s = &p->op[i];
        dt_print(stdout, "%-18s %10.2f %6.1f%% %10.3f %8.2f %6.1f%%\n",
                 dt_operator_name((enum dt_operator)i), per_token_us(p, s->ns),
                 100 * (double)s->ns / total, (double)s->bytes / 1e6 / ((double)p->gen * p->rounds),
                 rate(s), 100 * share_of_bandwidth(p, s));
    }
    dt_print(stdout, "%-18s %10.2f %6.1f%%\n", "sampler", per_token_us(p, p->sampler_ns),
             100 * (double)p->sampler_ns / total);
    dt_print(stdout, "%-18s %10.2f %6.1f%%  (between the operators)\n", "other",
             per_token_us(p, p->elapsed_ns - accounted(p)),
             100 * (total - (double)accounted(p)) / total);
}

static void print_memory(const struct dt_token_profile *p)
{
    struct dt_engine_plan m;
    struct dt_memory_facts facts;
    struct places places;
    char a[16], b[16];
    dt_engine_memory(p->engine, &m);
    dt_memory_facts(&facts);
    read_places(dt_engine_path(p->engine), &places);
    uint64_t sum = places.model + places.files + places.heap + places.stack + places.anonymous;
    const struct {
        const char *left;
        uint64_t allocated;
        const char *right;
        uint64_t resident;
        bool is_sum;
    } rows[] = {
        {"KV cache", m.session.kv, "model file", places.model},
        {"logits, tables", m.session.own - m.session.kv, "program and libs", places.files},
        {"scratch", m.session.scratch, "heap", places.heap},
        {"copied weights", m.weights.arena_bytes, "stack", places.stack},
        {"model, vocabulary", m.model_tables + m.tokenizer, "other anonymous", places.anonymous},
        {"sampler", m.sampler, "sum", sum, true},
        {"shortlist, drafts", m.shortlist + m.draft, "anonymous", facts.anonymous},
        {"streamed weights", m.stream.pinned_bytes + m.stream.buffers * m.stream.buffer_bytes,
         "page cache", facts.file},
    };
    puts("allocated by the engine               resident, as the kernel counts");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dt_print(stdout, "%-17s%s         %-17s%s", rows[i].left, megabytes(rows[i].allocated, a),
                 rows[i].right, megabytes(rows[i].resident, b));
        if (rows[i].is_sum)
            dt_print(stdout, " (VmRSS %.2f MB, %+.2f %%)", (double)facts.rss / 1e6,
                     facts.rss ? 100 * ((double)sum - (double)facts.rss) / (double)facts.rss : 0);
        putchar('\n');
    }
    dt_print(stdout, "%-17s%s\n", "total", megabytes(m.total, a));
}

// What speculation saved, over all rounds.
static void print_draft(const struct dt_token_profile *p)
{
    struct dt_draft_facts f;
    if (!dt_engine_draft(p->engine, &f))
        return;
    dt_print(stdout,
             "speculation: %.2f tokens a pass; %llu of %llu guesses were right, in %llu of %llu "
             "passes\n\n",
             f.passes ? (double)(f.passes + f.right) / (double)f.passes : 0,
             (unsigned long long)f.right, (unsigned long long)f.guesses,
             (unsigned long long)f.guessed, (unsigned long long)f.passes);
}

// What was read from the file and how long that kept the computation waiting. Over all rounds, with
// and without hooks.
static void print_stream(const struct dt_token_profile *p)
{
    struct dt_stream_plan plan;
    struct dt_stream_facts f;
    if (!dt_engine_stream(p->engine, &plan, &f))
        return;
    double passes = f.passes ? (double)f.passes : 1;
    dt_print(stdout,
             "weights streamed: %.1f of %.1f MB stay in memory (%.1f %%); %.1f MB read a token, in "
             "%u pieces, %.2f MB/s; waiting takes %.1f ms a token, %.1f %% of the time\n\n",
             (double)plan.pinned_weights / 1e6, (double)plan.weight_bytes / 1e6,
             100 * (double)plan.pinned_weights / (double)plan.weight_bytes,
             (double)f.read_bytes / 1e6 / passes, plan.reads,
             f.eval_ns ? (double)f.read_bytes * 1e3 / (double)f.eval_ns : 0,
             (double)f.waited_ns / 1e6 / passes,
             f.eval_ns ? 100 * (double)f.waited_ns / (double)f.eval_ns : 0);
}

// The limit that memory bandwidth sets, and how much of it decoding reaches.
static void print_limit(const struct dt_token_profile *p, double speed)
{
    uint32_t threads = dt_engine_threads(p->engine);
    dt_print(
        stdout,
        "memory bandwidth (%u thread%s, the fastest of several ways to read): these weights in "
        "place %.1f GB/s",
        threads, threads == 1 ? "" : "s", p->in_place / 1e9);
    if (p->in_private > 0)
        dt_print(stdout, ", private memory of the same size %.1f GB/s", p->in_private / 1e9);
    dt_print(stdout,
             "\na token reads %.1f MB, %.1f MB of it weights; limit at the higher bandwidth: %.0f "
             "tok/s\nshare of that limit: %.1f %%\n\n",
             bytes_moved(p) / 1e6, (double)p->token_bytes / 1e6, limit(p),
             limit(p) > 0 ? 100 * speed / limit(p) : 0);
}

void dt_profile_print(struct dt_token_profile *p, bool by_layers)
{
    char line[64 * 3 + 1];
    uint32_t threads = dt_engine_threads(p->engine);
    const char *plural = threads == 1 ? "" : "s";
    double total = (double)p->elapsed_ns, speed = (double)p->gen * p->rounds / (total / 1e9);
    dt_print(stdout, "%s, %s, %u thread%s; %u tokens from position %u, %u rounds: %.1f tok/s\n",
             dt_engine_path(p->engine), dt_engine_stack_name(p->engine), threads, plural, p->gen,
             p->at, p->rounds, speed);
    print_limit(p, speed);
    print_stream(p);
    print_draft(p);
    print_operators(p, total);
    dt_print(stdout, "%-18s %10.2f; the hooks add %.2f %%\n\n", "wall time",
             per_token_us(p, p->elapsed_ns), 100 * overhead(p));
    for (uint32_t i = 0; by_layers && i < p->layers; i++)
        dt_print(stdout, "layer %-12u %10.2f %6.1f%% %10.3f %8.2f\n", i,
                 per_token_us(p, p->layer[i].ns), 100 * (double)p->layer[i].ns / total,
                 (double)p->layer[i].bytes / 1e6 / ((double)p->gen * p->rounds),
                 rate(&p->layer[i]));
    print_shortlist(p);
    timeline(p, line);
    dt_print(stdout, "token by token     %s  first %.0f us, last %.0f us\n\n", line,
             (double)p->token_ns[0] / 1e3 / p->rounds,
             (double)p->token_ns[p->gen - 1] / 1e3 / p->rounds);
    print_memory(p);
}

static void put_spent(struct dt_json *json, const struct dt_token_profile *p,
                      const struct dt_spent *s)
{
    dt_json_put_number(json, "us_per_token", per_token_us(p, s->ns));
    dt_json_put_number(json, "share", (double)s->ns / (double)p->elapsed_ns);
    dt_json_put_number(json, "bytes_per_token", (double)s->bytes / ((double)p->gen * p->rounds));
    dt_json_put_number(json, "gb_s", rate(s));
    dt_json_put_number(json, "share_of_bandwidth", share_of_bandwidth(p, s));
}

static void put_operators(struct dt_json *json, const struct dt_token_profile *p)
{
    dt_json_name(json, "operators");
    dt_json_object(json);
    for (int i = 0; i < DT_OP_COUNT; i++) {
        dt_json_name(json, dt_operator_name((enum dt_operator)i));
        dt_json_object(json);
        put_spent(json, p, &p->op[i]);
        dt_json_end(json);
    }
    dt_json_name(json, "sampler");
    dt_json_object(json);
    put_spent(json, p, &(struct dt_spent){p->sampler_ns, 0});
    dt_json_end(json);
    dt_json_end(json);
}

static void put_memory(struct dt_json *json, const struct dt_token_profile *p)
{
    struct dt_engine_plan m;
    struct dt_memory_facts facts;
    struct places places;
    dt_engine_memory(p->engine, &m);
    dt_memory_facts(&facts);
    read_places(dt_engine_path(p->engine), &places);
    dt_json_name(json, "memory_bytes");
    dt_json_object(json);
    dt_json_put_uint(json, "kv", m.session.kv);
    dt_json_put_uint(json, "logits_and_tables", m.session.own - m.session.kv);
    dt_json_put_uint(json, "scratch", m.session.scratch);
    dt_json_put_uint(json, "converted_weights", m.weights.arena_bytes);
    dt_json_put_uint(json, "vocabulary", m.model_tables + m.tokenizer);
    dt_json_put_uint(json, "sampler", m.sampler);
    dt_json_put_uint(json, "shortlist", m.shortlist);
    dt_json_put_uint(json, "draft", m.draft);
    dt_json_put_uint(json, "engine_total", m.total);
    dt_json_put_uint(json, "resident_model", places.model);
    dt_json_put_uint(json, "resident_files", places.files);
    dt_json_put_uint(json, "resident_heap", places.heap);
    dt_json_put_uint(json, "resident_stack", places.stack);
    dt_json_put_uint(json, "resident_anonymous_other", places.anonymous);
    dt_json_put_uint(json, "rss", facts.rss);
    dt_json_put_uint(json, "anonymous", facts.anonymous);
    dt_json_end(json);
}

void dt_profile_json(struct dt_token_profile *p)
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
    dt_json_put_number(&json, "wall_us_per_token", per_token_us(p, p->elapsed_ns));
    dt_json_put_number(&json, "accounted_share", (double)accounted(p) / (double)p->elapsed_ns);
    dt_json_put_number(&json, "overhead", overhead(p));
    dt_json_put_number(&json, "bandwidth_gb_s", bandwidth(p) / 1e9);
    dt_json_put_number(&json, "bandwidth_in_place_gb_s", p->in_place / 1e9);
    dt_json_put_number(&json, "bandwidth_private_gb_s", p->in_private / 1e9);
    dt_json_put_uint(&json, "weight_bytes_per_token", p->token_bytes);
    dt_json_put_number(&json, "bytes_per_token", bytes_moved(p));
    dt_json_put_number(&json, "limit_tok_s", limit(p));
    struct dt_stream_plan stream;
    struct dt_stream_facts facts;
    if (dt_engine_stream(p->engine, &stream, &facts)) {
        dt_json_name(&json, "streamed");
        dt_json_object(&json);
        dt_json_put_uint(&json, "in_memory_bytes", stream.pinned_weights);
        dt_json_put_uint(&json, "weight_bytes", stream.weight_bytes);
        dt_json_put_uint(&json, "read_bytes", facts.read_bytes);
        dt_json_put_uint(&json, "passes", facts.passes);
        dt_json_put_uint(&json, "waited_ns", facts.waited_ns);
        dt_json_put_uint(&json, "eval_ns", facts.eval_ns);
        dt_json_end(&json);
    }
    struct dt_draft_facts draft;
    if (dt_engine_draft(p->engine, &draft)) {
        dt_json_name(&json, "draft");
        dt_json_object(&json);
        dt_json_put_uint(&json, "passes", draft.passes);
        dt_json_put_uint(&json, "guesses", draft.guesses);
        dt_json_put_uint(&json, "right", draft.right);
        dt_json_put_number(&json, "tokens_per_pass", dt_engine_tokens_per_pass(p->engine));
        dt_json_end(&json);
    }
    put_operators(&json, p);
    dt_json_name(&json, "shortlist");
    dt_json_object(&json);
    dt_json_put_uint(&json, "rows", dt_engine_weights(p->engine)->classifier.matrix.rows);
    dt_json_put_uint(&json, "lists", p->listed.used);
    dt_json_put_number(&json, "rows_per_list", rows_per_list(p));
    dt_json_put_uint(&json, "frequent_rows", p->listed.frequent);
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
    put_memory(&json, p);
    dt_json_end(&json);
}

int dt_profile_chart(const struct dt_token_profile *p, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) {
        dt_print(stderr, "duotale: %s: cannot write the chart: %s\n", path, strerror(errno));
        return 1;
    }
    double most = 1, width = 800, height = 260, step = width / p->gen;
    for (uint32_t i = 0; i < p->gen; i++)
        most = (double)p->token_ns[i] > most ? (double)p->token_ns[i] : most;
    dt_print(f,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"880\" height=\"330\" "
             "font-family=\"sans-serif\" font-size=\"12\">\n"
             "<text x=\"50\" y=\"20\">microseconds per token, %s, from position %u</text>\n"
             "<text x=\"5\" y=\"45\">%.0f</text><text x=\"5\" y=\"300\">0</text>\n",
             dt_engine_stack_name(p->engine), p->at, most / 1e3 / p->rounds);
    for (uint32_t i = 0; i < p->gen; i++) {
        double tall = (double)p->token_ns[i] / most * height;
        dt_print(f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#38c\"/>\n",
                 50 + i * step, 300 - tall, step * 0.9, tall);
    }
    dt_print(f, "<text x=\"50\" y=\"320\">%u</text><text x=\"820\" y=\"320\">%u</text>\n</svg>\n",
             p->at, p->at + p->gen - 1);
    if (fclose(f) == 0)
        return 0;
    dt_print(stderr, "duotale: %s: cannot write the chart: %s\n", path, strerror(errno));
    return 1;
}
