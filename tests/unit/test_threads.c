// SPDX-License-Identifier: MIT
// The pool: every item runs once, concurrent workers have different numbers, the pieces are always
// the same, many short jobs in a row.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "host/threads.h"

#define ITEMS_MAX 2000u

struct job {
    _Atomic uint8_t done[ITEMS_MAX];
    atomic_uint busy[64]; // a worker's number is in use
    atomic_uint wrong, pieces;
    uint32_t items, grain, workers;
};

static void body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    struct job *j = arg;
    if (worker >= j->workers || begin >= end || end > j->items ||
        atomic_fetch_add(&j->busy[worker], 1) != 0)
        atomic_fetch_add(&j->wrong, 1);
    if (end - begin < j->grain && end - begin != j->items)
        atomic_fetch_add(&j->wrong, 1);
    for (uint32_t i = begin; i < end; i++)
        atomic_fetch_add(&j->done[i], 1);
    atomic_fetch_add(&j->pieces, 1);
    atomic_fetch_sub(&j->busy[worker], 1);
}

static void check(struct dt_threads *pool, uint32_t items, uint32_t grain)
{
    struct job *j = calloc(1, sizeof *j);
    j->items = items;
    j->grain = grain ? grain : 1;
    j->workers = dt_threads_count(pool);
    dt_threads_for(pool, body, j, items, grain);
    assert_int_equal(atomic_load(&j->wrong), 0);
    for (uint32_t i = 0; i < ITEMS_MAX; i++)
        assert_int_equal(j->done[i], i < items);
    free(j);
}

static void every_item_once(void **state)
{
    (void)state;
    struct dt_error err = {0};
    for (uint32_t count = 1; count <= 8; count++) {
        struct dt_threads *pool;
        assert_int_equal(dt_threads_new(&pool, count, &err), DT_OK);
        assert_int_equal(dt_threads_count(pool), count);
        static const uint32_t sizes[] = {0, 1, 2, 3, 5, 7, 8, 9, 31, 64, 100, 1000, 1999};
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            for (uint32_t grain = 0; grain < 40; grain += 13)
                check(pool, sizes[s], grain);
        }
        dt_threads_free(pool);
    }
}

static void add(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    atomic_fetch_add((atomic_ullong *)arg, (end - begin) * (begin + end - 1) / 2);
}

static void many_short_jobs(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_threads *pool;
    assert_int_equal(dt_threads_new(&pool, 4, &err), DT_OK);
    for (uint32_t i = 0; i < 20000; i++) {
        atomic_ullong sum = 0;
        uint32_t items = 2 + i % 37;
        dt_threads_for(pool, add, &sum, items, 1);
        assert_int_equal(atomic_load(&sum), items * (items - 1) / 2);
    }
    dt_threads_free(pool);
}

// Delays every worker but the caller in its first piece, as if it had lost its core.
static void held_up(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    struct job *j = arg;
    if (worker > 0 && atomic_fetch_add(&j->pieces, 1) < 3)
        nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    for (uint32_t i = begin; i < end; i++)
        atomic_fetch_add(&j->done[i], 1);
}

static void a_worker_that_was_held_up_loses_nothing(void **state)
{
    (void)state;
    struct dt_error err = {0};
    for (uint32_t count = 2; count <= 5; count++) {
        struct dt_threads *pool;
        assert_int_equal(dt_threads_new(&pool, count, &err), DT_OK);
        struct job *j = calloc(1, sizeof *j);
        for (uint32_t round = 1; round <= 200; round++) {
            dt_threads_for(pool, held_up, j, 100, 1);
            for (uint32_t i = 0; i < 100; i++)
                assert_int_equal(j->done[i], (uint8_t)round);
        }
        free(j);
        dt_threads_free(pool); // suspended workers must end too
    }
}

static void pools_come_and_go(void **state)
{
    (void)state;
    struct dt_error err = {0};
    for (int i = 0; i < 200; i++) {
        struct dt_threads *pool;
        assert_int_equal(dt_threads_new(&pool, 3, &err), DT_OK);
        if (i % 2)
            check(pool, 100, 1);
        dt_threads_free(pool);
    }
    dt_threads_free(NULL);
}

static void too_many_are_refused(void **state)
{
    (void)state;
    struct dt_error err = {0};
    struct dt_threads *pool;
    assert_int_equal(dt_threads_new(&pool, 100000, &err), DT_USAGE);
    assert_int_equal(dt_threads_new(&pool, 0, &err), DT_OK);
    assert_true(dt_threads_count(pool) >= 1 && dt_threads_count(pool) <= 16);
    dt_threads_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(many_short_jobs),
        cmocka_unit_test(a_worker_that_was_held_up_loses_nothing),
        cmocka_unit_test(pools_come_and_go),
        cmocka_unit_test(too_many_are_refused),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
