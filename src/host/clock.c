// SPDX-License-Identifier: MIT
#include "host/clock.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

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

uint64_t dt_clock_seed(void)
{
    static atomic_uint drawn;
    uint64_t mixed = 0;
    if (getentropy(&mixed, sizeof mixed) != 0) // kernels before 3.17
        mixed = (read_clock(CLOCK_REALTIME) * 1000003u + (uint64_t)getpid() * 104729u +
                 dt_clock_ns() + atomic_fetch_add(&drawn, 1) * 7919u) *
                0x9E3779B97F4A7C15ull;
    return 1 + (mixed >> 32) % 999999999u;
}

uint64_t dt_clock_unix(void)
{
    return (uint64_t)time(NULL);
}

void dt_patience_begin(struct dt_patience *patience)
{
    patience->looked_ns = dt_clock_ns();
    patience->waited_ns = 0;
}

bool dt_patience_ends(struct dt_patience *patience, uint32_t milliseconds)
{
    uint64_t now = dt_clock_ns(), step = DT_PATIENCE_STEP * UINT64_C(1000000);
    uint64_t passed = now - patience->looked_ns;
    patience->looked_ns = now;
    patience->waited_ns += passed < step ? passed : step;
    return patience->waited_ns >= milliseconds * UINT64_C(1000000);
}
