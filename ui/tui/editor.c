// SPDX-License-Identifier: MIT
#include "editor.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void tui_editor_init(struct tui_editor *e)
{
    memset(e, 0, sizeof *e);
}

void tui_editor_free(struct tui_editor *e)
{
    for (size_t i = 0; i < e->history_count; i++)
        free(e->history[i]);
    free(e->draft);
    memset(e, 0, sizeof *e);
}

// ---- text ----

static void erase(struct tui_editor *e, size_t from, size_t to)
{
    memmove(e->text + from, e->text + to, e->length - to + 1);
    e->length -= to - from;
    if (e->cursor >= to)
        e->cursor -= to - from;
    else if (e->cursor > from)
        e->cursor = from;
}

bool tui_editor_insert(struct tui_editor *e, const char *bytes, size_t n)
{
    if (e->length + n > TUI_EDITOR_MAX)
        return false;
    memmove(e->text + e->cursor + n, e->text + e->cursor, e->length - e->cursor + 1);
    size_t inserted = 0;
    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        if (c == '\r' && i + 1 < n && bytes[i + 1] == '\n')
            continue;
        c = c == '\r' ? '\n' : c == '\t' ? ' ' : c;
        if (((unsigned char)c >= 0x20 && c != 0x7f) || c == '\n')
            e->text[e->cursor + inserted++] = c;
    }
    memmove(e->text + e->cursor + inserted, e->text + e->cursor + n, e->length - e->cursor + 1);
    e->length += inserted;
    e->cursor += inserted;
    return true;
}

void tui_editor_set(struct tui_editor *e, const char *text)
{
    size_t n = strlen(text);
    if (n > TUI_EDITOR_MAX)
        n = TUI_EDITOR_MAX;
    e->length = e->cursor = 0;
    e->text[0] = 0;
    tui_editor_insert(e, text, n);
}

void tui_editor_clear(struct tui_editor *e)
{
    tui_editor_set(e, "");
    e->at = e->history_count;
    e->searching = false;
    free(e->draft);
    e->draft = NULL;
}

void tui_editor_finish(struct tui_editor *e, char *out, size_t size)
{
    size_t n = e->length < size - 1 ? e->length : size - 1;
    memcpy(out, e->text, n);
    out[n] = 0;
    if (e->length > 0)
        tui_editor_remember(e, e->text);
    tui_editor_clear(e);
}

bool tui_editor_remember(struct tui_editor *e, const char *entry)
{
    if (e->history_count && strcmp(e->history[e->history_count - 1], entry) == 0) {
        e->at = e->history_count;
        return true;
    }
    char *copy = strdup(entry);
    if (!copy)
        return false;
    if (e->history_count == TUI_HISTORY_MAX) {
        free(e->history[0]);
        memmove(e->history, e->history + 1, (TUI_HISTORY_MAX - 1) * sizeof *e->history);
        e->history_count--;
    }
    e->history[e->history_count++] = copy;
    e->at = e->history_count;
    return true;
}

// ---- movement ----

#define ZERO_WIDTH_JOINER 0x200Du

static bool is_regional(uint32_t code) // two of them are a flag
{
    return code >= 0x1F1E6 && code <= 0x1F1FF;
}

static bool is_skin_tone(uint32_t code)
{
    return code >= 0x1F3FB && code <= 0x1F3FF;
}

// The end of the character at `at` as the user sees it: with its combining marks, and joined emoji,
// skin tones and flags as one. Source: Unicode Standard Annex 29, without Hangul and Indic rules.
static size_t next(const struct tui_editor *e, size_t at)
{
    uint32_t code, before;
    if (at >= e->length)
        return e->length;
    at += dt_utf8_decode(e->text + at, e->length - at, &before);
    bool half_flag = is_regional(before);
    while (before != '\n' && at < e->length) {
        size_t n = dt_utf8_decode(e->text + at, e->length - at, &code);
        if (code == '\n' ||
            !(dt_text_width(code) == 0 || (before == ZERO_WIDTH_JOINER && code >= 0x2190) ||
              (is_skin_tone(code) && dt_text_width(before) == 2) ||
              (half_flag && is_regional(code))))
            break;
        half_flag = half_flag && !is_regional(code);
        before = code;
        at += n;
    }
    return at;
}

static size_t line_begin(const struct tui_editor *e, size_t at)
{
    while (at > 0 && e->text[at - 1] != '\n')
        at--;
    return at;
}

static size_t previous(const struct tui_editor *e, size_t at)
{
    size_t begin = line_begin(e, at), end;
    if (begin == at)
        return at ? at - 1 : 0; // the newline before
    while ((end = next(e, begin)) < at)
        begin = end;
    return begin;
}

void tui_editor_left(struct tui_editor *e)
{
    e->cursor = previous(e, e->cursor);
}

void tui_editor_right(struct tui_editor *e)
{
    e->cursor = next(e, e->cursor);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n';
}

