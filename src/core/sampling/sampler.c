// SPDX-License-Identifier: MIT
#include "core/sampling/sampler.h"

#include <string.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/expf.h"
#include "core/sampling/sampler_quick.h"

#define REPEAT_LAST_DEFAULT 64
#define REPEAT_LAST_MOST    1024
#define HEAP_MOST           512 // more candidates than this are cheaper to sort by digits

// ---- random numbers ----

// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled"
// (2016).
uint32_t dt_random_u32(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * 0x2545F4914F6CDD1Du) >> 32);
}

float dt_random_f32(uint64_t *state)
{
    return (float)(dt_random_u32(state) >> 8) / 16777216.0f;
}

// ---- set-up ----

size_t dt_sampler_measure(uint32_t vocab)
{
    struct dt_arena counter = dt_arena_over(NULL, 0);
    dt_arena_alloc(&counter, vocab, sizeof(uint64_t));
    return counter.wanted;
}

void dt_sampler_init(struct dt_sampler *s, uint32_t vocab, const struct dt_stack *stack,
                     const struct dt_sampling *settings, uint64_t seed, void *memory)
{
    memset(s, 0, sizeof *s);
    s->settings = *settings;
    s->state = seed == 0 ? 1 : seed;
    s->vocab = vocab;
    s->stack = stack;
    s->keys = memory;
}

// ---- operations of the stack ----

// The first index of the largest of n values; 0 if all are NaN.
static uint32_t argmax(const struct dt_sampler *s, const float *x, uint32_t n)
{
    if (s->stack) {
        const struct dt_instance *instance = s->stack->argmax;
        uint32_t best = instance->table.argmax(instance->ctx, x, n);
        if (x[best] == x[best])
            return best;
    }
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (x[i] > x[best] || x[best] != x[best])
            best = i;
    }
    return x[best] == x[best] ? best : 0;
}

static void softmax(const struct dt_sampler *s, float *x, float largest)
{
    if (s->stack) {
        const struct dt_instance *instance = s->stack->softmax;
        instance->table.softmax(instance->ctx, x, s->vocab);
        return;
    }
    float sum = 0.0f;
    for (uint32_t i = 0; i < s->vocab; i++) {
        x[i] = dt_expf(x[i] - largest);
        sum += x[i];
    }
    for (uint32_t i = 0; i < s->vocab; i++)
        x[i] /= sum;
}

// Writes the indices with p >= threshold, ascending; returns how many.
static uint32_t select_above(const struct dt_sampler *s, const float *p, float threshold,
                             uint32_t *index)
{
    if (s->stack) {
        const struct dt_instance *instance = s->stack->select;
        return instance->table.select(instance->ctx, p, s->vocab, threshold, index);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->vocab; i++) {
        if (p[i] >= threshold)
            index[count++] = i;
    }
    return count;
}

// ---- tokens by probability ----

// Tokens in the order of their probability, sorted on demand: by a heap at first, then all of them
// by digits. Equal ones are ordered by index, as glibc's qsort (a merge sort) leaves them in
// llama2.c.
struct ranking {
    const struct dt_sampler *s;
    const float *p;
    float threshold;
    uint32_t count;
    uint32_t ordered;       // heap: the i-th is keys[count - 1 - i], for i < ordered
    const uint32_t *sorted; // all of them, once sorted by digits
};

static void ranking_begin(struct ranking *c)
{
    // The indices are in the second half of the memory; the keys overwrite them from the front.
    uint32_t *index = (uint32_t *)c->s->keys + c->s->vocab;
    c->count = select_above(c->s, c->p, c->threshold, index);
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t candidate = index[i];
        c->s->keys[i] = dt_sampler_key(c->p[candidate], candidate);
    }
    dt_sampler_heap_make(c->s->keys, c->count);
}

