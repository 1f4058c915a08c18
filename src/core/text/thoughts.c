// SPDX-License-Identifier: MIT
#include "core/text/thoughts.h"

#include <string.h>

#include "base/bytes.h"

static const struct dt_thought_markers table[DT_THOUGHT_ROWS] = {
    {"<think>", "</think>"}, // Qwen3, DeepSeek-R1, SmolLM3 and most others
    {"<thought>", "</thought>"},
    {"<thinking>", "</thinking>"},
    {"<reasoning>", "</reasoning>"},
    {"[THINK]", "[/THINK]"},
    {"<seed:think>", "</seed:think>"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"\xe2\x97\x81think\xe2\x96\xb7", "\xe2\x97\x81/think\xe2\x96\xb7"},
};

const struct dt_thought_markers *dt_thought_markers(unsigned row)
{
    return &table[row];
}

static bool is(const char *marker, const char *piece, size_t n)
{
    return strlen(marker) == n && memcmp(marker, piece, n) == 0;
}

bool dt_thoughts_is_marker(unsigned rows, const char *piece, size_t n)
{
    for (unsigned i = 0; i < DT_THOUGHT_ROWS; i++)
        if (rows >> i & 1 && (is(table[i].open, piece, n) || is(table[i].close, piece, n)))
            return true;
    return false;
}

size_t dt_thoughts_marker_at(unsigned rows, const char *text, size_t n)
{
    for (unsigned i = 0; i < DT_THOUGHT_ROWS; i++) {
        size_t open = strlen(table[i].open), close = strlen(table[i].close);
        if (!(rows >> i & 1))
            continue;
        if (open <= n && memcmp(text, table[i].open, open) == 0)
            return open;
        if (close <= n && memcmp(text, table[i].close, close) == 0)
            return close;
    }
    return 0;
}

unsigned dt_thoughts_of_model(const struct dt_vocab *vocab, const char *text, size_t n)
{
    unsigned rows = 0;
    for (unsigned i = 0; text && i < DT_THOUGHT_ROWS; i++)
        if (dt_read_find(text, n, table[i].open, strlen(table[i].open)) ||
            dt_read_find(text, n, table[i].close, strlen(table[i].close)))
            rows |= 1u << i;
    for (uint32_t id = 0; vocab->types && id < vocab->size; id++) {
        size_t length;
        const char *piece = (const char *)dt_vocab_piece(vocab, id, &length);
        if (length < 7 || length > 20 || !dt_thoughts_is_marker(DT_THOUGHT_ANY, piece, length))
            continue;
        enum dt_token_type type = dt_vocab_type(vocab, id);
        for (unsigned i = 0; i < DT_THOUGHT_ROWS; i++)
            if ((type == DT_TOKEN_CONTROL || type == DT_TOKEN_USER_DEFINED) &&
                dt_thoughts_is_marker(1u << i, piece, length))
                rows |= 1u << i;
    }
    return rows;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static size_t blanks(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && is_blank(text[i]))
        i++;
    return i;
}

size_t dt_thoughts_opened(unsigned rows, const char *text, size_t n)
{
    size_t end = n;
    while (end > 0 && is_blank(text[end - 1]))
        end--;
    for (unsigned i = 0; i < DT_THOUGHT_ROWS; i++) {
        size_t length = strlen(table[i].open);
        if (rows >> i & 1 && length <= end && is(table[i].open, text + end - length, length))
            return n - end + length;
    }
    return 0;
}

// ---- dividing ----

// Whether text[0..n) is a marker's beginning, but not all of it.
static bool begins(const char *marker, const char *text, size_t n)
{
    return n < strlen(marker) && memcmp(marker, text, n) == 0;
}

static void drop_held(struct dt_thoughts *t, size_t n)
{
    memmove(t->held, t->held + n, t->held_count - n);
    t->held_count -= n;
}

static void write_held(struct dt_thoughts *t, size_t n, char *out, size_t *out_n)
{
    memcpy(out + *out_n, t->held, n);
    *out_n += n;
    drop_held(t, n);
}

static void write_thought(struct dt_thoughts *t, size_t n, char *out, size_t *out_n)
{
    t->any = true;
    write_held(t, n, out, out_n);
}

static void begin_answer(struct dt_thoughts *t, char *answer, size_t *answer_n)
{
    if (t->had)
        drop_held(t, blanks(t->held, t->held_count));
    t->state = DT_THOUGHTS_ANSWER;
    t->answer_at = t->taken - t->held_count;
    write_held(t, t->held_count, answer, answer_n);
}

