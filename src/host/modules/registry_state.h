// SPDX-License-Identifier: MIT
// The inside of a registry, shared by registry.c and stack_instance.c only.
#ifndef DT_HOST_REGISTRY_STATE_H
#define DT_HOST_REGISTRY_STATE_H

#include <stdbool.h>

#include "host/modules/modules.h"
#include "host/modules/registry.h"
#include "host/modules/tuned.h"

extern const struct dt_module_kind dt_backend_kind;

// What a module's table says, without pointers: it comes from a child process.
struct dt_registry_finding {
    struct dt_backend table; // without functions; its strings are the arrays below
    char name[32], variant[32], description[256], layout[64];
    bool multiplies, has_layout;
    int score;
};

struct dt_registry_entry {
    struct dt_backend_info info;
    char *reason;
    struct dt_registry_finding found;
    const struct dt_backend *compiled; // NULL if it is a module
    struct dt_module *module;          // in the registry's list; NULL if it is compiled in
};

struct dt_registry {
    struct dt_modules modules;
    struct dt_registry_entry *entries;
    size_t count;
    struct dt_tuned tuned; // the variants that were measured
};

// Finds the entry for NAME or NAME@VARIANT, n bytes at text. Errors as in dt_registry_assemble.
dt_status dt_registry_choose(const struct dt_registry *registry, const char *text, size_t n,
                             const struct dt_registry_entry **out, struct dt_error *err);

// The entry that "auto" chooses by the score.
const struct dt_registry_entry *dt_registry_choose_auto(const struct dt_registry *registry,
                                                        const struct dt_model *model);

// What a file that "auto" opens has in forms of more bits than the chosen backend computes: a
// classifier of 8 bits over layers of 4. The backend for those goes below; NULL: none is needed.
const struct dt_registry_entry *dt_registry_choose_below(const struct dt_registry *registry,
                                                         const struct dt_model *model,
                                                         const struct dt_registry_entry *chosen);

#endif
