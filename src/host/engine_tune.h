// SPDX-License-Identifier: MIT
// The choice among the variants of the backend that "auto" chose, by measurement.
#ifndef DT_HOST_ENGINE_TUNE_H
#define DT_HOST_ENGINE_TUNE_H

#include "host/engine_state.h"

// Takes the variant that was measured before for this model, CPU, build and number of threads. If
// none was, or if options.tune says so, and c->weights are built, measures for some milliseconds:
// products of the model's weights, as decoding and prompts have them. Only variants that give the
// bits of the one with the best score are considered, and that one stays unless another takes less
// than 0.97 of its time. Weights that are streamed are not measured. Never fails: what cannot be
// measured stays as it is.
void dt_engine_tune(struct dt_engine *e, struct dt_engine_stack *c);

#endif
