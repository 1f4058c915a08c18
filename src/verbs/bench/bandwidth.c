// SPDX-License-Identifier: MIT
#include "verbs/bench/bandwidth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/clock.h"
#include "host/memory.h"
#include "host/modules/cpu.h"
#include "host/thread_start.h"
#include "host/threads.h"

#define PIECE_BYTES  (1u << 20)
#define WINDOW_BYTES (512u << 20) // larger than any cache; more bytes have the same bandwidth
#define PASS_BYTES   (16u << 20)  // so that a pass is long enough for the clock and the threads
#define ENOUGH_NS    150000000u
#define TRIES        3 // passes of each pattern before the fastest one gets the remaining time
#define PASSES_MAX   2000
#define THREADS_MAX  64u
#define STACK_BYTES  (512u * 1024)
#define SPIN_NS      500000u
#define SLEEP_NS     20000
#define TOO_LONG_NS  1000000000u // on a machine with much else to do
#define LINE         64u         // bytes of a cache line
#define LARGE_PAGE   ((size_t)2 << 20)

// How a pass reads: with which reader, in how many streams, and how many bytes ahead of the loads
// it prefetches (0: not at all).
struct pattern;
typedef unsigned char reader(const unsigned char *at, size_t bytes, const struct pattern *p);

struct pattern {
    reader *read;
    uint64_t features; // DT_CPU_* that the reader needs
    unsigned streams;  // 1: front to back; 4: the four quarters of a piece at the same time
    size_t ahead;
};

static void prefetch(const unsigned char *at, size_t ahead)
{
    __builtin_prefetch((const void *)((uintptr_t)at + ahead), 0, 3);
}

static unsigned char xor_bytes(const unsigned char *at, size_t bytes)
{
    unsigned char sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum ^= at[i];
    return sum;
}

// Defines a reader. It returns the exclusive or of all bytes, so that the compiler cannot drop a
// load and a test can see that every byte is read. Four lines are read at a time, each into a sum
// of its own, so that no operation waits for the previous one. A macro, because the compiler
// chooses the vector instructions by the attribute of the function that it finds the code in.
#define DEFINE_READER(name, attribute, vector)                                                     \
    attribute static unsigned char name(const unsigned char *at, size_t bytes,                     \
                                        const struct pattern *p)                                   \
    {                                                                                              \
        size_t head = -(uintptr_t)at % LINE;                                                       \
        head = head < bytes ? head : bytes;                                                        \
        unsigned char sum = xor_bytes(at, head);                                                   \
        at += head;                                                                                \
        size_t lines = (bytes - head) / (4 * LINE), ahead = p->ahead;                              \
        size_t apart = p->streams == 4 ? lines * LINE : LINE;                                      \
        size_t step = p->streams == 4 ? LINE : 4 * LINE;                                           \
        const unsigned char *a = at, *b = a + apart, *c = b + apart, *d = c + apart;               \
        vector sums[4] = {{0}, {0}, {0}, {0}};                                                     \
        if (ahead > 0) {                                                                           \
            for (size_t i = 0; i < lines * step; i += step) {                                      \
                prefetch(a + i, ahead);                                                            \
                ADD_LINE(vector, sums[0], a + i);                                                  \
                prefetch(b + i, ahead);                                                            \
                ADD_LINE(vector, sums[1], b + i);                                                  \
                prefetch(c + i, ahead);                                                            \
                ADD_LINE(vector, sums[2], c + i);                                                  \
                prefetch(d + i, ahead);                                                            \
                ADD_LINE(vector, sums[3], d + i);                                                  \
            }                                                                                      \
        } else {                                                                                   \
            for (size_t i = 0; i < lines * step; i += step) {                                      \
                ADD_LINE(vector, sums[0], a + i);                                                  \
                ADD_LINE(vector, sums[1], b + i);                                                  \
                ADD_LINE(vector, sums[2], c + i);                                                  \
                ADD_LINE(vector, sums[3], d + i);                                                  \
            }                                                                                      \
        }                                                                                          \
        sum ^= xor_bytes((const unsigned char *)sums, sizeof sums);                                \
        return sum ^ xor_bytes(at + lines * 4 * LINE, bytes - head - lines * 4 * LINE);            \
    }

#define ADD_LINE(vector, sum, line)                                                                \
    do {                                                                                           \
        const vector *part = (const vector *)(const void *)(line);                                 \
        sum ^= part[0];                                                                            \
        if (sizeof(vector) <= 32)                                                                  \
            sum ^= part[1 % (LINE / sizeof(vector))];                                              \
        if (sizeof(vector) <= 16) {                                                                \
            sum ^= part[2 % (LINE / sizeof(vector))];                                              \
            sum ^= part[3 % (LINE / sizeof(vector))];                                              \
        }                                                                                          \
    } while (0)

