// SPDX-License-Identifier: MIT
// A line of figures under the story while it is told, on terminals that can go up one line and
// clear one.
#ifndef DT_UI_LINE_LIVE_H
#define DT_UI_LINE_LIVE_H

#include <stdbool.h>

#include "../common/stream.h"

struct live {
    bool possible, shown;
    char up[32], clear[32], right[64]; // cuu1, el, cuf (with its parameter)
};

// Looks at TERM. False: the terminal cannot overwrite a line; everything below then does nothing.
bool live_open(struct live *l);

// Shows text on the line below the cursor and comes back.
void live_show(struct live *l, struct ui_stream *out, const char *text);

// Takes it away, before anything else is written.
void live_hide(struct live *l, struct ui_stream *out);

// Clears from the cursor to the end of its line.
void live_clear_line(struct live *l, struct ui_stream *out);

#endif
