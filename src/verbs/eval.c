// SPDX-License-Identifier: MIT
// duotale eval: how well a model predicts a text. Bits a byte can be compared between vocabularies,
// nats a token cannot.
#include "verbs/eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/file.h"
#include "host/json.h"

#define SEPARATOR "<|endoftext|>"
#define TEXT_MAX  ((size_t)1 << 30)

static const char help[] =
    "usage: duotale eval MODEL TEXT [options]\n"
    "       duotale eval --compare A B TEXT [options]\n"
    "Scores the stories in TEXT, which are separated by lines " SEPARATOR ".\n"
    "      --compare           two models, or one given twice with two backends (-b "
    "int8,reference): bits a byte of both,\n"
    "                          KL divergence, how often the likeliest token is the same, where "
    "greedy texts part\n"
    "      --first N, --last N only so many stories\n"
    "      --json\n" DT_MODEL_OPTIONS_HELP "  -h, --help\n";

enum { OPTION_JSON = DT_OPTION_OWN, OPTION_COMPARE, OPTION_FIRST, OPTION_LAST };

// ---- stories ----

static bool is_separator(const char *line, size_t n)
{
    if (n > 0 && line[n - 1] == '\r')
        n--;
    return n == sizeof SEPARATOR - 1 && memcmp(line, SEPARATOR, n) == 0;
}

