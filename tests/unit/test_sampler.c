// SPDX-License-Identifier: MIT
// Compares the sampler with a simple version of llama2.c's, which computes and sorts everything.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/expf.h"
#include "core/sampling/sampler.h"

#define VOCAB_MAX 32000

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t random_below(uint32_t n)
{
    return (uint32_t)((uint64_t)dt_random_u32(&random_state) * n >> 32);
}

// Approximately normal: the sum of four uniform values, with variance 1.
static float random_normal(void)
{
    float sum = -2.0f;
    for (int i = 0; i < 4; i++)
        sum += dt_random_f32(&random_state);
    return sum * 1.7320508f;
}

// ---- the simple version ----

struct chance {
    float p;
    uint32_t index;
};

static int likelier_first(const void *a, const void *b)
{
    const struct chance *x = a, *y = b;
    if (x->p != y->p)
        return x->p > y->p ? -1 : 1;
    return x->index < y->index ? -1 : 1; // as a stable sort
}

static uint32_t naive_next(uint64_t *state, const struct dt_sampling *settings, float *p,
                           uint32_t n, const uint32_t *recent, uint32_t count)
{
    static struct chance chances[VOCAB_MAX];
    if (settings->repeat_penalty > 0 && settings->repeat_penalty != 1) {
        uint32_t last = settings->repeat_last ? settings->repeat_last : 64;
        static bool seen[VOCAB_MAX];
        memset(seen, 0, sizeof seen);
        for (uint32_t i = count > last ? count - last : 0; i < count; i++) {
            if (!seen[recent[i]])
                p[recent[i]] = p[recent[i]] > 0 ? p[recent[i]] / settings->repeat_penalty
                                                : p[recent[i]] * settings->repeat_penalty;
            seen[recent[i]] = true;
        }
    }
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (!isnan(p[i]) && (best == UINT32_MAX || p[i] > p[best]))
            best = i;
    }
    if (best == UINT32_MAX)
        best = 0;
    if (settings->temperature == 0)
        return best;
    float coin = dt_random_f32(state);
    for (uint32_t i = 0; i < n; i++)
        p[i] = isnan(p[i]) ? -INFINITY : p[i] / settings->temperature;
    float largest = p[best];
    if (isinf(largest))
        return best;
    float sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        p[i] = dt_expf(p[i] - largest);
        sum += p[i];
    }
    for (uint32_t i = 0; i < n; i++)
        p[i] /= sum;

    bool top_p = settings->top_p > 0 && settings->top_p < 1;
    float running = 0;
    if (!top_p && settings->top_k == 0 && settings->min_p == 0) {
        for (uint32_t i = 0; i < n; i++) {
            running += p[i];
            if (coin < running)
                return i;
        }
        return n - 1;
    }
    uint32_t kept = 0;
    float cutoff = top_p ? (1.0f - settings->top_p) / (float)(n - 1) : 0;
    for (uint32_t i = 0; i < n; i++) {
        if (p[i] >= cutoff && p[i] >= settings->min_p * p[best])
            chances[kept++] = (struct chance){p[i], i};
    }
    if (kept == 0)
        return best;
    qsort(chances, kept, sizeof *chances, likelier_first);
    if (settings->top_k > 0 && settings->top_k < kept)
        kept = settings->top_k;
    float total = 0;
    uint32_t last = kept - 1;
    for (uint32_t i = 0; i < kept; i++) {
        total += chances[i].p;
        if (top_p && total > settings->top_p) {
            last = i;
            break;
        }
    }
    float r = coin * total;
    for (uint32_t i = 0; i <= last; i++) {
        running += chances[i].p;
        if (r < running)
            return chances[i].index;
    }
    return chances[last].index;
}

// ---- logits of all kinds ----

enum shape { FLAT, PEAKED, STEEP, TIED, EQUAL, LANGUAGE, HUGE_VALUES, CLOSE, ODD, SHAPES };

