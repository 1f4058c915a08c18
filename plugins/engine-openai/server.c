// SPDX-License-Identifier: MIT
#include "server.h"

#include <stdio.h>
#include <string.h>

#define WHOLE_BYTES (16u << 20) // of a response that is read whole

int server_address(const char *url, char *base, size_t base_size, char *model, size_t model_size,
                   char *reason, size_t reason_size)
{
    size_t n = strcspn(url, "#");
    const char *authority = strstr(url, "://");
    authority = authority ? authority + 3 : url;
    size_t authority_length = strcspn(authority, "/#?");
    snprintf(model, model_size, "%s", url[n] ? url + n + 1 : "");
    if (authority_length == 0 || n >= base_size || memchr(url, '?', n)) {
        snprintf(reason, reason_size, "not the address of a server: http://HOST:PORT is one");
        return 0;
    }
    if (memchr(authority, '@', authority_length)) {
        snprintf(reason, reason_size,
                 "a name or key cannot be part of the address, which is shown and saved; "
                 "set DUOTALE_API_KEY");
        return 0;
    }
    memcpy(base, url, n);
    while (n > 0 && base[n - 1] == '/')
        n--;
    if (n > 3 && memcmp(base + n - 3, "/v1", 3) == 0)
        n -= 3;
    base[n] = '\0';
    return 1;
}

// ---- whole responses ----

static int on_whole(void *arg, const char *bytes, size_t n)
{
    struct text *text = arg;
    if (text->length + n > WHOLE_BYTES)
        text->failed = 1;
    else
        text_add(text, bytes, n);
    return !text->failed;
}

// Requests a whole small JSON text; the caller releases *out. path as http_request. quiet: a status
// other than 200 is DT_REMOTE_UNKNOWN, without a reason.
static int ask(struct server *server, const char *path, const struct text *body, int quiet,
               struct text *out, struct dt_remote_json *root, char *reason, size_t reason_size)
{
    const struct dt_remote_host *host = server->host;
    struct http_response response = {.on_bytes = on_whole, .arg = out};
    int result = http_request(&server->http, path, body ? body->bytes : NULL,
                              body ? body->length : 0, &response, reason, reason_size);
    if (out->failed) {
        snprintf(reason, reason_size, "the server's answer to %s is longer than %u MB", path,
                 WHOLE_BYTES >> 20);
        result = DT_REMOTE_FAILED;
    } else if (result == DT_REMOTE_LOST) {
        result = DT_REMOTE_FAILED;
    } else if (result == DT_REMOTE_DONE && response.status != 200) {
        struct dt_remote_figures none = {0};
        result = quiet ? DT_REMOTE_UNKNOWN
                       : server_fault(server, &response, path, &none, reason, reason_size);
    } else if (result == DT_REMOTE_DONE &&
               !host->json_check(host->host, out->bytes ? out->bytes : "", out->length, root)) {
        snprintf(reason, reason_size, "the server's answer to %s is no JSON: \"%.60s\"", path,
                 out->bytes ? out->bytes : "");
        result = quiet ? DT_REMOTE_UNKNOWN : DT_REMOTE_FAILED;
    }
    http_response_free(&response);
    return result;
}

// ---- what is there ----

static uint32_t number_at(struct server *server, struct dt_remote_json in, const char *path)
{
    double number;
    struct dt_remote_json value = server->host->json_find(server->host->host, in, path);
    if (!value.n || !server->host->json_number(server->host->host, value, &number) ||
        !(number >= 1 && number <= 1e9))
        return 0;
    return (uint32_t)number;
}

// Copies a string, cut to size. Returns its whole length; 0: none.
static size_t text_at(struct server *server, struct dt_remote_json in, const char *path, char *out,
                      size_t size)
{
    const struct dt_remote_host *host = server->host;
    struct dt_remote_json value = host->json_find(host->host, in, path);
    struct text copy = {.host = host};
    out[0] = '\0';
    size_t n = 0;
    if (value.n && text_reserve(&copy, value.n)) {
        n = host->json_text(host->host, value, copy.bytes);
        size_t part = n < size - 1 ? n : size - 1;
        memcpy(out, copy.bytes, part);
        out[part] = '\0';
    }
    text_free(&copy);
    return n;
}

// Adds the models of the list; finds the wanted one, else the first. 0: it is not there.
static int choose(struct server *server, struct dt_remote_json root, const char *wanted)
{
    const struct dt_remote_host *host = server->host;
    size_t count = host->json_count(host->host, host->json_find(host->host, root, "data"));
    int found = 0;
    for (size_t i = 0; i < count && i < 1000; i++) {
        char path[40], name[256];
        snprintf(path, sizeof path, "data.%zu", i);
        struct dt_remote_json item = host->json_find(host->host, root, path);
        size_t n = text_at(server, item, "id", name, sizeof name);
        if (n == 0 || n >= sizeof name || strlen(name) != n)
            continue;
        text_add(&server->names, name, n + 1);
        if (found || (*wanted && strcmp(name, wanted) != 0))
            continue;
        found = 1;
        snprintf(server->model, sizeof server->model, "%s", name);
        server->context = number_at(server, item, "max_model_len");
        if (!server->context)
            server->context = number_at(server, item, "meta.n_ctx");
        if (!server->context)
            server->context = number_at(server, item, "context_length");
    }
    return found;
}

