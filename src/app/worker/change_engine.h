// SPDX-License-Identifier: MIT
// Changes of the engine while a model is open: another stack of backends, number of threads, length
// of the context. Each reports what happened; if a change fails, the setting returns to what is in
// use. Without a model they do nothing: the settings apply when one is opened.
#ifndef DT_APP_CHANGE_ENGINE_H
#define DT_APP_CHANGE_ENGINE_H

#include "app/worker/worker.h"

// stack: as in the setting `backend`. The tokens in the KV cache stay.
void dt_change_backend(struct dt_worker *w, const char *stack);

// threads: a decimal number, "0": automatic.
void dt_change_threads(struct dt_worker *w, const char *threads);

// The length of the setting `context`. The story is evaluated anew.
void dt_change_context(struct dt_worker *w, const char *unused);

#endif
