// SPDX-License-Identifier: MIT
// A line of live figures below the story, on terminals that can move the cursor up and clear a
// line.
#ifndef DT_UI_LINE_LIVE_H
#define DT_UI_LINE_LIVE_H

#include <stdbool.h>

#include "../common/stream.h"

struct live {
    bool possible; // the terminal can clear a line and write it again
    bool shown;
    bool progress;                     // a line of progress is on the screen
    char up[32], clear[32], right[64]; // cuu1, el, cuf (with its parameter)
    char dim[32], normal[32];          // dim and sgr0; dim "": the terminal lacks one of them
};

// Reads the capabilities of TERM; dim and normal are valid in any case. False if the terminal
// cannot overwrite a line; the functions below do nothing then.
bool live_open(struct live *l);

// Writes text on the line below the cursor, and moves the cursor back.
void live_show(struct live *l, struct ui_stream *out, const char *text);

// Clears that line. Call it before any other output.
void live_hide(struct live *l, struct ui_stream *out);

// A line of progress in the cursor's line, below the story: written over the one before it. End it
// before any other output.
void live_show_progress(struct live *l, struct ui_stream *out, const char *text);
void live_end_progress(struct live *l, struct ui_stream *out);

#endif