// The names, for a message.
static void list_names(const struct server *server, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t at = 0; at < server->names.length && used < size - 1;) {
        const char *name = server->names.bytes + at;
        int n = snprintf(out + used, size - used, "%s%s", used ? ", " : "", name);
        used += n > 0 ? (size_t)n : 0;
        at += strlen(name) + 1;
    }
}

int server_look(struct server *server, const char *wanted, char *reason, size_t reason_size)
{
    struct text answer = {.host = server->host};
    struct dt_remote_json root = {0};
    char list[300];
    int result = ask(server, "/v1/models", NULL, 0, &answer, &root, reason, reason_size);
    int found = result == DT_REMOTE_DONE && choose(server, root, wanted);
    text_free(&answer);
    if (result != DT_REMOTE_DONE)
        return result;
    if (!found) {
        list_names(server, list, sizeof list);
        if (*wanted)
            snprintf(reason, reason_size, "the server has no model \"%.100s\"; it has: %s", wanted,
                     *list ? list : "none");
        else
            snprintf(reason, reason_size, "the server has no model, or is no OpenAI-style server");
        return DT_REMOTE_FAILED;
    }
    result = ask(server, "/props", NULL, 1, &answer, &root, reason, reason_size);
    if (result == DT_REMOTE_DONE) {
        uint32_t context = number_at(server, root, "default_generation_settings.n_ctx");
        server->llama = context > 0;
        if (context)
            server->context = context;
    }
    text_free(&answer);
    return result == DT_REMOTE_CANCELLED ? result : DT_REMOTE_DONE;
}

// ---- errors ----

