// SPDX-License-Identifier: MIT
// duotale run: llama2.c's command line and output, over any backend.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "core/template.h"
#include "host/clock.h"
#include "host/file.h"
#include "host/json.h"
#include "verbs/sink.h"
#include "verbs/speak.h"
#include "verbs/verb.h"

enum stop_rule {
    STOP_END, // BOS, EOS or an end of turn; not printed
    STOP_BOS, // llama2.c: BOS alone, and control pieces are printed
};

struct options {
    struct dt_verb_model model;
    struct dt_sampling sampling;
    uint64_t seed;
    uint32_t steps;
    const char *prompt, *system, *prompt_file, *template_name;
    enum stop_rule stop;
    bool chat, ids, json, quiet, verbose;
    struct dt_verb_voice voice;
};

enum { OPTION_TOP_K = DT_OPTION_OWN, OPTION_MIN_P, OPTION_REPEAT_PENALTY, OPTION_REPEAT_LAST, OPTION_STOP, OPTION_IDS,
       OPTION_JSON, OPTION_PROMPT_FILE, OPTION_TEMPLATE, OPTION_VERBOSE };

static const char help[] =
    "usage: duotale run [MODEL] [options]\n"
    "Tells a story on standard output; figures go to standard error. Short flags are llama2.c's.\n"
    "  -t, --temperature F     0: always the likeliest token (1.0)\n"
    "  -p, --top-p F           nucleus, 0 or 1: off (0.9)\n"
    "  -s, --seed N            0: from the clock; the one used is told\n"
    "  -n, --steps N           tokens in all, prompt included; 0: as many as the context holds (256)\n"
    "  -i, --prompt TEXT       how the story begins, or the first thing said in a chat\n"
    "      --prompt-file FILE  the same from a file, - for standard input\n"
    "  -m, --mode generate|chat\n"
    "  -y, --system TEXT       chat: the system prompt\n"
    "      --chat-template NAME|FILE\n"
    "                          chat: another form of turns than the model's own: plain, llama2, llama3, chatml, zephyr,\n"
    "                          gemma, mistral, story, or a file with a template of one of these families\n"
    "      --top-k N           only the N likeliest tokens; 0: off (0)\n"
    "      --min-p F           only tokens at least this share as likely as the likeliest; 0: off (0)\n"
    "      --repeat-penalty F  1: off (1)\n"
    "      --repeat-last N     how many tokens the penalty looks back (64)\n"
    "      --stop end|bos      bos: only BOS ends a story, as in llama2.c\n"
    "      --ids               print token ids instead of text\n"
    "      --json              one JSON object a token, and a last one with the figures\n" DT_MODEL_OPTIONS_HELP
    DT_SPEAK_OPTIONS_HELP DT_LISTEN_OPTIONS_HELP
    "  -q, --quiet             no figures\n"
    "      --verbose           what is loaded, and from where\n"
    "  -h, --help\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 bad model or input file, 4 not enough memory, 130 interrupted.\n";

static const struct option long_options[] = {
    {"temperature", required_argument, NULL, 't'},
    {"top-p", required_argument, NULL, 'p'},
    {"seed", required_argument, NULL, 's'},
    {"steps", required_argument, NULL, 'n'},
    {"prompt", required_argument, NULL, 'i'},
    {"prompt-file", required_argument, NULL, OPTION_PROMPT_FILE},
    {"mode", required_argument, NULL, 'm'},
    {"system", required_argument, NULL, 'y'},
    {"chat-template", required_argument, NULL, OPTION_TEMPLATE},
    {"top-k", required_argument, NULL, OPTION_TOP_K},
    {"min-p", required_argument, NULL, OPTION_MIN_P},
    {"repeat-penalty", required_argument, NULL, OPTION_REPEAT_PENALTY},
    {"repeat-last", required_argument, NULL, OPTION_REPEAT_LAST},
    {"stop", required_argument, NULL, OPTION_STOP},
    {"ids", no_argument, NULL, OPTION_IDS},
    {"json", no_argument, NULL, OPTION_JSON},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, 'h'},
    DT_MODEL_LONG_OPTIONS,
    DT_SPEAK_LONG_OPTIONS,
    DT_LISTEN_LONG_OPTIONS,
    {NULL, 0, NULL, 0},
};

