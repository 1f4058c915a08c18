// SPDX-License-Identifier: MIT
// Exports the functions of abi/kit/table.h, which are static there, by the names of operators.h.
#include "common/operators.h"

#include "abi/kit/table.h"

#define OPERATOR_EXPORT(op)                                                                        \
    extern __typeof__(kit_op_##op) OPERATOR(op)                                                    \
        __attribute__((alias("kit_op_" #op), visibility("hidden")));
OPERATORS(OPERATOR_EXPORT)
