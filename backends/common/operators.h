// SPDX-License-Identifier: MIT
// The kit's operators as entries of a struct dt_backend. operators.c is compiled once for each
// instruction set and linked into all modules of that set; the build defines DT_OPERATORS_SET.
#ifndef DT_BACKENDS_COMMON_OPERATORS_H
#define DT_BACKENDS_COMMON_OPERATORS_H

#include "abi/backend.h"

#define OPERATORS(X)                                                                               \
    X(rmsnorm)                                                                                     \
    X(rope)                                                                                        \
    X(attention)                                                                                   \
    X(softmax)                                                                                     \
    X(silu_mul)                                                                                    \
    X(add)                                                                                         \
    X(argmax)                                                                                      \
    X(select)                                                                                      \
    X(screen)                                                                                      \
    X(layernorm)                                                                                   \
    X(gelu)                                                                                        \
    X(gelu_mul)                                                                                    \
    X(softcap)                                                                                     \
    X(attention_capped)

#define OPERATOR_2(op, set) dt_operator_##op##_##set
#define OPERATOR_1(op, set) OPERATOR_2(op, set)
#define OPERATOR(op)        OPERATOR_1(op, DT_OPERATORS_SET)

#define OPERATOR_DECLARE(op)                                                                       \
    extern __typeof__(*((struct dt_backend *)0)->op) OPERATOR(op)                                  \
        __attribute__((visibility("hidden")));
OPERATORS(OPERATOR_DECLARE)
#undef OPERATOR_DECLARE

// Follows another entry; begins with the comma.
#define OPERATOR_ENTRIES                                                                           \
    OPERATORS(OPERATOR_ENTRY)                                                                      \
    , .kv_types = 1u << DT_KV_F32 | 1u << DT_KV_F16 | 1u << DT_KV_I8
#define OPERATOR_ENTRY(op) , .op = OPERATOR(op)

#endif