// 16 bytes: SSE2, NEON, or pairs of registers where there are no vectors.
typedef uint64_t vector16 __attribute__((vector_size(16), may_alias));
DEFINE_READER(read_plain, , vector16)

#if defined(__x86_64__) || defined(__i386__)
typedef uint64_t vector32 __attribute__((vector_size(32), may_alias));
typedef uint64_t vector64 __attribute__((vector_size(64), may_alias));
DEFINE_READER(read_avx2, __attribute__((target("avx2"))), vector32)
DEFINE_READER(read_avx512, __attribute__((target("avx512f"))), vector64)
#endif

static const struct pattern patterns[] = {
#if defined(__x86_64__) || defined(__i386__)
    {read_avx512, DT_CPU_AVX512, 1, 2048},
    {read_avx512, DT_CPU_AVX512, 1, 0},
    {read_avx512, DT_CPU_AVX512, 4, 4096},
    {read_avx512, DT_CPU_AVX512, 4, 0},
    {read_avx2, DT_CPU_AVX2, 1, 2048},
    {read_avx2, DT_CPU_AVX2, 1, 0},
    {read_avx2, DT_CPU_AVX2, 4, 4096},
    {read_avx2, DT_CPU_AVX2, 4, 0},
#endif
    {read_plain, 0, 1, 2048},
    {read_plain, 0, 1, 0},
    {read_plain, 0, 4, 4096},
    {read_plain, 0, 4, 0},
};

#define PATTERNS (sizeof patterns / sizeof *patterns)

static bool can_run(const struct pattern *p)
{
    return (dt_cpu()->features & p->features) == p->features;
}

bool dt_bandwidth_pattern(size_t pattern, const void *at, size_t bytes, unsigned char *sum)
{
    if (pattern >= PATTERNS)
        return false;
    const struct pattern *p = &patterns[pattern];
    if (can_run(p))
        *sum = p->read(at, bytes, p);
    return true;
}

// ---- a pass: every thread reads its part ----

// Threads of its own, and not a dt_threads: that one moves work away from a thread that is late,
// and a limit is what all threads can do at the same time.
struct team {
    uint32_t threads;
    const struct pattern *pattern; // of the next pass; NULL: the threads end
    struct dt_span *pieces;        // cut so that no piece belongs to two threads
    size_t *part;                  // threads + 1 indices into pieces
    size_t repeat;                 // times that a pass reads the parts
    atomic_uint arrived, meetings;
};

struct member {
    struct team *team;
    uint32_t number;
    pthread_t thread;
};

// Returns when all threads of the team are here. Spins, because to wake a sleeping thread takes as
// long as a pass; sleeps when a thread is so late that it has probably lost its core.
static void meet(struct team *team)
{
    unsigned before = atomic_load(&team->meetings);
    if (atomic_fetch_add(&team->arrived, 1) + 1 == team->threads) {
        atomic_store(&team->arrived, 0);
        atomic_fetch_add(&team->meetings, 1);
        return;
    }
    uint64_t begun = dt_clock_ns();
    while (atomic_load(&team->meetings) == before) {
        if (dt_clock_ns() - begun > SPIN_NS)
            nanosleep(&(struct timespec){.tv_nsec = SLEEP_NS}, NULL);
    }
}

static void read_part(const struct team *team, uint32_t number)
{
    unsigned char sum = 0;
    for (size_t r = 0; r < team->repeat; r++) {
        for (size_t i = team->part[number]; i < team->part[number + 1]; i++)
            sum ^= team->pattern->read(team->pieces[i].at, team->pieces[i].bytes, team->pattern);
        __asm__ volatile("" : : "r"(sum) : "memory"); // otherwise the compiler drops the reads
    }
}

static void *member_main(void *arg)
{
    const struct member *self = arg;
    for (;;) {
        meet(self->team);
        if (!self->team->pattern)
            return NULL;
        read_part(self->team, self->number);
        meet(self->team);
    }
}