// A float option within [low, high]; 0 or the exit code.
static int float_option(const char *name, const char *text, double low, double high, float *out)
{
    double value;
    if (!dt_verb_float(text, &value) || value < low || value > high)
        return dt_verb_usage("run", "%s takes a number from %g to %g, not \"%s\"", name, low, high, text);
    *out = (float)value;
    return 0;
}

static int count_option(const char *name, const char *text, uint32_t *out)
{
    if (!dt_verb_count(text, INT32_MAX, out))
        return dt_verb_usage("run", "%s takes a whole number from 0, not \"%s\"", name, text);
    return 0;
}

static int take_option(struct options *o, int option, const char *value)
{
    switch (option) {
    case 't': { // below 0 is 0 in llama2.c
        int code = float_option("--temperature", value, -1e6, 1e6, &o->sampling.temperature);
        if (o->sampling.temperature < 0)
            o->sampling.temperature = 0;
        return code;
    }
    case 'p': {
        int code = float_option("--top-p", value, -1e6, 1e6, &o->sampling.top_p);
        if (o->sampling.top_p < 0 || o->sampling.top_p > 1)
            o->sampling.top_p = 0.9f; // llama2.c's answer to nonsense
        return code;
    }
    case 's':
        return dt_verb_seed(value, &o->seed) ? 0 : dt_verb_usage("run", "--seed takes a whole number, not \"%s\"", value);
    case 'n':
        return count_option("--steps", value, &o->steps);
    case 'i':
        o->prompt = value;
        return 0;
    case OPTION_PROMPT_FILE:
        o->prompt_file = value;
        return 0;
    case 'm':
        o->chat = strcmp(value, "chat") == 0;
        return o->chat || strcmp(value, "generate") == 0
                   ? 0
                   : dt_verb_usage("run", "--mode takes generate or chat, not \"%s\"", value);
    case 'y':
        o->system = value;
        return 0;
    case OPTION_TEMPLATE:
        o->template_name = value;
        return 0;
    case OPTION_TOP_K:
        return count_option("--top-k", value, &o->sampling.top_k);
    case OPTION_MIN_P:
        return float_option("--min-p", value, 0, 1, &o->sampling.min_p);
    case OPTION_REPEAT_PENALTY:
        return float_option("--repeat-penalty", value, 0.01, 100, &o->sampling.repeat_penalty);
    case OPTION_REPEAT_LAST:
        return count_option("--repeat-last", value, &o->sampling.repeat_last);
    case OPTION_STOP:
        o->stop = strcmp(value, "bos") == 0 ? STOP_BOS : STOP_END;
        return o->stop == STOP_BOS || strcmp(value, "end") == 0 || strcmp(value, "eos") == 0
                   ? 0
                   : dt_verb_usage("run", "--stop takes end or bos, not \"%s\"", value);
    case OPTION_IDS:
        o->ids = true;
        return 0;
    case OPTION_JSON:
        o->json = true;
        return 0;
    case 'q':
        o->quiet = true;
        return 0;
    case OPTION_VERBOSE:
        o->verbose = true;
        return 0;
    default:
        return dt_verb_model_option("run", &o->model, option, value);
    }
}

// ---- interruption --------------------------------------------------------------------------------------

static struct dt_engine *interruptible;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    dt_engine_cancel(interruptible);
}

static void catch_interrupt(struct dt_engine *engine)
{
    interruptible = engine;
    struct sigaction action = {.sa_handler = on_interrupt};
    action.sa_flags = (int)SA_RESETHAND; // a second Ctrl-C ends the process at once
    sigaction(SIGINT, &action, NULL);
}

// ---- telling ---------------------------------------------------------------------------------------------

struct telling {
    struct options *options;
    struct dt_engine *engine;
    struct dt_sink sink;
    struct dt_text_filter filter;
    struct dt_json json;
    uint32_t limit;    // positions
    uint32_t previous; // token, for decoding
    uint32_t prompt_tokens, told;
    const char *ended; // why: "end", "length", "context", "interrupted"
    uint64_t begun, first;   // clock: when the first prompt began, when the first token was chosen
    uint64_t decode_ns;      // spent on tokens after the first of each turn
    uint32_t decoded;        // how many positions were evaluated in that time
};

