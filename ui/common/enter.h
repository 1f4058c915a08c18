// SPDX-License-Identifier: MIT
// Enter in the ordinary mode of a terminal. The driver makes a line feed of a carriage return, so
// that a sender of CR LF ends each line twice. The two may come in two pieces.
#ifndef DT_UI_COMMON_ENTER_H
#define DT_UI_COMMON_ENTER_H

#include <stdbool.h>
#include <stdint.h>

struct ui_enter {
    int delay_ms; // how long the second end may take, as from ui_escape_enter_ms()
    bool after;   // the byte before was a line's end
    uint64_t at_ns;
};

// Call it for each byte that is read. end: it ends a line. Returns whether it only repeats the end
// directly before it.
bool ui_enter_repeats(struct ui_enter *e, bool end);

// Milliseconds for poll() on the terminal until the next end is an Enter of its own; -1: without
// limit. Call it before each poll().
int ui_enter_wait_ms(struct ui_enter *e, int fd);

#endif
