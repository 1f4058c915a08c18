// SPDX-License-Identifier: MIT
#include "core/sampling/draft.h"

#include <string.h>

#define LONG_MATCH 5u // tokens

// How fast records and times forget: the share of a new value.
#define RECORD_DECAY 0.98f
#define RECORD_BEGIN 4.0f // guesses that a source seems to have made at the start
#define APPEND_SHARE 0.125

// Passes of one token that are measured before the first with guesses.
#define SINGLES_LEAST 4u
#define SINGLES_FREE  2u // where columns are free

// Where columns cost: passes until the first measurement, between the first ones, and until the
// next where no guess can pay, doubled each time. A measurement costs less than two passes.
#define PAUSE_FIRST   160u
#define PAUSE_BETWEEN 96u
#define PAUSE_LONGEST 8192u
#define MEASURED      3u
#define MEASURE_MOST  2u // guesses in one
#define HOPELESS      0.85

// Where they are free: a pass has guesses at least, and is a single one at least, every so often.
#define IDLE_MOST   16u
#define STEADY_MOST 24u

// A guess must be worth its cost by so much.
#define COST_MARGIN  1.15
#define CHANCE_LEAST 0.02
#define FREE_COLUMN  0.01 // of a pass, until it is measured

static uint32_t table_size(uint32_t capacity)
{
    uint32_t size = 64;
    while (size < capacity)
        size *= 2;
    return size;
}

static void alloc(struct dt_draft *d, uint32_t capacity, struct dt_arena *arena)
{
    uint32_t size = table_size(capacity);
    d->mask = size - 1;
    d->last3 = dt_arena_alloc(arena, size, sizeof *d->last3);
    d->last2 = dt_arena_alloc(arena, size, sizeof *d->last2);
    d->ahead = dt_arena_alloc(arena, DT_DRAFT_AHEAD, sizeof *d->ahead);
}

size_t dt_draft_measure(uint32_t capacity)
{
    struct dt_draft unused;
    struct dt_arena counter = dt_arena_over(NULL, 0);
    alloc(&unused, capacity, &counter);
    return counter.wanted;
}

void dt_draft_init(struct dt_draft *d, uint32_t capacity, void *memory)
{
    struct dt_arena arena = dt_arena_over(memory, dt_draft_measure(capacity));
    memset(d, 0, sizeof *d);
    alloc(d, capacity, &arena);
    for (int i = 0; i < DT_DRAFT_SOURCES; i++)
        d->record[i] = (struct dt_draft_record){RECORD_BEGIN, RECORD_BEGIN};
    d->cost.column = -1;
    d->pause = PAUSE_FIRST;
    d->wait = 2 * PAUSE_FIRST;
}

// ---- sources ----

// A text and what is guessed to follow it.
struct text {
    const uint32_t *tokens;
    uint32_t count;
    uint32_t tail[DT_DRAFT_MOST + 1]; // the token behind it, then guesses
    uint32_t length;                  // count and those of the tail
};

static uint32_t at(const struct text *t, uint32_t i)
{
    return i < t->count ? t->tokens[i] : t->tail[i - t->count];
}

// The key of the n tokens before place `end`.
static uint64_t key_before(const struct text *t, uint32_t end, uint32_t n)
{
    uint32_t gram[DT_DRAFT_ORDER];
    for (uint32_t i = 0; i < n; i++)
        gram[i] = at(t, end - n + i);
    return dt_draft_key(gram, n);
}

// Enters the n-grams that have a token behind them.
static void index_text(struct dt_draft *d, const struct text *t)
{
    for (uint32_t end = d->indexed + 1; end <= t->count; end++) {
        if (end >= 3)
            d->last3[key_before(t, end, 3) & d->mask] = end;
        if (end >= 2)
            d->last2[key_before(t, end, 2) & d->mask] = end;
    }
    d->indexed = t->count > d->indexed ? t->count : d->indexed;
}

// How many tokens before `place` are those at the end of the text, up to LONG_MATCH.
static uint32_t match(const struct text *t, uint32_t place)
{
    uint32_t n = 0;
    while (n < LONG_MATCH && n < place && at(t, place - 1 - n) == at(t, t->length - 1 - n))
        n++;
    return n;
}