// Bytes of a token into out[DT_PIECE_MAX].
static size_t piece_of(const struct telling *t, uint32_t id, char *out)
{
    const struct dt_vocab *vocab = &dt_engine_model(t->engine)->vocab;
    enum dt_token_type type = dt_vocab_type(vocab, id);
    if (t->options->stop == STOP_BOS && (type == DT_TOKEN_CONTROL || type == DT_TOKEN_UNKNOWN)) {
        size_t n; // llama2.c prints what stands in the file
        const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
        memcpy(out, piece, n);
        return n;
    }
    return dt_engine_piece(t->engine, t->previous, id, out);
}

// One token to stdout, in whichever form was asked for. False when stdout is gone.
static bool tell(struct telling *t, uint32_t id, bool prompt)
{
    char raw[DT_PIECE_MAX], clean[3 * (DT_PIECE_MAX + 4)];
    size_t n = 0;
    if (dt_engine_model(t->engine)->vocab.kind != DT_VOCAB_NONE)
        n = dt_text_filter_push(&t->filter, raw, piece_of(t, id, raw), clean);
    t->previous = id;
    t->told += !prompt;
    if (t->options->voice.speech && !(prompt && t->options->voice.listen)) // who asked aloud need not hear it again
        dt_speech_feed(t->options->voice.speech, clean, n);
    if (t->options->json) {
        dt_json_object(&t->json);
        dt_json_put_uint(&t->json, "id", id);
        dt_json_name(&t->json, "text");
        dt_json_text_n(&t->json, clean, n);
        dt_json_put_uint(&t->json, "position", dt_session_position(dt_engine_session(t->engine)));
        dt_json_put_bool(&t->json, "prompt", prompt);
        dt_json_end(&t->json);
        return fflush(stdout) == 0 || dt_sink_fail(&t->sink, errno);
    }
    if (t->options->ids)
        return dt_sink_format(&t->sink, " %u", id);
    return dt_sink_write(&t->sink, clean, n);
}

static bool ends(const struct telling *t, uint32_t id)
{
    const struct dt_vocab *vocab = &dt_engine_model(t->engine)->vocab;
    if (vocab->kind == DT_VOCAB_NONE)
        return false;
    if (vocab->bos != DT_NO_TOKEN && id == vocab->bos)
        return true;
    return t->options->stop == STOP_END && dt_tokenizer_is_end(dt_engine_tokenizer(t->engine), id);
}

// Samples and tells until the story ends. The session holds everything up to the last token told or given.
static dt_status tell_on(struct telling *t, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(t->engine);
    t->ended = "length";
    // as in llama2.c the token sampled at the last position is told, but not evaluated
    for (uint32_t position = dt_session_position(session); position <= t->limit; position++) {
        if (dt_engine_cancelled(t->engine))
            return dt_error_set(err, DT_CANCELLED, NULL, "interrupted");
        uint32_t id = dt_engine_next(t->engine);
        if (!t->first)
            t->first = dt_clock_ns();
        if (ends(t, id)) {
            t->ended = "end";
            t->previous = id;
            return DT_OK;
        }
        if (!tell(t, id, false))
            return dt_error_set(err, DT_FAILED, NULL, "standard output is gone");
        if (position == t->limit)
            break;
        dt_status status = dt_engine_eval(t->engine, &id, 1, err);
        if (status != DT_OK)
            return status;
        t->decoded++;
    }
    return DT_OK;
}

static dt_status continue_story(struct telling *t, struct dt_error *err)
{
    uint64_t begun = dt_clock_ns();
    dt_status status = tell_on(t, err);
    t->decode_ns += dt_clock_ns() - begun;
    return status;
}

