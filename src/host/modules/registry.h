// SPDX-License-Identifier: MIT
// The registry of backends.
#ifndef DT_HOST_REGISTRY_H
#define DT_HOST_REGISTRY_H

#include "abi/backend.h"
#include "core/model.h"

// A backend that was found, usable or not.
struct dt_backend_info {
    // A copy of the module's table in which all functions are NULL, because modules are unloaded
    // after they were probed and loaded again by the first stack that contains them. NULL if the
    // file was refused.
    const struct dt_backend *table;
    const char *name;    // "int8"; the file's name if it was refused
    const char *variant; // "avx2"; "" if it is the only one
    const char *description;
    const char *path;   // the file, or "compiled in"
    int score;          // the result of its probe; 0: cannot run here
    const char *reason; // why it cannot be used; NULL if it can
};

// Whether the table of a module can be used; writes the reason if not. Reads nothing beyond the
// table's own size.
bool dt_registry_accepts(const struct dt_backend *module, char *reason, size_t size);

struct dt_registry;

// Finds all backends, compiled in and as modules, and probes each. Those that cannot be used are
// listed with a reason and are no error. The caller frees *out with dt_registry_free.
dt_status dt_registry_new(struct dt_registry **out, struct dt_error *err);
void dt_registry_free(struct dt_registry *registry);

// All backends, sorted by name, then by falling score. Valid as long as the registry.
size_t dt_registry_count(const struct dt_registry *registry);
const struct dt_backend_info *dt_registry_at(const struct dt_registry *registry, size_t i);

// The folders that were searched, *count of them. Valid as long as the registry.
const char *const *dt_registry_folders(const struct dt_registry *registry, size_t *count);

// All folders where modules were looked for, existing or not, *count of them; none in a static
// build. Valid as long as the registry.
const char *const *dt_registry_places(const struct dt_registry *registry, size_t *count);

// A matrix that is stored as most of the model's.
const struct dt_matrix *dt_registry_main_matrix(const struct dt_model *model);

// The weight form of most matrices of a model, by which "auto" chooses; if they are packed, the
// form that they were packed from.
uint32_t dt_registry_main_form(const struct dt_model *model);

#endif
