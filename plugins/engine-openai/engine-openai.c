// SPDX-License-Identifier: MIT
// An engine that is a server with OpenAI's protocol, such as llama-server, vLLM, Ollama or `duotale
// serve`: stories by /v1/completions, chats by /v1/chat/completions, both streamed.
#include <stdio.h>
#include <string.h>

#include "server.h"

#define LINE_BYTES   (1u << 20) // of one line of a stream, or of a response that is not streamed
#define WAIT_SECONDS 10         // that a busy server may ask for

// A response on its way to text.
struct stream {
    struct server *server;
    struct text line, piece;
    int whole; // not a stream of events: one JSON text
    int any;   // an event has come
    int done;  // [DONE], or a reason to finish
    int failed;
    dt_remote_on_text *on_text;
    void *arg;
    uint32_t pieces;
    struct dt_remote_figures *figures;
    char *reason;
    size_t reason_size;
};

// ---- events ----

static double number_of(struct stream *s, struct dt_remote_json in, const char *path)
{
    const struct dt_remote_host *host = s->server->host;
    double number = 0;
    struct dt_remote_json value = host->json_find(host->host, in, path);
    if (!value.n || !host->json_number(host->host, value, &number) || !(number > 0 && number < 1e9))
        return 0;
    return number;
}

// Passes the string at a path on. 0: stop.
static int pass(struct stream *s, struct dt_remote_json in, const char *path, int thought)
{
    const struct dt_remote_host *host = s->server->host;
    struct dt_remote_json value = host->json_find(host->host, in, path);
    if (value.n <= 2)
        return 1;
    s->piece.length = 0;
    if (!text_reserve(&s->piece, value.n)) {
        snprintf(s->reason, s->reason_size, "not enough memory for the server's text");
        s->failed = 1;
        return 0;
    }
    size_t n = host->json_text(host->host, value, s->piece.bytes);
    if (!n)
        return 1;
    s->pieces++;
    return s->on_text(s->arg, s->piece.bytes, n, thought);
}

static void read_figures(struct stream *s, struct dt_remote_json root)
{
    struct dt_remote_figures *f = s->figures;
    uint32_t prompt = (uint32_t)number_of(s, root, "usage.prompt_tokens"),
             tokens = (uint32_t)number_of(s, root, "usage.completion_tokens");
    if (!tokens)
        tokens = (uint32_t)number_of(s, root, "timings.predicted_n");
    uint32_t evaluated = (uint32_t)number_of(s, root, "timings.prompt_n");
    if (prompt)
        f->prompt_tokens = prompt;
    if (evaluated)
        f->evaluated = evaluated;
    if (tokens) {
        f->tokens = tokens;
        f->counted = 0;
    }
    double seconds = number_of(s, root, "timings.predicted_ms") / 1e3,
           prompt_seconds = number_of(s, root, "timings.prompt_ms") / 1e3;
    if (seconds > 0)
        f->seconds = seconds;
    if (prompt_seconds > 0)
        f->prompt_seconds = prompt_seconds;
}

// 0: the server reports an error.
static int check_error(struct stream *s, struct dt_remote_json root)
{
    const struct dt_remote_host *host = s->server->host;
    struct dt_remote_json error = host->json_find(host->host, root, "error"), text;
    if (!error.n || *error.at == 'n')
        return 1;
    text = host->json_find(host->host, error, "message");
    if (!text.n)
        text = error;
    s->piece.length = 0;
    size_t n = 0;
    if (text_reserve(&s->piece, text.n))
        n = host->json_text(host->host, text, s->piece.bytes);
    snprintf(s->reason, s->reason_size, "the server failed: %.*s", (int)(n < 200 ? n : 200),
             n ? s->piece.bytes : "");
    s->failed = 1;
    return 0;
}