static bool find_in_text(const struct dt_draft *d, const struct text *t, struct dt_draft_guess *out)
{
    uint32_t place = 0, matched = 0;
    if (t->length > 3) {
        place = d->last3[key_before(t, t->length, 3) & d->mask];
        matched = place && place < t->length ? match(t, place) : 0;
    }
    if (matched < 3 && t->length > 2) {
        place = d->last2[key_before(t, t->length, 2) & d->mask];
        matched = place && place < t->length ? match(t, place) : 0;
    }
    if (matched < 2)
        return false;
    out->token = at(t, place);
    out->source = matched >= LONG_MATCH ? DT_DRAFT_TEXT_LONG
                  : matched >= 3        ? DT_DRAFT_TEXT_3
                                        : DT_DRAFT_TEXT_2;
    out->expected = matched >= LONG_MATCH ? 0.8f : matched >= 3 ? 0.55f : 0.35f;
    return true;
}

static bool find_in_table(const struct dt_draft *d, const struct text *t,
                          struct dt_draft_guess *out)
{
    for (uint32_t n = DT_DRAFT_ORDER; n > 0 && d->table.slots; n--) {
        uint32_t gram[DT_DRAFT_ORDER], frequency;
        if (t->length < n)
            continue;
        for (uint32_t i = 0; i < n; i++)
            gram[i] = at(t, t->length - n + i);
        uint32_t token = dt_draft_table_find(&d->table, gram, n, &frequency);
        if (token == DT_NO_TOKEN)
            continue;
        *out = (struct dt_draft_guess){
            .token = token, .source = DT_DRAFT_TABLE, .expected = (float)(frequency + 1) / 256};
        return true;
    }
    return false;
}

static bool find_ahead(const struct dt_draft *d, const struct text *t, struct dt_draft_guess *out)
{
    if (t->length < 2)
        return false;
    uint64_t key = key_before(t, t->length, 2);
    const struct dt_draft_ahead *a = &d->ahead[key % DT_DRAFT_AHEAD];
    if (a->check != ((uint32_t)(key >> 32) | 1))
        return false;
    *out =
        (struct dt_draft_guess){.token = a->token, .source = DT_DRAFT_LOOK_AHEAD, .expected = 0.4f};
    return true;
}

static bool find_placed(const struct dt_draft *d, const struct text *t, struct dt_draft_guess *out)
{
    uint32_t i = t->length - d->place;
    if (t->length < d->place || i >= d->placed_count)
        return false;
    *out =
        (struct dt_draft_guess){.token = d->placed[i], .source = DT_DRAFT_PLACE, .expected = 0.15f};
    return true;
}

static float chance_of(const struct dt_draft *d, const struct dt_draft_guess *g)
{
    const struct dt_draft_record *r = &d->record[g->source];
    float chance = g->expected * r->right / r->expected;
    return chance > 0.98f ? 0.98f : chance;
}

// The guess with the best chance. False if no source has one.
static bool find_best(const struct dt_draft *d, const struct text *t, struct dt_draft_guess *best)
{
    struct dt_draft_guess g[4];
    bool found[4] = {find_in_text(d, t, &g[0]), find_in_table(d, t, &g[1]), find_ahead(d, t, &g[2]),
                     find_placed(d, t, &g[3])};
    best->chance = -1;
    for (int i = 0; i < 4; i++) {
        if (!found[i])
            continue;
        g[i].chance = chance_of(d, &g[i]);
        if (g[i].chance > best->chance)
            *best = g[i];
    }
    return best->chance >= 0;
}

// ---- passes ----

// The chance that a guess must have, and all before it; more than 1: none is used. *most is made
// smaller where the cost is measured.
static double least_chance(struct dt_draft *d, uint32_t *most)
{
    const struct dt_draft_cost *c = &d->cost;
    if (d->forced)
        return 0;
    if (d->pause > 0 && !d->free_columns) {
        d->pause--;
        return 2;
    }
    if (c->singles.count < (d->free_columns ? SINGLES_FREE : SINGLES_LEAST) ||
        (d->free_columns && c->steady >= STEADY_MOST))
        return 2;
    if (!d->free_columns && c->columns.count < MEASURED) {
        *most = *most < MEASURE_MOST ? *most : MEASURE_MOST;
        return 0.25;
    }
    if (d->free_columns && c->idle >= IDLE_MOST) {
        *most = 1;
        return 0;
    }
    double column = c->column < 0 ? FREE_COLUMN : c->column,
           saved = c->single > 0 && c->append < c->single ? 1 - c->append / c->single : 1;
    return column * COST_MARGIN / (saved < 0.05 ? 0.05 : saved) + CHANCE_LEAST;
}