// Radix sort by three digits of 11 bits, least digit first. Stable, so equal ones stay in the order
// of their index.
static void ranking_sort(struct ranking *c)
{
    enum { DIGIT = 11, VALUES = 1 << DIGIT };
    uint32_t *from = (uint32_t *)c->s->keys, *to = from + c->s->vocab;
    select_above(c->s, c->p, c->threshold, from);
    for (int shift = 0; shift < 32; shift += DIGIT) {
        uint32_t place[VALUES] = {0}, sum = 0;
        for (uint32_t i = 0; i < c->count; i++) {
            uint32_t bits = dt_bits_of(c->p[from[i]]);
            place[~bits >> shift & (VALUES - 1)]++; // inverted: the largest first
        }
        for (uint32_t v = 0; v < VALUES; v++) {
            uint32_t here = place[v];
            place[v] = sum;
            sum += here;
        }
        for (uint32_t i = 0; i < c->count; i++) {
            uint32_t bits = dt_bits_of(c->p[from[i]]);
            to[place[~bits >> shift & (VALUES - 1)]++] = from[i];
        }
        uint32_t *other = from;
        from = to;
        to = other;
    }
    c->sorted = from;
}

// The i-th token, i < count; i is at most one more than in earlier calls.
static uint32_t ranked(struct ranking *c, uint32_t i)
{
    if (!c->sorted && i == HEAP_MOST && i == c->ordered)
        ranking_sort(c);
    if (c->sorted)
        return c->sorted[i];
    if (i == c->ordered)
        dt_sampler_heap_pop(c->s->keys, c->count - c->ordered++);
    return dt_sampler_key_index(c->s->keys[c->count - 1 - i]);
}

// ---- drawing ----

static uint32_t draw_from_all(const struct dt_sampler *s, const float *p, float coin)
{
    float running = 0.0f;
    for (uint32_t i = 0; i < s->vocab; i++) {
        running += p[i];
        if (coin < running)
            return i;
    }
    return s->vocab - 1;
}

static uint32_t draw_filtered(const struct dt_sampler *s, const float *p, float coin, uint32_t best)
{
    const struct dt_sampling *settings = &s->settings;
    struct ranking c = {.s = s, .p = p};
    float least = settings->min_p > 0.0f ? settings->min_p * p[best] : 0.0f;
    c.threshold = least;
    if (dt_sampling_has_top_p(settings)) {
        // Tokens below this are not needed to exceed top_p (llama2.c).
        float cutoff = (1.0f - settings->top_p) / (float)(s->vocab - 1);
        c.threshold = cutoff > least ? cutoff : least;
    }
    ranking_begin(&c);
    if (c.count == 0)
        return best; // a flat distribution, and top_p below one token's probability
    uint32_t most = settings->top_k > 0 && settings->top_k < c.count ? settings->top_k : c.count;
    uint32_t kept = 0;
    float sum = 0.0f;
    while (kept < most) {
        sum += p[ranked(&c, kept++)];
        if (dt_sampling_has_top_p(settings) && sum > settings->top_p)
            break;
    }
    float r = coin * sum, running = 0.0f;
    for (uint32_t i = 0; i < kept; i++) {
        running += p[ranked(&c, i)];
        if (r < running)
            return ranked(&c, i);
    }
    return ranked(&c, kept - 1);
}

// ---- the next token ----

static bool penalty_is_on(const struct dt_sampling *settings)
{
    return settings->repeat_penalty > 0.0f && settings->repeat_penalty != 1.0f;
}

// Whether a filter removes tokens.
static bool is_narrowed(const struct dt_sampling *settings)
{
    return dt_sampling_has_top_p(settings) || settings->top_k > 0 || settings->min_p > 0.0f;
}

