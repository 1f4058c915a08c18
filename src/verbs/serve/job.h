// SPDX-License-Identifier: MIT
// A request while it is answered. Two threads share it: that of HTTP begins and ends it and takes
// the answer away; the main thread, which owns the engine, writes the answer.
#ifndef DT_VERBS_SERVE_JOB_H
#define DT_VERBS_SERVE_JOB_H

#include <pthread.h>
#include <stdio.h>

#include "abi/serve.h"
#include "base/text.h"
#include "base/typed_text.h"
#include "core/sampling/sampling.h"
#include "core/text/jinja/jinja.h"
#include "core/text/thoughts.h"
#include "host/json.h"
#include "host/string_buffer.h"

#define DT_SERVE_TEXTS_MAX 8u // `n` of a request

enum dt_serve_kind {
    DT_SERVE_COMPLETION,
    DT_SERVE_CHAT,
    DT_SERVE_LLAMA, // /completion of llama-server
    DT_SERVE_TOKENIZE,
};

enum dt_serve_state {
    DT_SERVE_WAITING, // for a session
    DT_SERVE_PREFILL, // the prompt is being evaluated
    DT_SERVE_DECODE,
    DT_SERVE_FINISHED,
};

// One of the `n` texts of a request.
struct dt_serve_text {
    struct dt_serve_job *job;
    uint32_t index;   // of the request's texts
    uint32_t session; // of the engine, in states PREFILL and DECODE
    enum dt_serve_state state;
    uint32_t next;      // DECODE: the token to evaluate
    uint32_t previous;  // the last token, which decoding a piece depends on
    uint32_t generated; // tokens
    const char *reason; // why it is finished: "stop" or "length"
    const char *by;     // the same as llama-server says it: "eos", "word" or "limit"
    uint32_t reused;    // tokens of the prompt that were in the session
    uint64_t clock_ns;  // when the prompt began, or the first token came
    uint64_t prompt_ns, decode_ns;
    struct dt_text_filter filter;
    struct dt_stop_text stops;
    struct dt_thoughts thoughts;
    struct dt_string_buffer answer, thought; // unless the answer is streamed
};

struct dt_serve_job {
    // the request
    enum dt_serve_kind kind;
    bool stream, usage; // as server-sent events; with a last one that has the usage
    bool without_thinking;
    bool special, bos; // TOKENIZE: control tokens in the text become tokens; BOS first
    struct dt_sampling sampling;
    uint64_t seed;
    uint32_t count; // of texts
    uint32_t most;  // tokens to generate, of each text
    struct dt_stop_text stops;
    char *memory; // of all texts of the request
    const char *prompt;
    size_t prompt_length;
    struct dt_jinja_message *messages;
    size_t message_count;
    // of the main thread
    struct dt_serve_job *next;
    uint64_t id, created; // created: seconds since 1970
    const char *model;
    uint32_t *tokens; // of the prompt
    uint32_t token_count;
    struct dt_serve_text texts[DT_SERVE_TEXTS_MAX];
    struct dt_json json;
    FILE *file; // of json, into `fresh`
    struct dt_string_buffer fresh;
    // shared, under the lock
    pthread_mutex_t *lock;
    struct dt_string_buffer out;
    size_t taken; // bytes of out
    uint32_t status, retry_after;
    const char *allow;
    const char *type;
    bool begun;     // the head may be sent
    bool answering; // it was
    bool complete;  // nothing more comes
    bool gone;      // the client has left, or has the answer
    uint32_t users; // threads that refer to it
};

// Makes a job that only the calling thread uses. NULL: memory is short.
struct dt_serve_job *dt_serve_job_new(pthread_mutex_t *lock);

// Drops one user, and frees the job after the last.
void dt_serve_job_drop(struct dt_serve_job *job);

// Whether the client has left.
bool dt_serve_job_gone(struct dt_serve_job *job);

// Makes what was written to job->json part of the answer. begun: its head may be sent.
void dt_serve_job_flush(struct dt_serve_job *job, bool begun);

// Ends the answer. status: unless the head was sent.
void dt_serve_job_complete(struct dt_serve_job *job, uint32_t status);

// Ends the answer with an error, as OpenAI's service has it. param: the member of the request that
// is wrong, or NULL; code: NULL or a word for programs.
void dt_serve_job_fail(struct dt_serve_job *job, uint32_t status, const char *param,
                       const char *code, const char *message);
// The same for an error of the engine.
void dt_serve_job_fail_with(struct dt_serve_job *job, const struct dt_error *err);

#endif
