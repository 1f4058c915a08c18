// SPDX-License-Identifier: MIT
// Stacks of backends with their instances, made from the registry.
#ifndef DT_HOST_STACK_INSTANCE_H
#define DT_HOST_STACK_INSTANCE_H

#include "core/stack.h"
#include "core/weights.h"
#include "host/memory.h"
#include "host/modules/registry.h"
#include "host/modules/tuned.h"
#include "host/threads.h"

struct dt_registry_entry;

// A stack with the instances of its backends. A session computes with it.
struct dt_stack_instance {
    struct dt_stack stack;
    char name[128]; // resolved: "int8@avx2+fastexp"
    struct dt_instance *instance[DT_STACK_MAX];
    const struct dt_registry_entry *entry[DT_STACK_MAX]; // of each
    uint32_t count;
    struct dt_registry *registry;
    uint32_t automatic;          // the number of the instance that "auto" chose; DT_STACK_MAX: none
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
// NULL); it is never an approximate one. The registry, account and threads
// must outlive the stack instance. DT_USAGE for a malformed spec or an unknown name (the message
// lists the available ones), DT_UNSUPPORTED with the reason if a backend cannot run here. The
// caller frees *out with dt_stack_instance_free.
dt_status dt_registry_assemble(struct dt_registry *registry, const char *spec,
                               const struct dt_model *model, struct dt_account *account,
                               struct dt_threads *threads, struct dt_stack_instance **out,
                               struct dt_error *err);
void dt_stack_instance_free(struct dt_stack_instance *instance);

// ---- variants ----

// A variant of the backend that "auto" chose, for measurements.
struct dt_variant {
    char name[32]; // "avx2"; "" is the one without a name
    const struct dt_registry_entry *entry;
    struct dt_instance instance;
};

// Starts those usable variants of the backend that "auto" chose whose score is at least half of the
// best one's and which compute from the same forms and layout, best first; out has space for
// DT_STACK_MAX. Those that cannot be started are left out. Returns how many; end each with
// dt_variant_close. Their bits may differ.
uint32_t dt_stack_instance_variants(struct dt_stack_instance *instance, struct dt_variant *out);
void dt_variant_close(struct dt_variant *variant);

// Puts the variant into the place of the one that is used; the variant then is that one. No kernel
// may run. Both must accept the same matrices.
void dt_stack_instance_use(struct dt_stack_instance *instance, struct dt_variant *variant);

// The name of the variant that "auto" chose; NULL if it chose none.
const char *dt_stack_instance_variant(const struct dt_stack_instance *instance);

// What was measured in this process or before.
struct dt_tuned *dt_stack_instance_tuned(struct dt_stack_instance *instance);

// A text that names the CPU, and the files of the variants as they are now, in hexadecimal.
void dt_stack_instance_build(const struct dt_stack_instance *instance, char *out, size_t size);

#endif