static void penalise(const struct dt_sampler *s, float *logits, const uint32_t *recent,
                     uint32_t count)
{
    float penalty = s->settings.repeat_penalty;
    uint32_t last = s->settings.repeat_last ? s->settings.repeat_last : REPEAT_LAST_DEFAULT;
    last = last > REPEAT_LAST_MOST ? REPEAT_LAST_MOST : last;
    if (!penalty_is_on(&s->settings))
        return;
    if (count > last) {
        recent += count - last;
        count = last;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t later = i + 1;
        while (later < count && recent[later] != recent[i])
            later++;
        if (later < count || recent[i] >= s->vocab) // penalises each token once
            continue;
        float *logit = &logits[recent[i]];
        *logit = *logit > 0.0f ? *logit / penalty : *logit * penalty;
    }
}

uint32_t dt_sampler_next(struct dt_sampler *s, float *logits, const uint32_t *recent,
                         uint32_t count)
{
    const struct dt_sampling *settings = &s->settings;
    float temperature = settings->temperature;
    penalise(s, logits, recent, count);
    uint32_t best = argmax(s, logits, s->vocab);
    if (!(temperature > 0.0f))
        return best;

    float coin = dt_random_f32(&s->state);
    float largest = logits[best] / temperature;
    if (s->vocab == 1 || !(__builtin_fabsf(largest) <= __FLT_MAX__))
        return best;

    bool narrowed = is_narrowed(settings);
    if (narrowed && s->vocab >= DT_SAMPLER_QUICK_MIN) {
        struct dt_sampler_view all = {.logits = logits, .count = s->vocab, .vocab = s->vocab};
        uint32_t token = dt_sampler_quick(&all, logits[best], settings, coin, s->keys);
        s->quick += token != DT_SAMPLER_UNSURE;
        s->exact += token == DT_SAMPLER_UNSURE;
        if (token != DT_SAMPLER_UNSURE)
            return token;
    }

    for (uint32_t i = 0; i < s->vocab; i++) {
        float x = logits[i] / temperature;
        logits[i] = x == x ? x : -__builtin_inff();
    }
    softmax(s, logits, largest);
    if (!narrowed)
        return draw_from_all(s, logits, coin);
    return draw_filtered(s, logits, coin, best);
}

// ---- from candidates ----

struct dt_sampler_bound dt_sampler_bound(const struct dt_sampler *s)
{
    const struct dt_sampling *settings = &s->settings;
    struct dt_sampler_bound all = {.partial = false}, greedy = {.partial = true};
    if (penalty_is_on(settings))
        return all;
    if (!(settings->temperature > 0.0f))
        return greedy;
    struct dt_sampler_bound some = {
        .partial = true,
        .margin = settings->temperature * DT_SAMPLER_QUICK_MARGIN,
        .temperature = settings->temperature,
    };
    return is_narrowed(settings) && some.margin < 1e6f ? some : all;
}

// Whether what is known meets what is needed.
static bool is_met(const struct dt_sampler_bound *needed, const struct dt_sampler_bound *known)
{
    return needed->partial && known->margin >= needed->margin &&
           (needed->temperature == 0.0f || known->temperature == needed->temperature);
}

uint32_t dt_sampler_some(struct dt_sampler *s, const struct dt_candidates *c)
{
    struct dt_sampler_bound needed = dt_sampler_bound(s);
    uint32_t token = DT_SAMPLER_UNSURE;
    if (c->count > 0 && is_met(&needed, &c->bound)) {
        uint32_t best = argmax(s, c->logits, c->count);
        struct dt_sampler_view view = {c->logits, c->index, c->count, s->vocab, c->outside};
        uint64_t state = s->state;
        if (needed.temperature == 0.0f)
            token = c->logits[best] == c->logits[best] ? c->index[best] : DT_SAMPLER_UNSURE;
        else
            token = dt_sampler_quick(&view, c->logits[best], &s->settings, dt_random_f32(&s->state),
                                     s->keys);
        if (token == DT_SAMPLER_UNSURE)
            s->state = state;
        s->quick += token != DT_SAMPLER_UNSURE && needed.temperature > 0.0f;
    }
    s->some += token != DT_SAMPLER_UNSURE;
    s->unsure += token == DT_SAMPLER_UNSURE;
    return token;
}
