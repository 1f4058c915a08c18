// SPDX-License-Identifier: MIT
// The input line: UTF-8, several lines of text, history, reverse search, a kill buffer. Knows no
// screen.
#ifndef DT_UI_TUI_EDITOR_H
#define DT_UI_TUI_EDITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUI_EDITOR_MAX  16384u // bytes of one entry
#define TUI_HISTORY_MAX 500u   // entries kept

struct tui_editor {
    char text[TUI_EDITOR_MAX +
              4];          // NUL-terminated, valid UTF-8 but for a character that is being typed
    size_t length, cursor; // bytes
    char killed[TUI_EDITOR_MAX];
    size_t killed_length;
    char *history[TUI_HISTORY_MAX]; // oldest first, owned
    size_t history_count;
    size_t at;   // entry shown; history_count: the draft
    char *draft; // what was being typed when history was entered, owned
    bool searching;
    char needle[128]; // of the reverse search
    size_t needle_length;
    size_t found; // entry found
};

void tui_editor_init(struct tui_editor *e);
void tui_editor_free(struct tui_editor *e);

// Puts n bytes in at the cursor (typed bytes one by one, or a paste). Controls other than newline
// are dropped, a carriage return is a newline, a tab a space. What does not fit is refused whole:
// false.
bool tui_editor_insert(struct tui_editor *e, const char *bytes, size_t n);

// Empties the entry. take: copies it to out first (NUL-terminated, size bytes) and remembers it in
// the history unless it is empty or the same as the last.
void tui_editor_clear(struct tui_editor *e);
void tui_editor_take(struct tui_editor *e, char *out, size_t size);
void tui_editor_set(struct tui_editor *e, const char *text);

// Adds an entry to the history (loaded from a file), copies it. False without memory.
bool tui_editor_remember(struct tui_editor *e, const char *entry);

// Movement by characters (combining ones go with their base), words and lines.
void tui_editor_left(struct tui_editor *e);
void tui_editor_right(struct tui_editor *e);
void tui_editor_word_left(struct tui_editor *e);
void tui_editor_word_right(struct tui_editor *e);
void tui_editor_home(struct tui_editor *e); // of the line the cursor is in
void tui_editor_end(struct tui_editor *e);
bool tui_editor_up(struct tui_editor *e);   // a line up inside the entry, else the older history
                                            // entry; false: nowhere to go
bool tui_editor_down(struct tui_editor *e); // likewise down and newer

void tui_editor_backspace(struct tui_editor *e);
void tui_editor_delete(struct tui_editor *e);
void tui_editor_kill_end(struct tui_editor *e);   // to the end of the line (Ctrl-K)
void tui_editor_kill_begin(struct tui_editor *e); // to its beginning (Ctrl-U)
void tui_editor_kill_word(struct tui_editor *e);  // the word before (Ctrl-W)
void tui_editor_yank(struct tui_editor *e);       // (Ctrl-Y)

// Reverse search: begin; each byte narrows it; again finds an older one; accept keeps what was
// found in the entry, cancel brings the draft back.
void tui_editor_search(struct tui_editor *e);
bool tui_editor_search_add(struct tui_editor *e, const char *bytes, size_t n);
void tui_editor_search_backspace(struct tui_editor *e);
bool tui_editor_search_again(struct tui_editor *e);
void tui_editor_search_end(struct tui_editor *e, bool accept);

#endif
