// SPDX-License-Identifier: MIT
// The queue of requests to the worker. A request is a function and its text, so the queue depends
// on nothing that it carries.
#ifndef DT_APP_REQUESTS_H
#define DT_APP_REQUESTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "app/control.h"
#include "app/report.h"

struct dt_worker; // worker/worker.h

// What the worker does for a request, on its thread. text: never NULL.
typedef void dt_worker_function(struct dt_worker *worker, const char *text);

struct dt_request {
    struct dt_request *next;
    dt_worker_function *run;
    bool live;      // may run between two tokens
    unsigned stops; // of the control when it was made: a later stop concerns it
    char *text;
};

struct dt_requests {
    struct dt_report *report;
    struct dt_control *control;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct dt_request *first, *last; // under the lock
    atomic_int waiting;              // requests in the queue
    atomic_int live;                 // live ones among them
    atomic_int busy;                 // the worker is at work on a request
    bool ended;                      // under the lock
};

void dt_requests_init(struct dt_requests *requests, struct dt_report *report,
                      struct dt_control *control);
// Drops the requests that wait.
void dt_requests_free(struct dt_requests *requests);

// Asks the worker to run a function with a copy of text[0..length) (text may be NULL if length is
// 0). live: between two tokens if the worker is generating. False, after a notice, if memory is
// short. Any thread.
bool dt_requests_ask(struct dt_requests *requests, dt_worker_function *run, const char *text,
                     size_t length, bool live);

// Ends the worker's thread after the requests that wait. Needs no memory.
void dt_requests_end(struct dt_requests *requests);

// Whether a request waits or runs. Any thread.
bool dt_requests_busy(struct dt_requests *requests);

// For the worker's thread. The caller releases what these return with dt_request_free.

// NULL: the thread has to end. Else waits for a request and removes it from the queue. `busy` is
// set on return; while there is nothing to do it is cleared, after a call of idle(arg) if it was
// set.
struct dt_request *dt_requests_wait(struct dt_requests *requests, void (*idle)(void *arg),
                                    void *arg);
// Removes the first live request; NULL if there is none.
struct dt_request *dt_requests_next_live(struct dt_requests *requests);
void dt_request_free(struct dt_request *request); // NULL is allowed

#endif
