// SPDX-License-Identifier: MIT
// Why something does not fit into the context. The worker's thread; a model is open.
#ifndef DT_APP_CONTEXT_FULL_H
#define DT_APP_CONTEXT_FULL_H

#include "app/worker/worker.h"

// Fills *err with DT_CONTEXT_FULL for the last turn: what fills the context, and what to do. total:
// the tokens that were needed, 0: those of what cannot be dropped.
dt_status dt_context_full(struct dt_worker *w, uint32_t total, struct dt_error *err);

// Whether the last turn's prompt fits when all that can be dropped is dropped; else as
// dt_context_full.
dt_status dt_context_check_prompt(struct dt_worker *w, struct dt_error *err);

#endif