// Cuts the first `bytes` bytes of the spans into pieces, and divides these among the threads.
static void cut(struct team *team, const struct dt_span *spans, size_t bytes)
{
    uint32_t threads = team->threads, part = 0;
    size_t n = 0, done = 0;
    team->part[0] = 0;
    for (size_t i = 0; done < bytes; i++) {
        for (size_t at = 0; at < spans[i].bytes && done < bytes;) {
            size_t end = (size_t)((double)bytes * (part + 1) / threads); // of this part
            end = part + 1 == threads ? bytes : end;
            size_t length = spans[i].bytes - at;
            length = length < PIECE_BYTES ? length : PIECE_BYTES;
            length = length < end - done ? length : end - done;
            if (length > 0)
                team->pieces[n++] =
                    (struct dt_span){(const unsigned char *)spans[i].at + at, length};
            at += length;
            done += length;
            if (done == end && part + 1 < threads)
                team->part[++part] = n;
        }
    }
    team->part[threads] = n;
}

// Bytes per second of the fastest pass.
static double best_pass(struct team *team, size_t bytes)
{
    const struct pattern *usable[PATTERNS], *fastest = NULL;
    size_t count = 0;
    for (size_t i = 0; i < PATTERNS; i++) {
        if (can_run(&patterns[i]))
            usable[count++] = &patterns[i];
    }
    double best = 0;
    uint64_t begun = dt_clock_ns(), at = begun;
    for (size_t pass = 0; pass < PASSES_MAX; pass++) {
        if (at - begun > (pass < count ? TOO_LONG_NS : ENOUGH_NS) && pass > 0)
            break;
        team->pattern = pass < TRIES * count ? usable[pass % count] : fastest;
        meet(team);
        uint64_t from = dt_clock_ns();
        read_part(team, 0);
        meet(team);
        at = dt_clock_ns();
        double rate = (double)(team->repeat * bytes) / ((double)(at - from + (at == from)) / 1e9);
        if (rate > best) {
            best = rate;
            fastest = team->pattern;
        }
    }
    return best;
}

// Starts the other threads of the team, measures, and ends them. Without a thread there is no
// measurement: the others wait for it.
static double run_team(struct team *team, struct member *members, size_t bytes)
{
    uint32_t started = 1;
    while (started < team->threads) {
        struct member *m = &members[started];
        *m = (struct member){.team = team, .number = started};
        if (dt_thread_start(&m->thread, STACK_BYTES, member_main, m) != 0)
            break;
        started++;
    }
    double best = 0;
    if (started == team->threads)
        best = best_pass(team, bytes);
    team->pattern = NULL;
    atomic_fetch_add(&team->arrived, team->threads - started); // for those that did not start
    meet(team);
    for (uint32_t i = 1; i < started; i++)
        pthread_join(members[i].thread, NULL);
    return best;
}

double dt_bandwidth_read(const struct dt_span *spans, size_t count, uint32_t threads)
{
    size_t bytes = 0, pieces = 0;
    for (size_t i = 0; i < count; i++) {
        pieces += spans[i].bytes / PIECE_BYTES + 1;
        bytes += spans[i].bytes;
    }
    bytes = bytes < WINDOW_BYTES ? bytes : WINDOW_BYTES;
    if (bytes == 0)
        return 0;
    threads = threads > 0 ? threads : dt_threads_cpus();
    threads = threads < THREADS_MAX ? threads : THREADS_MAX;
    struct team team = {
        .threads = threads,
        .pieces = calloc(pieces + threads, sizeof *team.pieces),
        .part = calloc(threads + 1, sizeof *team.part),
        .repeat = PASS_BYTES / bytes + 1,
    };
    struct member *members = calloc(threads, sizeof *members);
    double best = 0;
    if (team.pieces && team.part && members) {
        cut(&team, spans, bytes);
        best = run_team(&team, members, bytes);
    }
    free(members);
    free(team.pieces);
    free(team.part);
    return best;
}

double dt_bandwidth_of_size(size_t bytes, uint32_t threads)
{
    struct dt_account account = {0};
    bytes = bytes < WINDOW_BYTES ? bytes : WINDOW_BYTES;
    size_t block_bytes = (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE + LARGE_PAGE;
    void *block = NULL;
    if (bytes == 0 || block_bytes > dt_memory_available(NULL) / 4 ||
        dt_memory_alloc(&account, block_bytes, "the bandwidth test", &block, NULL) != DT_OK)
        return 0;
    dt_memory_large_pages(block, block_bytes);
    unsigned char *memory = (unsigned char *)block + -(uintptr_t)block % LARGE_PAGE;
    memset(memory, 1, bytes); // pages that were never written to are all the same page
    double rate = dt_bandwidth_read(&(struct dt_span){memory, bytes}, 1, threads);
    dt_memory_free(&account, block, block_bytes);
    return rate;
}
