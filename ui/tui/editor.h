// SPDX-License-Identifier: MIT
// The input line without a screen: UTF-8 text of several lines, history, reverse search, a kill
// buffer.
#ifndef DT_UI_TUI_EDITOR_H
#define DT_UI_TUI_EDITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUI_EDITOR_MAX  16384u // bytes of one entry
#define TUI_HISTORY_MAX 500u   // entries in the history

struct tui_editor {
    char text[TUI_EDITOR_MAX + 4]; // NUL-terminated UTF-8; may lack the end of a typed character
    size_t length, cursor;         // bytes
    char killed[TUI_EDITOR_MAX];
    size_t killed_length;
    char *history[TUI_HISTORY_MAX]; // oldest first, owned
    size_t history_count;
    size_t at;   // entry shown; history_count: the draft
    char *draft; // the entry before the history was entered, owned
    bool searching;
    char needle[128]; // of the reverse search
    size_t needle_length;
    size_t found; // entry found
};

void tui_editor_init(struct tui_editor *e);
void tui_editor_free(struct tui_editor *e);

// Inserts n bytes at the cursor: typed bytes one by one, or a paste. Drops controls other than
// newline; a carriage return becomes a newline, a tab a space. False, without a change, if they do
// not fit.
bool tui_editor_insert(struct tui_editor *e, const char *bytes, size_t n);

// Empties the entry. finish: copies it to out first (NUL-terminated, size bytes), and adds it to
// the history unless it is empty or equal to the last. set: replaces the entry.
void tui_editor_clear(struct tui_editor *e);
void tui_editor_finish(struct tui_editor *e, char *out, size_t size);
void tui_editor_set(struct tui_editor *e, const char *text);

// Adds a copy of the entry to the history, unless it is equal to the last. False without memory.
bool tui_editor_remember(struct tui_editor *e, const char *entry);

// Movement by characters (combining marks belong to their base), words and lines.
void tui_editor_left(struct tui_editor *e);
void tui_editor_right(struct tui_editor *e);
void tui_editor_word_left(struct tui_editor *e);
void tui_editor_word_right(struct tui_editor *e);
void tui_editor_home(struct tui_editor *e); // of the line with the cursor
void tui_editor_end(struct tui_editor *e);
// A line up or down in the entry, or the entry before or after it in the history. False if there is
// none.
bool tui_editor_up(struct tui_editor *e);
bool tui_editor_down(struct tui_editor *e);

void tui_editor_backspace(struct tui_editor *e);
void tui_editor_delete(struct tui_editor *e);
void tui_editor_kill_end(struct tui_editor *e);   // to the end of the line (Ctrl-K)
void tui_editor_kill_begin(struct tui_editor *e); // to its beginning (Ctrl-U)
void tui_editor_kill_word(struct tui_editor *e);  // the word before (Ctrl-W)
void tui_editor_yank(struct tui_editor *e);       // (Ctrl-Y)

// Reverse search in the history. _add narrows it; _again finds an older entry; both return false if
// none matches. _end leaves the entry found, or with accept false the draft.
void tui_editor_search(struct tui_editor *e);
bool tui_editor_search_add(struct tui_editor *e, const char *bytes, size_t n);
void tui_editor_search_backspace(struct tui_editor *e);
bool tui_editor_search_again(struct tui_editor *e);
void tui_editor_search_end(struct tui_editor *e, bool accept);

#endif