// A byte was added to what is held before the answer.
static void decide(struct dt_thoughts *t, char *answer, size_t *answer_n)
{
    size_t blank = blanks(t->held, t->held_count), n = t->held_count - blank;
    const char *rest = t->held + blank;
    bool maybe = n == 0 && t->rows;
    for (unsigned i = 0; i < DT_THOUGHT_ROWS; i++) {
        if (!(t->rows >> i & 1))
            continue;
        if (is(table[i].open, rest, n)) {
            t->state = DT_THOUGHTS_INSIDE;
            t->row = i;
            t->gap = true;
            t->held_count = 0;
            return;
        }
        maybe = maybe || begins(table[i].open, rest, n);
    }
    if (maybe && t->had)
        drop_held(t, blank);
    if (!maybe || t->held_count == sizeof t->held)
        begin_answer(t, answer, answer_n);
}

// A byte was added to what is held of a thought: blanks, and what may begin the marker.
static void think(struct dt_thoughts *t, char *thought, size_t *thought_n)
{
    const char *close = table[t->row].close;
    while (t->held_count > 0) {
        size_t blank = blanks(t->held, t->held_count), n = t->held_count - blank;
        if (is(close, t->held + blank, n)) {
            t->state = DT_THOUGHTS_BEGIN;
            t->had = true;
            t->held_count = 0;
            return;
        }
        bool maybe = n == 0 || begins(close, t->held + blank, n);
        if (maybe && t->gap) {
            drop_held(t, blank);
        } else if (maybe && t->held_count == sizeof t->held) {
            write_thought(t, blank, thought, thought_n);
        }
        if (maybe)
            return;
        if (t->gap) {
            drop_held(t, blank);
            if (t->any) // another thought was before
                memcpy(thought + *thought_n, "\n\n", 2);
            *thought_n += t->any ? 2 : 0;
            blank = 0;
            t->gap = false;
        }
        write_thought(t, blank + 1, thought, thought_n);
    }
}

void dt_thoughts_push(struct dt_thoughts *t, const char *bytes, size_t n, char *thought,
                      size_t *thought_n, char *answer, size_t *answer_n)
{
    for (size_t i = 0; i < n; i++) {
        if (t->state == DT_THOUGHTS_ANSWER) {
            memcpy(answer + *answer_n, bytes + i, n - i);
            *answer_n += n - i;
            t->taken += n - i;
            return;
        }
        t->held[t->held_count++] = bytes[i]; // fewer are held than there is space for
        t->taken++;
        if (t->state == DT_THOUGHTS_INSIDE)
            think(t, thought, thought_n);
        else
            decide(t, answer, answer_n);
    }
}

void dt_thoughts_flush(struct dt_thoughts *t, char *thought, size_t *thought_n, char *answer,
                       size_t *answer_n)
{
    size_t blank = blanks(t->held, t->held_count);
    if (t->state == DT_THOUGHTS_INSIDE && blank < t->held_count)
        write_thought(t, t->held_count, thought, thought_n);
    else if (t->state == DT_THOUGHTS_BEGIN)
        begin_answer(t, answer, answer_n);
    t->held_count = 0;
}

size_t dt_thoughts_answer(unsigned rows, const char *text, size_t n, int *open)
{
    struct dt_thoughts t = {.rows = rows};
    char thought[2 * DT_THOUGHTS_HELD], answer[2 * DT_THOUGHTS_HELD];
    for (size_t i = 0; i < n && t.state != DT_THOUGHTS_ANSWER; i++) {
        size_t thought_n = 0, answer_n = 0;
        dt_thoughts_push(&t, text + i, 1, thought, &thought_n, answer, &answer_n);
    }
    if (open)
        *open = t.state == DT_THOUGHTS_INSIDE ? (int)t.row : -1;
    if (t.state == DT_THOUGHTS_INSIDE)
        return n;
    return t.state == DT_THOUGHTS_ANSWER ? t.answer_at : t.taken - t.held_count;
}

bool dt_thoughts_begins(unsigned rows, const char *text, size_t n)
{
    size_t blank = blanks(text, n);
    for (unsigned i = 0; i < DT_THOUGHT_ROWS; i++) {
        size_t length = strlen(table[i].open);
        if (rows >> i & 1 && length <= n - blank && is(table[i].open, text + blank, length))
            return true;
    }
    return false;
}
