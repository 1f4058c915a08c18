// SPDX-License-Identifier: MIT
// What is typed while readline does not read: during a turn, and around each change of the
// terminal's mode. Divides it into lines.
#ifndef DT_UI_LINE_AHEAD_H
#define DT_UI_LINE_AHEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/enter.h"
#include "../common/escape.h"

#define AHEAD_MAX 16384u
#define AHEAD_END "\004" // a line: Ctrl-D where a line begins

struct ahead {
    struct ui_escape escape;
    struct ui_enter enter;
    char text[AHEAD_MAX]; // each whole line ends with \r; \n is a newline within an entry
    size_t length;
    char line[AHEAD_MAX + 1]; // what was taken last
};

void ahead_init(struct ahead *a);

// Reads the lines that wait, if any, with the terminal in its ordinary mode: the driver has edited
// them, and each ends with a line feed. Empty lines directly below another one are left out, also
// those that come a moment later. False if the terminal is gone.
bool ahead_read(struct ahead *a);

// Reads what waits below an Enter that readline has read: it has changed the terminal to its
// ordinary mode before it reports the line, so that carriage returns typed before and line feeds
// typed after that change are in one piece. Both are Enter.
void ahead_follow(struct ahead *a);

// Milliseconds for poll() while readline does not read; -1: without limit. Call it before each
// poll().
int ahead_wait_ms(struct ahead *a);

// Takes back what readline has of an entry. Call it before ahead_drain().
void ahead_put_back(struct ahead *a, const char *bytes, size_t n);

// Reads what waits in readline's mode, before the terminal is changed to its ordinary mode. Enter
// is a carriage return there, and a line feed is Ctrl-J. edited: at most so many bytes are in the
// driver's form, see keyboard_edited().
void ahead_drain(struct ahead *a, size_t edited);

bool ahead_is_empty(const struct ahead *a);

// The next whole line, without its end; NULL if there is none. It is still in the buffer.
const char *ahead_next(struct ahead *a);

// Removes the line that ahead_next() returned. The text stays valid until the next call of
// ahead_next() or ahead_rest().
void ahead_remove(struct ahead *a);

// Takes the unfinished line out of the buffer. NULL if there is none.
const char *ahead_rest(struct ahead *a);

#endif
