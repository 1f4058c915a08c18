// SPDX-License-Identifier: MIT
// Examines modules in a child process, so that one that crashes or hangs while it is loaded or
// asked ends only the child.
#ifndef DT_HOST_PROBE_H
#define DT_HOST_PROBE_H

#include <stdbool.h>

#include "host/modules/modules.h"

#define DT_PROBE_MILLISECONDS 5000 // a module that takes longer counts as hung
#define DT_PROBE_REASON       512

struct dt_examination {
    const struct dt_module_kind *kind;
    // Reads the table of a loaded module and runs its code. Fills *finding, which is zero at first
    // and must not point anywhere; or writes a reason why the module cannot be used.
    void (*look)(void *arg, const struct dt_module *module, void *finding, char *reason);
    void *arg;
    size_t finding_size;
    // Whether findings are also kept for later starts (remembered.h). A module that was refused is
    // examined again.
    bool remember;
};

// Examines each module that has no reason yet: loads it and looks at it, both in a child.
// Afterwards it has a reason, or findings[i] (of finding_size bytes each, one a module) is filled;
// in this process it is not loaded. The result is stored for the life of the process by the file's
// identity, so a module is examined once. Where no child can be started, it is examined in this
// process. DT_NO_MEMORY. Any thread.
dt_status dt_modules_examine(struct dt_modules *modules, const struct dt_examination *how,
                             void *findings, struct dt_error *err);

#endif
