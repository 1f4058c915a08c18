// SPDX-License-Identifier: MIT
// A long text cut into screen rows. Appending costs what was appended: only the last row is wrapped
// again, however long the story is.
#ifndef DT_UI_TUI_LAYOUT_H
#define DT_UI_TUI_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a stretch of text is; the screen decides how that looks.
enum tui_voice {
    TUI_VOICE_STORY = 0, // the model's words
    TUI_VOICE_USER,      // what somebody typed
    TUI_VOICE_NOTICE,    // the program's own remarks and figures
    TUI_VOICE_ERROR,
};

struct tui_row {
    size_t begin,
        end; // bytes [begin, end) of the text; the space or newline that ended the row is not in it
    bool hard; // ended by a newline (or the end of the text), not by the width
};

struct tui_span {
    size_t begin; // to the next span's begin, or the end
    enum tui_voice voice;
};

struct tui_layout {
    char *text;
    size_t length, text_size;
    struct tui_row *rows;
    size_t row_count, row_size;
    struct tui_span *spans;
    size_t span_count, span_size;
    unsigned width; // columns, >= 1
    size_t dropped; // bytes forgotten at the top, because of the cap
    bool failed;    // memory ran out once: what was shown is whole, what came after is not here
};

// An empty layout of `width` columns. Zero-fill is not enough: call this first. free gives the
// memory back.
void tui_layout_init(struct tui_layout *l, unsigned width);
void tui_layout_free(struct tui_layout *l);

// Appends clean UTF-8 (it went through dt_text_filter; a tab is shown as spaces up to the next
// multiple of 8 columns, other controls have no columns). Returns the first row that changed.
size_t tui_layout_append(struct tui_layout *l, enum tui_voice voice, const char *text, size_t n);

// Forgets everything from byte `length` on (a retry, an undo).
void tui_layout_truncate(struct tui_layout *l, size_t length);

// Wraps everything again for another width. `row` is a row before; returns the row that now holds
// the same text.
size_t tui_layout_resize(struct tui_layout *l, unsigned width, size_t row);

// Forgets whole rows at the top until at most `most` bytes are kept. Returns how many rows went.
size_t tui_layout_trim(struct tui_layout *l, size_t most);

// The voice of byte `at`.
enum tui_voice tui_layout_voice(const struct tui_layout *l, size_t at);

// Columns that text[0..n) takes when it begins in column `from`: tabs are counted as they are
// shown.
unsigned tui_columns(const char *text, size_t n, unsigned from);

#endif
