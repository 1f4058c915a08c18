// SPDX-License-Identifier: MIT
// duotale run: evaluates a prompt and generates, with llama2.c's conventions.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/context_fill.h"
#include "host/print.h"
#include "verbs/run/run.h"

// Writes the bytes of a token to out[DT_PIECE_MAX]. Returns their number.
static size_t piece_of(const struct dt_run *run, uint32_t id, char *out)
{
    const struct dt_vocab *vocab = &dt_engine_model(run->engine)->vocab;
    enum dt_token_type type = dt_vocab_type(vocab, id);
    if (run->options->stop == DT_RUN_STOP_BOS &&
        (type == DT_TOKEN_CONTROL || type == DT_TOKEN_UNKNOWN)) {
        size_t n; // llama2.c prints the piece as the file has it
        const unsigned char *piece = dt_vocab_piece(vocab, id, &n);
        memcpy(out, piece, n);
        return n;
    }
    if (type == DT_TOKEN_CONTROL && run->thoughts.rows) { // a marker of thoughts may be one
        size_t n;
        const char *piece = (const char *)dt_vocab_piece(vocab, id, &n);
        if (dt_thoughts_is_marker(run->thoughts.rows, piece, n)) {
            memcpy(out, piece, n);
            return n;
        }
    }
    return dt_engine_piece(run->engine, run->previous, id, out);
}

// ---- output ----

#define CLEAN_MAX (3 * (DT_PIECE_MAX + 4))

// Text of a model, its thoughts and its answer apart.
struct parts {
    char whole[CLEAN_MAX + DT_STOP_TEXT_MAX];
    char thought[CLEAN_MAX + DT_STOP_TEXT_MAX + DT_THOUGHTS_HELD];
    char answer[CLEAN_MAX + DT_STOP_TEXT_MAX + DT_THOUGHTS_HELD];
    size_t whole_n, thought_n, answer_n;
};

// "thinking ..." on a terminal while thoughts that are hidden are generated.
static void mark_thinking(struct dt_run *run)
{
    bool hidden = run->thoughts.state == DT_THOUGHTS_INSIDE && !run->options->show_thoughts;
    if (hidden == run->marked || run->options->quiet || !isatty(STDERR_FILENO))
        return;
    fputs(hidden ? "thinking ..." : "\r            \r", stderr);
    fflush(stderr);
    run->marked = hidden;
}

static void divide(struct dt_run *run, struct parts *p)
{
    p->thought_n = p->answer_n = 0;
    dt_thoughts_push(&run->thoughts, p->whole, p->whole_n, p->thought, &p->thought_n, p->answer,
                     &p->answer_n);
}

// What standard output gets of it.
static bool write_parts(struct dt_run *run, const struct parts *p)
{
    mark_thinking(run);
    return run->options->show_thoughts ? dt_sink_write(&run->sink, p->whole, p->whole_n)
                                       : dt_sink_write(&run->sink, p->answer, p->answer_n);
}

// The text of a JSON object.
static void write_json_text(struct dt_run *run, const struct parts *p)
{
    if (run->options->show_thoughts && p->thought_n) {
        dt_json_name(&run->json, "thought");
        dt_json_text_n(&run->json, p->thought, p->thought_n);
    }
    dt_json_name(&run->json, "text");
    dt_json_text_n(&run->json, p->answer, p->answer_n);
}

bool dt_run_begin_answer(struct dt_run *run, unsigned markers, const char *opened, size_t n)
{
    struct parts p = {.whole_n = n < CLEAN_MAX ? n : CLEAN_MAX};
    run->thoughts = (struct dt_thoughts){.rows = markers};
    dt_string_buffer_free(&run->answer);
    dt_string_buffer_append(&run->answer, opened, n);
    memcpy(p.whole, opened, p.whole_n);
    divide(run, &p);
    return run->options->json || run->options->ids || write_parts(run, &p);
}

// Divides the bytes of a generated token, and counts it.
static void take_token(struct dt_run *run, const char *clean, size_t n, struct parts *p)
{
    bool inside = run->thoughts.state == DT_THOUGHTS_INSIDE;
    memcpy(p->whole, clean, n);
    p->whole_n = n;
    if (run->stops.count)
        run->stopped = dt_stop_text_push(&run->stops, clean, n, p->whole, &p->whole_n);
    divide(run, p);
    run->generated++;
    run->turn_tokens++;
    if (inside || run->thoughts.state == DT_THOUGHTS_INSIDE)
        run->turn_thoughts = run->turn_tokens;
    if (run->options->chat)
        dt_string_buffer_append(&run->answer, p->whole, p->whole_n);
}

