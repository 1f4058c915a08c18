// SPDX-License-Identifier: MIT
// Downloads a file with libcurl, from its beginning or from where an earlier download broke off.
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "abi/fetch.h"

#define POLL_MILLISECONDS 20

struct transfer {
    const struct dt_fetch_request *request;
    CURL *easy;
    uint64_t from, total; // of Content-Range
    int ranged, begun, stopped;
    long status;
};

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    char value[96];
    unsigned long long from, to, total;
    (void)size;
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) // of the last response, after redirects
        t->ranged = 0;
    if (n < 15 || strncasecmp(line, "content-range:", 14) != 0)
        return n;
    snprintf(value, sizeof value, "%.*s", (int)(n - 14 < 95 ? n - 14 : 95), line + 14);
    if (sscanf(value, " bytes %llu-%llu/%llu", &from, &to, &total) == 3 && from <= to &&
        to < total) {
        t->ranged = 1;
        t->from = from;
        t->total = total;
    }
    return n;
}

static int begin(struct transfer *t)
{
    char *type = NULL;
    curl_off_t length = -1;
    t->begun = 1;
    if (t->status == 206 && t->ranged)
        return t->request->on_begin(t->request->arg, t->from, t->total, "");
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return t->request->on_begin(t->request->arg, 0, length > 0 ? (uint64_t)length : 0,
                                type ? type : "");
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    (void)size;
    if (!t->status)
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
    if (t->status != 200 && !(t->status == 206 && t->ranged))
        return 0; // the body of an error
    if ((t->begun || begin(t)) && t->request->on_bytes(t->request->arg, bytes, n))
        return n;
    t->stopped = 1;
    return 0;
}

static void set_up(struct transfer *t)
{
    const struct dt_fetch_request *r = t->request;
    const char *schemes = strncmp(r->url, "https:", 6) == 0 ? "https" : "http,https";
    char range[40];
    curl_easy_setopt(t->easy, CURLOPT_URL, r->url);
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1l);
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "duotale/" DT_VERSION);
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT, 20l);
    curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 1l);
    curl_easy_setopt(t->easy, CURLOPT_MAXREDIRS, 8l);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT, 1l);
    curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME, (long)r->silence_seconds);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->easy, CURLOPT_REDIR_PROTOCOLS_STR, schemes);
#else
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
    curl_easy_setopt(t->easy, CURLOPT_REDIR_PROTOCOLS,
                     CURLPROTO_HTTPS | (strchr(schemes, ',') ? CURLPROTO_HTTP : 0));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1l);
#endif
    if (r->from) {
        snprintf(range, sizeof range, "%llu-", (unsigned long long)r->from);
        curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
    }
}

static int perform(struct transfer *t, CURLM *multi, CURLcode *code)
{
    int running = 1, left;
    while (running) {
        if (t->request->cancelled(t->request->arg))
            return DT_FETCH_CANCELLED;
        if (curl_multi_perform(multi, &running) != CURLM_OK ||
            (running && curl_multi_poll(multi, NULL, 0, POLL_MILLISECONDS, NULL) != CURLM_OK))
            return DT_FETCH_FAILED;
    }
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    *code = message ? message->data.result : CURLE_RECV_ERROR;
    return DT_FETCH_DONE;
}

static int outcome(struct transfer *t, CURLcode code, const char *detail, char *reason,
                   size_t reason_size)
{
    const struct dt_fetch_request *r = t->request;
    if (t->stopped)
        return DT_FETCH_CANCELLED;
    if (!t->status)
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
    if (t->status == 416 && r->from) {
        snprintf(reason, reason_size, "the server's file is not longer than the part that is here");
        return DT_FETCH_FAILED;
    }
    if (t->status >= 400) {
        snprintf(reason, reason_size, "the server answered %ld", t->status);
        return t->status == 429 || t->status >= 500 ? DT_FETCH_BROKEN : DT_FETCH_FAILED;
    }
    if (t->status == 206 && !t->ranged) {
        snprintf(reason, reason_size, "the server sent a part without saying which");
        return DT_FETCH_FAILED;
    }
    if (code == CURLE_OK && !t->begun && !begin(t)) // an empty file
        return DT_FETCH_CANCELLED;
    if (code == CURLE_OK)
        return DT_FETCH_DONE;
    snprintf(reason, reason_size, "%s", *detail ? detail : curl_easy_strerror(code));
    return t->begun || code == CURLE_OPERATION_TIMEDOUT ? DT_FETCH_BROKEN : DT_FETCH_FAILED;
}

static int fetch(const struct dt_fetch_request *request, char *reason, size_t reason_size)
{
    struct transfer t = {.request = request};
    char detail[CURL_ERROR_SIZE] = "";
    CURLcode code = CURLE_OK;
    int result = DT_FETCH_FAILED;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        snprintf(reason, reason_size, "libcurl cannot be used");
        return result;
    }
    CURLM *multi = curl_multi_init();
    t.easy = curl_easy_init();
    if (multi && t.easy) {
        set_up(&t);
        curl_easy_setopt(t.easy, CURLOPT_ERRORBUFFER, detail);
        snprintf(reason, reason_size, "libcurl cannot go on with the download");
        if (curl_multi_add_handle(multi, t.easy) == CURLM_OK)
            result = perform(&t, multi, &code);
        if (result == DT_FETCH_DONE)
            result = outcome(&t, code, detail, reason, reason_size);
        curl_multi_remove_handle(multi, t.easy);
    } else {
        snprintf(reason, reason_size, "not enough memory for a connection");
    }
    curl_easy_cleanup(t.easy);
    curl_multi_cleanup(multi);
    curl_global_cleanup();
    return result;
}

__attribute__((visibility("default"))) extern const struct dt_fetch_module dt_fetch_module;
const struct dt_fetch_module dt_fetch_module = {DT_FETCH_ABI, sizeof dt_fetch_module, fetch};
