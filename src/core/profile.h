// SPDX-License-Identifier: MIT
// Measures the operators of a session. The host provides the clock.
#ifndef DT_CORE_PROFILE_H
#define DT_CORE_PROFILE_H

#include <stddef.h>
#include <stdint.h>

#define DT_OPERATOR_LIST(X)                                                                        \
    X(DT_OP_EMBED, "embed")                                                                        \
    X(DT_OP_ATTENTION_NORM, "attention norm")                                                      \
    X(DT_OP_QKV, "q, k, v")                                                                        \
    X(DT_OP_ROPE, "rope and store")                                                                \
    X(DT_OP_ATTENTION, "attention")                                                                \
    X(DT_OP_OUTPUT, "attention output")                                                            \
    X(DT_OP_FFN_NORM, "ffn norm")                                                                  \
    X(DT_OP_GATE_UP, "gate, up")                                                                   \
    X(DT_OP_ACTIVATION, "activation")                                                              \
    X(DT_OP_DOWN, "down")                                                                          \
    X(DT_OP_FINAL_NORM, "final norm")                                                              \
    X(DT_OP_CLASSIFIER, "classifier")

enum dt_operator {
#define DT_X(name, text) name,
    DT_OPERATOR_LIST(DT_X)
#undef DT_X
        DT_OP_COUNT
};

#define DT_NO_LAYER UINT32_MAX

struct dt_profile {
    void *arg;
    uint64_t (*now)(void *arg); // nanoseconds, monotonic
    // Receives one operator of one layer (DT_NO_LAYER: outside the layers) over `columns`
    // positions: its duration, and the bytes it read of the weights or, for attention, of the KV
    // cache. Residual additions count with the matrix before them. Worker thread.
    void (*record)(void *arg, enum dt_operator op, uint32_t layer, uint32_t columns,
                   uint64_t nanoseconds, size_t bytes);
};

// The name of an operator, static.
const char *dt_operator_name(enum dt_operator op);

// The time now, and the time after recording an operator that began at `since`. Both return 0 and
// do nothing where profile is NULL.
uint64_t dt_profile_begin(const struct dt_profile *profile);
uint64_t dt_profile_end(const struct dt_profile *profile, uint64_t since, enum dt_operator op,
                        uint32_t layer, uint32_t columns, size_t bytes);

#endif