// Evaluates a prompt and tells it where `shown`. Cut at the limit, as in llama2.c.
static dt_status begin_story(struct telling *t, const char *text, size_t n, bool shown, struct dt_error *err)
{
    const uint32_t *tokens;
    size_t count;
    dt_status status = DT_OK;
    if (dt_engine_model(t->engine)->vocab.kind == DT_VOCAB_NONE && n == 0) { // --ids goes without
        static const uint32_t bos = 1;
        tokens = &bos;
        count = 1;
    } else {
        status = dt_engine_encode(t->engine, text, n, DT_ENCODE_BOS | DT_ENCODE_PREFIX, &tokens, &count, err);
    }
    if (status != DT_OK)
        return status;
    if (count == 0)
        return dt_error_set(err, DT_BAD_INPUT, dt_engine_path(t->engine), "its vocabulary has no BOS, so a story needs a prompt (-i)");
    uint32_t position = dt_session_position(dt_engine_session(t->engine)), room = t->limit - position;
    uint32_t use = count < room ? (uint32_t)count : room;
    t->prompt_tokens += use;
    bool bos = tokens[0] == dt_engine_model(t->engine)->vocab.bos || dt_engine_model(t->engine)->vocab.kind == DT_VOCAB_NONE;
    t->previous = bos ? tokens[0] : DT_NO_TOKEN;
    if (bos && t->options->ids && shown && !t->options->json && !dt_sink_format(&t->sink, "%u", tokens[0]))
        return dt_error_set(err, DT_FAILED, NULL, "standard output is gone");
    // BOS is not text; of a prompt that is cut one token more is told than was evaluated, as in llama2.c
    for (uint32_t i = bos; shown && i < count && i <= use; i++) {
        if (!tell(t, tokens[i], true))
            return dt_error_set(err, DT_FAILED, NULL, "standard output is gone");
    }
    t->previous = tokens[use - 1];
    status = dt_engine_eval(t->engine, tokens, use, err);
    if (status == DT_OK && count > room) {
        t->ended = "length";
        if (!t->options->quiet)
            fprintf(stderr, "the prompt has %zu tokens, and only %u fit: it was cut\n", count, room);
        return dt_error_set(err, DT_CONTEXT_FULL, NULL, "the prompt fills the context");
    }
    return status;
}

static bool finish_text(struct telling *t)
{
    char clean[16];
    size_t n = dt_text_filter_flush(&t->filter, clean);
    if (t->options->json)
        return true;
    return (t->options->ids || dt_sink_write(&t->sink, clean, n)) && dt_sink_write(&t->sink, "\n", 1);
}

static dt_status generate(struct telling *t, const char *prompt, size_t n, struct dt_error *err)
{
    dt_status status = begin_story(t, prompt, n, true, err);
    dt_engine_trim(t->engine);
    if (status == DT_OK)
        status = continue_story(t, err);
    if (status == DT_CONTEXT_FULL)
        status = DT_OK;
    if (!finish_text(t) && status == DT_OK)
        status = dt_error_set(err, DT_FAILED, NULL, "standard output is gone");
    return status;
}

// ---- chat ------------------------------------------------------------------------------------------------

// The next line of standard input without its newline, malloc'ed; NULL at the end.
static char *read_line(const char *ask)
{
    char *line = NULL;
    size_t room = 0;
    if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
        fputs(ask, stderr);
        fflush(stderr);
    }
    ssize_t n = getline(&line, &room, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    if (n > 0 && line[n - 1] == '\n')
        line[n - 1] = 0;
    return line;
}

// The family that a template's text belongs to; refused with its beginning where it is none that is known. where: whose text it is.
static dt_status family_of_text(const char *text, size_t n, const char *where, enum dt_template *out, struct dt_error *err)
{
    *out = dt_template_recognise(text, n);
    if (*out != DT_TEMPLATE_UNKNOWN)
        return DT_OK;
    return dt_error_set(err, DT_UNSUPPORTED, where, "its chat template is of no family that is known; choose one with --chat-template. It is: %.*s%s",
                        n < 300 ? (int)n : 300, text, n < 300 ? "" : " ...");
}

// What --chat-template says, a name or a file; else the model's own; Llama 2's, as llama2.c has it, where the file has none.
static dt_status choose_family(const struct telling *t, enum dt_template *out, struct dt_error *err)
{
    const struct dt_model *m = dt_engine_model(t->engine);
    const char *wanted = t->options->template_name;
    *out = DT_TEMPLATE_LLAMA2;
    if (!wanted && !m->chat_template)
        return DT_OK;
    if (!wanted)
        return family_of_text(m->chat_template, m->chat_template_length, dt_engine_path(t->engine), out, err);
    if (dt_template_by_name(wanted, out))
        return DT_OK;
    if (!dt_file_readable(wanted))
        return dt_error_set(err, DT_USAGE, NULL,
                            "--chat-template takes plain, llama2, llama3, chatml, zephyr, gemma, mistral, story or a file, not \"%s\"", wanted);
    char *text = NULL;
    size_t n = 0;
    dt_status status = dt_file_read(wanted, 1u << 20, &text, &n, err);
    if (status == DT_OK)
        status = family_of_text(text, n, wanted, out, err);
    free(text);
    return status;
}

