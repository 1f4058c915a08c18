// SPDX-License-Identifier: MIT
#include "app/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/text.h"
#include "host/array.h"

bool dt_events_init(struct dt_events *events)
{
    memset(events, 0, sizeof *events);
    events->lost_state = -1;
    atomic_init(&events->lost, false);
    events->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (events->fd < 0)
        return false;
    pthread_mutex_init(&events->lock, NULL);
    return true;
}

void dt_event_free(struct dt_event *event)
{
    if (!event || event->spare)
        return;
    if (event->payload && event->free_payload)
        event->free_payload(event->payload);
    free(event->text);
    free(event);
}

void dt_events_free(struct dt_events *events)
{
    struct dt_event *event;
    while ((event = dt_events_fetch(events)) != NULL)
        dt_event_free(event);
    pthread_mutex_destroy(&events->lock);
    close(events->fd);
}

void dt_events_wake(struct dt_events *events)
{
    int error = errno;
    uint64_t one = 1;
    ssize_t n = write(events->fd, &one, sizeof one);
    (void)n; // a full counter is readable as well
    errno = error;
}

// Writes text[0..length) at byte `at` of the event's text. Everything that a front end shows passes
// here, so foreign text is cleaned here; generated text has been cleaned while it was generated.
static bool set_text(struct dt_event *event, const char *text, size_t length, size_t at)
{
    if (!dt_array_grow(&event->text, &event->capacity, at + length + 1, 1))
        return false;
    if (event->event.type != DT_EVENT_TEXT && event->event.type != DT_EVENT_THOUGHT)
        length =
            dt_text_clean(event->text + at, length + 1, text ? text : "", length, DT_TEXT_LINES);
    else if (length)
        memcpy(event->text + at, text, length);
    event->text[at + length] = '\0';
    event->event.length = at + length;
    return true;
}

// Whether an event replaces this older one, wherever that is in the queue.
static bool replaces(const struct dt_app_event *event, const void *payload,
                     const struct dt_event *older, bool is_last)
{
    if (older->event.type != event->type)
        return false;
    switch (event->type) {
    case DT_EVENT_FIGURES:
    case DT_EVENT_COMPARE:
    case DT_EVENT_MODELS:
        return true;
    case DT_EVENT_VOICE: // one that only changes `listening` does not replace figures
        return payload != NULL || older->payload == NULL;
    case DT_EVENT_PROGRESS:
        return is_last && older->event.done < older->event.total;
    default:
        return false;
    }
}

// An event is lost; the lock is held.
static void lose(struct dt_events *events, const struct dt_app_event *event)
{
    if (event->type == DT_EVENT_STATE)
        events->lost_state = (int)event->state;
    if (event->type == DT_EVENT_FIGURES || event->type == DT_EVENT_PROGRESS)
        return; // the next ones replace them
    bool first = !atomic_exchange(&events->lost, true);
    bool text = event->type == DT_EVENT_TEXT || event->type == DT_EVENT_THOUGHT;
    if (first || !text) // else there would be a notice at each token
        events->notice_waits = true;
}

void dt_events_lose(struct dt_events *events, enum dt_app_event_type type)
{
    struct dt_app_event event = {.type = type};
    pthread_mutex_lock(&events->lock);
    lose(events, &event);
    pthread_mutex_unlock(&events->lock);
    dt_events_wake(events);
}

void dt_events_post(struct dt_events *events, const struct dt_app_event *event, const char *text,
                    size_t length, void *payload, void (*free_payload)(void *payload))
{
    pthread_mutex_lock(&events->lock);
    bool was_empty = events->first == NULL;
    struct dt_event *last = events->last;
    bool joins = event->type == DT_EVENT_TEXT || event->type == DT_EVENT_THOUGHT;
    if (joins && last && last->event.type == event->type && last->event.turn == event->turn) {
        if (!set_text(last, text, length, last->event.length))
            lose(events, event);
        goto out;
    }
    for (struct dt_event *older = events->first; older; older = older->next) {
        if (replaces(event, payload, older, older == last)) {
            if (older->payload && older->free_payload)
                older->free_payload(older->payload);
            older->event = *event;
            older->payload = payload;
            older->free_payload = free_payload;
            if (!set_text(older, text, length, 0))
                lose(events, event);
            goto out;
        }
    }
    struct dt_event *fresh = calloc(1, sizeof *fresh);
    if (!fresh || (fresh->event = *event, !set_text(fresh, text, length, 0))) {
        free(fresh);
        if (payload && free_payload)
            free_payload(payload);
        lose(events, event);
        goto out;
    }
    if (event->type == DT_EVENT_STATE)
        events->lost_state = -1; // this one is newer
    fresh->payload = payload;
    fresh->free_payload = free_payload;
    if (last)
        last->next = fresh;
    else
        events->first = fresh;
    events->last = fresh;
out:
    pthread_mutex_unlock(&events->lock);
    if (was_empty)
        dt_events_wake(events);
}

// What was lost, when the queue is empty; NULL: nothing. The lock is held.
static struct dt_event *fetch_spare(struct dt_events *events)
{
    static char notice[] = "Out of memory: something was not done or is not shown. End other "
                           "programs, or use a smaller model or context.";
    static char nothing[] = "";
    struct dt_app_event event = {.type = DT_EVENT_NOTICE, .level = DT_NOTICE_ERROR};
    if (!events->notice_waits && events->lost_state < 0)
        return NULL;
    events->spare = (struct dt_event){.spare = true, .text = nothing};
    if (events->notice_waits) {
        events->notice_waits = false;
        events->spare.text = notice;
        event.length = sizeof notice - 1;
    } else {
        event.type = DT_EVENT_STATE;
        event.state = (enum dt_app_state)events->lost_state;
        events->lost_state = -1;
    }
    events->spare.event = event;
    return &events->spare;
}

struct dt_event *dt_events_fetch(struct dt_events *events)
{
    uint64_t count;
    pthread_mutex_lock(&events->lock);
    struct dt_event *event = events->first;
    if (event) {
        events->first = event->next;
        if (!events->first)
            events->last = NULL;
        event->next = NULL;
    } else {
        event = fetch_spare(events);
    }
    if (!events->first && !events->notice_waits && events->lost_state < 0) {
        ssize_t n = read(events->fd, &count, sizeof count);
        (void)n; // nothing to read is fine
    }
    pthread_mutex_unlock(&events->lock);
    if (event)
        event->event.text = event->text;
    return event;
}
