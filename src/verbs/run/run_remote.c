// SPDX-License-Identifier: MIT
// duotale run with a model on a server: the same prompts and output, by text instead of tokens.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/thoughts.h"
#include "host/array.h"
#include "host/clock.h"
#include "host/print.h"
#include "verbs/run/run.h"

struct remote_run {
    struct dt_run *run;
    struct dt_remote *remote;
    struct dt_remote_figures figures; // of the last request
    uint32_t tokens;
    double seconds;     // of computing, 0: unknown
    bool inside;        // a thought
    const char *prompt; // of a story, printed before its first text; NULL: none, or it was
    size_t prompt_length;
    uint64_t begun, last;
    struct dt_remote_message *messages; // of a chat; their texts are malloc'ed
    size_t count, capacity;
};

// Prints the prompt, so that nothing is printed where no text comes. False if stdout is closed.
static bool write_prompt(struct remote_run *r)
{
    const char *prompt = r->prompt;
    r->prompt = NULL;
    return !prompt || dt_run_write_text(r->run, prompt, r->prompt_length, false, true);
}

static int on_text(void *arg, const char *text, size_t n, int thought)
{
    static const char open[] = "<think>\n", close[] = "\n</think>\n\n";
    struct remote_run *r = arg;
    struct dt_run *run = r->run;
    const char *marker = thought ? open : close;
    r->last = dt_clock_ns();
    if (!run->first)
        run->first = r->last;
    bool good = write_prompt(r);
    if (good && thought != r->inside)
        good = dt_run_write_text(run, marker, strlen(marker), false, false);
    r->inside = thought;
    return good && dt_run_write_text(run, text, n, true, false) && !run->stopped;
}

// The settings of the command line.
static struct dt_remote_request request_of(const struct dt_run_options *o)
{
    return (struct dt_remote_request){
        .chat = o->chat,
        .top_k = o->sampling.top_k,
        .seed = o->seed,
        .temperature = (double)o->sampling.temperature,
        .top_p = (double)o->sampling.top_p,
        .min_p = (double)o->sampling.min_p,
        .repeat_penalty = (double)o->sampling.repeat_penalty,
        .repeat_last = o->sampling.repeat_last,
        .without_thinking = o->chat && o->without_thinking,
    };
}

// Generates one answer or story.
static dt_status generate(struct remote_run *r, struct dt_remote_request *request,
                          struct dt_error *err)
{
    struct dt_run *run = r->run;
    run->stops = run->options->stops;
    run->stopped = false;
    run->thoughts = (struct dt_thoughts){.rows = request->chat ? DT_THOUGHT_ANY : 0};
    dt_string_buffer_free(&run->answer);
    r->inside = false;
    dt_status status = dt_remote_generate(r->remote, request, on_text, r, &r->figures, err);
    run->ended = r->figures.end == DT_REMOTE_END_LENGTH ? "length" : "end";
    if (run->stopped || run->sink.failure) {
        run->ended = "stop-text";
        status = run->stopped ? DT_OK : DT_FAILED;
    } else if (status != DT_OK) {
        run->ended = status == DT_CANCELLED      ? "interrupted"
                     : status == DT_CONTEXT_FULL ? "context"
                                                 : "error";
    }
    r->tokens += r->figures.tokens;
    r->seconds += r->figures.seconds;
    run->prompt_tokens += r->figures.prompt_tokens;
    bool nothing = status != DT_OK && !run->first;
    bool written = nothing || (write_prompt(r) && dt_run_finish_text(run));
    if (!written && status == DT_OK)
        status = dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
    return status;
}

static dt_status story(struct remote_run *r, const char *text, size_t n, struct dt_error *err)
{
    const struct dt_run_options *o = r->run->options;
    struct dt_remote_request request = request_of(o);
    const struct dt_remote_message message = {"user", text, n};
    uint32_t prompt = 0;
    request.messages = &message;
    request.message_count = 1;
    if (o->steps) { // the prompt's tokens count, but for BOS, as in llama2.c
        dt_status status = dt_remote_count(r->remote, &request, &prompt, NULL);
        if (status == DT_CANCELLED)
            return dt_error_set(err, DT_CANCELLED, NULL, "interrupted");
        prompt -= prompt > 0;
        request.max_tokens = o->steps > prompt ? o->steps - prompt : 1;
    }
    r->prompt = n ? text : NULL;
    r->prompt_length = n;
    return generate(r, &request, err);
}

// Appends a message; takes `text` over.
static dt_status add_message(struct remote_run *r, const char *role, char *text,
                             struct dt_error *err)
{
    if (!text || !dt_array_grow(&r->messages, &r->capacity, r->count + 1, sizeof *r->messages)) {
        free(text);
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for another message");
    }
    r->messages[r->count++] = (struct dt_remote_message){role, text, strlen(text)};
    return DT_OK;
}

