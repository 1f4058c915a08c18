// SPDX-License-Identifier: MIT
// /compare: the same beginning continued greedily by two stacks of backends.
#ifndef DT_APP_COMPARE_H
#define DT_APP_COMPARE_H

#include "app/worker/worker.h"

// Runs both stacks, posts DT_EVENT_COMPARE as it proceeds, prints a summary, and returns to the
// stack in use before. The story stays as it is. A model is open.
void dt_compare(struct dt_worker *w, const char *a, const char *b);

#endif