// Calls back for each non-empty story of text, or only counts them.
dt_status dt_eval_stories(const char *text, size_t n, uint32_t skip, uint32_t most,
                          dt_eval_story *each, void *arg, uint32_t *count)
{
    size_t begin = 0;
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
                if (each && found >= skip && found - skip < most) {
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

double dt_eval_log_sum_exp(const float *logits, uint32_t n)
{
    float max = logits[0];
    for (uint32_t i = 1; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)max);
    return (double)max + log(sum);
}

struct scoring {
    struct dt_engine *engine;
    struct dt_eval_score score;
    const uint32_t *tokens;
    struct dt_error *err;
};

// Bytes of a token's piece as its text stands in the vocabulary, U+2581 counted as the space it
// means: so a byte piece counts as it is written there (<0x0A>: 6), and GGUF and tokenizer.bin give
// the same figure.
uint32_t dt_eval_piece_bytes(const struct dt_engine *engine, uint32_t id)
{
    const struct dt_vocab *vocab = &dt_engine_model(engine)->vocab;
    char piece[DT_PIECE_MAX];
    if (dt_vocab_type(vocab, id) == DT_TOKEN_NORMAL)
        return (uint32_t)dt_engine_piece(engine, DT_NO_TOKEN, id, piece);
    return vocab->length[id];
}

static int on_logits(void *arg, uint32_t position, const float *logits)
{
    struct scoring *s = arg;
    uint32_t target = s->tokens[position + 1];
    s->score.nats +=
        dt_eval_log_sum_exp(logits, dt_engine_model(s->engine)->hp.vocab) - (double)logits[target];
    s->score.tokens++;
    s->score.bytes += dt_eval_piece_bytes(s->engine, target);
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

static dt_status score_story(void *arg, const char *text, size_t n)
{
    struct scoring *s = arg;
    struct dt_session *session = dt_engine_session(s->engine);
    uint32_t count;
    dt_status status = dt_eval_encode(s->engine, text, n, &s->tokens, &count, s->err);
    if (status != DT_OK || count < 2)
        return status;
    dt_session_truncate(session, 0);
    status = dt_session_eval(session, s->tokens, count - 1, on_logits, s, s->err);
    s->score.stories++;
    return status;
}

dt_status dt_eval_text(struct dt_engine *engine, const char *text, size_t n, uint32_t skip,
                       uint32_t most, struct dt_eval_score *out, struct dt_error *err)
{
    struct scoring s = {.engine = engine, .err = err};
    dt_status status = dt_eval_stories(text, n, skip, most, score_story, &s, NULL);
    *out = s.score;
    if (status == DT_OK && s.score.tokens == 0)
        return dt_error_set(err, DT_BAD_INPUT, NULL,
                            "the text holds no story of at least one token");
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

static int one(struct dt_verb_model *model, const char *text, size_t n, uint32_t skip,
               uint32_t most, bool json)
{
    struct dt_error err = {0};
    struct dt_engine *engine = NULL;
    struct dt_eval_score score;
    dt_status status = dt_engine_new(&engine, &model->engine, &err);
    if (status == DT_OK)
        status = dt_engine_open(engine, model->path, model->tokenizer, &err);
    uint64_t begun = dt_clock_ns();
    if (status == DT_OK)
        status = dt_eval_text(engine, text, n, skip, most, &score, &err);
    double seconds = (double)(dt_clock_ns() - begun) / 1e9;
    int code;
    if (status != DT_OK) {
        code = dt_verb_fail(&err);
    } else if (json) {
        struct dt_json j;
        dt_json_init(&j, stdout, 2);
        dt_json_object(&j);
        dt_json_put_number(&j, "bits_per_byte", dt_eval_bits_per_byte(&score));
        dt_json_put_number(&j, "nats_per_token", dt_eval_nats_per_token(&score));
        dt_json_put_uint(&j, "tokens", score.tokens);
        dt_json_put_uint(&j, "bytes", score.bytes);
        dt_json_put_uint(&j, "stories", score.stories);
        dt_json_put_text(&j, "backend", dt_engine_stack_name(engine));
        dt_json_put_uint(&j, "threads", dt_engine_threads(engine));
        dt_json_put_text(&j, "model", dt_engine_path(engine));
        dt_json_put_text(&j, "tokenizer", dt_engine_tokenizer_source(engine));
        dt_json_put_number(&j, "seconds", seconds);
        dt_json_end(&j);
        code = dt_verb_flush();
    } else {
        printf("%.4f bits a byte, %.4f nats a token: %llu tokens, %llu bytes, %u stories; %s, %.1f "
               "s\n",
               dt_eval_bits_per_byte(&score), dt_eval_nats_per_token(&score),
               (unsigned long long)score.tokens, (unsigned long long)score.bytes, score.stories,
               dt_engine_stack_name(engine), seconds);
        code = dt_verb_flush();
    }
    dt_engine_free(engine);
    return code;
}

int dt_verb_eval(int argc, char **argv)
{
    static const struct option long_options[] = {{"json", no_argument, NULL, OPTION_JSON},
                                                 {"compare", no_argument, NULL, OPTION_COMPARE},
                                                 {"first", required_argument, NULL, OPTION_FIRST},
                                                 {"last", required_argument, NULL, OPTION_LAST},
                                                 {"help", no_argument, NULL, 'h'},
                                                 DT_MODEL_LONG_OPTIONS,
                                                 {NULL, 0, NULL, 0}};
    struct dt_verb_model model = {0};
    bool json = false, compare = false;
    uint32_t first = 0, last = 0;
    int option, code;
    while ((option = getopt_long(argc, argv, "h" DT_MODEL_SHORT_OPTIONS, long_options, NULL)) !=
           -1) {
        switch (option) {
        case 'h':
            return fputs(help, stdout) < 0;
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_COMPARE:
            compare = true;
            break;
        case OPTION_FIRST:
        case OPTION_LAST:
            if (!dt_verb_count(optarg, UINT32_MAX, option == OPTION_FIRST ? &first : &last) ||
                (first == 0 && last == 0))
                return dt_verb_usage(
                    "eval", "--first and --last take a number of stories, not \"%s\"", optarg);
            break;
        default:
            if (dt_verb_model_option("eval", &model, option, optarg) != 0)
                return dt_status_exit_code(DT_USAGE);
        }
    }
    if (first && last)
        return dt_verb_usage("eval", "give --first or --last, not both");
    if (argc - optind != (compare ? 3 : 2))
        return dt_verb_usage("eval", compare ? "--compare wants two models and a text"
                                             : "wants a model and a text");
    struct dt_error err = {0};
    char *text;
    size_t n;
    dt_verb_log(false);
    if (dt_file_read(argv[argc - 1], TEXT_MAX, &text, &n, &err) != DT_OK)
        return dt_verb_fail(&err);
    uint32_t count, skip = 0, most = first ? first : UINT32_MAX;
    dt_eval_stories(text, n, 0, 0, NULL, NULL, &count);
    if (last && last < count)
        skip = count - last;
    model.path = argv[optind];
    if (count == 0) {
        dt_error_set(&err, DT_BAD_INPUT, argv[argc - 1], "holds no story");
        code = dt_verb_fail(&err);
    } else if (compare) {
        code = dt_eval_compare(&model, argv[optind + 1], text, n, skip, most, json);
    } else {
        code = one(&model, text, n, skip, most, json);
    }
    free(text);
    return code;
}
