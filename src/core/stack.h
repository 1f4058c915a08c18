// SPDX-License-Identifier: MIT
// A stack of backends: each operation is done by the topmost backend that has it.
#ifndef DT_CORE_STACK_H
#define DT_CORE_STACK_H

#include <stdbool.h>

#include "abi/backend.h"
#include "base/status.h"

#define DT_STACK_MAX 8

// The built-in scalar backend: llama2.c's order of operations and roundings, for F32, F16, BF16,
// I8, Q8_0, Q4_0, Q4_K, Q5_K and Q6_K. It is at the bottom of every stack, and all other backends
// are tested against it.
extern const struct dt_backend dt_backend_reference;

// An instance of a backend: its table in the host's size, and its context.
struct dt_instance {
    struct dt_backend table; // a copy; entries beyond the module's size are NULL
    void *ctx;
};

// The reference backend as an instance.
extern const struct dt_instance dt_instance_reference;

// A resolved stack. Plain value; does not own the instances, which outlive it.
struct dt_stack {
    const struct dt_instance *level[DT_STACK_MAX]; // [0] is the reference, [count - 1] the top
    uint32_t count;
    // the instance of each operation
    const struct dt_instance *rmsnorm, *rope, *attention, *softmax, *silu_mul, *add;
    const struct dt_instance *argmax, *select, *screen;
    const struct dt_instance *layernorm, *gelu, *gelu_mul, *softcap, *attention_capped;
    const struct dt_instance *attention_i8, *attention_capped_i8; // of a KV cache in int8
};

// Makes a stack of count instances, bottom first, with the reference below them, and resolves every
// operation. DT_USAGE: more than DT_STACK_MAX - 1.
dt_status dt_stack_make(struct dt_stack *out, const struct dt_instance *const *instances,
                        uint32_t count, struct dt_error *err);

// The place of a form among those that a backend computes: its index in `forms`, or form_count for
// one of `more_forms`; -1: it does not compute this form.
int dt_backend_form_rank(const struct dt_backend *table, uint32_t form);

// The topmost instance whose matmul accepts w; NULL if none does (then it has to be converted).
const struct dt_instance *dt_stack_for_matrix(const struct dt_stack *stack,
                                              const struct dt_matrix *w);

// Copies a module's table; entries that it does not have become NULL.
void dt_instance_init(struct dt_instance *instance, const struct dt_backend *module, void *ctx);

#endif