static int on_event(struct stream *s, const char *data, size_t n)
{
    static const char *const texts[] = {"delta.content", "text", "message.content"};
    static const char *const thoughts[] = {"delta.reasoning_content", "delta.reasoning",
                                           "message.reasoning_content"};
    const struct dt_remote_host *host = s->server->host;
    struct dt_remote_json root;
    if (n == 6 && memcmp(data, "[DONE]", 6) == 0) {
        s->done = 1;
        return 1;
    }
    if (!host->json_check(host->host, data, n, &root)) {
        snprintf(s->reason, s->reason_size, "the server sent something that is no JSON: \"%.*s\"",
                 (int)(n < 60 ? n : 60), data);
        s->failed = 1;
        return 0;
    }
    s->any = 1;
    if (!check_error(s, root))
        return 0;
    struct dt_remote_json choice = host->json_find(host->host, root, "choices.0");
    for (int i = 0; i < 3 && choice.n; i++) {
        if (!pass(s, choice, thoughts[i], 1) || !pass(s, choice, texts[i], 0))
            return 0;
    }
    struct dt_remote_json finish = host->json_find(host->host, choice, "finish_reason");
    if (finish.n > 2 && *finish.at == '"') {
        s->done = 1;
        s->figures->end = finish.n == 8 && memcmp(finish.at, "\"length\"", 8) == 0
                              ? DT_REMOTE_END_LENGTH
                              : DT_REMOTE_END_TEXT;
    }
    read_figures(s, root);
    return 1;
}

// A line of the stream, without its end. 0: stop.
static int on_line(struct stream *s, const char *line, size_t n)
{
    if (n > 0 && line[n - 1] == '\r')
        n--;
    if (n < 5 || memcmp(line, "data:", 5) != 0)
        return 1; // a comment, "event:", "id:", or the end of an event
    line += 5;
    n -= 5;
    while (n > 0 && *line == ' ') {
        line++;
        n--;
    }
    return n == 0 || on_event(s, line, n);
}

static int on_bytes(void *arg, const char *bytes, size_t n)
{
    struct stream *s = arg;
    while (n > 0) {
        const char *end = s->whole ? NULL : memchr(bytes, '\n', n);
        size_t part = end ? (size_t)(end - bytes) : n;
        if (s->line.length + part > LINE_BYTES) {
            snprintf(s->reason, s->reason_size,
                     "the server sent a line of more than %u bytes; it is no stream of text",
                     LINE_BYTES);
            s->failed = 1;
            return 0;
        }
        text_add(&s->line, bytes, part);
        if (s->line.failed) {
            snprintf(s->reason, s->reason_size, "not enough memory for the server's text");
            s->failed = 1;
            return 0;
        }
        if (!s->any && s->line.length && *s->line.bytes == '{')
            s->whole = 1;
        if (end && !s->whole) {
            if (!on_line(s, s->line.bytes ? s->line.bytes : "", s->line.length))
                return 0;
            s->line.length = 0;
        } else if (end) {
            text_add(&s->line, "\n", 1);
        }
        bytes += part + (end != NULL);
        n -= part + (end != NULL);
    }
    return 1;
}

// The response is complete: what is left of it.
static int finish(struct stream *s, int result)
{
    if (result == DT_REMOTE_DONE && s->line.length && !s->failed) {
        int go = s->whole ? on_event(s, s->line.bytes, s->line.length)
                          : on_line(s, s->line.bytes, s->line.length);
        if (!go && !s->failed)
            return DT_REMOTE_CANCELLED;
    }
    if (s->failed)
        return s->pieces ? DT_REMOTE_LOST : DT_REMOTE_FAILED;
    if (result == DT_REMOTE_LOST && !s->pieces)
        return DT_REMOTE_FAILED;
    if (result != DT_REMOTE_DONE || s->done)
        return result;
    if (s->any)
        snprintf(s->reason, s->reason_size, "the server closed the connection in mid-text");
    else
        snprintf(s->reason, s->reason_size,
                 "the server sent no text; is it an OpenAI-style server?");
    return s->pieces ? DT_REMOTE_LOST : DT_REMOTE_FAILED;
}

// ---- the table ----

// Waits for a busy server.
static int wait_for(struct server *server, double seconds)
{
    char line[80];
    snprintf(line, sizeof line, "The server is busy and asks to wait %.0f s.", seconds);
    server->host->notice(server->host->host, line);
    for (double waited = 0; waited < seconds; waited += 0.02) {
        if (server->host->cancelled(server->host->host))
            return DT_REMOTE_CANCELLED;
        curl_multi_poll(server->http.multi, NULL, 0, 20, NULL);
    }
    return DT_REMOTE_DONE;
}

// Whether a refused request can be repeated with fewer settings, or later.
static int again(struct server *server, const struct http_response *response, int *waited,
                 int *result)
{
    if (!*waited && (response->status == 429 || response->status == 503) &&
        response->retry_seconds >= 0 && response->retry_seconds <= WAIT_SECONDS) {
        *waited = 1;
        *result = wait_for(server, response->retry_seconds);
        return *result == DT_REMOTE_DONE;
    }
    if ((response->status == 400 || response->status == 422) && !server->plain) {
        server->plain = 1;
        server->host->notice(server->host->host,
                             "The server refuses settings beside temperature, top-p, seed and "
                             "length: top-k, min-p and repeat-penalty have no effect there.");
        return 1;
    }
    if ((response->status == 400 || response->status == 422) && !server->without_options) {
        server->without_options = 1;
        return 1;
    }
    return 0;
}

