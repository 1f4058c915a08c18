// SPDX-License-Identifier: MIT
// Story text to a terminal that scrolls, word by word as it comes, in the terminal's charset. Never
// moves the cursor up, so it suits a teleprinter and a screen reader as well.
#ifndef DT_UI_COMMON_STREAM_H
#define DT_UI_COMMON_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "app/api.h"

struct ui_stream {
    const struct dt_app_api *api;
    struct dt_app *app;
    int fd;
    unsigned width;  // columns; 0: words are not moved to the next line
    unsigned column; // where the cursor stands
    char word[256];  // a word that has not ended, not yet written when width > 0
    size_t word_length;
    bool broken; // a write failed: nobody reads us any more
};

// Writes text; with a width, a word that would cross the border begins a new line, and the last
// word is held until it ends.
void ui_stream_text(struct ui_stream *s, const char *text, size_t n);

// Writes what is held.
void ui_stream_flush(struct ui_stream *s);

// Flushes, and ends the line if the cursor is not at the beginning of one.
void ui_stream_line_end(struct ui_stream *s);

// The story's turns from number `from` on, as they are now. What was asked in a chat ends its line;
// so do all of them, unless the last one has no text yet: then its number, 1-based, is returned, as
// its prompt stands at the end and is about to be told from. Else 0.
size_t ui_stream_turns(struct ui_stream *s, size_t from);

// Whole lines of their own: whatever was begun is ended before, and they end with a newline. Broken
// at words like a story.
void ui_stream_lines(struct ui_stream *s, const char *text, size_t n);

// Bytes as they are, all of them; sets broken. The column is the caller's business.
void ui_stream_raw(struct ui_stream *s, const char *bytes, size_t n);

#endif
