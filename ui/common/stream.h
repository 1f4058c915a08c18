// SPDX-License-Identifier: MIT
// Writes story text to a terminal that scrolls, word by word, in the terminal's charset. Never
// moves the cursor up, so it also suits teleprinters and screen readers.
#ifndef DT_UI_COMMON_STREAM_H
#define DT_UI_COMMON_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "app/api.h"

struct ui_stream {
    const struct dt_app_api *api;
    struct dt_app *app;
    int fd;
    unsigned width;  // columns; 0: no word wrap
    unsigned column; // of the cursor
    char word[256];  // an unfinished word, not written yet if width > 0
    size_t word_length;
    size_t prompt_shown;      // 1-based number of a turn whose prompt is written already, or 0
    bool terminal;            // fd is one
    bool thinking;            // a thought is being written
    const char *dim, *normal; // what dims text on this terminal, and ends that; NULL: the thoughts
                              // are between markers
    bool broken;              // a write failed: the reader is gone, or the device is full
    int error;                // its errno
};

// Writes text. With a width, a word that would cross the right edge begins a new line, and the last
// word is held back until it ends.
void ui_stream_text(struct ui_stream *s, const char *text, size_t n);

// Writes a part of a thought: dimmed, or after a marker. False, without a change, if thoughts are
// hidden.
bool ui_stream_thought(struct ui_stream *s, const char *text, size_t n);
// Ends the thought, if one is being written, with an empty line.
void ui_stream_thought_end(struct ui_stream *s);

// Flushes, and ends the line if the cursor is not at the beginning of one.
void ui_stream_line_end(struct ui_stream *s);

// Writes the story's turns from number `from` on. In chat mode a prompt ends its line. The last
// turn ends its line too, unless it has no text yet: its text will follow its prompt.
void ui_stream_turns(struct ui_stream *s, size_t from);

// Writes the prompt of turn `number`, with which its text begins: only in story mode, only before
// the first text, and only if ui_stream_turns() has not written it. skip_blank: leaves out a space
// at its beginning if the cursor is at the beginning of a line.
void ui_stream_prompt(struct ui_stream *s, size_t number, bool skip_blank);

// Writes whole lines: ends an unfinished line before them, and wraps them like a story.
void ui_stream_lines(struct ui_stream *s, const char *text, size_t n);

// Writes bytes unchanged; does not update the column. Sets broken if the reader is gone.
void ui_stream_raw(struct ui_stream *s, const char *bytes, size_t n);

#endif
