// SPDX-License-Identifier: MIT
// Fork and join without a lock. A job is published as a ticket word: its number (32 bits), how many pieces it has (16), the next
// piece (16). Whoever moves the ticket on owns that piece. So a worker that sleeps, or whose core is taken away, holds nobody up: the caller
// does all pieces itself, and what comes late finds no ticket of its job.
#include "host/threads.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"

#define THREADS_MAX 64u
#define STACK_BYTES (512u * 1024)
#define PIECES_A_WORKER 4u // where there is enough work: what a lost core can delay is one piece

// A worker spins this long for the next job, then sleeps. The longer one is used while jobs keep coming within it.
#define SPIN_SHORT_NS 2000u
#define SPIN_LONG_NS 100000u

struct worker {
    struct dt_threads *pool;
    pthread_t thread;
    uint32_t number;
};

struct dt_threads {
    uint32_t count;
    uint32_t started;
    struct worker worker[THREADS_MAX];

    // The job. Written by the caller between jobs only.
    dt_loop_body *body;
    void *arg;
    uint32_t items;

    _Alignas(64) atomic_uint_fast64_t ticket;  // number << 32 | pieces << 16 | next piece
    _Alignas(64) atomic_uint wake;             // futex: the job number that workers wait to change
    atomic_uint sleepers;                      // workers in, or on the way into, the futex
    _Alignas(64) atomic_uint left;             // futex: pieces of the job not yet done
    atomic_uint caller_sleeps;
    atomic_int ending;
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static void futex_wait(atomic_uint *word, unsigned value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

// Takes and does pieces of job `number` until none is left to take.
static void work(struct dt_threads *pool, uint32_t number, uint32_t worker)
{
    uint64_t seen = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    for (;;) {
        uint32_t piece = (uint32_t)seen & 0xffff, pieces = (uint32_t)seen >> 16;
        if (seen >> 32 != number || piece >= pieces)
            return;
        if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &seen, seen + 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        uint64_t items = pool->items; // a piece is ours, so the job stands until we have done it
        pool->body(pool->arg, (uint32_t)(items * piece / pieces), (uint32_t)(items * (piece + 1) / pieces), worker);
        if (atomic_fetch_sub(&pool->left, 1) == 1 && atomic_load(&pool->caller_sleeps))
            futex_wake(&pool->left, 1);
        seen = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    }
}

// Spins until *word differs from value, for at most limit nanoseconds. True if it changed.
static bool spin_while(atomic_uint *word, unsigned value, uint64_t limit)
{
    uint64_t begin = 0;
    for (;;) {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != value)
                return true;
            pause_cpu();
        }
        uint64_t now = dt_clock_ns();
        if (!begin)
            begin = now;
        if (now - begin >= limit)
            return false;
    }
}

static void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct dt_threads *pool = self->pool;
    unsigned seen = 0;
    uint64_t limit = SPIN_LONG_NS;
    for (;;) {
        if (spin_while(&pool->wake, seen, limit)) {
            limit = SPIN_LONG_NS;
        } else {
            limit = SPIN_SHORT_NS; // nothing came: until a job follows closely on another, do not burn CPU for it
            atomic_fetch_add(&pool->sleepers, 1);
            while (atomic_load(&pool->wake) == seen)
                futex_wait(&pool->wake, seen);
            atomic_fetch_sub(&pool->sleepers, 1);
        }
        // First the number, then the end: what ends the pool moves the number on, so an end that
        // is not seen here yet is seen at the next number. The other way round it could be slept over.
        seen = atomic_load_explicit(&pool->wake, memory_order_acquire);
        if (atomic_load(&pool->ending))
            return NULL;
        work(pool, seen, self->number);
    }
}

uint32_t dt_threads_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (uint32_t)n : 1;
}

dt_status dt_threads_new(struct dt_threads **out, uint32_t count, struct dt_error *err)
{
    if (count == 0) {
        count = dt_threads_cpus();
        count = count < 16 ? count : 16;
    }
    if (count > THREADS_MAX)
        return dt_error_set(err, DT_USAGE, NULL, "%u threads asked for, at most %u can be had", count, THREADS_MAX);
    struct dt_threads *pool = aligned_alloc(64, (sizeof *pool + 63) / 64 * 64);
    if (!pool)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %u threads", count);
    memset(pool, 0, sizeof *pool);
    pool->count = count;

    // Signals are the main thread's business, but for those that a thread's own instructions raise: blocked, they would kill.
    static const int own[] = {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failure = 0;
    for (uint32_t i = 1; i < count && !failure; i++) {
        struct worker *worker = &pool->worker[i];
        worker->pool = pool;
        worker->number = i;
        failure = pthread_create(&worker->thread, &attributes, worker_main, worker);
        if (!failure)
            pool->started++;
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        dt_error_set(err, DT_NO_MEMORY, NULL, "cannot start thread %u of %u: %s; ask for fewer (-j)",
                     pool->started + 2, count, strerror(failure));
        dt_threads_free(pool);
        return DT_NO_MEMORY;
    }
    *out = pool;
    return DT_OK;
}

void dt_threads_free(struct dt_threads *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->ending, 1);
    atomic_fetch_add(&pool->wake, 1);
    futex_wake(&pool->wake, INT_MAX);
    for (uint32_t i = 1; i <= pool->started; i++)
        pthread_join(pool->worker[i].thread, NULL);
    free(pool);
}

uint32_t dt_threads_count(const struct dt_threads *pool)
{
    return pool->count;
}

void dt_threads_for(struct dt_threads *pool, dt_loop_body *body, void *arg, uint32_t items, uint32_t grain)
{
    uint32_t pieces = grain > 1 ? items / grain : items;
    if (pieces > pool->count * PIECES_A_WORKER)
        pieces = pool->count * PIECES_A_WORKER;
    else if (pieces > pool->count)
        pieces = pool->count;
    if (pool->count == 1 || pieces <= 1) {
        if (items > 0)
            body(arg, 0, items, 0);
        return;
    }
    uint32_t number = atomic_load_explicit(&pool->wake, memory_order_relaxed) + 1;
    pool->body = body;
    pool->arg = arg;
    pool->items = items;
    atomic_store_explicit(&pool->left, pieces, memory_order_relaxed);
    atomic_store_explicit(&pool->caller_sleeps, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->ticket, (uint64_t)number << 32 | pieces << 16, memory_order_release);
    atomic_store(&pool->wake, number);
    if (atomic_load(&pool->sleepers) > 0)
        futex_wake(&pool->wake, INT_MAX);
    work(pool, number, 0);

    // The rest is in other hands: wait for it, first awake, then asleep (which also lends our core to a worker that lost its own).
    uint64_t begin = 0;
    for (unsigned left; (left = atomic_load_explicit(&pool->left, memory_order_acquire)) > 0;) {
        for (int i = 0; i < 32 && atomic_load_explicit(&pool->left, memory_order_acquire) > 0; i++)
            pause_cpu();
        uint64_t now = dt_clock_ns();
        if (!begin)
            begin = now;
        if (now - begin < SPIN_LONG_NS)
            continue;
        atomic_store(&pool->caller_sleeps, 1);
        left = atomic_load(&pool->left);
        if (left > 0)
            futex_wait(&pool->left, left);
    }
}
