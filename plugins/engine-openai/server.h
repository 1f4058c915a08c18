// SPDX-License-Identifier: MIT
// A server that speaks OpenAI's protocol: what is known of it, its errors, the bodies of requests.
#ifndef DT_OPENAI_SERVER_H
#define DT_OPENAI_SERVER_H

#include "http.h"
#include "text.h"

struct server {
    const struct dt_remote_host *host;
    struct http http;
    char model[256];
    struct text names;   // of its models, each with a NUL
    int llama;           // llama-server, or another with its /props and /tokenize
    int plain;           // it refuses settings beside the standard ones
    int without_count;   // it cannot count tokens
    uint32_t context;    // in tokens; 0: unknown
    int without_options; // it refuses stream_options
};

// Reads the address "http://HOST/PATH#MODEL": base is HOST/PATH without /v1, model is MODEL or "".
// 0, with a reason: it cannot be used.
int server_address(const char *url, char *base, size_t base_size, char *model, size_t model_size,
                   char *reason, size_t reason_size);

// Asks which models there are, chooses one, and finds the length of the context. wanted: "" or a
// name.
int server_look(struct server *server, const char *wanted, char *reason, size_t reason_size);

// Explains a response with a status that is not 200. Returns DT_REMOTE_FULL, with figures, if the
// prompt was too long; else DT_REMOTE_FAILED.
int server_fault(struct server *server, const struct http_response *response, const char *path,
                 struct dt_remote_figures *figures, char *reason, size_t reason_size);

// Writes the body of a request to generate.
void server_body(struct server *server, const struct dt_remote_request *request, struct text *out);

// Counts the tokens of a request's prompt.
int server_count(struct server *server, const struct dt_remote_request *request, uint32_t *tokens,
                 char *reason, size_t reason_size);

#endif