void dt_draft_guess(struct dt_draft *d, const uint32_t *tokens, uint32_t count, uint32_t token,
                    uint32_t most)
{
    struct text t = {.tokens = tokens, .count = count, .tail = {token}, .length = count + 1};
    d->count = d->resolved = 0;
    most = most < DT_DRAFT_MOST ? most : DT_DRAFT_MOST;
    double least = least_chance(d, &most), chance = 1;
    if (least > 1)
        return;
    index_text(d, &t);
    while (d->count < most && find_best(d, &t, &d->guess[d->count])) {
        chance *= (double)d->guess[d->count].chance;
        if (chance < least)
            break;
        t.tail[d->count + 1] = d->guess[d->count].token;
        d->count++;
        t.length++;
    }
}

void dt_draft_truncate(struct dt_draft *d, uint32_t count)
{
    d->indexed = d->indexed < count ? d->indexed : count;
}

static void record(struct dt_draft *d, float right)
{
    if (d->resolved == d->count)
        return;
    const struct dt_draft_guess *g = &d->guess[d->resolved++];
    struct dt_draft_record *r = &d->record[g->source];
    r->right = r->right * RECORD_DECAY + right;
    r->expected = r->expected * RECORD_DECAY + g->expected;
}

void dt_draft_right(struct dt_draft *d, uint64_t ns)
{
    record(d, 1);
    d->facts.right++;
    d->cost.append += ((double)ns - d->cost.append) * APPEND_SHARE;
}

void dt_draft_wrong(struct dt_draft *d)
{
    record(d, 0);
    d->resolved = d->count;
}

// The median of the last times, with this one.
static double add_time(struct dt_draft_times *t, double value)
{
    float sorted[DT_DRAFT_TIMES];
    t->last[t->count++ % DT_DRAFT_TIMES] = (float)value;
    uint32_t n = t->count < DT_DRAFT_TIMES ? t->count : DT_DRAFT_TIMES;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = i;
        for (; k > 0 && sorted[k - 1] > t->last[i]; k--)
            sorted[k] = sorted[k - 1];
        sorted[k] = t->last[i];
    }
    return (double)sorted[(n - 1) / 2];
}

// What a pass with guesses says about the cost of a column.
static void measure_column(struct dt_draft *d, double ns)
{
    struct dt_draft_cost *c = &d->cost;
    double column = (ns / c->single - 1) / d->count;
    c->column = add_time(&c->columns, column < 0 ? 0 : column);
    if (d->free_columns)
        return;
    if (c->columns.count < MEASURED) {
        d->pause = PAUSE_BETWEEN;
    } else if (c->column > HOPELESS) {
        c->columns.count = MEASURED - 1; // measures it again
        d->pause = d->wait;
        d->wait = d->wait * 2 < PAUSE_LONGEST ? d->wait * 2 : PAUSE_LONGEST;
    }
}

void dt_draft_passed(struct dt_draft *d, uint64_t ns)
{
    struct dt_draft_cost *c = &d->cost;
    d->facts.passes++;
    d->facts.guessed += d->count > 0;
    d->facts.guesses += d->count;
    if (d->count > 0) {
        c->idle = 0;
        c->steady++;
        if (c->single > 0)
            measure_column(d, (double)ns);
    } else {
        c->idle++;
        c->steady = 0;
        c->single = add_time(&c->singles, (double)ns);
    }
}

void dt_draft_predicted(struct dt_draft *d, const uint32_t *tokens, uint32_t count, uint32_t next)
{
    struct text t = {.tokens = tokens, .count = count, .length = count};
    if (d->placed_count == 0 || count != d->place + d->placed_count) {
        d->place = count;
        d->placed_count = 0;
    }
    if (d->placed_count < DT_DRAFT_MOST)
        d->placed[d->placed_count++] = next;
    if (count < 2)
        return;
    uint64_t key = key_before(&t, count, 2);
    d->ahead[key % DT_DRAFT_AHEAD] =
        (struct dt_draft_ahead){.check = (uint32_t)(key >> 32) | 1, .token = next};
}
