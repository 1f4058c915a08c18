// SPDX-License-Identifier: MIT
// The terminal, opened and given back. The only file that knows which terminal it is.
#ifndef DT_UI_TUI_TERMINAL_H
#define DT_UI_TUI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#define TUI_ROWS_MIN    10
#define TUI_COLUMNS_MIN 40

// Keys that curses does not know.
#define TUI_KEY_PASTE_BEGIN 0x2000
#define TUI_KEY_PASTE_END   0x2001
#define TUI_KEY_ALT         0x4000 // added to a character: Alt and it, or Esc and it

// Which characters may be drawn with.
enum tui_glyphs {
    TUI_GLYPHS_ASCII = 0, // - | # . and letters
    TUI_GLYPHS_ACS,       // the terminal's own line-drawing set
    TUI_GLYPHS_CONSOLE,   // UTF-8 on the Linux console, whose font has the blocks and lines of code
                          // page 437 alone
    TUI_GLYPHS_UTF8,
};

enum tui_theme {
    TUI_THEME_DEFAULT = 0,
    TUI_THEME_MONO,     // bold, dim, reverse: no colour
    TUI_THEME_CONTRAST, // bold and plain full colours on black
};

// What is drawn in which way; the theme says how it looks.
enum tui_paint {
    TUI_PAINT_PLAIN = 0,
    TUI_PAINT_STORY,
    TUI_PAINT_USER,
    TUI_PAINT_NOTICE,
    TUI_PAINT_ERROR,
    TUI_PAINT_STATUS,
    TUI_PAINT_TITLE,
    TUI_PAINT_SELECTED,
    TUI_PAINT_COUNT,
};

struct tui_terminal_options {
    bool utf8;   // the locale's, or what the user said
    bool colour; // false under NO_COLOR
    enum tui_theme theme;
    bool headless; // no terminal at all: what would be drawn goes nowhere, a script plays and saves
                   // screens
    int rows, cols; // 0: ask the terminal
};

struct tui_terminal {
    char term[64];  // the entry in use
    bool fell_back; // it is not the TERM of the environment
    enum tui_glyphs glyphs;
    enum tui_theme theme;
    bool colour, open, headless;
    bool fixed_size; // given by the user: the terminal's own changes are not followed
    unsigned attributes[TUI_PAINT_COUNT]; // chtype attributes of each paint
};

// Which entry would be used, without touching the terminal: TERM's own, then xterm-256color, then
// vt100 where the entry is missing. NULL with one line in reason when none is to be had or the
// terminal cannot place its cursor (dumb).
const char *tui_terminal_entry(char *reason, size_t size);

// Opens the screen on stdin and stdout. False with one line in reason when there is no entry or it
// is smaller than 40x10: the line front end takes over then, and nothing has been drawn.
bool tui_terminal_open(struct tui_terminal *t, const struct tui_terminal_options *options,
                       char *reason, size_t size);

// Gives the terminal back as it was. Harmless when it is not open.
void tui_terminal_close(struct tui_terminal *t);

// Whether what was drawn stays to be seen after the end: the terminal has no screen besides.
bool tui_terminal_stays(const struct tui_terminal *t);

// The next byte or key code of curses that was typed, -1 (ERR) when there is none. Does not wait,
// but for what follows an Esc.
int tui_terminal_key(void);

// What happened to the terminal since it was asked last: a set of these. Other threads may have got
// the signal, so it comes through a descriptor: tui_terminal_fd, for poll(), -1 when there is none.
enum {
    TUI_SIGNAL_SIZE = 1,    // its size changed
    TUI_SIGNAL_SUSPEND = 2, // we are to go to sleep (SIGTSTP)
    TUI_SIGNAL_WOKEN = 4,   // we were asleep, and others have drawn meanwhile
};
int tui_terminal_fd(void);
unsigned tui_terminal_signals(void);

// Takes the size the terminal has now, or the one given.
void tui_terminal_resize(struct tui_terminal *t, int rows, int cols);

// Gives the terminal back, stops the process as Ctrl-Z would, and takes the terminal again once it
// is continued.
void tui_terminal_suspend(struct tui_terminal *t);

// What gives the screen back when the program dies: attributes off, cursor shown, alternate screen
// left. For the program's crash handler, which restores the terminal's modes besides. Static, valid
// while the terminal is open.
const char *tui_terminal_last_words(size_t *n);

// The size the terminal has now, in rows and columns: the kernel's word, or the terminal's own
// answer to a cursor report where the kernel says 0x0 (a serial line), or 24x80.
void tui_terminal_size(int *rows, int *cols);

// Attributes of a theme, for colours that can be had. Done by open; again after a change of theme.
void tui_terminal_paint(struct tui_terminal *t, enum tui_theme theme);

#endif
