// SPDX-License-Identifier: MIT
// eval --compare: two models, or one model with two backends.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/json.h"
#include "host/print.h"
#include "verbs/bench/stats.h"
#include "verbs/eval.h"

#define GREEDY_TOKENS 256u

struct comparison {
    struct dt_engine *engine[2];
    struct dt_eval_score score[2];
    const uint32_t *tokens;
    float *logits; // of every position of the story, from the first engine
    uint32_t vocab;
    double *kl; // one per scored token
    size_t kl_count, kl_capacity;
    uint64_t same_top;
    double kl_sum, kl_max;
    struct dt_error *err;
};

static int store_logits(void *arg, uint32_t position, const float *logits)
{
    struct comparison *c = arg;
    memcpy(c->logits + (size_t)position * c->vocab, logits, c->vocab * sizeof *logits);
    return 0;
}

static uint32_t top(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

static void add_score(struct comparison *c, int which, uint32_t target, double log_sum,
                      const float *logits)
{
    c->score[which].nats += log_sum - (double)logits[target];
    c->score[which].tokens++;
    c->score[which].bytes += dt_eval_piece_bytes(c->engine[which], target);
}

static int compare_logits(void *arg, uint32_t position, const float *b)
{
    struct comparison *c = arg;
    const float *a = c->logits + (size_t)position * c->vocab;
    uint32_t target = c->tokens[position + 1];
    double sum_a = dt_eval_log_sum_exp(a, c->vocab), sum_b = dt_eval_log_sum_exp(b, c->vocab),
           kl = 0;
    add_score(c, 0, target, sum_a, a);
    add_score(c, 1, target, sum_b, b);
    for (uint32_t i = 0; i < c->vocab; i++) { // D(A || B) = sum of p ln(p / q)
        double log_p = (double)a[i] - sum_a;
        kl += exp(log_p) * (log_p - ((double)b[i] - sum_b));
    }
    kl = kl > 0 ? kl : 0; // rounding may give slightly less than 0
    c->same_top += top(a, c->vocab) == top(b, c->vocab);
    c->kl_sum += kl;
    c->kl_max = kl > c->kl_max ? kl : c->kl_max;
    if (c->kl_count == c->kl_capacity) {
        size_t capacity = c->kl_capacity ? c->kl_capacity * 2 : 4096;
        double *more = realloc(c->kl, capacity * sizeof *more);
        if (!more)
            return 1;
        c->kl = more;
        c->kl_capacity = capacity;
    }
    c->kl[c->kl_count++] = kl;
    return 0;
}

static dt_status compare_story(void *arg, const char *text, size_t n)
{
    struct comparison *c = arg;
    const uint32_t *other;
    uint32_t count, other_count;
    dt_status status = dt_eval_encode(c->engine[0], text, n, &c->tokens, &count, c->err);
    if (status == DT_OK)
        status = dt_eval_encode(c->engine[1], text, n, &other, &other_count, c->err);
    if (status != DT_OK)
        return status;
    if (other_count < count)
        count = other_count;
    if (memcmp(c->tokens, other, count * sizeof *other) != 0)
        return dt_error_set(c->err, DT_BAD_INPUT, dt_engine_path(c->engine[1]),
                            "has another vocabulary than %s; use `duotale eval` on each",
                            dt_engine_path(c->engine[0]));
    if (count < 2)
        return DT_OK;
    for (int i = 0; i < 2 && status == DT_OK; i++) {
        dt_session_truncate(dt_engine_session(c->engine[i]), 0);
        status = dt_engine_score(c->engine[i], c->tokens, count - 1,
                                 i ? compare_logits : store_logits, c, c->err);
        c->score[i].stories++;
    }
    return status;
}

// Counts the tokens that the two greedy texts from BOS have in common, at most GREEDY_TOKENS.
// *diverged: whether they differ after those.
static dt_status common_greedy(struct comparison *c, uint32_t *common, bool *diverged)
{
    static const struct dt_sampling greedy = {.temperature = 0, .repeat_penalty = 1};
    dt_status status = DT_OK;
    uint32_t next[2];
    const uint32_t *bos;
    size_t n;
    *common = 0;
    *diverged = false;
    for (int i = 0; i < 2 && status == DT_OK; i++) {
        status = dt_engine_encode(c->engine[i], "", 0, DT_ENCODE_BOS, &bos, &n, c->err);
        next[i] = status == DT_OK && n ? bos[0] : 0;
        dt_session_truncate(dt_engine_session(c->engine[i]), 0);
        dt_engine_set_sampling(c->engine[i], &greedy, 1);
    }
    uint32_t capacity = dt_session_capacity(dt_engine_session(c->engine[0]));
    uint32_t other = dt_session_capacity(dt_engine_session(c->engine[1]));
    capacity = other < capacity ? other : capacity;
    while (status == DT_OK && *common < GREEDY_TOKENS && *common < capacity) {
        for (int i = 0; i < 2 && status == DT_OK; i++) {
            status = dt_engine_eval(c->engine[i], &next[i], 1, c->err);
            if (status == DT_OK)
                next[i] = dt_engine_next(c->engine[i]);
        }
        if (status != DT_OK || next[0] != next[1]) {
            *diverged = true;
            break;
        }
        ++*common;
    }
    return status;
}

static void put_side(struct dt_json *j, const char *name, const struct comparison *c, int i)
{
    dt_json_name(j, name);
    dt_json_object(j);
    dt_json_put_text(j, "model", dt_engine_path(c->engine[i]));
    dt_json_put_text(j, "backend", dt_engine_stack_name(c->engine[i]));
    dt_json_put_number(j, "bits_per_byte", dt_eval_bits_per_byte(&c->score[i]));
    dt_json_put_number(j, "nats_per_token", dt_eval_nats_per_token(&c->score[i]));
    dt_json_end(j);
}

static void print(struct comparison *c, uint32_t common, bool diverged, bool json)
{
    size_t n = c->kl_count;
    qsort(c->kl, n, sizeof *c->kl, dt_stats_order);
    double p99 = c->kl[n - 1 - n / 100], mean = c->kl_sum / (double)n,
           agree = (double)c->same_top / (double)n;
    if (!json) {
        for (int i = 0; i < 2; i++)
            dt_print(stdout, "%c  %.4f bits per byte, %.4f nats per token  %s (%s)\n", 'A' + i,
                     dt_eval_bits_per_byte(&c->score[i]), dt_eval_nats_per_token(&c->score[i]),
                     dt_engine_path(c->engine[i]), dt_engine_stack_name(c->engine[i]));
        dt_print(stdout,
                 "KL(A || B) per token: mean %.3g, p99 %.3g, max %.3g nats over %zu tokens\n", mean,
                 p99, c->kl_max, n);
        dt_print(stdout, "the likeliest token agrees for %.2f %% of them\n", agree * 100);
        if (diverged)
            dt_print(stdout, "greedy texts diverge after %u tokens\n", common);
        else
            dt_print(stdout, "greedy texts are identical for all %u tokens\n", common);
        return;
    }
    struct dt_json j;
    dt_json_init(&j, stdout, 2);
    dt_json_object(&j);
    put_side(&j, "a", c, 0);
    put_side(&j, "b", c, 1);
    dt_json_put_uint(&j, "tokens", n);
    dt_json_put_uint(&j, "bytes", c->score[0].bytes);
    dt_json_name(&j, "kl");
    dt_json_object(&j);
    dt_json_put_number(&j, "mean", mean);
    dt_json_put_number(&j, "p99", p99);
    dt_json_put_number(&j, "max", c->kl_max);
    dt_json_end(&j);
    dt_json_put_number(&j, "top1_agreement", agree);
    dt_json_name(&j, "first_difference");
    if (diverged)
        dt_json_uint(&j, common);
    else
        dt_json_text(&j, NULL);
    dt_json_put_uint(&j, "greedy_tokens_compared", diverged ? common + 1 : common);
    dt_json_end(&j);
}

// Opens both engines, each with its own stack, and allocates the logits of one story.
static dt_status open_both(struct comparison *c, const struct dt_verb_model *model,
                           const char *other_path)
{
    struct dt_engine_options options = model->engine;
    char stack[2][128] = {"auto", "auto"};
    const char *paths[2] = {model->path, other_path}, *given = options.stack;
    dt_status status = DT_OK;
    if (given) {
        size_t first = strcspn(given, ",");
        snprintf(stack[0], sizeof stack[0], "%.*s", (int)first, given);
        snprintf(stack[1], sizeof stack[1], "%s", given[first] ? given + first + 1 : given);
    }
    for (int i = 0; i < 2 && status == DT_OK; i++) {
        options.stack = stack[i];
        status = dt_engine_new(&c->engine[i], &options, c->err);
        if (status == DT_OK)
            status = dt_engine_open(c->engine[i], paths[i], model->tokenizer, c->err);
    }
    if (status != DT_OK)
        return status;
    c->vocab = dt_engine_model(c->engine[0])->hp.vocab;
    if (dt_engine_model(c->engine[1])->hp.vocab != c->vocab)
        return dt_error_set(c->err, DT_BAD_INPUT, other_path,
                            "has a vocabulary of %u, but %s one of %u; use `duotale eval` on each",
                            dt_engine_model(c->engine[1])->hp.vocab, model->path, c->vocab);
    size_t bytes =
        (size_t)dt_session_capacity(dt_engine_session(c->engine[0])) * c->vocab * sizeof *c->logits;
    c->logits = malloc(bytes);
    if (!c->logits)
        return dt_error_set(c->err, DT_NO_MEMORY, NULL,
                            "the logits of one story need %zu bytes; use a smaller --context",
                            bytes);
    return DT_OK;
}

int dt_eval_compare(const struct dt_verb_model *model, const char *other_path,
                    const struct dt_eval_text *text, bool json)
{
    struct dt_error err = {0};
    struct comparison c = {.err = &err};
    uint32_t common = 0;
    bool diverged = false;
    dt_status status = open_both(&c, model, other_path);
    if (status == DT_OK)
        status = dt_eval_stories(text, compare_story, &c, NULL);
    if (status == DT_OK && c.kl_count == 0)
        status = dt_error_set(&err, DT_BAD_INPUT, NULL, "no story of at least one token was found");
    if (status == DT_OK)
        status = common_greedy(&c, &common, &diverged);
    int code;
    if (status == DT_OK) {
        print(&c, common, diverged, json);
        code = dt_verb_flush();
    } else {
        code = dt_verb_fail(&err);
    }
    free(c.logits);
    free(c.kl);
    dt_engine_free(c.engine[0]);
    dt_engine_free(c.engine[1]);
    return code;
}
