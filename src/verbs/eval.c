// SPDX-License-Identifier: MIT
// duotale eval: scores a text with a model. Bits per byte can be compared between vocabularies,
// nats per token cannot.
#include "verbs/eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/array.h"
#include "host/clock.h"
#include "host/file.h"
#include "host/json.h"
#include "core/kv/overflow.h"
#include "host/print.h"

#define SEPARATOR "<|endoftext|>"
#define TEXT_MAX  ((size_t)1 << 30)
#define TOGETHER  8u // stories that are scored in one pass, at most

// ---- stories ----

static bool is_separator(const char *line, size_t n)
{
    if (n > 0 && line[n - 1] == '\r')
        n--;
    return n == sizeof SEPARATOR - 1 && memcmp(line, SEPARATOR, n) == 0;
}

dt_status dt_eval_stories(const struct dt_eval_text *t, dt_eval_story *each, void *arg,
                          uint32_t *count)
{
    const char *text = t->bytes;
    size_t begin = 0, n = t->size;
    uint32_t found = 0;
    for (size_t at = 0; at <= n;) {
        const char *newline = memchr(text + at, '\n', n - at);
        size_t end = newline ? (size_t)(newline - text) : n;
        bool last = !newline;
        if (last || is_separator(text + at, end - at)) {
            size_t stop = last && !is_separator(text + at, end - at) ? n : at;
            while (stop > begin && (text[stop - 1] == '\n' || text[stop - 1] == '\r'))
                stop--;
            if (stop > begin) {
                if (each && found >= t->skip && found - t->skip < t->count) {
                    dt_status status = each(arg, text + begin, stop - begin);
                    if (status != DT_OK)
                        return status;
                }
                found++;
            }
            begin = end + 1;
        }
        at = end + 1;
    }
    if (count)
        *count = found;
    return DT_OK;
}

// ---- scoring ----

typedef double lanes __attribute__((vector_size(16)));
typedef float pair __attribute__((vector_size(8)));
typedef uint64_t lanes_u64 __attribute__((vector_size(16)));

#define VECTORS     4 // that are computed side by side
#define AT_ONCE     (2u * VECTORS)
#define EXP_LEAST   (-708.0) // e^x is a normal number from here on
#define LOG2_E      1.4426950408889634
#define LN2_HIGH    6.93147180369123816490e-01 // fdlibm's parts of ln 2: n times it is exact
#define LN2_LOW     1.90821492927058770002e-10
#define ROUND_SHIFT 0x1.8p52 // adding it rounds a double to a whole number in its lowest bits

// x[i] = e^x[i] for -708 <= x <= 0, off by less than 1e-14 of it: e^x = 2^n e^r with |r| <= ln 2 /
// 2, and the Taylor series of e^r.
static inline void exp_of(lanes *x)
{
    static const double over[] = {1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                                  1.0 / 720,     1.0 / 120,    1.0 / 24,    1.0 / 6,
                                  0.5,           1.0,          1.0};
    lanes shifted[VECTORS], r[VECTORS], sum[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        shifted[v] = x[v] * LOG2_E + ROUND_SHIFT;
        lanes n = shifted[v] - ROUND_SHIFT;
        r[v] = (x[v] - n * LN2_HIGH) - n * LN2_LOW;
        sum[v] = r[v] * (1.0 / 39916800) + over[0];
    }
#pragma GCC unroll 10
    for (int i = 1; i < 11; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            sum[v] = sum[v] * r[v] + over[i];
    }
    for (int v = 0; v < VECTORS; v++)
        x[v] = (lanes)((lanes_u64)sum[v] + ((lanes_u64)shifted[v] << 52));
}

