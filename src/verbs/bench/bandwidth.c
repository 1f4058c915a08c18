// SPDX-License-Identifier: MIT
#include "verbs/bench/bandwidth.h"

#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/threads.h"

#define PIECE_BYTES (256u << 10)
#define ENOUGH_NS   150000000u
#define PASSES_MIN  6 // three of each way
#define PASSES_MAX  2000
#define AHEAD       4096 // bytes: beyond the page, where hardware prefetching ends

// Eight sums, which the compiler vectorises: no addition depends on the previous one.
static void add_line(uint64_t lane[8], const unsigned char *at)
{
    uint64_t x[8];
    memcpy(x, at, sizeof x);
    for (int k = 0; k < 8; k++)
        lane[k] += x[k];
}

static uint64_t sum_of(const uint64_t lane[8])
{
    return lane[0] + lane[1] + lane[2] + lane[3] + lane[4] + lane[5] + lane[6] + lane[7];
}

// Reads from front to back.
static uint64_t read_through(const unsigned char *at, size_t bytes)
{
    uint64_t lane[8] = {0};
    for (size_t i = 0; i + 64 <= bytes; i += 64)
        add_line(lane, at + i);
    return sum_of(lane);
}

// Reads four quarters at once with prefetches, which is fastest on some memory and with small
// pages.
static uint64_t read_quarters(const unsigned char *at, size_t bytes)
{
    uint64_t lane[8] = {0};
    size_t quarter = bytes / 256 * 64;
    for (size_t i = 0; i + 64 <= quarter; i += 64) {
        for (size_t q = 0; q < 4; q++) {
            const unsigned char *line = at + q * quarter + i;
            __builtin_prefetch((const void *)((uintptr_t)line + AHEAD), 0, 2);
            add_line(lane, line);
        }
    }
    return sum_of(lane) + read_through(at + 4 * quarter, bytes - 4 * quarter);
}

struct pass {
    struct dt_span *pieces;
    bool quarters;
};

static void read_pieces(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct pass *p = arg;
    for (uint32_t i = begin; i < end; i++) {
        uint64_t sum =
            (p->quarters ? read_quarters : read_through)(p->pieces[i].at, p->pieces[i].bytes);
        __asm__ volatile("" : : "r"(sum) : "memory"); // otherwise the compiler drops the reads
    }
}

double dt_bandwidth_read(const struct dt_span *spans, size_t count, uint32_t threads)
{
    size_t pieces = 0, bytes = 0, n = 0;
    for (size_t i = 0; i < count; i++) {
        pieces += (spans[i].bytes + PIECE_BYTES - 1) / PIECE_BYTES;
        bytes += spans[i].bytes;
    }
    struct pass p = {.pieces = calloc(pieces + 1, sizeof *p.pieces)};
    struct dt_threads *pool;
    if (!p.pieces || bytes == 0 || pieces > UINT32_MAX ||
        dt_threads_new(&pool, threads, NULL) != DT_OK) {
        free(p.pieces);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < spans[i].bytes; at += PIECE_BYTES) {
            size_t left = spans[i].bytes - at;
            p.pieces[n++] = (struct dt_span){(const unsigned char *)spans[i].at + at,
                                             left < PIECE_BYTES ? left : PIECE_BYTES};
        }
    }
    double best = 0;
    uint64_t begun = dt_clock_ns(), at = begun;
    size_t repeat = (4u << 20) / bytes + 1; // so that a pass is long enough for the clock
    for (int pass = 0; pass < PASSES_MAX && (pass < PASSES_MIN || at - begun < ENOUGH_NS); pass++) {
        p.quarters = pass % 2;
        uint64_t from = dt_clock_ns();
        for (size_t i = 0; i < repeat; i++)
            dt_threads_for(pool, read_pieces, &p, (uint32_t)n, 1);
        at = dt_clock_ns();
        double rate = (double)(repeat * bytes) / ((double)(at - from) / 1e9);
        best = rate > best ? rate : best;
    }
    dt_threads_free(pool);
    free(p.pieces);
    return best;
}

double dt_bandwidth_of_size(size_t bytes)
{
    unsigned char *memory = malloc(bytes);
    if (!memory)
        return 0;
    memset(memory, 1, bytes);
    double rate = dt_bandwidth_read(&(struct dt_span){memory, bytes}, 1, 1);
    free(memory);
    return rate;
}