// Writes one token to stdout, as text, id or JSON. False if stdout is closed.
static bool write_token(struct dt_run *run, uint32_t id, bool prompt)
{
    char raw[DT_PIECE_MAX], clean[CLEAN_MAX];
    struct parts p;
    size_t n = 0;
    if (dt_engine_model(run->engine)->vocab.kind != DT_VOCAB_NONE)
        n = dt_text_filter_push(&run->filter, raw, piece_of(run, id, raw), clean);
    run->previous = id;
    if (prompt) {
        memcpy(p.whole, clean, n);
        memcpy(p.answer, clean, n);
        p.whole_n = p.answer_n = n;
        p.thought_n = 0;
    } else {
        take_token(run, clean, n, &p);
    }
    if (run->options->voice.speech &&
        !(prompt && run->options->voice.listen)) // a spoken request is not read back
        dt_speech_feed(run->options->voice.speech, p.answer, p.answer_n);
    if (run->options->json) {
        dt_json_object(&run->json);
        dt_json_put_uint(&run->json, "id", id);
        write_json_text(run, &p);
        if (run->options->sequences > 1)
            dt_json_put_uint(&run->json, "sequence", run->sequence);
        dt_json_put_uint(&run->json, "position",
                         dt_session_position(dt_engine_session_at(run->engine, run->sequence)));
        dt_json_put_bool(&run->json, "prompt", prompt);
        dt_json_end(&run->json);
        return fflush(stdout) == 0 || dt_sink_fail(&run->sink, errno);
    }
    if (run->options->ids)
        return dt_sink_format(&run->sink, " %u", id);
    return write_parts(run, &p);
}

// Adds what was held back at the end of a turn.
static void take_rest(struct dt_run *run, struct parts *p)
{
    if (run->stopped) // the rest of a character behind the stop text
        run->filter = (struct dt_text_filter){0};
    p->whole_n = dt_stop_text_flush(&run->stops, p->whole);
    p->whole_n += dt_text_filter_flush(&run->filter, p->whole + p->whole_n);
    divide(run, p);
    dt_thoughts_flush(&run->thoughts, p->thought, &p->thought_n, p->answer, &p->answer_n);
    if (run->options->chat)
        dt_string_buffer_append(&run->answer, p->whole, p->whole_n);
    if (run->options->voice.speech)
        dt_speech_feed(run->options->voice.speech, p->answer, p->answer_n);
    run->thought_tokens += run->turn_thoughts;
    run->turn_tokens = run->turn_thoughts = 0;
}

bool dt_run_finish_text(struct dt_run *run)
{
    struct parts p;
    bool inside = run->thoughts.state == DT_THOUGHTS_INSIDE;
    take_rest(run, &p);
    run->thoughts.state = DT_THOUGHTS_ANSWER;
    mark_thinking(run);
    if (inside && !run->options->quiet)
        dt_print(stderr, "duotale: the turn ended inside a thought, so there is no answer%s\n",
                 run->options->show_thoughts ? "" : "; --thinking show prints the thought");
    if (run->options->json && (p.answer_n || (p.thought_n && run->options->show_thoughts))) {
        dt_json_object(&run->json); // of no token
        write_json_text(run, &p);
        if (run->options->sequences > 1)
            dt_json_put_uint(&run->json, "sequence", run->sequence);
        dt_json_end(&run->json);
    }
    if (run->options->json)
        return fflush(stdout) == 0 || dt_sink_fail(&run->sink, errno);
    return (run->options->ids || write_parts(run, &p)) && dt_sink_write(&run->sink, "\n", 1);
}

// ---- generating ----

static bool ends(const struct dt_run *run, uint32_t id)
{
    const struct dt_vocab *vocab = &dt_engine_model(run->engine)->vocab;
    if (vocab->kind == DT_VOCAB_NONE)
        return false;
    if (vocab->bos != DT_NO_TOKEN && id == vocab->bos)
        return true;
    return run->options->stop == DT_RUN_STOP_END &&
           dt_tokenizer_is_end(dt_engine_tokenizer(run->engine), id);
}

dt_status dt_run_step(struct dt_run *run, uint32_t *id, struct dt_error *err)
{
    uint32_t position = dt_session_position(dt_engine_session_at(run->engine, run->sequence));
    *id = DT_NO_TOKEN;
    if (position > run->limit)
        return DT_OK;
    uint32_t next = dt_engine_next_at(run->engine, run->sequence);
    if (!run->first)
        run->first = dt_clock_ns();
    if (ends(run, next)) {
        run->ended = "end";
        run->previous = next;
        return DT_OK;
    }
    if (!write_token(run, next, false))
        return dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
    if (run->stopped)
        run->ended = "stop-text";
    // as in llama2.c, the token sampled at the last position is printed but not evaluated
    if (!run->stopped && position < run->limit)
        *id = next;
    return DT_OK;
}

