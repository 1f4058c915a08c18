// SPDX-License-Identifier: MIT
#include "core/text/added_tokens.h"

#include <string.h>

#include "base/text.h"
#include "core/text/unicode_classes.h"

struct dt_added_tokens dt_added_tokens_new(struct dt_arena *arena, uint32_t capacity)
{
    struct dt_added_tokens list = {.capacity = capacity};
    list.row = dt_arena_alloc(arena, capacity, sizeof *list.row);
    return list;
}

void dt_added_tokens_put(struct dt_added_tokens *list, uint32_t id, uint32_t flags)
{
    uint32_t at = list->count;
    if (!flags || !list->row)
        return;
    while (at > 0 && list->row[at - 1].id > id)
        at--;
    if (at > 0 && list->row[at - 1].id == id) {
        list->row[at - 1].flags |= flags;
        return;
    }
    if (list->count == list->capacity)
        return;
    memmove(list->row + at + 1, list->row + at, (list->count - at) * sizeof *list->row);
    list->row[at] = (struct dt_added_token){id, flags};
    list->count++;
}

uint32_t dt_added_flags(const struct dt_vocab *vocab, uint32_t id)
{
    uint32_t low = 0, high = vocab->added_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (vocab->added[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < vocab->added_count && vocab->added[low].id == id ? vocab->added[low].flags : 0;
}

// ---- characters ----

// The beginning of the character that ends at text[at - 1].
static size_t before(const char *text, size_t from, size_t at)
{
    size_t begin = at - 1;
    while (begin > from && at - begin < 4 && ((unsigned char)text[begin] & 0xc0) == 0x80)
        begin--;
    return begin;
}

static bool is_word(const char *text, size_t n)
{
    uint32_t code = 0;
    dt_utf8_decode(text, n, &code);
    return code == '_' || dt_unicode_letter(code) || dt_unicode_number(code) ||
           dt_unicode_category(code) == DT_UNICODE_M;
}

// ---- matching ----

bool dt_added_matches(const struct dt_vocab *vocab, uint32_t id, const char *text, size_t n,
                      size_t at, size_t length)
{
    if (!vocab->added_count || !(dt_added_flags(vocab, id) & DT_ADDED_WORD))
        return true;
    size_t end = at + length, previous = at ? before(text, 0, at) : 0;
    return !(at && is_word(text + previous, at - previous)) &&
           !(end < n && is_word(text + end, n - end));
}

size_t dt_added_begin(const struct dt_vocab *vocab, uint32_t id, const char *text, size_t from,
                      size_t at)
{
    if (!vocab->added_count || !(dt_added_flags(vocab, id) & DT_ADDED_LSTRIP))
        return at;
    while (at > from) {
        uint32_t code = 0;
        size_t begin = before(text, from, at);
        if (dt_utf8_decode(text + begin, at - begin, &code) != at - begin ||
            !dt_unicode_space(code))
            break;
        at = begin;
    }
    return at;
}

size_t dt_added_end(const struct dt_vocab *vocab, uint32_t id, const char *text, size_t n,
                    size_t end)
{
    if (!vocab->added_count || !(dt_added_flags(vocab, id) & DT_ADDED_RSTRIP))
        return end;
    while (end < n) {
        uint32_t code = 0;
        size_t length = dt_utf8_decode(text + end, n - end, &code);
        if (!dt_unicode_space(code))
            break;
        end += length;
    }
    return end;
}
