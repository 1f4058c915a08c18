// SPDX-License-Identifier: MIT
#include "layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define TAB 8u

static bool grow(void **items, size_t *size, size_t need, size_t item)
{
    if (need <= *size)
        return true;
    size_t capacity = *size ? *size : 64;
    while (capacity < need)
        capacity *= 2;
    void *more = realloc(*items, capacity * item);
    if (!more)
        return false;
    *items = more;
    *size = capacity;
    return true;
}

// The bytes and columns of the character at text[at], which is shown in `column`.
static size_t character(const char *text, size_t at, size_t end, unsigned column, unsigned *columns)
{
    uint32_t code;
    size_t n = dt_utf8_decode(text + at, end - at, &code);
    int width = dt_text_width(code);
    *columns = code == '\t' ? TAB - column % TAB : width > 0 ? (unsigned)width : 0;
    return n;
}

unsigned tui_columns(const char *text, size_t n, unsigned from)
{
    unsigned column = from, wide;
    for (size_t at = 0; at < n; column += wide)
        at += character(text, at, n, column, &wide);
    return column - from;
}

static bool push_row(struct tui_layout *l, size_t begin, size_t end, bool hard)
{
    if (!grow((void **)&l->rows, &l->row_size, l->row_count + 1, sizeof *l->rows))
        return false;
    l->rows[l->row_count++] = (struct tui_row){begin, end, hard};
    return true;
}

// Wraps the text from byte `at`, where a row begins. The last row may be empty.
static void wrap(struct tui_layout *l, size_t at)
{
    for (;;) {
        size_t begin = at, space = 0, after_space = 0;
        unsigned column = 0, wide;
        bool hard = true;
        while (at < l->length && l->text[at] != '\n') {
            size_t n = character(l->text, at, l->length, column, &wide);
            if (column + wide > l->width && at > begin) {
                hard = false;
                break;
            }
            if (l->text[at] == ' ') {
                space = at;
                after_space = at + 1;
            }
            column += wide;
            at += n;
        }
        size_t end = at;
        if (!hard && l->text[at] == ' ') { // the word ends at the border
            at++;
        } else if (!hard && after_space) { // the word that does not fit goes to the next row
            end = space;
            at = after_space;
        }
        if (!push_row(l, begin, end, hard)) {
            l->failed = true;
            return;
        }
        if (hard) {
            if (at >= l->length)
                return;
            at++; // the newline
        }
    }
}

bool tui_layout_init(struct tui_layout *l, unsigned width, size_t bytes)
{
    memset(l, 0, sizeof *l);
    l->width = width ? width : 1;
    l->failed = !grow((void **)&l->text, &l->text_size, bytes + 1, 1) || // text is never NULL
                !grow((void **)&l->spans, &l->span_size, 1, sizeof *l->spans);
    wrap(l, 0);
    return !l->failed;
}

void tui_layout_free(struct tui_layout *l)
{
    free(l->text);
    free(l->rows);
    free(l->spans);
    memset(l, 0, sizeof *l);
}

static bool push_span(struct tui_layout *l, enum tui_text kind)
{
    if (l->span_count && l->spans[l->span_count - 1].kind == kind)
        return true;
    if (!grow((void **)&l->spans, &l->span_size, l->span_count + 1, sizeof *l->spans))
        return false;
    l->spans[l->span_count++] = (struct tui_span){l->length, kind};
    return true;
}

size_t tui_layout_append(struct tui_layout *l, enum tui_text kind, const char *text, size_t n)
{
    size_t last = l->row_count ? l->row_count - 1 : 0;
    if (n == 0 || l->failed)
        return last;
    if (!grow((void **)&l->text, &l->text_size, l->length + n, 1) || !push_span(l, kind)) {
        l->failed = true;
        return last;
    }
    memcpy(l->text + l->length, text, n);
    l->length += n;
    l->row_count = last;
    wrap(l, last < l->row_size && l->rows ? l->rows[last].begin : 0);
    return last;
}

void tui_layout_truncate(struct tui_layout *l, size_t length)
{
    if (length > l->length || (length == l->length && !l->failed))
        return;
    l->length = length;
    while (l->span_count && l->spans[l->span_count - 1].begin >= length)
        l->span_count--;
    while (l->row_count > 1 && l->rows[l->row_count - 1].begin > length)
        l->row_count--;
    size_t begin = l->row_count ? l->rows[l->row_count - 1].begin : 0;
    l->row_count -= l->row_count > 0;
    l->failed = false;
    wrap(l, begin);
}

// The last of `count` rows or spans, `size` bytes each, that begins at or before byte `at`. Both
// begin with the member `begin`. 0 if there is none.
static size_t find_last(const void *items, size_t count, size_t size, size_t at)
{
    size_t low = 0, high = count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2, begin;
        memcpy(&begin, (const char *)items + middle * size, sizeof begin);
        if (begin <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t tui_layout_resize(struct tui_layout *l, unsigned width, size_t row)
{
    size_t at = row < l->row_count ? l->rows[row].begin : l->length;
    l->width = width ? width : 1;
    l->row_count = 0;
    wrap(l, 0);
    return find_last(l->rows, l->row_count, sizeof *l->rows, at);
}

size_t tui_layout_trim(struct tui_layout *l, size_t most)
{
    size_t rows = 0;
    while (rows + 1 < l->row_count && l->length - l->rows[rows].begin > most)
        rows++;
    if (rows == 0)
        return 0;
    size_t bytes = l->rows[rows].begin;
    memmove(l->text, l->text + bytes, l->length - bytes);
    l->length -= bytes;
    l->dropped += bytes;
    memmove(l->rows, l->rows + rows, (l->row_count - rows) * sizeof *l->rows);
    l->row_count -= rows;
    for (size_t i = 0; i < l->row_count; i++) {
        l->rows[i].begin -= bytes;
        l->rows[i].end -= bytes;
    }
    size_t gone = 0; // spans that end before the text that is left
    while (gone + 1 < l->span_count && l->spans[gone + 1].begin <= bytes)
        gone++;
    memmove(l->spans, l->spans + gone, (l->span_count - gone) * sizeof *l->spans);
    l->span_count -= gone;
    for (size_t i = 0; i < l->span_count; i++)
        l->spans[i].begin -= l->spans[i].begin < bytes ? l->spans[i].begin : bytes;
    return rows;
}

enum tui_text tui_layout_kind(const struct tui_layout *l, size_t at)
{
    size_t i = find_last(l->spans, l->span_count, sizeof *l->spans, at);
    return l->span_count ? l->spans[i].kind : TUI_TEXT_STORY;
}
