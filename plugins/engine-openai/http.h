// SPDX-License-Identifier: MIT
// HTTP requests through libcurl: what a stop, a silent server and a server's errors mean.
#ifndef DT_OPENAI_HTTP_H
#define DT_OPENAI_HTTP_H

#include <curl/curl.h>

#include "abi/engine.h"

struct http {
    const struct dt_remote_host *host;
    CURLM *multi;
    CURL *easy; // kept between requests, with its connection
    struct curl_slist *headers;
    char base[1024]; // of all addresses, without a slash at its end
    uint32_t silence_seconds;
};

// A response, which is handed on as it arrives.
struct http_response {
    // Gets bytes of a response with status 200. Returns 0 to stop.
    int (*on_bytes)(void *arg, const char *bytes, size_t n);
    void *arg;
    long status;          // 0: none
    double retry_seconds; // of Retry-After; < 0: none
    char *error;          // the body of another status, at most HTTP_ERROR_BYTES
    size_t error_length;
    // of one request
    struct http *http;
    int stopped; // on_bytes returned 0
};
#define HTTP_ERROR_BYTES 16384u

// A failure of a request, as results of functions of the module.
int http_open(struct http *http, const struct dt_remote_host *host,
              const struct dt_remote_settings *settings, const char *base, char *reason,
              size_t reason_size);
void http_close(struct http *http);

// Requests base + path: POST with `body`, GET without. DT_REMOTE_DONE: a response has come, of any
// status, to its end; DT_REMOTE_LOST: it broke off. Release *response with http_response_free.
int http_request(struct http *http, const char *path, const char *body, size_t body_length,
                 struct http_response *response, char *reason, size_t reason_size);
void http_response_free(struct http_response *response);

#endif
