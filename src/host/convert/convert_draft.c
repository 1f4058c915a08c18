// SPDX-License-Identifier: MIT
#include "host/convert/convert_draft.h"

#include <stdlib.h>
#include <string.h>

#include "host/atomic_file.h"

#define COUNT_LEAST 2u // what followed an n-gram only once is chance

// An n-gram and the place of the token behind it.
struct gram {
    uint64_t key;
    uint32_t next, place;
};

// What is predicted behind an n-gram.
struct entry {
    uint64_t key;
    uint32_t next, frequency;
    uint32_t saves; // how often this is right where shorter n-grams are wrong
};

struct counting {
    const uint32_t *tokens;
    size_t count;
    struct gram *grams;            // count of them
    struct entry *shorter, *found; // of the order before, by key; of all orders, those that save
    size_t shorter_count, found_count, capacity;
};

static int by_key(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->next < y->next ? -1 : x->next > y->next;
}

static int by_savings(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->saves != y->saves)
        return x->saves > y->saves ? -1 : 1;
    return x->key < y->key ? -1 : x->key > y->key;
}

// Lists the n-grams of n tokens that lie in one text and have a token behind them.
static size_t list_grams(struct counting *c, uint32_t n)
{
    size_t grams = 0;
    uint32_t before = 0; // tokens of this text
    for (size_t i = 0; i < c->count; i++) {
        if (c->tokens[i] == DT_NO_TOKEN) {
            before = 0;
            continue;
        }
        if (before >= n)
            c->grams[grams++] =
                (struct gram){dt_draft_key(c->tokens + i - n, n), c->tokens[i], (uint32_t)i};
        before++;
    }
    qsort(c->grams, grams, sizeof *c->grams, by_key);
    return grams;
}

