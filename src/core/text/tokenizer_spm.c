// SPDX-License-Identifier: MIT
// The rules are those of llama2.c's encode(), which searches all pairs for each merge. Here the
// symbols are a linked list, and a tournament tree gives the best pair, so that a merge takes log n
// steps.
#include "core/text/tokenizer_spm.h"

#include <string.h>

#define META_SPACE "\xe2\x96\x81" // U+2581
#define NONE       UINT32_MAX

// Pieces with this score or less, or NaN, are never merged (llama2.c starts its search here).
#define SCORE_LEAST (-1e10f)

struct list {
    struct dt_tokenizer *t;
    uint32_t count;
    uint32_t *token;  // of each symbol
    uint32_t *before; // the remaining neighbours, NONE at the ends
    uint32_t *after;
    uint32_t *merged; // the token of a symbol and the next, or DT_NO_TOKEN
    uint32_t *tree;   // tree[count + i]: i or NONE; tree[j]: the better of tree[2j], tree[2j + 1]
};

static bool alloc(struct list *list, struct dt_arena *arena, size_t count)
{
    list->token = dt_arena_alloc(arena, count, sizeof(uint32_t));
    list->before = dt_arena_alloc(arena, count, sizeof(uint32_t));
    list->after = dt_arena_alloc(arena, count, sizeof(uint32_t));
    list->merged = dt_arena_alloc(arena, count, sizeof(uint32_t));
    list->tree = dt_arena_alloc(arena, count, 2 * sizeof(uint32_t));
    return list->tree != NULL;
}

size_t dt_spm_measure(size_t n)
{
    struct list list;
    struct dt_arena counter = dt_arena_over(NULL, 0);
    alloc(&list, &counter, n + 2); // a symbol for each byte, the prefix and BOS
    return counter.wanted;
}

// ---- characters to symbols ----

static void append_character(struct list *list, const char *text, size_t n)
{
    struct dt_tokenizer *t = list->t;
    bool space = t->vocab->meta_space && n == 1 && text[0] == ' ';
    uint32_t id = space ? dt_tokenizer_find(t, META_SPACE, 3) : dt_tokenizer_find(t, text, n);
    if (id != DT_NO_TOKEN) {
        list->token[list->count++] = id;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        id = t->byte_token[(unsigned char)text[i]];
        if (id != DT_NO_TOKEN)
            list->token[list->count++] = id;
    }
}

static void append_text(struct list *list, const char *text, size_t n)
{
    // A character is any byte with the continuation bytes after it, at most four bytes in all.
    for (size_t i = 0; i < n;) {
        size_t length = 1;
        while (length < 4 && i + length < n && ((unsigned char)text[i + length] & 0xC0) == 0x80)
            length++;
        append_character(list, text + i, length);
        i += length;
    }
}

// ---- merging ----

static uint32_t better(const struct list *list, uint32_t a, uint32_t b)
{
    if (a == NONE || b == NONE)
        return a == NONE ? b : a;
    float score_a = dt_vocab_score(list->t->vocab, list->merged[a]);
    float score_b = dt_vocab_score(list->t->vocab, list->merged[b]);
    if (score_a == score_b)
        return a < b ? a : b;
    return score_a > score_b ? a : b;
}

// The token of symbol i and the next one together, or DT_NO_TOKEN.
static uint32_t merged_with_next(const struct list *list, uint32_t i)
{
    const struct dt_vocab *vocab = list->t->vocab;
    char joined[2 * DT_PIECE_MAX];
    size_t left, right;
    if (list->token[i] == NONE || list->after[i] == NONE)
        return DT_NO_TOKEN;
    // Joins pieces, not text: a byte token is "<0x41>" here, as in llama2.c.
    const unsigned char *first = dt_vocab_piece(vocab, list->token[i], &left);
    const unsigned char *second = dt_vocab_piece(vocab, list->token[list->after[i]], &right);
    if (left + right > list->t->longest)
        return DT_NO_TOKEN;
    memcpy(joined, first, left);
    memcpy(joined + left, second, right);
    uint32_t id = dt_tokenizer_find(list->t, joined, left + right);
    if (id == DT_NO_TOKEN || !(dt_vocab_score(vocab, id) > SCORE_LEAST))
        return DT_NO_TOKEN;
    if (vocab->types) {
        enum dt_token_type type = dt_vocab_type(vocab, id);
        if (type != DT_TOKEN_NORMAL && type != DT_TOKEN_USER_DEFINED)
            return DT_NO_TOKEN;
    }
    return id;
}

static void enter_pair(struct list *list, uint32_t i)
{
    list->merged[i] = merged_with_next(list, i);
    list->tree[list->count + i] = list->merged[i] == DT_NO_TOKEN ? NONE : i;
}

static void update_pair(struct list *list, uint32_t i)
{
    enter_pair(list, i);
    for (uint32_t j = (list->count + i) / 2; j >= 1; j /= 2)
        list->tree[j] = better(list, list->tree[2 * j], list->tree[2 * j + 1]);
}

static void merge_all(struct list *list)
{
    uint32_t count = list->count;
    for (uint32_t i = 0; i < count; i++) {
        list->before[i] = i == 0 ? NONE : i - 1;
        list->after[i] = i + 1 == count ? NONE : i + 1;
    }
    for (uint32_t i = 0; i < count; i++)
        enter_pair(list, i);
    for (uint32_t j = count - 1; j >= 1; j--)
        list->tree[j] = better(list, list->tree[2 * j], list->tree[2 * j + 1]);

    for (uint32_t i; (i = list->tree[1]) != NONE;) {
        uint32_t gone = list->after[i];
        list->token[i] = list->merged[i];
        list->token[gone] = NONE;
        list->after[i] = list->after[gone];
        if (list->after[i] != NONE)
            list->before[list->after[i]] = i;
        update_pair(list, gone);
        update_pair(list, i);
        if (list->before[i] != NONE)
            update_pair(list, list->before[i]);
    }
}

dt_status dt_spm_encode(struct dt_tokenizer *t, const char *text, size_t n, uint32_t first,
                        bool prefix, uint32_t *tokens, size_t capacity, size_t *count)
{
    struct dt_arena saved = t->arena;
    struct list list = {.t = t};
    dt_status status = DT_NO_MEMORY;
    if (n > NONE / 4 || !alloc(&list, &t->arena, n + 2))
        goto out;

    if (first != DT_NO_TOKEN)
        list.token[list.count++] = first;
    if (prefix)
        append_character(&list, " ", 1);
    append_text(&list, text, n);
    if (list.count > 1)
        merge_all(&list);

    for (uint32_t i = 0; i < list.count; i++) {
        if (list.token[i] == NONE)
            continue;
        if (*count < capacity)
            tokens[*count] = list.token[i];
        ++*count;
    }
    status = DT_OK;
out:
    t->arena = saved;
    return status;
}