static int contains(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

// What the server says about it: error.message, error, message or detail; else the bytes.
static void message_of(struct server *server, const struct http_response *r, char *out, size_t size,
                       struct dt_remote_json *root)
{
    static const char *const paths[] = {"error.message", "error", "message", "detail"};
    out[0] = '\0';
    if (!r->error)
        return;
    if (!server->host->json_check(server->host->host, r->error, r->error_length, root)) {
        root->n = 0;
        int n = (int)(r->error_length < 120 ? r->error_length : 120);
        snprintf(out, size, "%.*s", n, r->error);
        return;
    }
    for (size_t i = 0; i < 4 && !*out; i++)
        text_at(server, *root, paths[i], out, size);
}

int server_fault(struct server *server, const struct http_response *r, const char *path,
                 struct dt_remote_figures *figures, char *reason, size_t reason_size)
{
    char message[200], type[64] = "", code[64] = "", wait[64] = "", *to = NULL;
    struct dt_remote_json root = {0};
    message_of(server, r, message, sizeof message, &root);
    if (root.n) {
        text_at(server, root, "error.type", type, sizeof type);
        text_at(server, root, "error.code", code, sizeof code);
    }
    if (r->status == 400 &&
        (contains(type, "exceed_context_size") || contains(code, "context_length_exceeded") ||
         contains(message, "maximum context length"))) {
        figures->prompt_tokens = number_at(server, root, "error.n_prompt_tokens");
        figures->context = number_at(server, root, "error.n_ctx");
        snprintf(reason, reason_size, "%s", message);
        return DT_REMOTE_FULL;
    }
    if (r->retry_seconds >= 0)
        snprintf(wait, sizeof wait, "; it asks to wait %.0f s", r->retry_seconds);
    const char *colon = *message ? ": " : "";
    if (r->status == 401 || r->status == 403)
        snprintf(reason, reason_size,
                 "the server wants a key (%ld%s%s): set DUOTALE_API_KEY, or write it to the file "
                 "api-keys",
                 r->status, colon, message);
    else if (r->status == 404)
        snprintf(reason, reason_size, "the server has no %s (404%s%s)", path, colon, message);
    else if (r->status == 429 || r->status == 503)
        snprintf(reason, reason_size, "the server is busy (%ld%s%s)%s; /retry tries again",
                 r->status, colon, message, wait);
    else if (r->status >= 300 && r->status < 400 &&
             curl_easy_getinfo(server->http.easy, CURLINFO_REDIRECT_URL, &to) == CURLE_OK)
        snprintf(reason, reason_size,
                 "the server refers to %.100s (%ld), which is not followed; give that address if "
                 "you trust it",
                 to ? to : "nowhere", r->status);
    else
        snprintf(reason, reason_size, "the server failed (%ld%s%s)", r->status, colon, message);
    return DT_REMOTE_FAILED;
}

// ---- requests ----

static void add_messages(const struct dt_remote_request *request, struct text *out)
{
    text_format(out, "\"messages\":[");
    for (uint32_t i = 0; i < request->message_count; i++) {
        const struct dt_remote_message *m = &request->messages[i];
        text_format(out, "%s{\"role\":\"%s\",\"content\":", i ? "," : "", m->role);
        text_quote(out, m->text, m->length);
        text_add(out, "}", 1);
    }
    text_add(out, "]", 1);
}

static void add_model(const struct server *server, struct text *out)
{
    text_add(out, "{\"model\":", 9);
    text_quote(out, server->model, strlen(server->model));
    text_add(out, ",", 1);
}

// Settings that not every server knows. Those that change nothing are left out where the server's
// own defaults change nothing either.
static void add_more(const struct server *server, const struct dt_remote_request *r,
                     struct text *out)
{
    if (server->llama || r->top_k)
        text_format(out, ",\"top_k\":%u", r->top_k);
    if (server->llama || r->min_p > 0)
        text_format(out, ",\"min_p\":%.7g", r->min_p);
    if (server->llama)
        text_format(out, ",\"repeat_penalty\":%.7g,\"repeat_last_n\":%u,\"cache_prompt\":true",
                    r->repeat_penalty, r->repeat_last);
    else if (r->repeat_penalty != 1)
        text_format(out, ",\"repetition_penalty\":%.7g", r->repeat_penalty);
    if (r->chat && r->without_thinking)
        text_format(out, ",\"chat_template_kwargs\":{\"enable_thinking\":false}");
    if (r->chat && r->resume && !server->llama) // llama-server continues it without being asked
        text_format(out, ",\"continue_final_message\":true,\"add_generation_prompt\":false");
}

void server_body(struct server *server, const struct dt_remote_request *r, struct text *out)
{
    add_model(server, out);
    if (r->chat) {
        add_messages(r, out);
    } else {
        text_add(out, "\"prompt\":", 9);
        text_quote(out, r->messages[0].text, r->messages[0].length);
    }
    text_format(out, ",\"stream\":true,\"temperature\":%.7g,\"top_p\":%.7g,\"seed\":%llu",
                r->temperature, r->top_p > 0 ? r->top_p : 1,
                (unsigned long long)(r->seed & 0x7fffffffu));
    if (r->max_tokens)
        text_format(out, ",\"max_tokens\":%u", r->max_tokens);
    else if (!r->chat && !server->llama) // else some servers generate 16
        text_format(out, ",\"max_tokens\":%u", server->context ? server->context / 2 : 2048);
    if (!server->without_options)
        text_format(out, ",\"stream_options\":{\"include_usage\":true}");
    if (!server->plain)
        add_more(server, r, out);
    text_add(out, "}", 1);
}

// ---- counting ----

// Appends the prompt that a server makes of a dialogue, as a JSON string.
static int render(struct server *server, const struct dt_remote_request *request, struct text *out,
                  char *reason, size_t reason_size)
{
    struct text body = {.host = server->host}, answer = {.host = server->host};
    struct dt_remote_json root;
    text_add(&body, "{", 1);
    add_messages(request, &body);
    text_add(&body, "}", 1);
    int result =
        body.failed ? DT_REMOTE_UNKNOWN
                    : ask(server, "/apply-template", &body, 1, &answer, &root, reason, reason_size);
    if (result == DT_REMOTE_DONE) {
        struct dt_remote_json prompt = server->host->json_find(server->host->host, root, "prompt");
        if (prompt.n)
            text_add(out, prompt.at, prompt.n);
        else
            result = DT_REMOTE_UNKNOWN;
    }
    text_free(&body);
    text_free(&answer);
    return result;
}

int server_count(struct server *server, const struct dt_remote_request *request, uint32_t *tokens,
                 char *reason, size_t reason_size)
{
    struct text body = {.host = server->host}, answer = {.host = server->host};
    struct dt_remote_json root;
    int result = DT_REMOTE_DONE;
    if (server->without_count)
        return DT_REMOTE_UNKNOWN;
    add_model(server, &body);
    if (server->llama) {
        text_format(&body, "\"add_special\":true,\"parse_special\":%s,\"content\":",
                    request->chat ? "true" : "false");
        if (request->chat)
            result = render(server, request, &body, reason, reason_size);
        else
            text_quote(&body, request->messages[0].text, request->messages[0].length);
    } else if (request->chat) {
        add_messages(request, &body);
    } else {
        text_format(&body, "\"prompt\":");
        text_quote(&body, request->messages[0].text, request->messages[0].length);
    }
    text_add(&body, "}", 1);
    if (result == DT_REMOTE_DONE && body.failed)
        result = DT_REMOTE_UNKNOWN;
    if (result == DT_REMOTE_DONE)
        result = ask(server, "/tokenize", &body, 1, &answer, &root, reason, reason_size);
    if (result == DT_REMOTE_DONE) {
        const struct dt_remote_host *host = server->host;
        *tokens = number_at(server, root, "count");
        if (!*tokens)
            *tokens =
                (uint32_t)host->json_count(host->host, host->json_find(host->host, root, "tokens"));
    }
    if (result == DT_REMOTE_UNKNOWN)
        server->without_count = 1;
    text_free(&body);
    text_free(&answer);
    return result == DT_REMOTE_DONE && !*tokens ? DT_REMOTE_UNKNOWN : result;
}
