// SPDX-License-Identifier: MIT
// The backends there are, and stacks made of them.
#ifndef DT_HOST_REGISTRY_H
#define DT_HOST_REGISTRY_H

#include "abi/backend.h"
#include "core/model.h"
#include "core/stack.h"
#include "host/memory.h"
#include "host/threads.h"

// One backend that was found, usable or not.
struct dt_backend_info {
    // What its module says of itself; NULL when the file was refused. All functions are NULL here:
    // modules that were found are taken out of memory again, and come back with the first stack
    // that uses them.
    const struct dt_backend *table;
    const char *name;    // "int8"; the file's name when it was refused
    const char *variant; // "avx2", "" for the only one
    const char *description;
    const char *path;   // the file, "compiled in"
    int score;          // probe's; 0: cannot run here
    const char *reason; // why it cannot be used, NULL when it can
};

struct dt_registry;

// Finds every backend: compiled in, then modules. Broken modules are listed with their reason and
// are no error.
dt_status dt_registry_new(struct dt_registry **out, struct dt_error *err);
void dt_registry_free(struct dt_registry *registry);

// All that were found, sorted by name, then best variant first. Valid as long as the registry.
size_t dt_registry_count(const struct dt_registry *registry);
const struct dt_backend_info *dt_registry_at(const struct dt_registry *registry, size_t i);

// The folders that were looked into, for messages; count in *count.
const char *const *dt_registry_folders(const struct dt_registry *registry, size_t *count);

// A stack with its instances: what a session computes with.
struct dt_stack_instance {
    struct dt_stack stack;
    char name[128]; // resolved, as people read it: "int8@avx2+fastexp"
    struct dt_instance *instance[DT_STACK_MAX];
    uint32_t count;
    struct dt_services services; // handed to the instances; services.host is this assembly
    struct dt_account *account;
    struct dt_threads *threads;
    atomic_size_t bytes; // what the instances have taken through services
};

// Makes the stack that spec names, bottom first: "auto", "reference", "int8", "int8@avx2",
// "int8+fastexp". auto is the best scoring backend that computes from the model's form (model may
// be NULL: then auto is reference); approximations are never chosen by themselves. account and
// threads outlive the assembly. DT_USAGE for a malformed name or one that nobody knows (the message
// lists those that can be had), DT_UNSUPPORTED for one that cannot run here, with the reason. *out
// is freed by dt_stack_instance_free.
dt_status dt_registry_assemble(struct dt_registry *registry, const char *spec,
                               const struct dt_model *model, struct dt_account *account,
                               struct dt_threads *threads, struct dt_stack_instance **out,
                               struct dt_error *err);
void dt_stack_instance_free(struct dt_stack_instance *instance);

#endif
