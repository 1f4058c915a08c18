// SPDX-License-Identifier: MIT
// The queue of events from all threads to the front end, with a descriptor to wait on.
#ifndef DT_APP_EVENTS_H
#define DT_APP_EVENTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "app/api.h"

// An event in the queue. payload: data for the view (a list, figures ...), which takes it over;
// otherwise freed by free_payload.
struct dt_event {
    struct dt_event *next;
    struct dt_app_event event;
    char *text;
    size_t capacity;
    void *payload;
    void (*free_payload)(void *payload);
    bool spare; // part of the queue; not to be freed
};

struct dt_events {
    pthread_mutex_t lock;
    struct dt_event *first, *last;
    int fd; // eventfd
    // What needs no memory: the last state, and a notice that something was lost.
    struct dt_event spare;
    int lost_state; // -1: none waits
    bool notice_waits;
    atomic_bool lost; // for want of memory, since the start
};

// False if descriptors are short. Release with dt_events_free.
bool dt_events_init(struct dt_events *events);
void dt_events_free(struct dt_events *events);

// Appends an event. text is copied; the queue takes payload over (may be NULL). Text of the same
// turn is joined to the piece before it, and figures, progress and comparisons replace an older
// event of their kind that was not fetched yet. If memory is short the event is lost, but not a
// state; a notice says that something was lost. Any thread.
void dt_events_post(struct dt_events *events, const struct dt_app_event *event, const char *text,
                    size_t length, void *payload, void (*free_payload)(void *payload));

// Something that a user entered (DT_EVENT_NONE), or an event of this type after it was fetched, was
// lost for want of memory: the same notice.
void dt_events_lose(struct dt_events *events, enum dt_app_event_type type);

// Removes the oldest event; the caller releases it with dt_event_free. NULL if there is none.
struct dt_event *dt_events_fetch(struct dt_events *events);
void dt_event_free(struct dt_event *event); // NULL is allowed

// Makes the descriptor readable without an event. Async-signal-safe.
void dt_events_wake(struct dt_events *events);

#endif
