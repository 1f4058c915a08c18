// SPDX-License-Identifier: MIT
#include "verbs/bandwidth.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"

// Eight sums side by side: the compiler keeps them in vectors, and no addition waits for the one before.
static uint64_t sum(const uint64_t *x, size_t n)
{
    uint64_t lane[8] = {0};
    for (size_t i = 0; i + 64 <= n; i += 64) {
        for (size_t k = 0; k < 64; k++)
            lane[k % 8] += x[i + k];
    }
    return lane[0] + lane[1] + lane[2] + lane[3] + lane[4] + lane[5] + lane[6] + lane[7];
}

double dt_bandwidth_read(size_t bytes)
{
    size_t n = bytes / sizeof(uint64_t) / 64 * 64;
    if (n == 0)
        n = 64;
    uint64_t *memory = aligned_alloc(64, n * sizeof *memory);
    if (!memory)
        return 0;
    memset(memory, 1, n * sizeof *memory);
    double best = 0;
    uint64_t begun = dt_clock_ns(), at = begun;
    for (int pass = 0; pass < 4 || at - begun < 100000000u; pass++) {
        size_t repeat = (4u << 20) / (n * sizeof *memory) + 1; // a pass is long enough for the clock
        uint64_t from = dt_clock_ns();
        for (size_t i = 0; i < repeat; i++)
            __asm__ volatile("" : : "r"(sum(memory, n)) : "memory"); // or it would not be read at all
        at = dt_clock_ns();
        double rate = (double)(repeat * n * sizeof *memory) / ((double)(at - from) / 1e9);
        best = rate > best ? rate : best;
        if (pass == 1000)
            break;
    }
    free(memory);
    return best;
}