static void fill(float *x, uint32_t n, enum shape shape)
{
    for (uint32_t i = 0; i < n; i++) {
        float z = random_normal();
        switch (shape) {
        case FLAT:
            x[i] = 0.68f * z;
            break;
        case PEAKED:
            x[i] = 4 * z;
            break;
        case STEEP:
            x[i] = 30 * z;
            break;
        case TIED:
            x[i] = 2 * floorf(2 * z);
            break;
        case EQUAL:
            x[i] = 1.5f;
            break;
        case LANGUAGE:
            x[i] = -6 + 1.5f * z + (random_below(n) < 60 ? (float)random_below(14) : 0);
            break;
        case HUGE_VALUES:
            x[i] = 3000 + 3 * z;
            break;
        case CLOSE:
            x[i] = 1e-7f * (float)random_below(6) - (random_below(40) ? 20 : 0);
            break; // e differ by an ulp, p possibly not
        default:
            x[i] = 4 * z;
            break;
        }
    }
    if (shape == ODD) {
        static const float odd[] = {NAN, -INFINITY, INFINITY, 3e38f, -3e38f, 1e-40f, 0, -0.0f};
        uint32_t kinds = random_below(3) ? 2 : 8; // mostly NaN and -inf
        for (uint32_t i = 0, many = random_below(n) + 1; i < many; i++)
            x[random_below(n)] = odd[random_below(kinds)];
        if (random_below(20) == 0)
            for (uint32_t i = 0; i < n; i++)
                x[i] = random_below(2) ? NAN : -INFINITY;
    }
}

// ---- comparison ----

struct bench {
    float logits[VOCAB_MAX], theirs[VOCAB_MAX];
    uint32_t recent[100];
    struct dt_sampler sampler;
    struct dt_stack stack;
};

static struct bench *bench;

static int set_up(void **state)
{
    (void)state;
    bench = calloc(1, sizeof *bench);
    return bench && dt_stack_make(&bench->stack, NULL, 0, NULL) == DT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(bench);
    return 0;
}

// Candidates as a shortlist would make them: of the other logits only a bound of their sum is
// known, sometimes a loose one.
static uint32_t by_some(uint32_t n)
{
    static uint32_t index[VOCAB_MAX];
    static float some[VOCAB_MAX];
    struct dt_candidates c = {
        .index = index, .logits = some, .bound = dt_sampler_bound(&bench->sampler)};
    if (!c.bound.partial)
        return DT_SAMPLER_UNSURE;
    float largest = -INFINITY;
    for (uint32_t i = 0; i < n; i++)
        largest = bench->logits[i] > largest ? bench->logits[i] : largest;
    c.bound.margin *= 1 + 0.3f * dt_random_f32(&random_state);
    for (uint32_t i = 0; i < n; i++) {
        if (bench->logits[i] < largest - c.bound.margin) {
            c.outside +=
                exp(((double)bench->logits[i] - (double)largest) / (double)c.bound.temperature);
            continue;
        }
        index[c.count] = i;
        some[c.count++] = bench->logits[i];
    }
    c.outside *= 1 + (random_below(2) ? 0.01 : 20) * (double)dt_random_f32(&random_state);
    if (c.bound.temperature == 0)
        c.outside = 0;
    return dt_sampler_some(&bench->sampler, &c);
}

static void compare(uint32_t n, enum shape shape, const struct dt_sampling *settings, int draws)
{
    void *memory;
    assert_int_equal(posix_memalign(&memory, DT_ALIGN, dt_sampler_measure(n)), 0);
    uint64_t seed = 1 + random_below(1u << 30), state = seed;
    dt_sampler_init(&bench->sampler, n, random_below(2) ? &bench->stack : NULL, settings, seed,
                    memory);
    for (int i = 0; i < draws; i++) {
        uint32_t count = random_below(100);
        for (uint32_t j = 0; j < count; j++)
            bench->recent[j] = random_below(n);
        fill(bench->logits, n, shape);
        memcpy(bench->theirs, bench->logits, n * sizeof *bench->logits);
        uint32_t token = random_below(2) ? by_some(n) : DT_SAMPLER_UNSURE;
        if (token == DT_SAMPLER_UNSURE)
            token = dt_sampler_next(&bench->sampler, bench->logits, bench->recent, count);
        uint32_t wanted = naive_next(&state, settings, bench->theirs, n, bench->recent, count);
        if (token != wanted || bench->sampler.state != state)
            fail_msg("vocabulary %u, shape %d, temperature %g, top-p %g, top-k %u, min-p %g, draw "
                     "%d: %u, expected %u",
                     n, (int)shape, (double)settings->temperature, (double)settings->top_p,
                     settings->top_k, (double)settings->min_p, i, token, wanted);
    }
    free(memory);
}

