// SPDX-License-Identifier: MIT
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define POLL_MILLISECONDS 20 // between two looks at a stop
#define CONNECT_SECONDS   20l

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct http_response *r = arg;
    (void)size; // 1
    if (!r->status)
        curl_easy_getinfo(r->http->easy, CURLINFO_RESPONSE_CODE, &r->status);
    if (r->status == 200) {
        if (r->on_bytes(r->arg, bytes, n))
            return n;
        r->stopped = 1;
        return 0;
    }
    if (!r->error)
        r->error = r->http->host->allocate(r->http->host->host, HTTP_ERROR_BYTES);
    size_t space = r->error ? HTTP_ERROR_BYTES - r->error_length : 0, part = n < space ? n : space;
    if (part)
        memcpy(r->error + r->error_length, bytes, part);
    r->error_length += part;
    return part == n ? n : 0; // an error has no more to say
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct http_response *r = arg;
    static const char name[] = "retry-after:";
    char value[32];
    (void)size;
    if (n > sizeof name && strncasecmp(line, name, sizeof name - 1) == 0) {
        size_t length = n - (sizeof name - 1);
        snprintf(value, sizeof value, "%.*s", (int)(length < 31 ? length : 31),
                 line + sizeof name - 1);
        char *end;
        double seconds = strtod(value, &end);
        if (end != value && seconds >= 0 && seconds < 1e6) // not a date
            r->retry_seconds = seconds;
    }
    return n;
}

static int set_up(struct http *http)
{
    CURL *easy = http->easy;
    int good = 1;
    good &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1l) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "duotale/" DT_VERSION) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0l) == CURLE_OK; // a text goes nowhere
                                                                            // else
    good &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1l) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) == CURLE_OK;
    if (http->silence_seconds) {
        good &= curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1l) == CURLE_OK;
        good &=
            curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)http->silence_seconds) == CURLE_OK;
    }
#if LIBCURL_VERSION_NUM >= 0x075500
    good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
    good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) == CURLE_OK;
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1l); // a stop does not wait for the resolver
#endif
    return good;
}

int http_open(struct http *http, const struct dt_remote_host *host,
              const struct dt_remote_settings *settings, const char *base, char *reason,
              size_t reason_size)
{
    char line[4200];
    memset(http, 0, sizeof *http);
    http->host = host;
    http->silence_seconds = settings->silence_seconds;
    snprintf(http->base, sizeof http->base, "%s", base);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        snprintf(reason, reason_size, "libcurl cannot be used");
        return DT_REMOTE_FAILED;
    }
    http->multi = curl_multi_init();
    http->easy = curl_easy_init();
    http->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (http->headers) // without it a long body waits for "100 Continue"
        curl_slist_append(http->headers, "Expect:");
    if (http->headers && settings->key) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", settings->key);
        curl_slist_append(http->headers, line);
        explicit_bzero(line, sizeof line);
    }
    if (http->multi && http->easy && http->headers && set_up(http))
        return DT_REMOTE_DONE;
    snprintf(reason, reason_size, "not enough memory for a connection");
    return DT_REMOTE_FAILED;
}

void http_close(struct http *http)
{
    if (http->easy)
        curl_easy_cleanup(http->easy);
    if (http->multi)
        curl_multi_cleanup(http->multi);
    curl_slist_free_all(http->headers);
    curl_global_cleanup();
    memset(http, 0, sizeof *http);
}

// What libcurl's result means.
static int outcome(struct http *http, CURLcode code, struct http_response *r, const char *detail,
                   char *reason, size_t reason_size)
{
    if (!r->status)
        curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &r->status);
    if (r->stopped)
        return DT_REMOTE_CANCELLED;
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && r->status != 200))
        return DT_REMOTE_DONE;
    if (code == CURLE_OPERATION_TIMEDOUT && r->status)
        snprintf(reason, reason_size, "the server was silent for %u s (--remote-timeout)",
                 http->silence_seconds);
    else if (code == CURLE_OPERATION_TIMEDOUT)
        snprintf(reason, reason_size, "no answer from the server: %s", detail);
    else
        snprintf(reason, reason_size, "%s", *detail ? detail : curl_easy_strerror(code));
    return r->status ? DT_REMOTE_LOST : DT_REMOTE_FAILED;
}

// Drives the transfer until it ends or is cancelled.
static int perform(struct http *http, CURLcode *code)
{
    int running = 1, left;
    while (running) {
        if (http->host->cancelled(http->host->host))
            return DT_REMOTE_CANCELLED;
        if (curl_multi_perform(http->multi, &running) != CURLM_OK ||
            (running && curl_multi_poll(http->multi, NULL, 0, POLL_MILLISECONDS, NULL) != CURLM_OK))
            return DT_REMOTE_FAILED;
    }
    const CURLMsg *message = curl_multi_info_read(http->multi, &left);
    *code = message ? message->data.result : CURLE_RECV_ERROR;
    return DT_REMOTE_DONE;
}

int http_request(struct http *http, const char *path, const char *body, size_t body_length,
                 struct http_response *response, char *reason, size_t reason_size)
{
    char url[1200], detail[CURL_ERROR_SIZE] = "";
    CURL *easy = http->easy;
    CURLcode code = CURLE_OK;
    response->http = http;
    response->status = 0;
    response->retry_seconds = -1;
    snprintf(url, sizeof url, "%s%s", http->base, path);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, response);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, response);
    if (body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body_length);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1l);
    }
    if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK ||
        curl_multi_add_handle(http->multi, easy) != CURLM_OK) {
        snprintf(reason, reason_size, "not enough memory for a request");
        return DT_REMOTE_FAILED;
    }
    int result = perform(http, &code);
    if (result == DT_REMOTE_DONE)
        result = outcome(http, code, response, detail, reason, reason_size);
    else if (result == DT_REMOTE_FAILED)
        snprintf(reason, reason_size, "libcurl cannot go on with the request");
    curl_multi_remove_handle(http->multi, easy); // a transfer that is not over loses its connection
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    return result;
}

void http_response_free(struct http_response *response)
{
    if (response->http)
        response->http->host->release(response->http->host->host, response->error);
    response->error = NULL;
    response->error_length = 0;
}
