// SPDX-License-Identifier: MIT
// A long text wrapped into screen rows. Appending wraps only the last row again, however long the
// text is.
#ifndef DT_UI_TUI_LAYOUT_H
#define DT_UI_TUI_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The kind of a piece of text; the screen decides how it looks.
enum tui_text {
    TUI_TEXT_STORY = 0, // generated text
    TUI_TEXT_USER,      // text typed by the user
    TUI_TEXT_THOUGHT,   // what the model thinks before it answers
    TUI_TEXT_NOTICE,    // messages of the program
    TUI_TEXT_ERROR,
};

struct tui_row {
    size_t begin, end; // bytes [begin, end) of the text, without the space or newline that ended it
    bool hard;         // ended by a newline or the end of the text, not by the width
};

struct tui_span {
    size_t begin; // ends where the next span begins
    enum tui_text kind;
};

struct tui_layout {
    char *text;
    size_t length, text_size;
    struct tui_row *rows;
    size_t row_count, row_size;
    struct tui_span *spans;
    size_t span_count, span_size;
    unsigned width; // columns, >= 1
    size_t dropped; // bytes removed at the top by tui_layout_trim()
    bool failed;    // memory was short: later text is missing
};

// An empty layout of `width` columns, with memory for `bytes` bytes of text in at most 64 rows. A
// zero-filled struct is not valid before this call. False if memory is short.
bool tui_layout_init(struct tui_layout *l, unsigned width, size_t bytes);
void tui_layout_free(struct tui_layout *l);

// Appends UTF-8 that went through dt_text_filter(). A tab is as wide as the spaces up to the next
// multiple of 8 columns; other controls have no width. Returns the first row that changed.
size_t tui_layout_append(struct tui_layout *l, enum tui_text kind, const char *text, size_t n);

// Removes everything from byte `length` on. What is appended then is not missing any more.
void tui_layout_truncate(struct tui_layout *l, size_t length);

// Wraps everything for another width. Returns the row that now holds the beginning of row `row`.
size_t tui_layout_resize(struct tui_layout *l, unsigned width, size_t row);

// Removes whole rows at the top until at most `most` bytes are left. Returns the number of rows
// removed.
size_t tui_layout_trim(struct tui_layout *l, size_t most);

// The kind of the text at byte `at`.
enum tui_text tui_layout_kind(const struct tui_layout *l, size_t at);

// The columns of text[0..n) if it begins in column `from`, tabs expanded.
unsigned tui_columns(const char *text, size_t n, unsigned from);

#endif