static int openai_generate(void *ctx, const struct dt_remote_request *request,
                           dt_remote_on_text *on_text, void *arg, struct dt_remote_figures *figures,
                           char *reason, size_t reason_size)
{
    struct server *server = ctx;
    const char *path = request->chat ? "/v1/chat/completions" : "/v1/completions";
    int result, waited = 0, repeat;
    do {
        struct text body = {.host = server->host};
        struct stream s = {.server = server,
                           .line.host = server->host,
                           .piece.host = server->host,
                           .on_text = on_text,
                           .arg = arg,
                           .figures = figures,
                           .reason = reason,
                           .reason_size = reason_size};
        struct http_response response = {.on_bytes = on_bytes, .arg = &s};
        repeat = 0;
        figures->counted = 1;
        server_body(server, request, &body);
        if (body.failed) {
            snprintf(reason, reason_size, "not enough memory for the request");
            result = DT_REMOTE_FAILED;
        } else {
            result = http_request(&server->http, path, body.bytes, body.length, &response, reason,
                                  reason_size);
        }
        if (result == DT_REMOTE_DONE && response.status != 200) {
            result = server_fault(server, &response, path, figures, reason, reason_size);
            repeat = result == DT_REMOTE_FAILED && again(server, &response, &waited, &result);
        } else {
            if (result == DT_REMOTE_LOST && s.done) // all of the text has come
                result = DT_REMOTE_DONE;
            result = finish(&s, result);
        }
        if (figures->counted)
            figures->tokens = s.pieces;
        http_response_free(&response);
        text_free(&s.line);
        text_free(&s.piece);
        text_free(&body);
    } while (repeat);
    return result;
}

static int openai_count(void *ctx, const struct dt_remote_request *request, uint32_t *tokens,
                        char *reason, size_t reason_size)
{
    return server_count(ctx, request, tokens, reason, reason_size);
}

static void openai_models(void *ctx, void (*on_name)(void *arg, const char *name), void *arg)
{
    const struct server *server = ctx;
    for (size_t at = 0; at < server->names.length;) {
        const char *name = server->names.bytes + at;
        on_name(arg, name);
        at += strlen(name) + 1;
    }
}

static void openai_close(void *ctx)
{
    struct server *server = ctx;
    if (!server)
        return;
    const struct dt_remote_host *host = server->host;
    http_close(&server->http);
    text_free(&server->names);
    host->release(host->host, server);
}

static int openai_open(const struct dt_remote_host *host, const struct dt_remote_settings *settings,
                       void **ctx, struct dt_remote_facts *facts, char *reason, size_t reason_size)
{
    char base[1024], wanted[256];
    if (!server_address(settings->url, base, sizeof base, wanted, sizeof wanted, reason,
                        reason_size))
        return DT_REMOTE_FAILED;
    struct server *server = host->allocate(host->host, sizeof *server);
    if (!server) {
        snprintf(reason, reason_size, "not enough memory for a connection");
        return DT_REMOTE_FAILED;
    }
    server->host = host;
    server->names.host = host;
    int result = http_open(&server->http, host, settings, base, reason, reason_size);
    if (result == DT_REMOTE_DONE)
        result = server_look(server, wanted, reason, reason_size);
    if (result != DT_REMOTE_DONE) {
        openai_close(server);
        return result;
    }
    facts->context = server->context;
    snprintf(facts->model, sizeof facts->model, "%s", server->model);
    snprintf(facts->program, sizeof facts->program, "%s", server->llama ? "llama.cpp" : "");
    *ctx = server;
    return DT_REMOTE_DONE;
}

static const char *const schemes[] = {"http", "https", NULL};

static const struct dt_remote_engine engine = {
    .size = sizeof engine,
    .open = openai_open,
    .generate = openai_generate,
    .count = openai_count,
    .models = openai_models,
    .close = openai_close,
};

DT_REMOTE_EXPORT = {
    .abi = DT_REMOTE_ABI,
    .size = sizeof(struct dt_remote_module),
    .name = "openai",
    .description = "a server with OpenAI's protocol: llama-server, vLLM, Ollama, duotale serve",
    .scheme = schemes,
    .engine = &engine,
};
