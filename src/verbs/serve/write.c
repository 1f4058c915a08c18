// SPDX-License-Identifier: MIT
// The JSON of answers: OpenAI's, and llama-server's for /completion.
#include <inttypes.h>
#include <string.h>

#include "base/format.h"
#include "verbs/serve/serve.h"

static void begin_event(struct dt_serve_job *job)
{
    if (job->stream)
        fputs("data: ", job->file);
}

// The object's newline is there already; an empty line ends an event.
static void end_event(struct dt_serve_job *job)
{
    dt_json_end(&job->json);
    if (job->stream)
        fputc('\n', job->file);
}

// Begins an object with what all objects of OpenAI's have.
static void begin_object(struct dt_serve_job *job)
{
    struct dt_json *j = &job->json;
    bool chat = job->kind == DT_SERVE_CHAT;
    char id[40];
    dt_format(id, sizeof id, "%s-%016llx", chat ? "chatcmpl" : "cmpl", (unsigned long long)job->id);
    begin_event(job);
    dt_json_object(j);
    dt_json_put_text(j, "id", id);
    dt_json_put_text(j, "object",
                     !chat         ? "text_completion"
                     : job->stream ? "chat.completion.chunk"
                                   : "chat.completion");
    dt_json_put_uint(j, "created", job->created);
    dt_json_put_text(j, "model", job->model);
}

static uint32_t generated(const struct dt_serve_job *job)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < job->count; i++)
        sum += job->texts[i].generated;
    return sum;
}

static void put_usage(struct dt_serve_job *job)
{
    struct dt_json *j = &job->json;
    uint32_t tokens = generated(job);
    dt_json_name(j, "usage");
    dt_json_object(j);
    dt_json_put_uint(j, "prompt_tokens", job->token_count);
    dt_json_put_uint(j, "completion_tokens", tokens);
    dt_json_put_uint(j, "total_tokens", job->token_count + tokens);
    dt_json_name(j, "prompt_tokens_details");
    dt_json_object(j);
    dt_json_put_uint(j, "cached_tokens", job->texts[0].reused);
    dt_json_end(j);
    dt_json_end(j);
}

// As llama-server measures them, of one text.
static void put_timings(const struct dt_serve_text *t)
{
    struct dt_json *j = &t->job->json;
    double prompt = (double)t->prompt_ns / 1e6, decode = (double)t->decode_ns / 1e6;
    uint32_t evaluated = t->job->token_count - t->reused;
    dt_json_name(j, "timings");
    dt_json_object(j);
    dt_json_put_uint(j, "cache_n", t->reused);
    dt_json_put_uint(j, "prompt_n", evaluated);
    dt_json_put_number(j, "prompt_ms", prompt);
    dt_json_put_number(j, "prompt_per_second", prompt > 0 ? evaluated * 1000.0 / prompt : 0);
    dt_json_put_uint(j, "predicted_n", t->generated);
    dt_json_put_number(j, "predicted_ms", decode);
    dt_json_put_number(j, "predicted_per_second", decode > 0 ? t->generated * 1000.0 / decode : 0);
    dt_json_end(j);
}

// ---- choices ----

static void put_content(struct dt_json *j, const char *name, const char *text, size_t n)
{
    dt_json_name(j, name);
    dt_json_text_n(j, text ? text : "", n);
}

static void put_choice(struct dt_serve_text *text, const char *answer, size_t n,
                       const char *thought, size_t thought_n, bool role)
{
    struct dt_serve_job *job = text->job;
    struct dt_json *j = &job->json;
    dt_json_object(j);
    dt_json_put_uint(j, "index", text->index);
    if (job->kind == DT_SERVE_CHAT) {
        dt_json_name(j, job->stream ? "delta" : "message");
        dt_json_object(j);
        if (role)
            dt_json_put_text(j, "role", "assistant");
        if (thought_n)
            put_content(j, "reasoning_content", thought, thought_n);
        if (n || role)
            put_content(j, "content", answer, n);
        dt_json_end(j);
    } else {
        put_content(j, "text", answer, n);
    }
    dt_json_put_text(j, "logprobs", NULL);
    dt_json_put_text(j, "finish_reason", text->state == DT_SERVE_FINISHED ? text->reason : NULL);
    dt_json_end(j);
}

