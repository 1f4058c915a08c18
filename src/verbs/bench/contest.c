// SPDX-License-Identifier: MIT
// bench --contest: the report of the RVSPOC S2311 contest, over runs of this program or over logs.
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "core/formats/open_model.h"
#include "host/file.h"
#include "host/json.h"
#include "host/print.h"
#include "verbs/bench/bench.h"
#include "verbs/spawn.h"

#define RUNS_MAX 1000u
#define PROMPT   "Once upon a time"
#define SPEED    "achieved tok/s:"

struct series {
    const char *path;
    double *speed; // one per run; dt_stats_of sorts them
    char **story;  // one per run, malloc'ed
    uint32_t runs;
    struct dt_stats stats;
    bool identical;
    bool measured;                                   // run here, so that the counts below are known
    uint64_t minor_faults, major_faults, bytes_read; // of all runs
};

static dt_status add_run(struct series *s, double speed, const char *story, size_t n,
                         struct dt_error *err)
{
    if (s->runs == RUNS_MAX)
        return dt_error_set(err, DT_BAD_INPUT, s->path, "contains more than %u runs", RUNS_MAX);
    s->speed[s->runs] = speed;
    s->story[s->runs] = strndup(story, n);
    if (!s->story[s->runs])
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for a story of %zu bytes",
                            n);
    s->runs++;
    return DT_OK;
}

// Reads a log of runs, one after the other. A story begins with the prompt and ends before
// "achieved tok/s:"; an entry may print other lines before the prompt.
static dt_status read_log(struct series *s, char *text, size_t n, struct dt_error *err)
{
    dt_status status = DT_OK;
    for (char *at = text; status == DT_OK;) {
        char *mark = strstr(at, SPEED);
        if (!mark)
            break;
        char *story = strstr(at, PROMPT), *end = mark, *after;
        if (!story || story > mark)
            story = at;
        while (end > story && (end[-1] == '\n' || end[-1] == '\r'))
            end--;
        double speed = strtod(mark + strlen(SPEED), &after);
        if (after == mark + strlen(SPEED) || speed <= 0)
            return dt_error_set(err, DT_BAD_INPUT, s->path,
                                "run %u has no number after \"" SPEED "\"", s->runs + 1);
        status = add_run(s, speed, story, (size_t)(end - story), err);
        at = after;
    }
    if (status == DT_OK && s->runs == 0)
        return dt_error_set(err, DT_BAD_INPUT, s->path,
                            "is neither a model nor a log: \"" SPEED "\" does not occur in its %zu "
                            "bytes",
                            n);
    return status;
}

static dt_status run_model(struct series *s, const struct dt_verb_model *model, uint32_t runs,
                           struct dt_error *err)
{
    char threads[16];
    dt_format(threads, sizeof threads, "%u", model->engine.threads);
    const char *argv[24] = {
        "duotale", "run",    s->path, "-t",  "1.0",
        "-p",      "0.9",    "-s",    "123", "-i",
        PROMPT,    "--stop", "bos",   "-b",  model->engine.stack ? model->engine.stack : "auto",
        "-j",      threads};
    int n = 17;
    if (model->tokenizer) {
        argv[n++] = "-z";
        argv[n++] = model->tokenizer;
    }
    argv[n] = NULL;
    s->measured = true;
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < runs && status == DT_OK; i++) {
        struct dt_output output;
        status = dt_verb_spawn(argv, true, &output, err);
        const char *mark = status == DT_OK && output.err ? strstr(output.err, SPEED) : NULL;
        if (status == DT_OK && !mark)
            status = dt_error_set(err, DT_FAILED, s->path, "a run did not report its speed");
        size_t length = output.out_size;
        while (length > 0 && output.out[length - 1] == '\n')
            length--;
        if (status == DT_OK)
            status = add_run(s, strtod(mark + strlen(SPEED), NULL), output.out, length, err);
        s->minor_faults += output.minor_faults;
        s->major_faults += output.major_faults;
        s->bytes_read += output.bytes_read;
        dt_output_free(&output);
    }
    return status;
}

static dt_status fill(struct series *s, const struct dt_verb_model *model, const char *path,
                      uint32_t runs, struct dt_error *err)
{
    s->path = path;
    s->speed = calloc(RUNS_MAX, sizeof *s->speed);
    s->story = calloc(RUNS_MAX, sizeof *s->story);
    if (!s->speed || !s->story)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for %u runs", RUNS_MAX);
    struct dt_file file = {0};
    dt_status status = dt_file_map(&file, path, err);
    if (status != DT_OK)
        return status;
    bool is_model = dt_model_recognise(file.bytes, file.size) != NULL;
    dt_file_unmap(&file);
    if (is_model) {
        status = run_model(s, model, runs, err);
    } else {
        char *text;
        size_t n;
        status = dt_file_read(path, 64u << 20, &text, &n, err);
        if (status == DT_OK) {
            status = read_log(s, text, n, err);
            free(text);
        }
    }
    if (status != DT_OK)
        return status;
    s->identical = true;
    for (uint32_t i = 1; i < s->runs; i++)
        s->identical &= strcmp(s->story[i], s->story[0]) == 0;
    s->stats = dt_stats_of(s->speed, s->runs);
    return DT_OK;
}