static const uint32_t sizes[] = {1, 2, 3, 17, 64, 511, 512, 515, 2048, 4999, 32000};
static const float top_ps[] = {0.9f, 0.5f, 0.95f, 0.99f, 0.01f, 1e-5f, 0.999999f, 0, 1};
static const float temperatures[] = {1, 0.8f, 0.2f, 1.7f, 0, 1e-3f, 1e-39f, 50};

#define ONE_OF(list) list[random_below(sizeof list / sizeof *list)]

static void every_shape_and_size(void **state)
{
    (void)state;
    for (int shape = 0; shape < SHAPES; shape++) {
        for (int round = 0; round < 120; round++) {
            uint32_t n = ONE_OF(sizes);
            struct dt_sampling settings = {.temperature = ONE_OF(temperatures),
                                           .top_p = ONE_OF(top_ps)};
            compare(n, (enum shape)shape, &settings, n > 10000 ? 2 : 12);
        }
    }
}

// Usual settings: the quick method must choose most tokens.
static void usual_settings(void **state)
{
    (void)state;
    static const uint32_t vocabularies[] = {512, 2048, 4999};
    uint64_t quick = 0, exact = 0;
    for (int shape = 0; shape < SHAPES; shape++) {
        for (int i = 0; i < 30; i++) {
            struct dt_sampling settings = {.temperature = 1, .top_p = i % 3 ? 0.9f : 0.95f};
            if (i % 2) // llama.cpp's defaults
                settings = (struct dt_sampling){.temperature = 0.8f,
                                                .top_p = i % 3 ? 0.95f : 0,
                                                .top_k = i % 4 == 1 ? 40 : 0,
                                                .min_p = 0.05f};
            compare(ONE_OF(vocabularies), (enum shape)shape, &settings, 60);
            quick += shape == LANGUAGE ? bench->sampler.quick : 0;
            exact += shape == LANGUAGE ? bench->sampler.exact : 0;
        }
    }
    print_message("decided quickly %u, in full %u\n", (unsigned)quick, (unsigned)exact);
    assert_true(quick > 5 * exact); // a count, not a time
}

static void filters_and_penalty(void **state)
{
    (void)state;
    static const uint32_t top_ks[] = {0, 1, 2, 40, 600, 100000};
    static const float min_ps[] = {0, 0.05f, 0.5f, 1, 1e-6f};
    static const float penalties[] = {0, 1, 1.1f, 0.5f, 3};
    for (int shape = 0; shape < SHAPES; shape++) {
        for (int round = 0; round < 240; round++) {
            struct dt_sampling settings = {
                .temperature = ONE_OF(temperatures),
                .top_p = ONE_OF(top_ps),
                .top_k = ONE_OF(top_ks),
                .min_p = ONE_OF(min_ps),
                .repeat_penalty = ONE_OF(penalties),
                .repeat_last = random_below(2) ? 0 : 1 + random_below(80),
            };
            compare(ONE_OF(sizes), (enum shape)shape, &settings, 3);
        }
    }
}

static void generator(void **state)
{
    (void)state;
    // xorshift64* by its definition: 1 becomes 0x2000001 by the shifts; times 0x2545F4914F6CDD1D,
    // upper half
    uint64_t s = 1;
    assert_int_equal(dt_random_u32(&s),
                     (uint32_t)((0x2000001u * UINT64_C(0x2545F4914F6CDD1D)) >> 32));
    assert_int_equal(s, 0x2000001u);
    for (int i = 0; i < 100000; i++) {
        float f = dt_random_f32(&s);
        assert_true(f >= 0 && f < 1);
    }
    // greedy uses no random number
    struct dt_sampling greedy = {.temperature = 0};
    uint64_t keys[8];
    struct dt_sampler sampler;
    float logits[4] = {0, 2, 2, 1};
    dt_sampler_init(&sampler, 4, NULL, &greedy, 0, keys);
    assert_int_equal(sampler.state, 1);
    assert_int_equal(dt_sampler_next(&sampler, logits, NULL, 0), 1);
    assert_int_equal(sampler.state, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generator),
        cmocka_unit_test(every_shape_and_size),
        cmocka_unit_test(usual_settings),
        cmocka_unit_test(filters_and_penalty),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
