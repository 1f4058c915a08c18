// SPDX-License-Identifier: MIT
// Tries modules in a child process first, so that one that crashes or hangs ends only the child.
#ifndef DT_HOST_PROBE_H
#define DT_HOST_PROBE_H

#include "host/modules/modules.h"

#define DT_PROBE_MILLISECONDS 5000 // a module that takes longer counts as hung

// Calls try_it(arg, module) for each loaded module, in a child. A module in which it crashes or
// does not return in time is unloaded and gets a reason. The result is stored for the life of the
// process by the file's identity, so a module is tried once. Where no child can be started, nothing
// is tried. Any thread.
void dt_modules_probe(struct dt_modules *modules,
                      void (*try_it)(void *arg, const struct dt_module *module), void *arg);

#endif
