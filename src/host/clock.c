// SPDX-License-Identifier: MIT
#include "host/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t dt_clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t dt_clock_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t dt_clock_unix(void)
{
    return (uint64_t)time(NULL);
}
