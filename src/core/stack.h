// SPDX-License-Identifier: MIT
// Backends composed: for each operation, the topmost backend that has it.
#ifndef DT_CORE_STACK_H
#define DT_CORE_STACK_H

#include <stdbool.h>

#include "abi/backend.h"
#include "base/status.h"

#define DT_STACK_MAX 8

// The scalar backend that is compiled in: llama2.c's order of operations and roundings, for F32,
// F16, BF16, I8, Q8_0 and Q4_0. It is at the bottom of every stack, and the oracle of all others.
extern const struct dt_backend dt_backend_reference;

// An instance of a backend: its table, complete to the host's size, and its ctx.
struct dt_instance {
    struct dt_backend table; // a copy: entries beyond the module's own size are NULL
    void *ctx;
};

// The reference as an instance.
extern const struct dt_instance dt_instance_reference;

// A flattened stack. Plain value; the instances belong to whoever made them (host/registry) and
// outlive it.
struct dt_stack {
    const struct dt_instance *level[DT_STACK_MAX]; // [0] is the reference, [count - 1] the top
    uint32_t count;
    // for each operation, the instance that does it
    const struct dt_instance *rmsnorm, *rope, *attention, *softmax, *silu_mul, *add;
    const struct dt_instance *argmax, *select, *screen;
};

// Puts count instances (bottom first; the reference is added beneath) into *out and resolves every
// operation.
dt_status dt_stack_make(struct dt_stack *out, const struct dt_instance *const *instances,
                        uint32_t count, struct dt_error *err);

// The topmost instance whose matmul takes w as it is described; NULL if none does (the host
// converts then).
const struct dt_instance *dt_stack_for_matrix(const struct dt_stack *stack,
                                              const struct dt_matrix *w);

// Copies a module's table into one of the host's size; entries it does not have are NULL.
void dt_instance_init(struct dt_instance *instance, const struct dt_backend *module, void *ctx);

#endif
