// SPDX-License-Identifier: MIT
// duotale serve: an engine behind HTTP. serve.c opens model and module; host.c is what the module
// calls, on its thread; request.c reads requests; prompt.c makes their tokens; schedule.c evaluates
// the texts of all requests together; text.c and write.c make the answers.
#ifndef DT_VERBS_SERVE_H
#define DT_VERBS_SERVE_H

#include <stdatomic.h>

#include "host/chat.h"
#include "host/engine.h"
#include "verbs/serve/job.h"

#define DT_SERVE_QUEUE_MAX 64u // requests that wait or are answered

struct dt_serve_figures {
    uint64_t requests, refused, left;              // left: by their clients
    uint64_t prompt_tokens, reused_tokens, tokens; // evaluated, re-used, generated
    uint64_t prompt_ns, decode_ns;                 // of passes with and without prompts
    uint64_t passes, pass_texts;                   // evaluations, and texts in them
    uint32_t waiting, running;                     // texts now
};

struct dt_serve {
    // set before the threads start
    struct dt_engine *engine;
    struct dt_chat chat;
    dt_status chat_status; // whether chats can be answered, and why not
    struct dt_error chat_error;
    char model[128];             // its name for clients
    struct dt_sampling sampling; // of requests that leave it open
    uint64_t seed, first_id;
    uint32_t sessions, capacity; // capacity: positions of each
    size_t body_max;
    struct dt_serve_host host;
    const struct dt_serve_module *module;
    void *server;
    int bell; // an eventfd: something for the main thread
    atomic_int stopping;
    // shared, under the lock
    pthread_mutex_t lock;
    struct dt_serve_job *incoming; // the last first
    uint32_t jobs;                 // that the main thread has, or that are incoming
    struct dt_serve_figures figures;
    // of the main thread
    struct dt_serve_job *active; // accepted, the next to get a session first
    struct dt_serve_text *in_session[DT_SESSIONS_MAX];
    uint64_t used[DT_SESSIONS_MAX], clock; // when each session was last used
};

// Fills serve->host. The functions are those of the thread of HTTP.
void dt_serve_host_init(struct dt_serve *serve);

// Wakes the main thread. Any thread, also signal handlers.
void dt_serve_ring(const struct dt_serve *serve);

// Reads body[0..n) into a job. False: it was failed with what is wrong.
bool dt_serve_read_request(const struct dt_serve *serve, struct dt_serve_job *job, const char *body,
                           size_t n);

// Makes job->tokens. Main thread. Errors are those of the request.
dt_status dt_serve_make_prompt(struct dt_serve *serve, struct dt_serve_job *job,
                               struct dt_error *err);

// Answers requests until serve->stopping. Main thread.
void dt_serve_schedule(struct dt_serve *serve);

// ---- the module ----

struct dt_serve_place {
    struct dt_serve_options options;
    char address[64], token[264]; // of options
    bool open;                    // no token is required
    const char *token_file;
};

// Loads the module and opens the port. DT_UNSUPPORTED: there is no module. DT_USAGE: the token is
// wrong. DT_FAILED: the port is in use, or the address is none of this machine.
dt_status dt_serve_listen(struct dt_serve *serve, struct dt_serve_place *place,
                          struct dt_error *err);

// Writes the addresses of the page to stdout, one a line.
void dt_serve_print_addresses(const struct dt_serve *serve, const struct dt_serve_place *place);

// ---- text of a sequence ----

// Samples a token from the session's logits and adds it to the answer. The text is finished, or
// text->next is to be evaluated.
void dt_serve_take_token(struct dt_serve *serve, struct dt_serve_text *text);

// ---- answers ----

// The beginning of a streamed answer, and of each of its texts.
void dt_serve_write_begin(struct dt_serve_job *job);
// A piece of an answer and of its thoughts.
void dt_serve_write_piece(struct dt_serve_text *text, const char *answer, size_t n,
                          const char *thought, size_t thought_n);
// The end of one text of a streamed answer.
void dt_serve_write_finish(struct dt_serve_text *text);
// The end of an answer, after all texts; or all of it.
void dt_serve_write_end(struct dt_serve_job *job);
// The tokens of a TOKENIZE.
void dt_serve_write_tokens(struct dt_serve_job *job);

#endif
