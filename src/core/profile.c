// SPDX-License-Identifier: MIT
#include "core/profile.h"

const char *dt_operator_name(enum dt_operator op)
{
    static const char *const names[] = {
#define DT_X(name, text) text,
        DT_OPERATOR_LIST(DT_X)
#undef DT_X
    };
    return (unsigned)op < DT_OP_COUNT ? names[op] : "unknown";
}
