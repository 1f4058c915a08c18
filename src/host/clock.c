// SPDX-License-Identifier: MIT
#include "host/clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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

uint64_t dt_clock_unix(void)
{
    return (uint64_t)time(NULL);
}

// Field 22 of /proc/self/stat: ticks from boot to the start of this process.
uint64_t dt_clock_since_start_ns(void)
{
    char text[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    char *at = strrchr(text, ')'); // the name before it may hold anything
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    long ticks = sysconf(_SC_CLK_TCK);
    if (!at || ticks <= 0)
        return 0;
    uint64_t started = strtoull(at + 1, NULL, 10) * (1000000000u / (uint64_t)ticks);
    uint64_t now = read_clock(CLOCK_BOOTTIME);
    return now > started ? now - started : 0;
}
