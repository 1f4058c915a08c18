// SPDX-License-Identifier: MIT
// What the worker and the library writer have to say to the front end: a queue with a descriptor to
// wait on.
#ifndef DT_APP_EVENTS_H
#define DT_APP_EVENTS_H

#include <pthread.h>

#include "app/api.h"

// An event on its way. payload: what the view takes over (lists, figures ...), freed by its own
// function otherwise.
struct dt_event {
    struct dt_event *next;
    struct dt_app_event event;
    char *text;
    size_t capacity;
    void *payload;
    void (*free_payload)(void *payload);
};

struct dt_events {
    pthread_mutex_t lock;
    struct dt_event *first, *last;
    int fd; // eventfd
};

bool dt_events_init(struct dt_events *events);
void dt_events_free(struct dt_events *events);

// Puts an event at the end; text and payload (may be NULL) are copied and taken over. A piece of
// text joins the one before it, and figures, progress and comparisons replace the older ones that
// nobody has fetched. Any thread; without memory the event is lost.
void dt_events_post(struct dt_events *events, const struct dt_app_event *event, const char *text,
                    size_t length, void *payload, void (*free_payload)(void *payload));

// The oldest event, owned by the caller (dt_event_free); NULL when there is none.
struct dt_event *dt_events_take(struct dt_events *events);
void dt_event_free(struct dt_event *event);

// Makes the descriptor readable without an event. Async-signal-safe.
void dt_events_wake(struct dt_events *events);

#endif