// Encodes pieces of a template and evaluates them as far as they fit. DT_CONTEXT_FULL when they do not.
static dt_status eval_pieces(struct telling *t, const struct dt_template_piece *pieces, size_t count, bool bos, struct dt_error *err)
{
    dt_status status = DT_OK;
    size_t length = 0, tokens_count = 0;
    for (size_t i = 0; i < count; i++)
        length += pieces[i].length;
    if (count == 0)
        return DT_OK;
    char *scratch = malloc(length + 16);
    uint32_t *tokens = malloc((length + 64) * sizeof *tokens);
    if (!scratch || !tokens)
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %zu bytes of what was said", length);
    if (status == DT_OK)
        status = dt_engine_encode_pieces(t->engine, pieces, count, bos, scratch, length + 16, tokens, length + 64, &tokens_count, err);
    uint32_t room = t->limit - dt_session_position(dt_engine_session(t->engine));
    if (status == DT_OK && tokens_count > room)
        status = dt_error_set(err, DT_CONTEXT_FULL, NULL, "%zu tokens do not fit into the %u positions that are left", tokens_count, room);
    if (status == DT_OK && tokens_count) {
        t->prompt_tokens += (uint32_t)tokens_count;
        t->previous = tokens[tokens_count - 1];
        status = dt_engine_eval(t->engine, tokens, (uint32_t)tokens_count, err);
    }
    free(scratch);
    free(tokens);
    return status;
}

static dt_status chat(struct telling *t, const char *first, struct dt_error *err)
{
    dt_status status = DT_OK;
    struct dt_session *session = dt_engine_session(t->engine);
    struct dt_template_piece pieces[DT_TEMPLATE_PIECES];
    enum dt_template family;
    const struct dt_model *m = dt_engine_model(t->engine);
    const char *system = t->options->system;
    size_t system_length = system ? strlen(system) : 0;
    status = choose_family(t, &family, err);
    if (!system && status == DT_OK && family == DT_TEMPLATE_CHATML) // Qwen and SmolLM put one in themselves
        system = dt_template_default_system(m->chat_template, m->chat_template_length, &system_length);
    for (bool opening = true; status == DT_OK; opening = false) {
        char *user = opening && first ? strdup(first) : read_line("> ");
        if (!user || dt_engine_cancelled(t->engine)) {
            free(user);
            break;
        }
        size_t count = dt_template_turn(family, opening, system, system_length, user, strlen(user), pieces);
        status = eval_pieces(t, pieces, count, opening, err);
        free(user);
        if (status == DT_OK)
            status = continue_story(t, err);
        if (!finish_text(t) && status == DT_OK)
            status = dt_error_set(err, DT_FAILED, NULL, "standard output is gone");
        if (status != DT_OK || strcmp(t->ended, "end") != 0 || dt_session_position(session) >= t->limit)
            break;
        status = dt_engine_eval(t->engine, &t->previous, 1, err); // the end of the turn belongs to the talk
        if (status == DT_OK)
            status = eval_pieces(t, pieces, dt_template_close(family, true, pieces), false, err);
    }
    if (status == DT_CONTEXT_FULL)
        t->ended = "context";
    return status == DT_CONTEXT_FULL ? DT_OK : status;
}

// ---- figures ---------------------------------------------------------------------------------------------

static double milliseconds(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e6 : 0;
}

