// SPDX-License-Identifier: MIT
// What the host provides to modules that reach other machines.
#ifndef DT_HOST_REMOTE_SERVICES_H
#define DT_HOST_REMOTE_SERVICES_H

#include "abi/engine.h"

// Fills the functions that need no state: memory and JSON.
void dt_remote_services_init(struct dt_remote_host *services);

#endif
