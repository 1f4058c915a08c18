// SPDX-License-Identifier: MIT
// duotale run: evaluates a prompt and generates, with llama2.c's conventions.
#include <errno.h>
#include <stdio.h>
#include <string.h>

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
    return dt_engine_piece(run->engine, run->previous, id, out);
}

// Writes one token to stdout, as text, id or JSON. False if stdout is closed.
static bool write_token(struct dt_run *run, uint32_t id, bool prompt)
{
    char raw[DT_PIECE_MAX], clean[3 * (DT_PIECE_MAX + 4)];
    size_t n = 0;
    if (dt_engine_model(run->engine)->vocab.kind != DT_VOCAB_NONE)
        n = dt_text_filter_push(&run->filter, raw, piece_of(run, id, raw), clean);
    run->previous = id;
    run->generated += !prompt;
    char certain[sizeof clean + DT_STOP_TEXT_MAX];
    const char *text = clean;
    if (run->stops.count && !prompt) {
        run->stopped = dt_stop_text_push(&run->stops, clean, n, certain, &n);
        text = certain;
    }
    if (run->options->chat && !prompt)
        dt_string_buffer_append(&run->answer, text, n);
    if (run->options->voice.speech &&
        !(prompt && run->options->voice.listen)) // a spoken request is not read back
        dt_speech_feed(run->options->voice.speech, text, n);
    if (run->options->json) {
        dt_json_object(&run->json);
        dt_json_put_uint(&run->json, "id", id);
        dt_json_name(&run->json, "text");
        dt_json_text_n(&run->json, text, n);
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
    return dt_sink_write(&run->sink, text, n);
}

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
    uint32_t use;
    dt_status status = dt_run_encode(run, text, n, &tokens, &count, &use, err);
    if (status == DT_OK)
        status = dt_run_print_prompt(run, tokens, count, use, err);
    if (status == DT_OK)
        status = dt_engine_eval(run->engine, tokens, use, err);
    *cut = status == DT_OK && dt_run_is_cut(run, count, use);
    return status;
}

bool dt_run_finish_text(struct dt_run *run)
{
    char clean[16 + DT_STOP_TEXT_MAX];
    size_t n = dt_stop_text_flush(&run->stops, clean);
    n += dt_text_filter_flush(&run->filter, clean + n);
    if (run->options->json)
        return true;
    return (run->options->ids || dt_sink_write(&run->sink, clean, n)) &&
           dt_sink_write(&run->sink, "\n", 1);
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