static uint32_t predicted_by_shorter(const struct counting *c, uint64_t key)
{
    size_t low = 0, high = c->shorter_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->shorter[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->shorter_count && c->shorter[low].key == key ? c->shorter[low].next
                                                                : DT_NO_TOKEN;
}

// What follows one n-gram: grams[0..n) with the same key.
static struct entry best_of(const struct counting *c, const struct gram *grams, size_t n,
                            uint32_t order)
{
    uint32_t shorter = DT_NO_TOKEN, best = 0, already = 0, same = 0;
    struct entry e = {.key = grams->key};
    if (order > 1)
        shorter = predicted_by_shorter(
            c, dt_draft_key(c->tokens + grams->place - (order - 1), order - 1));
    for (size_t i = 0; i < n; i++) {
        same = i > 0 && grams[i].next == grams[i - 1].next ? same + 1 : 1;
        already += grams[i].next == shorter;
        if (same > best) {
            best = same;
            e.next = grams[i].next;
        }
    }
    e.frequency = (uint32_t)(255 * (uint64_t)best / (n + 1));
    e.saves = best >= COUNT_LEAST ? best - already : 0;
    if (e.saves < COUNT_LEAST && shorter != DT_NO_TOKEN)
        e.next = shorter; // the entry is left out
    return e;
}

static bool add(struct counting *c, struct entry e)
{
    if (c->found_count == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 4096;
        struct entry *more = realloc(c->found, capacity * sizeof *more);
        if (!more)
            return false;
        c->found = more;
        c->capacity = capacity;
    }
    c->found[c->found_count++] = e;
    return true;
}

// Counts the n-grams of one order. False without memory.
static bool count_order(struct counting *c, uint32_t order)
{
    size_t grams = list_grams(c, order), predictions = 0, end;
    struct entry *here = malloc((grams + 1) * sizeof *here);
    bool there = here != NULL;
    for (size_t i = 0; i < grams && there; i = end) {
        for (end = i + 1; end < grams && c->grams[end].key == c->grams[i].key;)
            end++;
        struct entry e = best_of(c, c->grams + i, end - i, order);
        here[predictions++] = e;
        if (e.saves >= COUNT_LEAST)
            there = add(c, e);
    }
    free(c->shorter);
    c->shorter = here;
    c->shorter_count = predictions;
    return there;
}

static void put_u32(unsigned char *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

// Enters the found entries, the best first. Returns how many found a free slot.
static uint32_t fill(const struct counting *c, unsigned char *slots, uint32_t count)
{
    uint32_t used = 0;
    for (size_t i = 0; i < c->found_count && used < count / 4 * 3; i++) {
        const struct entry *e = &c->found[i];
        for (uint32_t k = 0; k < DT_DRAFT_PROBES; k++) {
            uint32_t check, slot = (uint32_t)(e->key + k) & (count - 1);
            unsigned char *at = slots + (size_t)slot * DT_DRAFT_ENTRY;
            memcpy(&check, at, sizeof check);
            if (check != 0)
                continue;
            put_u32(at, (uint32_t)(e->key >> 32) | 1);
            put_u32(at + 4, e->next | e->frequency << 24);
            used++;
            break;
        }
    }
    return used;
}

static dt_status write_table(const struct counting *c, const struct dt_vocab *vocab, uint32_t slots,
                             const char *path, struct dt_convert_draft_facts *facts,
                             struct dt_error *err)
{
    while (slots > 64 && (size_t)slots / 4 * 3 / 2 >= c->found_count)
        slots /= 2;
    size_t bytes = DT_DRAFT_HEADER + (size_t)slots * DT_DRAFT_ENTRY;
    unsigned char *file = calloc(1, bytes);
    if (!file)
        return dt_error_set(err, DT_NO_MEMORY, path, "no memory for a table of %zu bytes", bytes);
    uint64_t hash = dt_draft_vocab_hash(vocab);
    memcpy(file, DT_DRAFT_MAGIC, sizeof DT_DRAFT_MAGIC);
    put_u32(file + 8, DT_DRAFT_VERSION);
    put_u32(file + 12, vocab->size);
    memcpy(file + 16, &hash, sizeof hash);
    put_u32(file + 24, slots);
    facts->entries = fill(c, file + DT_DRAFT_HEADER, slots);
    facts->bytes = bytes;
    put_u32(file + 28, facts->entries);
    struct dt_atomic_file out = {0};
    dt_status status = dt_atomic_file_open(&out, path, bytes, err);
    if (!status)
        status = dt_atomic_file_write(&out, file, bytes, err);
    if (!status)
        status = dt_atomic_file_commit(&out, err);
    dt_atomic_file_abandon(&out);
    free(file);
    return status;
}

dt_status dt_convert_draft(const struct dt_vocab *vocab, const uint32_t *tokens, size_t count,
                           uint32_t slots, const char *path, bool (*stop)(void),
                           struct dt_convert_draft_facts *facts, struct dt_error *err)
{
    struct counting c = {.tokens = tokens, .count = count};
    dt_status status = DT_OK;
    memset(facts, 0, sizeof *facts);
    for (size_t i = 0; i < count; i++)
        facts->tokens += tokens[i] != DT_NO_TOKEN;
    c.grams = malloc((count + 1) * sizeof *c.grams);
    bool there = c.grams != NULL;
    for (uint32_t order = 1; order <= DT_DRAFT_ORDER && there && !status; order++) {
        there = count_order(&c, order);
        if (stop && stop())
            status = dt_error_set(err, DT_CANCELLED, NULL, "interrupted");
    }
    free(c.grams);
    free(c.shorter);
    if (!there)
        status = dt_error_set(err, DT_NO_MEMORY, NULL,
                              "not enough memory to count the n-grams of %zu tokens", count);
    else if (!status && c.found_count == 0)
        status = dt_error_set(err, DT_BAD_INPUT, NULL,
                              "nothing in the text is repeated, so that a table of it would be "
                              "empty; give more text");
    if (!status) {
        qsort(c.found, c.found_count, sizeof *c.found, by_savings);
        status = write_table(&c, vocab, slots, path, facts, err);
    }
    free(c.found);
    return status;
}
