// SPDX-License-Identifier: MIT
// The generation of a turn: what the session lacks is evaluated, then token after token is chosen
// until something ends the turn; then the turn is saved.
#ifndef DT_APP_GENERATE_H
#define DT_APP_GENERATE_H

#include "app/worker/worker.h"

// Generates the last turn until something ends it, reports all of it and saves it. resume: the turn
// has text, and the sampler continues where it was.
void dt_generate(struct dt_worker *w, bool resume);

// Whether this token ends a turn, as the model and the setting `stop` say.
bool dt_generate_is_end(struct dt_worker *w, uint32_t id);

#endif