static void free_series(struct series *s)
{
    for (uint32_t i = 0; i < s->runs; i++)
        free(s->story[i]);
    free(s->story);
    free(s->speed);
}

static size_t first_difference(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] && a[i] == b[i])
        i++;
    return i;
}

// The Levenshtein distance in bytes; SIZE_MAX without memory.
static size_t edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    size_t *row = malloc((m + 1) * sizeof *row);
    if (!row)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    size_t distance = row[m];
    free(row);
    return distance;
}

static void print(const struct series *s, const struct series *fp32)
{
    dt_print(stdout,
             "%s\n  %u runs of -t 1.0 -p 0.9 -s 123 -i \"" PROMPT "\", output to a file%s\n",
             s->path, s->runs, s->measured ? "" : " (a log)");
    dt_print(stdout, "  mean %.6f tok/s; without the highest and the lowest %.6f tok/s\n",
             s->stats.mean, s->stats.trimmed);
    dt_print(stdout, "  median %.6f, min %.6f, max %.6f, sd %.6f tok/s\n", s->stats.median,
             s->stats.min, s->stats.max, s->stats.sd);
    dt_print(stdout, "  stories: %s, %zu bytes\n",
             s->identical ? "all identical" : "NOT all identical", strlen(s->story[0]));
    if (fp32) {
        size_t at = first_difference(s->story[0], fp32->story[0]);
        if (strcmp(s->story[0], fp32->story[0]) == 0)
            dt_print(stdout, "  the same story as %s\n", fp32->path);
        else
            dt_print(
                stdout,
                "  first difference from %s at byte %zu (\"%.24s\" there, \"%.24s\" here), edit "
                "distance %zu\n",
                fp32->path, at, fp32->story[0] + at, s->story[0] + at,
                edit_distance(s->story[0], fp32->story[0]));
    }
    if (s->measured)
        dt_print(stdout,
                 "  per run: %.1f minor and %.1f major page faults, %.0f bytes read from storage\n",
                 (double)s->minor_faults / s->runs, (double)s->major_faults / s->runs,
                 (double)s->bytes_read / s->runs);
}

static void put(struct dt_json *j, const struct series *s, const struct series *fp32)
{
    dt_json_object(j);
    dt_json_put_text(j, "source", s->path);
    dt_json_put_text(j, "kind", s->measured ? "runs" : "log");
    dt_json_put_uint(j, "runs", s->runs);
    dt_json_put_text(j, "sink", "file");
    dt_json_put_number(j, "mean", s->stats.mean);
    dt_json_put_number(j, "trimmed_mean", s->stats.trimmed);
    dt_stats_put(j, "tok_s", &s->stats);
    dt_json_put_bool(j, "identical", s->identical);
    dt_json_put_text(j, "story", s->story[0]);
    if (fp32) {
        bool same = strcmp(s->story[0], fp32->story[0]) == 0;
        dt_json_put_text(j, "against", fp32->path);
        dt_json_put_bool(j, "same_story", same);
        dt_json_name(j, "first_difference");
        if (same)
            dt_json_text(j, NULL);
        else
            dt_json_uint(j, first_difference(s->story[0], fp32->story[0]));
        dt_json_put_uint(j, "edit_distance", same ? 0 : edit_distance(s->story[0], fp32->story[0]));
    }
    if (s->measured) {
        dt_json_put_number(j, "minor_faults", (double)s->minor_faults / s->runs);
        dt_json_put_number(j, "major_faults", (double)s->major_faults / s->runs);
        dt_json_put_number(j, "bytes_read", (double)s->bytes_read / s->runs);
    }
    dt_json_end(j);
}

int dt_bench_contest(const struct dt_verb_model *model, const char *const *paths, uint32_t count,
                     const char *against, uint32_t runs, bool json)
{
    struct dt_error err = {0};
    struct series series[DT_BENCH_MAX] = {0}, fp32 = {0};
    dt_status status = DT_OK;
    if (count > DT_BENCH_MAX)
        return dt_options_usage(DT_VERB_BENCH, "at most %u files are possible", DT_BENCH_MAX);
    if (runs == 0 || runs > RUNS_MAX)
        return dt_options_usage(DT_VERB_BENCH, "--runs: must be from 1 to %u with --contest",
                                RUNS_MAX);
    if (against) { // one run is enough
        struct dt_verb_model reference = *model;
        reference.engine.stack = "reference";
        status = fill(&fp32, &reference, against, 1, &err);
    }
    for (uint32_t i = 0; i < count && status == DT_OK; i++)
        status = fill(&series[i], model, paths[i], runs, &err);
    int code;
    if (status == DT_OK) {
        struct dt_json j;
        dt_json_init(&j, stdout, 2);
        if (json) {
            dt_json_object(&j);
            dt_json_name(&j, "contest");
            dt_json_array(&j);
        }
        for (uint32_t i = 0; i < count; i++) {
            if (json)
                put(&j, &series[i], against ? &fp32 : NULL);
            else
                print(&series[i], against ? &fp32 : NULL);
        }
        if (json) {
            dt_json_end(&j);
            dt_json_end(&j);
        }
        code = dt_verb_flush();
    } else {
        code = dt_verb_fail(&err);
    }
    for (uint32_t i = 0; i < count; i++)
        free_series(&series[i]);
    free_series(&fp32);
    return code;
}
