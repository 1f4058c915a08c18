// SPDX-License-Identifier: MIT
// Divides the bytes that a terminal sends into typed characters and whole escape sequences, so that
// no part of an unknown sequence is taken for typed text. Pure: no terminal, no clock.
//
// Grammar: ECMA-48 (CSI, OSC, DCS, SOS, PM, APC), SS3, the X10 mouse report and the Linux console's
// function keys (ESC [ [ A).
#ifndef DT_UI_COMMON_ESCAPE_H
#define DT_UI_COMMON_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

#define UI_ESCAPE_HELD 32 // bytes of the longest sequence that is reported

enum ui_escape_kind {
    UI_ESCAPE_TEXT,     // one typed byte; in a paste, a line end is always \n
    UI_ESCAPE_ESC,      // the Esc key
    UI_ESCAPE_ALT,      // Alt and a printable ASCII character; the byte is that character
    UI_ESCAPE_SEQUENCE, // a whole sequence that begins with ESC
    UI_ESCAPE_PASTE_BEGIN,
    UI_ESCAPE_PASTE_END,
};

struct ui_escape {
    // Receives what was found. In a paste only TEXT and PASTE_END.
    void (*sink)(void *arg, enum ui_escape_kind kind, const char *bytes, size_t n);
    // Whether the bytes, which begin with ESC, are a whole sequence of this terminal although the
    // grammar expects more. May be NULL.
    bool (*known)(void *arg, const char *bytes, size_t n);
    void *arg;

    // state; all zero at first
    int state;
    char held[UI_ESCAPE_HELD];
    size_t length;     // of the sequence so far; more than UI_ESCAPE_HELD: it is only skipped
    unsigned skip;     // bytes of a mouse report that follow
    bool pasting;      // between the markers of a bracketed paste
    bool after_return; // the byte before was a carriage return, a moment ago
};

// Processes n bytes. A line feed directly after a carriage return is dropped, unless
// ui_escape_flush() was called between them: then it is a key of its own (Ctrl-J).
void ui_escape_push(struct ui_escape *e, const char *bytes, size_t n);

// Milliseconds to wait for the next byte before ui_escape_flush() is due; -1: nothing is held, and
// no line feed belongs to a carriage return.
// delay_ms: how long a single Esc waits, as from ui_escape_delay_ms().
int ui_escape_wait_ms(const struct ui_escape *e, int delay_ms);

// No byte came in time: reports a held Esc or Alt key, drops an incomplete sequence, ends a paste.
void ui_escape_flush(struct ui_escape *e);

// How long an Esc waits for the rest of a sequence: ESCDELAY (milliseconds, 1 to 60000) if set, 300
// on a serial line, else 50. fd: the terminal; TERM names of serial terminals count as serial.
int ui_escape_delay_ms(int fd);

// How long the line feed of an Enter may take where it looks as another Enter does: ESCDELAY, or 60
// on a serial line, else 10.
int ui_escape_enter_ms(int fd);

// Removes escape sequences from a NUL-terminated line that the terminal driver has edited, in
// place.
void ui_escape_strip(char *line);

#endif
