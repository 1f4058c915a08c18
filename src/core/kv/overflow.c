// SPDX-License-Identifier: MIT
#include "core/kv/overflow.h"

#include <string.h>

#define SINKS 4u // first tokens, which get much attention whatever they are

enum dt_overflow dt_overflow_of(const char *name)
{
    static const char *const names[] = {
        [DT_OVERFLOW_STOP] = "stop",
        [DT_OVERFLOW_NEW] = "new",
        [DT_OVERFLOW_SHIFT] = "shift",
        [DT_OVERFLOW_WINDOW] = "window",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum dt_overflow)i;
    }
    return DT_OVERFLOW_STOP;
}

uint32_t dt_overflow_pinned(uint32_t capacity, size_t wanted)
{
    size_t pinned = wanted < SINKS ? SINKS : wanted;
    return pinned < capacity / 2 ? (uint32_t)pinned : capacity / 2;
}

uint32_t dt_overflow_drop(uint32_t capacity, uint32_t pinned)
{
    uint32_t drop = (capacity - pinned) / 4;
    return drop ? drop : 1;
}
