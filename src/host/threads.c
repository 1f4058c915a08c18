// SPDX-License-Identifier: MIT
// Fork and join without a lock. A job is published as a ticket: its number (32 bits) and the number
// of unclaimed items (32 bits). A worker claims a piece by lowering the second. Pieces are large
// first and small at the end, so that workers of different speed finish at nearly the same time.
// A worker that sleeps or has lost its core does not delay the items that it has not claimed: the
// others, the caller included, claim all of them, and a worker that comes late finds none. The
// caller must wait for claimed items. If that takes longer than the job itself, it suspends the
// late worker for a while.
#include "host/threads.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/thread_start.h"

#define THREADS_MAX 64u
#define STACK_BYTES (512u * 1024)

// How long a worker spins for the next job before it sleeps: the longer time as long as jobs arrive
// within it.
#define SPIN_SHORT_NS 2000u
#define SPIN_LONG_NS  100000u

// The caller waits for the last pieces for this time plus the time of its own part of the job. A
// worker that is not done by then has probably lost its core, and is suspended for as long as the
// caller waited. A core shared with another process is lost again and again, for milliseconds each
// time. So if a worker is late again before it has been back for twice that wait, it is suspended
// for twice as long as the last time.
#define LATE_NS        30000u
#define AWAY_TIMES_MAX 16u

struct worker {
    struct dt_threads *pool;
    pthread_t thread;
    uint32_t number;
    _Alignas(64) atomic_uint doing;  // number of the job it works on, 0 between jobs
    atomic_uint_fast64_t away_until; // dt_clock_ns until it is suspended, 0: no. The caller sets it
    uint64_t back;  // end of the last suspension; only the caller reads and writes it
    uint64_t times; // factor of the last suspension, likewise
};

struct dt_threads {
    uint32_t count;
    uint32_t started;
    uint64_t spin; // SPIN_LONG_NS; 0 on one CPU, where no job can arrive while a worker spins

    // The job, on one cache line. All but the ticket is written by the caller between jobs only.
    _Alignas(64) atomic_uint_fast64_t ticket; // number << 32 | unclaimed items
    atomic_uint wake;                         // futex: the job number that workers wait to change
    atomic_uint grain;                        // atomic, because late workers read it
    uint32_t items;
    dt_loop_body *body;
    void *arg;

    _Alignas(64) atomic_uint left; // futex: items of the job not yet done
    atomic_uint caller_sleeps;
    _Alignas(64) atomic_uint sleepers; // > 0: a worker is in the futex, or about to enter it
    atomic_uint ending;                // futex: 1 when the pool ends
    struct worker worker[];            // count of them; number 0 is the caller's and unused
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

static void futex_wait(atomic_uint *word, unsigned value, const struct timespec *limit)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, limit, NULL, 0);
}

static void futex_wake(atomic_uint *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

// Items of the next piece, of `rest` unclaimed ones. A pure function, so that the pieces are always
// the same.
static uint32_t piece_of(uint32_t rest, uint32_t grain, uint32_t workers)
{
    uint32_t n = rest / workers;
    n = n > grain ? n : grain;
    return rest < n || rest - n < grain ? rest : n;
}

// Claims and runs pieces of job `number` until none is left.
static void work(struct dt_threads *pool, uint32_t number, uint32_t worker)
{
    uint64_t seen = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    for (;;) {
        uint32_t rest = (uint32_t)seen;
        if (seen >> 32 != number || rest == 0)
            return;
        uint32_t n =
            piece_of(rest, atomic_load_explicit(&pool->grain, memory_order_relaxed), pool->count);
        if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &seen, seen - n,
                                                   memory_order_acq_rel, memory_order_acquire))
            continue;
        // The job's fields stay valid until these items are done.
        uint32_t begin = pool->items - rest;
        pool->body(pool->arg, begin, begin + n, worker);
        if (atomic_fetch_sub(&pool->left, n) == n && atomic_load(&pool->caller_sleeps))
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
            if (limit == 0)
                return false;
            pause_cpu();
        }
        uint64_t now = dt_clock_ns();
        if (!begin)
            begin = now;
        if (now - begin >= limit)
            return false;
    }
}

// Sleeps while this worker is suspended.
static void stay_away(struct worker *self)
{
    for (;;) {
        uint64_t until = atomic_load_explicit(&self->away_until, memory_order_relaxed), now;
        if (until == 0)
            return;
        if ((now = dt_clock_ns()) >= until || atomic_load(&self->pool->ending))
            break;
        struct timespec rest = {(time_t)((until - now) / 1000000000u),
                                (long)((until - now) % 1000000000u)};
        futex_wait(&self->pool->ending, 0, &rest);
    }
    atomic_store_explicit(&self->away_until, 0, memory_order_relaxed);
}

