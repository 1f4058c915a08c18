// SPDX-License-Identifier: MIT
// Changes of the engine: another stack of backends, number of threads, length of the context. Each
// reports what happened. If a change fails, the engine and the setting stay as they are. Without a
// model they apply when one is opened.
#ifndef DT_APP_CHANGE_ENGINE_H
#define DT_APP_CHANGE_ENGINE_H

#include "app/worker/worker.h"

// value: of the setting `backend`, which is set when the change has succeeded. The tokens in the KV
// cache stay.
void dt_change_backend(struct dt_worker *w, const char *value);

// The number of the setting `threads`, "0": automatic.
void dt_change_threads(struct dt_worker *w, const char *threads);

// The length of the setting `context`. The story is evaluated anew.
void dt_change_context(struct dt_worker *w, const char *unused);

#endif
