// SPDX-License-Identifier: MIT
#include "app/requests.h"

#include <stdlib.h>
#include <string.h>

void dt_requests_init(struct dt_requests *requests, struct dt_report *report,
                      struct dt_control *control)
{
    memset(requests, 0, sizeof *requests);
    requests->report = report;
    requests->control = control;
    pthread_mutex_init(&requests->lock, NULL);
    pthread_cond_init(&requests->wake, NULL);
}

void dt_request_free(struct dt_request *request)
{
    if (request)
        free(request->text);
    free(request);
}

// Removes the first request, or the first live one. The lock is held.
static struct dt_request *remove_first(struct dt_requests *requests, bool live)
{
    struct dt_request **at = &requests->first, *before = NULL;
    while (*at && live && !(*at)->live) {
        before = *at;
        at = &(*at)->next;
    }
    struct dt_request *request = *at;
    if (!request)
        return NULL;
    *at = request->next;
    if (requests->last == request)
        requests->last = before;
    atomic_fetch_sub(&requests->waiting, 1);
    if (request->live)
        atomic_fetch_sub(&requests->live, 1);
    return request;
}

void dt_requests_free(struct dt_requests *requests)
{
    while (requests->first)
        dt_request_free(remove_first(requests, false));
    pthread_cond_destroy(&requests->wake);
    pthread_mutex_destroy(&requests->lock);
}

bool dt_requests_ask(struct dt_requests *requests, dt_worker_function *run, const char *text,
                     size_t length, bool live)
{
    struct dt_request *request = calloc(1, sizeof *request);
    if (!request || !(request->text = calloc(length + 1, 1))) {
        dt_request_free(request);
        dt_report_notice(requests->report, DT_NOTICE_ERROR,
                         "Out of memory: the input was not processed.");
        dt_events_lose(&requests->report->events, DT_EVENT_NONE);
        return false;
    }
    if (length)
        memcpy(request->text, text, length);
    request->run = run;
    request->live = live;
    request->stops = atomic_load(&requests->control->stops);
    pthread_mutex_lock(&requests->lock);
    if (requests->last)
        requests->last->next = request;
    else
        requests->first = request;
    requests->last = request;
    atomic_fetch_add(&requests->waiting, 1);
    if (live)
        atomic_fetch_add(&requests->live, 1);
    pthread_cond_signal(&requests->wake);
    pthread_mutex_unlock(&requests->lock);
    return true;
}

void dt_requests_end(struct dt_requests *requests)
{
    pthread_mutex_lock(&requests->lock);
    requests->ended = true;
    pthread_cond_signal(&requests->wake);
    pthread_mutex_unlock(&requests->lock);
}

bool dt_requests_busy(struct dt_requests *requests)
{
    return atomic_load(&requests->waiting) > 0 || atomic_load(&requests->busy);
}

struct dt_request *dt_requests_wait(struct dt_requests *requests, void (*idle)(void *arg),
                                    void *arg)
{
    pthread_mutex_lock(&requests->lock);
    while (!requests->first && !requests->ended) {
        if (atomic_exchange(&requests->busy, 0))
            idle(arg);
        pthread_cond_wait(&requests->wake, &requests->lock);
    }
    if (!requests->first) {
        pthread_mutex_unlock(&requests->lock);
        return NULL;
    }
    atomic_store(&requests->busy, 1); // before `waiting` decreases, so that busy() has no gap
    struct dt_request *request = remove_first(requests, false);
    pthread_mutex_unlock(&requests->lock);
    return request;
}

struct dt_request *dt_requests_next_live(struct dt_requests *requests)
{
    pthread_mutex_lock(&requests->lock);
    struct dt_request *request = remove_first(requests, true);
    pthread_mutex_unlock(&requests->lock);
    return request;
}
