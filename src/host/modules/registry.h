// SPDX-License-Identifier: MIT
// The registry of backends, and stacks made from them.
#ifndef DT_HOST_REGISTRY_H
#define DT_HOST_REGISTRY_H

#include "abi/backend.h"
#include "core/model.h"
#include "core/stack.h"
#include "core/weights.h"
#include "host/memory.h"
#include "host/threads.h"

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

// A stack with the instances of its backends. A session computes with it.
struct dt_stack_instance {
    struct dt_stack stack;
    char name[128]; // resolved: "int8@avx2+fastexp"
    struct dt_instance *instance[DT_STACK_MAX];
    uint32_t count;
    struct dt_services services; // for the instances; services.host is this stack instance
    struct dt_account *account;
    struct dt_threads *threads; // NULL: everything runs on the calling thread
    atomic_size_t bytes;        // allocated by the instances through services
    enum dt_pack_policy pack;   // as resolved by the engine for its model; AUTO: not yet
    bool fallback;              // "auto" found no backend for the model but the slow reference
};

// Makes the stack that spec names, bottom first: "auto", "reference", "int8", "int8@avx2",
// "int8+fastexp". "auto" is the backend with the highest score that computes from the model's
// weight form, and from its packed layout if there is such a backend ("reference" if model is
// NULL); it is never an approximate one. account and threads
// must outlive the stack instance. DT_USAGE for a malformed spec or an unknown name (the message
// lists the available ones), DT_UNSUPPORTED with the reason if a backend cannot run here. The
// caller frees *out with dt_stack_instance_free.
dt_status dt_registry_assemble(struct dt_registry *registry, const char *spec,
                               const struct dt_model *model, struct dt_account *account,
                               struct dt_threads *threads, struct dt_stack_instance **out,
                               struct dt_error *err);
void dt_stack_instance_free(struct dt_stack_instance *instance);

#endif