// Generates until the story ends. The session contains all tokens so far.
static dt_status generate_until_end(struct dt_run *run, struct dt_error *err)
{
    run->ended = "length";
    run->stops = run->options->stops;
    run->stopped = false;
    for (;;) {
        uint32_t id;
        if (dt_engine_cancelled(run->engine))
            return dt_error_set(err, DT_CANCELLED, NULL, "interrupted");
        dt_status status = dt_run_step(run, &id, err);
        if (status == DT_OK && id == DT_NO_TOKEN)
            return DT_OK;
        if (status == DT_OK)
            status = dt_engine_eval(run->engine, &id, 1, err);
        if (status != DT_OK)
            return status;
        run->decoded++;
    }
}

dt_status dt_run_continue(struct dt_run *run, struct dt_error *err)
{
    uint64_t begun = dt_clock_ns();
    dt_status status = generate_until_end(run, err);
    run->decode_ns += dt_clock_ns() - begun;
    return status;
}

static dt_status fail_full(uint32_t capacity, size_t count, struct dt_error *err)
{
    const struct dt_context_fill fill = {.capacity = capacity, .message = count};
    return dt_context_fill_error(&fill, "shorten it, or raise --context", err);
}

dt_status dt_run_encode(struct dt_run *run, const char *text, size_t n, const uint32_t **tokens,
                        size_t *count, uint32_t *use, struct dt_error *err)
{
    dt_status status = DT_OK;
    if (dt_engine_model(run->engine)->vocab.kind == DT_VOCAB_NONE && n == 0) { // with --ids
        static const uint32_t bos = 1;
        *tokens = &bos;
        *count = 1;
    } else {
        unsigned flags = DT_ENCODE_BOS | DT_ENCODE_PREFIX | DT_ENCODE_USER |
                         (run->options->special ? DT_ENCODE_SPECIAL : 0);
        status = dt_engine_encode(run->engine, text, n, flags, tokens, count, err);
    }
    if (status != DT_OK)
        return status;
    if (*count == 0)
        return dt_error_set(err, DT_BAD_INPUT, dt_engine_path(run->engine),
                            "the vocabulary has no BOS token; give a prompt with -i");
    uint32_t most = dt_session_capacity(dt_engine_session(run->engine));
    if (*count > most)
        return fail_full(most, *count, err);
    *use = *count < run->limit ? (uint32_t)*count : run->limit;
    run->prompt_tokens += *use;
    return DT_OK;
}

dt_status dt_run_print_prompt(struct dt_run *run, const uint32_t *tokens, size_t count,
                              uint32_t use, struct dt_error *err)
{
    bool bos = tokens[0] == dt_engine_model(run->engine)->vocab.bos ||
               dt_engine_model(run->engine)->vocab.kind == DT_VOCAB_NONE;
    run->previous = bos ? tokens[0] : DT_NO_TOKEN;
    if (bos && run->options->ids && !run->options->json &&
        !dt_sink_format(&run->sink, "%u", tokens[0]))
        return dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
    // BOS is not text; of a prompt that is cut, llama2.c prints one token more than it evaluates
    for (uint32_t i = bos; i < count && i <= use; i++) {
        if (!write_token(run, tokens[i], true))
            return dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
    }
    run->previous = tokens[use - 1];
    return DT_OK;
}

bool dt_run_is_cut(struct dt_run *run, size_t count, uint32_t use)
{
    if (count == use)
        return false;
    run->ended = "length";
    dt_print(stderr, "duotale: -n %u cut the prompt from %zu to %u tokens\n", run->limit, count,
             use);
    return true;
}

// Prints a prompt and evaluates it, cut at -n as in llama2.c; *cut says whether it was.
static dt_status begin_story(struct dt_run *run, const char *text, size_t n, bool *cut,
                             struct dt_error *err)
{
    const uint32_t *tokens;
    size_t count;
    uint32_t use = 0;
    dt_status status = dt_run_encode(run, text, n, &tokens, &count, &use, err);
    if (status == DT_OK)
        status = dt_run_print_prompt(run, tokens, count, use, err);
    if (status == DT_OK)
        status = dt_engine_eval(run->engine, tokens, use, err);
    *cut = status == DT_OK && dt_run_is_cut(run, count, use);
    return status;
}

dt_status dt_run_story(struct dt_run *run, const char *text, size_t n, struct dt_error *err)
{
    bool cut = false;
    dt_status status = begin_story(run, text, n, &cut, err);
    if (status == DT_CONTEXT_FULL) {
        run->ended = "context";
        return status;
    }
    dt_engine_trim(run->engine);
    if (status == DT_OK && !cut)
        status = dt_run_continue(run, err);
    if (!dt_run_finish_text(run) && status == DT_OK)
        status = dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
    return status;
}