static dt_status chat(struct remote_run *r, const char *first, struct dt_error *err)
{
    struct dt_run *run = r->run;
    const struct dt_run_options *o = run->options;
    struct dt_remote_request request = request_of(o);
    dt_status status = DT_OK;
    if (o->system)
        status = add_message(r, "system", strdup(o->system), err);
    for (bool opening = true; status == DT_OK; opening = false) {
        char *user = NULL;
        status = dt_run_next_message(opening ? first : NULL, &user, err);
        if (status != DT_OK || !user)
            break;
        status = add_message(r, "user", user, err);
        request.messages = r->messages;
        request.message_count = (uint32_t)r->count;
        request.max_tokens = o->steps;
        if (status == DT_OK)
            status = generate(r, &request, err);
        if (status != DT_OK)
            break;
        dt_string_buffer_append(&run->answer, "", 0);
        size_t at = dt_thoughts_answer(DT_THOUGHT_ANY, run->answer.text ? run->answer.text : "",
                                       run->answer.length, NULL);
        status =
            add_message(r, "assistant", strdup(run->answer.text ? run->answer.text + at : ""), err);
        run->turns++;
    }
    return status;
}

static void report(struct remote_run *r)
{
    struct dt_run *run = r->run;
    const struct dt_run_options *o = run->options;
    const struct dt_remote_facts *facts = dt_remote_facts(r->remote);
    // by the server's clock, else from the first to the last piece
    double seconds = r->seconds > 0 ? r->seconds : (double)(r->last - run->first) / 1e9;
    uint32_t timed = r->seconds > 0 || !r->tokens ? r->tokens : r->tokens - 1;
    double speed = run->first && seconds > 0 ? timed / seconds : 0;
    double first_ms = run->first > run->begun ? (double)(run->first - run->begun) / 1e6 : 0;
    if (o->json) {
        struct dt_json *j = &run->json;
        dt_json_object(j);
        dt_json_put_bool(j, "done", true);
        dt_json_put_text(j, "stop", run->ended);
        dt_json_put_uint(j, "tokens", r->tokens);
        dt_json_put_bool(j, "tokens_are_pieces", r->figures.counted);
        dt_json_put_uint(j, "thought_tokens", run->thought_tokens);
        dt_json_put_uint(j, "prompt_tokens", run->prompt_tokens);
        dt_json_put_number(j, "tok_s", speed);
        dt_json_put_number(j, "first_token_ms", first_ms);
        dt_json_put_uint(j, "seed", o->seed);
        dt_json_put_text(j, "model", facts->model);
        dt_json_put_text(j, "backend", dt_remote_address(r->remote));
        dt_json_put_uint(j, "context", facts->context);
        dt_verb_voice_json(&o->voice, j);
        dt_json_end(j);
        fflush(stdout);
    }
    if (o->quiet)
        return;
    dt_print(stderr, "achieved tok/s: %f%s\n", speed,
             r->seconds > 0 ? " (by the server's clock)" : "");
    dt_print(stderr, "%u %s%s after a prompt of %u, the first after %.1f ms; %s on %s; seed %llu\n",
             r->tokens, r->figures.counted ? "piece" : "token", r->tokens == 1 ? "" : "s",
             run->prompt_tokens, first_ms, facts->model, dt_remote_address(r->remote),
             (unsigned long long)o->seed);
    dt_verb_voice_report(&o->voice, stderr);
}

static void print_notice(void *arg, const char *line)
{
    (void)arg;
    dt_print(stderr, "duotale: %s\n", line);
}

static dt_status check_options(const struct dt_run_options *o, struct dt_error *err)
{
    const char *wrong = o->ids             ? "--ids"
                        : o->special       ? "--special"
                        : o->voice.listen  ? "--listen"
                        : o->sequences > 1 ? "--sequences"
                                           : NULL;
    return wrong ? dt_error_set(err, DT_USAGE, o->model.path,
                                "%s needs a local model, not one on a server", wrong)
                 : DT_OK;
}

dt_status dt_run_remote(struct dt_run *run, const atomic_int *stop, const char *text, size_t n,
                        struct dt_error *err)
{
    struct dt_run_options *o = run->options;
    struct remote_run r = {.run = run};
    const struct dt_remote_options options = {
        .address = o->model.path,
        .silence_seconds = o->remote_timeout,
        .stop = stop,
        .notice = print_notice,
    };
    dt_status status = check_options(o, err);
    if (status == DT_OK)
        status = dt_remote_open(&r.remote, &options, err);
    if (status != DT_OK)
        return status;
    const struct dt_remote_facts *facts = dt_remote_facts(r.remote);
    if (!o->quiet)
        dt_print(stderr, "%s: %s; context %u; seed %llu\n", dt_remote_address(r.remote),
                 facts->model, facts->context, (unsigned long long)o->seed);
    status = dt_verb_voice_open(&o->voice, err);
    if (status == DT_OK) {
        if (o->voice.speech)
            dt_speech_begin(o->voice.speech);
        run->begun = dt_clock_ns();
        status = o->chat ? chat(&r, text, err) : story(&r, text ? text : "", n, err);
        if (!dt_verb_voice_finish(&o->voice, run->engine) && status == DT_OK)
            status = dt_error_set(err, DT_FAILED, o->voice.wav_path,
                                  "the sound of the story is incomplete");
        report(&r);
    }
    for (size_t i = 0; i < r.count; i++)
        free((char *)r.messages[i].text);
    free(r.messages);
    dt_string_buffer_free(&run->answer);
    dt_remote_close(r.remote);
    return status;
}
