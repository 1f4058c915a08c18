// SPDX-License-Identifier: MIT
// Events of the worker that carry data for the view.
#ifndef DT_APP_WORKER_EVENTS_H
#define DT_APP_WORKER_EVENTS_H

#include "app/worker/worker.h"

// Renews the figures and posts them. with_memory: the process's memory too, which takes longer.
void dt_worker_post_figures(struct dt_worker *w, bool with_memory);

// Another model or stack is in use: posts the figures as DT_EVENT_MODEL too.
void dt_worker_post_model(struct dt_worker *w);

// The story changed. what: turns from number `keep` on are different now, and why ("undone"); NULL:
// only its title, number, premise or whether it is saved.
void dt_worker_post_story(struct dt_worker *w, size_t keep, const char *what);

// The turn began, or its generation continues.
void dt_worker_post_turn(struct dt_worker *w, size_t n);

// The turn ended.
void dt_worker_post_turn_end(struct dt_worker *w, size_t n);

// Begins to report progress on `what` (a static string).
void dt_worker_begin_progress(struct dt_worker *w, const char *what);

// Reports progress, at most eight times a second unless at_once. seconds_left < 0: unknown.
void dt_worker_post_progress(struct dt_worker *w, uint64_t done, uint64_t total,
                             double seconds_left, bool at_once);

#endif
