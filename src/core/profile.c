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

uint64_t dt_profile_begin(const struct dt_profile *profile)
{
    return profile ? profile->now(profile->arg) : 0;
}

uint64_t dt_profile_end(const struct dt_profile *profile, uint64_t since, enum dt_operator op,
                        uint32_t layer, uint32_t columns, size_t bytes)
{
    if (!profile)
        return 0;
    uint64_t at = profile->now(profile->arg);
    profile->record(profile->arg, op, layer, columns, at - since, bytes);
    return at;
}
