// SPDX-License-Identifier: MIT
// Why "auto" computes with the reference backend, which is slow.
#ifndef DT_HOST_FALLBACK_H
#define DT_HOST_FALLBACK_H

#include "host/modules/registry.h"

// Writes one line for a stack instance with `fallback`: why no other backend computes this model,
// where modules were looked for, and what to do. Returns out.
const char *dt_fallback_text(const struct dt_registry *registry, const struct dt_model *model,
                             char *out, size_t size);

#endif