static void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct dt_threads *pool = self->pool;
    unsigned seen = 0;
    uint64_t limit = pool->spin;
    for (;;) {
        if (spin_while(&pool->wake, seen, limit)) {
            limit = pool->spin;
        } else {
            limit = pool->spin ? SPIN_SHORT_NS : 0;
            do { // the caller sets sleepers to 0, so it wakes all workers with one system call
                atomic_fetch_add(&pool->sleepers, 1);
                if (atomic_load(&pool->wake) == seen)
                    futex_wait(&pool->wake, seen, NULL);
            } while (atomic_load(&pool->wake) == seen);
        }
        stay_away(self);
        // Read the number before `ending`: dt_threads_free() sets `ending`, then changes the
        // number. In the other order a worker could miss both and sleep for ever.
        seen = atomic_load_explicit(&pool->wake, memory_order_acquire);
        if (atomic_load(&pool->ending))
            return NULL;
        atomic_store_explicit(&self->doing, seen, memory_order_relaxed);
        work(pool, seen, self->number);
        atomic_store_explicit(&self->doing, 0, memory_order_relaxed);
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
        return dt_error_set(err, DT_USAGE, NULL, "%u threads requested; at most %u are possible",
                            count, THREADS_MAX);
    size_t bytes =
        sizeof(struct dt_threads) + count * sizeof(struct worker); // both multiples of 64
    struct dt_threads *pool = aligned_alloc(64, bytes);
    if (!pool)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %u threads", count);
    memset(pool, 0, bytes);
    pool->count = count;
    pool->spin = dt_threads_cpus() > 1 ? SPIN_LONG_NS : 0;

    int failure = 0;
    for (uint32_t i = 1; i < count && !failure; i++) {
        struct worker *worker = &pool->worker[i];
        worker->pool = pool;
        worker->number = i;
        failure = dt_thread_start(&worker->thread, STACK_BYTES, worker_main, worker);
        if (!failure)
            pool->started++;
    }
    if (failure) {
        dt_error_set(err, DT_NO_MEMORY, NULL,
                     "cannot start thread %u of %u: %s; ask for fewer (-j)", pool->started + 2,
                     count, strerror(failure));
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
    futex_wake(&pool->ending, INT_MAX);
    for (uint32_t i = 1; i <= pool->started; i++)
        pthread_join(pool->worker[i].thread, NULL);
    free(pool);
}

uint32_t dt_threads_count(const struct dt_threads *pool)
{
    return pool->count;
}

// Waits until the items of the other workers are done: spins first, then sleeps, which leaves this
// core to a worker that lost its own. own: duration of the caller's part of the job.
static void wait_for_rest(struct dt_threads *pool, uint32_t number, uint64_t begin, uint64_t own)
{
    uint64_t limit = pool->spin ? LATE_NS + own : 0, now = begin;
    while (now - begin < limit) {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&pool->left, memory_order_acquire) == 0)
                return;
            pause_cpu();
        }
        now = dt_clock_ns();
    }
    uint64_t late = 0; // a bit a worker
    for (uint32_t i = 1; i <= pool->started; i++) {
        if (atomic_load_explicit(&pool->worker[i].doing, memory_order_relaxed) == number)
            late |= 1ull << i;
    }
    atomic_store(&pool->caller_sleeps, 1);
    for (unsigned left; (left = atomic_load(&pool->left)) > 0;)
        futex_wait(&pool->left, left, NULL);
    now = dt_clock_ns();
    uint64_t waited = now - begin;
    for (uint32_t i = 1; i <= pool->started; i++) {
        struct worker *worker = &pool->worker[i];
        if (!(late >> i & 1))
            continue;
        bool chance = begin - worker->back > 2 * waited;
        worker->times = chance                           ? 1
                        : worker->times < AWAY_TIMES_MAX ? worker->times * 2
                                                         : AWAY_TIMES_MAX;
        worker->back = now + waited * worker->times;
        atomic_store_explicit(&worker->away_until, worker->back, memory_order_relaxed);
    }
}

void dt_threads_for(struct dt_threads *pool, dt_loop_body *body, void *arg, uint32_t items,
                    uint32_t grain)
{
    grain = grain > 1 ? grain : 1;
    if (pool->count == 1 || items < 2 * (uint64_t)grain) {
        if (items > 0)
            body(arg, 0, items, 0);
        return;
    }
    uint64_t begin = dt_clock_ns();
    uint32_t number = atomic_load_explicit(&pool->wake, memory_order_relaxed) + 1;
    number += number == 0;
    pool->body = body;
    pool->arg = arg;
    pool->items = items;
    atomic_store_explicit(&pool->grain, grain, memory_order_relaxed);
    atomic_store_explicit(&pool->left, items, memory_order_relaxed);
    atomic_store_explicit(&pool->caller_sleeps, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->ticket, (uint64_t)number << 32 | items, memory_order_release);
    atomic_store(&pool->wake, number);
    if (atomic_load(&pool->sleepers) > 0 && atomic_exchange(&pool->sleepers, 0) > 0)
        futex_wake(&pool->wake, INT_MAX);
    work(pool, number, 0);
    if (atomic_load_explicit(&pool->left, memory_order_acquire) == 0)
        return;
    uint64_t now = dt_clock_ns();
    wait_for_rest(pool, number, now, now - begin);
}