static void begin_choices(struct dt_serve_job *job)
{
    begin_object(job);
    dt_json_name(&job->json, "choices");
    dt_json_array(&job->json);
}

static void write_chunk(struct dt_serve_text *text, const char *answer, size_t n,
                        const char *thought, size_t thought_n, bool role)
{
    begin_choices(text->job);
    put_choice(text, answer, n, thought, thought_n, role);
    dt_json_end(&text->job->json);
    end_event(text->job);
}

// ---- llama-server's ----

static void write_llama(struct dt_serve_text *text, const char *content, size_t n)
{
    struct dt_serve_job *job = text->job;
    struct dt_json *j = &job->json;
    bool stop = text->state == DT_SERVE_FINISHED;
    begin_event(job);
    dt_json_object(j);
    dt_json_put_uint(j, "index", 0);
    put_content(j, "content", content, n);
    dt_json_put_bool(j, "stop", stop);
    dt_json_put_uint(j, "tokens_predicted", text->generated);
    dt_json_put_uint(j, "tokens_evaluated", job->token_count);
    if (stop) {
        dt_json_put_text(j, "model", job->model);
        dt_json_put_uint(j, "tokens_cached", text->reused);
        dt_json_put_bool(j, "truncated", false);
        dt_json_put_text(j, "stop_type", text->by);
        dt_json_put_text(j, "stopping_word", "");
        put_timings(text);
    }
    end_event(job);
}

// ---- the parts of an answer ----

void dt_serve_write_begin(struct dt_serve_job *job)
{
    for (uint32_t i = 0; i < job->count && job->kind == DT_SERVE_CHAT && job->stream; i++)
        write_chunk(&job->texts[i], "", 0, NULL, 0, true);
}

void dt_serve_write_piece(struct dt_serve_text *text, const char *answer, size_t n,
                          const char *thought, size_t thought_n)
{
    struct dt_serve_job *job = text->job;
    enum dt_serve_state state = text->state;
    if (!job->stream) {
        dt_string_buffer_append(&text->answer, answer, n);
        dt_string_buffer_append(&text->thought, thought, thought_n);
        return;
    }
    text->state = DT_SERVE_DECODE; // the reason comes later
    if (job->kind == DT_SERVE_LLAMA)
        write_llama(text, answer, n);
    else
        write_chunk(text, answer, n, thought, thought_n, false);
    text->state = state;
}

void dt_serve_write_finish(struct dt_serve_text *text)
{
    struct dt_serve_job *job = text->job;
    if (job->kind == DT_SERVE_LLAMA) {
        write_llama(text, "", 0);
        return;
    }
    begin_choices(job);
    put_choice(text, "", 0, NULL, 0, false);
    dt_json_end(&job->json);
    put_timings(text);
    end_event(job);
}

// The last events of a stream.
static void end_stream(struct dt_serve_job *job)
{
    if (job->kind == DT_SERVE_LLAMA)
        return;
    if (job->usage) {
        begin_choices(job);
        dt_json_end(&job->json);
        put_usage(job);
        end_event(job);
    }
    fputs("data: [DONE]\n\n", job->file);
}

void dt_serve_write_end(struct dt_serve_job *job)
{
    if (job->stream) {
        end_stream(job);
        return;
    }
    for (uint32_t i = 0; i < job->count; i++) {
        if (job->texts[i].answer.failed || job->texts[i].thought.failed) {
            dt_serve_job_fail(job, 503, NULL, NULL, "not enough memory for the answer");
            return;
        }
    }
    if (job->kind == DT_SERVE_LLAMA) {
        write_llama(&job->texts[0], job->texts[0].answer.text, job->texts[0].answer.length);
        return;
    }
    begin_choices(job);
    for (uint32_t i = 0; i < job->count; i++) {
        struct dt_serve_text *t = &job->texts[i];
        put_choice(t, t->answer.text, t->answer.length, t->thought.text, t->thought.length, true);
    }
    dt_json_end(&job->json);
    put_usage(job);
    put_timings(&job->texts[0]);
    end_event(job);
}

void dt_serve_write_tokens(struct dt_serve_job *job)
{
    struct dt_json *j = &job->json;
    dt_json_object(j);
    dt_json_name(j, "tokens");
    dt_json_array(j);
    for (uint32_t i = 0; i < job->token_count; i++)
        dt_json_uint(j, job->tokens[i]);
    dt_json_end(j);
    dt_json_end(j);
}
