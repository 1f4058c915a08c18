// SPDX-License-Identifier: MIT
#include "enter.h"

#include <poll.h>
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool ui_enter_repeats(struct ui_enter *e, bool end)
{
    bool repeats = end && e->after;
    if (end && !repeats)
        e->at_ns = now_ns();
    e->after = end;
    return repeats;
}

int ui_enter_wait_ms(struct ui_enter *e, int fd)
{
    struct pollfd waits = {fd, POLLIN, 0};
    if (!e->after)
        return -1;
    uint64_t passed = (now_ns() - e->at_ns) / 1000000u;
    if (passed < (uint64_t)e->delay_ms)
        return e->delay_ms - (int)passed;
    if (poll(&waits, 1, 0) > 0) // it may have come in time
        return 0;
    e->after = false;
    return -1;
}