double dt_eval_log_sum_exp(const float *logits, uint32_t n)
{
    float max = logits[0], last[AT_ONCE];
    for (uint32_t i = 1; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    double sum = 0;
    for (uint32_t i = 0; i < n; i += AT_ONCE) {
        const float *at = logits + i;
        if (n - i < AT_ONCE) { // what is added for the missing ones changes nothing
            for (uint32_t k = 0; k < AT_ONCE; k++)
                last[k] = k < n - i ? at[k] : -INFINITY;
            at = last;
        }
        lanes x[VECTORS];
        for (int v = 0; v < VECTORS; v++) {
            pair two;
            memcpy(&two, at + 2 * v, sizeof two);
            lanes less = __builtin_convertvector(two, lanes) - (double)max;
            lanes_u64 near = (lanes_u64)(less > EXP_LEAST),
                      least = (lanes_u64)(lanes){EXP_LEAST, EXP_LEAST};
            x[v] = (lanes)((near & (lanes_u64)less) | (~near & least));
        }
        exp_of(x);
        for (int v = 0; v < VECTORS; v++) {
            sum += x[v][0];
            sum += x[v][1];
        }
    }
    return (double)max + log(sum);
}

// A story that is scored together with others.
struct story {
    struct scoring *scoring;
    uint32_t *tokens, count;
    double *nats; // of each token but the first
    size_t token_capacity, nats_capacity;
};

struct scoring {
    struct dt_engine *engine;
    struct dt_eval_score score;
    struct story story[TOGETHER];
    uint32_t most, count; // stories that are scored together; that wait
    bool window;
    struct dt_error *err;
};

// Counts the text in the vocabulary, with U+2581 as one space. A byte piece counts as it is written
// there (<0x0A>: 6 bytes), so that GGUF and tokenizer.bin give the same figure.
uint32_t dt_eval_piece_bytes(const struct dt_engine *engine, uint32_t id)
{
    const struct dt_vocab *vocab = &dt_engine_model(engine)->vocab;
    char piece[DT_PIECE_MAX];
    if (dt_vocab_type(vocab, id) == DT_TOKEN_NORMAL)
        return (uint32_t)dt_engine_piece(engine, DT_NO_TOKEN, id, piece);
    return vocab->length[id];
}

// Any thread.
static int on_logits(void *arg, uint32_t position, const float *logits)
{
    const struct story *s = arg;
    uint32_t vocab = dt_engine_model(s->scoring->engine)->hp.vocab;
    s->nats[position] =
        dt_eval_log_sum_exp(logits, vocab) - (double)logits[s->tokens[position + 1]];
    return 0;
}

dt_status dt_eval_encode(struct dt_engine *engine, const char *text, size_t n,
                         const uint32_t **tokens, uint32_t *count, struct dt_error *err)
{
    size_t all;
    dt_status status =
        dt_engine_encode(engine, text, n, DT_ENCODE_BOS | DT_ENCODE_PREFIX, tokens, &all, err);
    uint32_t capacity = dt_session_capacity(dt_engine_session(engine));
    *count = all < capacity ? (uint32_t)all : capacity;
    return status;
}

// Scores the stories that wait, and adds the results in the order of the text.
static dt_status score_waiting(struct scoring *s)
{
    struct dt_session_part part[TOGETHER] = {{0}};
    struct dt_error err = {0};
    for (uint32_t i = 0; i < s->count; i++) {
        part[i] = (struct dt_session_part){.session = dt_engine_session_at(s->engine, i),
                                           .tokens = s->story[i].tokens,
                                           .count = s->story[i].count - 1,
                                           .sink = on_logits,
                                           .sink_arg = &s->story[i],
                                           .concurrent = true,
                                           .err = &err};
        dt_session_truncate(part[i].session, 0);
    }
    dt_status status = dt_engine_eval_parts(s->engine, part, s->count, s->err);
    for (uint32_t i = 0; i < s->count && status == DT_OK; i++) {
        const struct story *story = &s->story[i];
        for (uint32_t k = 0; k + 1 < story->count; k++) {
            uint32_t bytes = dt_eval_piece_bytes(s->engine, story->tokens[k + 1]);
            size_t quarter = (size_t)k * 4 / (story->count - 1);
            s->score.nats += story->nats[k];
            s->score.bytes += bytes;
            s->score.quarter_nats[quarter] += story->nats[k];
            s->score.quarter_bytes[quarter] += bytes;
        }
        s->score.tokens += story->count - 1;
        s->score.stories++;
    }
    s->count = 0;
    return status;
}

static dt_status score_story(void *arg, const char *text, size_t n)
{
    struct scoring *s = arg;
    const uint32_t *tokens;
    uint32_t count = 0;
    size_t all;
    dt_status status = s->window
                           ? dt_engine_encode(s->engine, text, n, DT_ENCODE_BOS | DT_ENCODE_PREFIX,
                                              &tokens, &all, s->err)
                           : dt_eval_encode(s->engine, text, n, &tokens, &count, s->err);
    if (status == DT_OK && s->window)
        count = (uint32_t)all;
    if (status != DT_OK || count < 2)
        return status;
    struct story *story = &s->story[s->count];
    if (!dt_array_grow(&story->tokens, &story->token_capacity, count, sizeof *story->tokens) ||
        !dt_array_grow(&story->nats, &story->nats_capacity, count, sizeof *story->nats))
        return dt_error_set(s->err, DT_NO_MEMORY, NULL, "no memory for a story of %u tokens",
                            count);
    s->count++;
    memcpy(story->tokens, tokens, count * sizeof *tokens);
    story->count = count;
    return s->count == s->most ? score_waiting(s) : DT_OK;
}

static dt_status begin_window(struct dt_engine *engine, struct dt_session *session,
                              struct dt_error *err)
{
    uint32_t capacity = dt_session_capacity(session), pinned = dt_overflow_pinned(capacity, 0);
    if (!dt_session_can_drop(session))
        return dt_error_set(err, DT_UNSUPPORTED, dt_engine_path(engine),
                            "the positions of this model's keys cannot be changed, so --overflow "
                            "window cannot be used");
    dt_session_set_window(session,
                          &(struct dt_session_window){pinned, dt_overflow_drop(capacity, pinned)});
    return DT_OK;
}

// Scores the selected stories: every token but the first of each, given all before it.
static dt_status score_text(struct dt_engine *engine, const struct dt_eval_text *text,
                            struct dt_eval_score *out, struct dt_error *err)
{
    struct scoring s = {
        .engine = engine, .err = err, .most = dt_engine_sessions(engine), .window = text->window};
    dt_status status = DT_OK;
    for (uint32_t i = 0; i < s.most && status == DT_OK; i++) {
        s.story[i].scoring = &s;
        if (text->window)
            status = begin_window(engine, dt_engine_session_at(engine, i), err);
    }
    if (status == DT_OK)
        status = dt_eval_stories(text, score_story, &s, NULL);
    if (status == DT_OK && s.count > 0)
        status = score_waiting(&s);
    for (uint32_t i = 0; i < s.most; i++) {
        free(s.story[i].tokens);
        free(s.story[i].nats);
    }
    *out = s.score;
    if (status == DT_OK && s.score.tokens == 0)
        return dt_error_set(err, DT_BAD_INPUT, NULL, "no story of at least one token was found");
    return status;
}

double dt_eval_bits_per_byte(const struct dt_eval_score *score)
{
    return score->bytes ? score->nats / log(2.0) / (double)score->bytes : 0;
}

double dt_eval_nats_per_token(const struct dt_eval_score *score)
{
    return score->tokens ? score->nats / (double)score->tokens : 0;
}

// ---- the verb ----

struct request {
    struct dt_verb_model model;
    struct dt_eval_text text;
    uint32_t first, last;
    bool json, compare;
};

static int on_option(void *arg, int id, const struct dt_option_value *value)
{
    struct request *r = arg;
    switch (id) {
    case DT_OPTION_JSON:
        r->json = true;
        return 0;
    case DT_OPTION_COMPARE:
        r->compare = true;
        return 0;
    case DT_OPTION_OVERFLOW:
        r->text.window = dt_overflow_of(value->text) == DT_OVERFLOW_WINDOW;
        return 0;
    case DT_OPTION_FIRST:
        r->first = (uint32_t)value->integer;
        return 0;
    case DT_OPTION_LAST:
        r->last = (uint32_t)value->integer;
        return 0;
    default:
        return dt_verb_model_option(DT_VERB_EVAL, &r->model, id, value);
    }
}

static void print_json(struct dt_engine *engine, const struct dt_eval_score *score, double seconds)
{
    struct dt_json j;
    dt_json_init(&j, stdout, 2);
    dt_json_object(&j);
    dt_json_put_number(&j, "bits_per_byte", dt_eval_bits_per_byte(score));
    dt_json_put_number(&j, "nats_per_token", dt_eval_nats_per_token(score));
    dt_json_put_uint(&j, "tokens", score->tokens);
    dt_json_put_uint(&j, "bytes", score->bytes);
    dt_json_put_uint(&j, "stories", score->stories);
    dt_json_name(&j, "quarters_bits_per_byte"); // 0: a quarter has no text
    dt_json_array(&j);
    for (int i = 0; i < 4; i++)
        dt_json_number(&j, score->quarter_bytes[i]
                               ? score->quarter_nats[i] / log(2.0) / (double)score->quarter_bytes[i]
                               : 0);
    dt_json_end(&j);
    dt_json_put_text(&j, "backend", dt_engine_stack_name(engine));
    dt_json_put_uint(&j, "threads", dt_engine_threads(engine));
    dt_json_put_text(&j, "model", dt_engine_path(engine));
    dt_json_put_text(&j, "tokenizer", dt_engine_tokenizer_source(engine));
    dt_json_put_number(&j, "seconds", seconds);
    dt_json_end(&j);
}

static int eval_one(const struct request *r)
{
    struct dt_error err = {0};
    struct dt_engine *engine = NULL;
    struct dt_eval_score score;
    dt_status status = dt_engine_new(&engine, &r->model.engine, &err);
    if (status == DT_OK)
        status = dt_engine_prepare(engine, r->model.path, r->model.tokenizer, NULL, &err);
    if (status == DT_OK) {
        uint32_t stories = r->text.count < TOGETHER ? r->text.count : TOGETHER;
        dt_engine_choose_sessions(engine, stories);
        status = dt_engine_start(engine, NULL, NULL, &err);
    }
    uint64_t begun = dt_clock_ns();
    if (status == DT_OK)
        status = score_text(engine, &r->text, &score, &err);
    if (status == DT_OK)
        status = dt_engine_check(engine, &err);
    double seconds = (double)(dt_clock_ns() - begun) / 1e9;
    if (status == DT_OK && r->json)
        print_json(engine, &score, seconds);
    else if (status == DT_OK)
        dt_print(
            stdout,
            "%.4f bits per byte, %.4f nats per token (%llu tokens, %llu bytes, %u stories); %s, "
            "%.1f s\n",
            dt_eval_bits_per_byte(&score), dt_eval_nats_per_token(&score),
            (unsigned long long)score.tokens, (unsigned long long)score.bytes, score.stories,
            dt_engine_stack_name(engine), seconds);
    int code = status == DT_OK ? dt_verb_flush() : dt_verb_fail(&err);
    dt_engine_free(engine);
    return code;
}

int dt_verb_eval(int argc, char **argv)
{
    struct request r = {0};
    int code = dt_options_read(DT_VERB_EVAL, argc, argv, on_option, &r);
    if (code >= 0)
        return code;
    if (r.compare && r.text.window)
        return dt_options_usage(DT_VERB_EVAL, "--compare and --overflow cannot be combined");
    if (r.first && r.last)
        return dt_options_usage(DT_VERB_EVAL, "--first and --last cannot be combined");
    if (argc - optind != (r.compare ? 3 : 2))
        return dt_options_usage(DT_VERB_EVAL, r.compare ? "--compare: needs two models and a text"
                                                        : "needs a model and a text");
    struct dt_error err = {0};
    char *text;
    uint32_t count;
    const char *file = argv[argc - 1];
    dt_verb_log(false);
    if (dt_file_read(file, TEXT_MAX, &text, &r.text.size, &err) != DT_OK)
        return dt_verb_fail(&err);
    r.text.bytes = text;
    r.text.count = 0;
    dt_eval_stories(&r.text, NULL, NULL, &count);
    if (r.last && r.last < count)
        r.text.skip = count - r.last;
    r.text.count = r.first && r.first < count ? r.first : count - r.text.skip;
    r.model.path = argv[optind];
    if (count == 0) {
        dt_error_set(&err, DT_BAD_INPUT, file, "contains no story");
        code = dt_verb_fail(&err);
    } else if (r.compare) {
        code = dt_eval_compare(&r.model, argv[optind + 1], &r.text, r.json);
    } else {
        code = eval_one(&r);
    }
    free(text);
    return code;
}