static void report(struct telling *t, uint64_t done)
{
    const struct options *o = t->options;
    struct dt_memory_facts facts;
    dt_memory_facts(&facts);
    // as in llama2.c: positions evaluated after the first token was there, over the time they took
    double achieved = t->decode_ns ? t->decoded / ((double)t->decode_ns / 1e9) : 0;
    double prompt_ms = milliseconds(t->begun, t->first ? t->first : done);
    if (o->json) {
        struct dt_json *j = &t->json;
        dt_json_object(j);
        dt_json_put_bool(j, "done", true);
        dt_json_put_text(j, "stop", t->ended);
        dt_json_put_uint(j, "tokens", t->told);
        dt_json_put_uint(j, "prompt_tokens", t->prompt_tokens);
        dt_json_put_number(j, "tok_s", achieved);
        dt_json_put_number(j, "first_token_ms", prompt_ms);
        dt_json_put_uint(j, "seed", o->seed);
        dt_json_put_text(j, "model", dt_engine_path(t->engine));
        dt_json_put_text(j, "tokenizer", dt_engine_tokenizer_source(t->engine));
        dt_json_put_text(j, "backend", dt_engine_stack_name(t->engine));
        dt_json_put_uint(j, "threads", dt_engine_threads(t->engine));
        dt_json_put_uint(j, "context", dt_session_capacity(dt_engine_session(t->engine)));
        dt_json_put_uint(j, "context_used", dt_session_position(dt_engine_session(t->engine)));
        dt_json_put_uint(j, "rss_kib", facts.rss / 1024);
        dt_json_put_uint(j, "peak_rss_kib", facts.rss_peak / 1024);
        dt_json_put_uint(j, "anonymous_kib", facts.anonymous / 1024);
        dt_json_put_uint(j, "available_kib", facts.available / 1024);
        dt_json_put_uint(j, "major_faults", facts.major_faults);
        dt_verb_voice_json(&o->voice, j);
        dt_json_end(j);
        fflush(stdout);
    }
    if (o->quiet)
        return;
    fprintf(stderr, "achieved tok/s: %f\n", achieved);
    fprintf(stderr, "%u tokens after a prompt of %u, the first after %.1f ms; context %u of %u; %s, %u thread%s; seed %llu\n",
            t->told, t->prompt_tokens, prompt_ms, dt_session_position(dt_engine_session(t->engine)),
            dt_session_capacity(dt_engine_session(t->engine)), dt_engine_stack_name(t->engine),
            dt_engine_threads(t->engine), dt_engine_threads(t->engine) == 1 ? "" : "s", (unsigned long long)o->seed);
    fprintf(stderr, "memory: %.1f MB resident, %.1f MB of it our own; %.0f MB available; %llu major faults\n",
            (double)facts.rss / 1e6, (double)facts.anonymous / 1e6, (double)facts.available / 1e6,
            (unsigned long long)facts.major_faults);
    dt_verb_voice_report(&o->voice, stderr);
}

// What is about to run, before it does.
static void announce(const struct options *o, struct dt_engine *engine, const struct dt_engine_plan *plan)
{
    char cost[256];
    if (o->quiet)
        return;
    fprintf(stderr, "%s: %s; vocabulary: %s; backend %s; seed %llu\n", dt_engine_path(engine),
            dt_engine_model(engine)->format, dt_engine_tokenizer_source(engine), plan->stack, (unsigned long long)o->seed);
    if (*dt_verb_cost(plan, cost, sizeof cost))
        fprintf(stderr, "%s %s\n", plan->stack, cost);
    if (o->verbose)
        fprintf(stderr, "plan: file %zu bytes mapped; ours %zu (KV %zu, scratch up to %zu, logits %zu, copies %zu, model and vocabulary %zu)\n",
                plan->file_bytes, plan->total, plan->session.kv, plan->session.scratch, plan->session.logits,
                plan->weights.copied_bytes, plan->model_tables + plan->tokenizer);
}

// A prompt by voice in place of a typed one; where none is heard the typed one stays.
static dt_status listen(struct telling *t, char **text, size_t *n, struct dt_error *err)
{
    char *heard = dt_verb_voice_listen(&t->options->voice, t->engine);
    if (dt_engine_cancelled(t->engine)) {
        free(heard);
        return dt_error_set(err, DT_CANCELLED, NULL, "interrupted");
    }
    if (!heard)
        return DT_OK;
    // A request and its story are two paragraphs.
    char *request = NULL;
    if (asprintf(&request, t->options->chat ? "%s" : "%s\n\n", heard) < 0)
        request = NULL;
    free(heard);
    if (!request)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for what was said");
    free(*text);
    *text = request;
    *n = strlen(request);
    return DT_OK;
}