void tui_editor_word_left(struct tui_editor *e)
{
    while (e->cursor > 0 && is_space(e->text[e->cursor - 1]))
        e->cursor--;
    while (e->cursor > 0 && !is_space(e->text[e->cursor - 1]))
        e->cursor--;
}

void tui_editor_word_right(struct tui_editor *e)
{
    while (e->cursor < e->length && is_space(e->text[e->cursor]))
        e->cursor++;
    while (e->cursor < e->length && !is_space(e->text[e->cursor]))
        e->cursor++;
}

static size_t line_end(const struct tui_editor *e, size_t at)
{
    while (at < e->length && e->text[at] != '\n')
        at++;
    return at;
}

void tui_editor_home(struct tui_editor *e)
{
    e->cursor = line_begin(e, e->cursor);
}

void tui_editor_end(struct tui_editor *e)
{
    e->cursor = line_end(e, e->cursor);
}

// The byte in the line at `begin` that is `columns` columns from its left edge.
static size_t at_column(const struct tui_editor *e, size_t begin, size_t columns)
{
    size_t at = begin, end = line_end(e, begin), used = 0;
    while (at < end) {
        size_t after = next(e, at), width = dt_text_columns(e->text + at, after - at);
        if (used + width > columns)
            break;
        used += width;
        at = after;
    }
    return at;
}

static void show(struct tui_editor *e, size_t entry)
{
    if (e->at == e->history_count) {
        free(e->draft);
        e->draft = strdup(e->text);
    }
    e->at = entry;
    tui_editor_set(e, entry < e->history_count ? e->history[entry] : e->draft ? e->draft : "");
}

bool tui_editor_up(struct tui_editor *e)
{
    size_t begin = line_begin(e, e->cursor);
    if (begin > 0) {
        size_t columns = dt_text_columns(e->text + begin, e->cursor - begin);
        e->cursor = at_column(e, line_begin(e, begin - 1), columns);
        return true;
    }
    if (e->at == 0)
        return false;
    show(e, e->at - 1);
    return true;
}

bool tui_editor_down(struct tui_editor *e)
{
    size_t end = line_end(e, e->cursor), begin = line_begin(e, e->cursor);
    if (end < e->length) {
        size_t columns = dt_text_columns(e->text + begin, e->cursor - begin);
        e->cursor = at_column(e, end + 1, columns);
        return true;
    }
    if (e->at >= e->history_count)
        return false;
    show(e, e->at + 1);
    return true;
}

// ---- cutting ----

void tui_editor_backspace(struct tui_editor *e)
{
    erase(e, previous(e, e->cursor), e->cursor);
}

void tui_editor_delete(struct tui_editor *e)
{
    erase(e, e->cursor, next(e, e->cursor));
}

static void kill(struct tui_editor *e, size_t from, size_t to)
{
    e->killed_length = to - from;
    memcpy(e->killed, e->text + from, to - from);
    erase(e, from, to);
}

void tui_editor_kill_end(struct tui_editor *e)
{
    size_t end = line_end(e, e->cursor);
    if (end == e->cursor && end < e->length)
        end++; // at the end of a line: the newline itself
    kill(e, e->cursor, end);
}

void tui_editor_kill_begin(struct tui_editor *e)
{
    kill(e, line_begin(e, e->cursor), e->cursor);
}

void tui_editor_kill_word(struct tui_editor *e)
{
    size_t end = e->cursor;
    tui_editor_word_left(e);
    kill(e, e->cursor, end);
}

void tui_editor_yank(struct tui_editor *e)
{
    tui_editor_insert(e, e->killed, e->killed_length);
}

// ---- reverse search ----

// Shows the newest entry before entry `before` that contains the needle.
static bool find(struct tui_editor *e, size_t before)
{
    e->needle[e->needle_length] = 0;
    while (before-- > 0) {
        if (!strstr(e->history[before], e->needle))
            continue;
        e->found = before;
        show(e, before);
        return true;
    }
    return false;
}

void tui_editor_search(struct tui_editor *e)
{
    if (e->at == e->history_count) {
        free(e->draft);
        e->draft = strdup(e->text);
    }
    e->searching = true;
    e->needle_length = 0;
    e->found = e->history_count;
}

bool tui_editor_search_add(struct tui_editor *e, const char *bytes, size_t n)
{
    if (e->needle_length + n >= sizeof e->needle)
        return false;
    memcpy(e->needle + e->needle_length, bytes, n);
    e->needle_length += n;
    return find(e, e->found < e->history_count ? e->found + 1 : e->history_count);
}

void tui_editor_search_backspace(struct tui_editor *e)
{
    while (e->needle_length > 0 && ((unsigned char)e->needle[--e->needle_length] & 0xC0) == 0x80)
        ;
    find(e, e->history_count);
}

bool tui_editor_search_again(struct tui_editor *e)
{
    return find(e, e->found);
}

void tui_editor_search_end(struct tui_editor *e, bool accept)
{
    e->searching = false;
    if (!accept)
        show(e, e->history_count);
}