int dt_verb_run(int argc, char **argv)
{
    struct options o = {
        .sampling = {.temperature = 1.0f, .top_p = 0.9f, .repeat_penalty = 1.0f, .repeat_last = 64},
        .steps = 256,
    };
    int option;
    while ((option = getopt_long(argc, argv, "t:p:s:n:i:m:y:qh" DT_MODEL_SHORT_OPTIONS, long_options, NULL)) != -1) {
        if (option == 'h')
            return fputs(help, stdout) < 0;
        int code = option == '?' ? 2 : dt_verb_voice_option("run", &o.voice, option, optarg, argc, argv);
        if (code < 0)
            code = take_option(&o, option, optarg);
        if (code != 0)
            return 2;
    }
    if (optind + 1 < argc)
        return dt_verb_usage("run", "one model at a time: \"%s\" is a second one", argv[optind + 1]);
    o.model.path = optind < argc ? argv[optind] : NULL;
    if (o.prompt && o.prompt_file)
        return dt_verb_usage("run", "give --prompt or --prompt-file, not both");
    if (o.seed == 0)
        o.seed = dt_clock_unix();

    // ids, and JSON without a prompt, can do without a vocabulary: measuring needs none
    o.model.engine.without_vocabulary = (o.ids || o.json) && !o.chat && !o.prompt && !o.prompt_file;
    struct dt_error err = {0};
    struct telling t = {.options = &o, .ended = "length"};
    char *prompt_text = NULL;
    size_t prompt_length = o.prompt ? strlen(o.prompt) : 0;
    struct dt_engine_plan plan;
    o.voice.quiet = o.quiet;
    dt_verb_log(o.verbose);
    dt_sink_init(&t.sink, STDOUT_FILENO);
    dt_json_init(&t.json, stdout, 0);
    dt_status status = DT_OK;
    if (o.prompt_file)
        status = dt_file_read(o.prompt_file, 16u << 20, &prompt_text, &prompt_length, &err);
    if (status == DT_OK)
        status = dt_verb_model_path(&o.model, &err);
    if (status == DT_OK)
        status = dt_engine_new(&t.engine, &o.model.engine, &err);
    if (status != DT_OK)
        goto done;
    catch_interrupt(t.engine);
    status = dt_engine_prepare(t.engine, o.model.path, o.model.tokenizer, &plan, &err);
    if (status != DT_OK)
        goto done;
    announce(&o, t.engine, &plan);
    status = dt_engine_start(t.engine, NULL, NULL, &err);
    if (status != DT_OK)
        goto done;
    dt_engine_set_sampling(t.engine, &o.sampling, o.seed);
    t.limit = dt_session_capacity(dt_engine_session(t.engine));
    if (o.steps > 0 && o.steps < t.limit)
        t.limit = o.steps;
    status = dt_verb_voice_open(&o.voice, &err);
    if (status != DT_OK)
        goto done;
    if (o.voice.listen)
        status = listen(&t, &prompt_text, &prompt_length, &err);
    if (status != DT_OK)
        goto done;
    if (o.voice.speech)
        dt_speech_begin(o.voice.speech);
    t.begun = dt_clock_ns();
    const char *prompt = prompt_text ? prompt_text : o.prompt;
    if (o.chat)
        status = chat(&t, prompt, &err);
    else
        status = generate(&t, prompt ? prompt : "", prompt_length, &err);
    if (status == DT_CANCELLED)
        t.ended = "interrupted";
    uint64_t told = dt_clock_ns();
    if (!dt_verb_voice_finish(&o.voice, t.engine) && status == DT_OK)
        status = dt_error_set(&err, DT_FAILED, o.voice.wav_path, "not all of the story was spoken into it");
    report(&t, told);
done:
    if (t.sink.failure) // the reader went away: no news to anybody; a full disk is
        status = t.sink.failure == EPIPE ? DT_FAILED
                                         : dt_error_set(&err, DT_FAILED, NULL, "cannot write to standard output: %s",
                                                        strerror(t.sink.failure));
    if (status != DT_OK && status != DT_CANCELLED && t.sink.failure != EPIPE)
        dt_verb_fail(&err);
    dt_verb_voice_close(&o.voice);
    dt_engine_free(t.engine);
    free(prompt_text);
    return dt_status_exit_code(status);
}
