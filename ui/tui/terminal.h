// SPDX-License-Identifier: MIT
// The terminal, opened and given back. The only file that knows which terminal it is.
#ifndef DT_UI_TUI_TERMINAL_H
#define DT_UI_TUI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#define TUI_ROWS_MIN 10
#define TUI_COLUMNS_MIN 40

// Which characters may be drawn with.
enum tui_glyphs {
    TUI_GLYPHS_ASCII = 0, // + - | # . and letters
    TUI_GLYPHS_ACS,       // the terminal's own line-drawing set
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
    bool utf8;             // the locale's, or what the user said
    bool colour;           // false under NO_COLOR
    enum tui_theme theme;
    int rows, cols;        // 0: ask the terminal
};

struct tui_terminal {
    char term[64];        // the entry in use
    bool fell_back;       // it is not the TERM of the environment
    enum tui_glyphs glyphs;
    enum tui_theme theme;
    bool colour, open;
    unsigned attributes[TUI_PAINT_COUNT]; // chtype attributes of each paint
};

// Which entry would be used, without touching the terminal: TERM's own, then xterm-256color, then vt100 where the entry is
// missing. NULL with one line in reason when none is to be had or the terminal cannot place its cursor (dumb).
const char *tui_terminal_entry(char *reason, size_t size);

// Opens the screen on stdin and stdout. False with one line in reason when there is no entry or it is smaller than 40x10: the
// line front end takes over then, and nothing has been drawn.
bool tui_terminal_open(struct tui_terminal *t, const struct tui_terminal_options *options, char *reason, size_t size);

// Gives the terminal back as it was. Harmless when it is not open.
void tui_terminal_close(struct tui_terminal *t);

// What gives the screen back when the program dies: attributes off, cursor shown, alternate screen left. For the program's crash handler, which restores the
// terminal's modes besides. Static, valid while the terminal is open.
const char *tui_terminal_last_words(size_t *n);

// The size the terminal has now, in rows and columns: the kernel's word, or the terminal's own answer to a cursor report where the kernel says
// 0x0 (a serial line), or 24x80.
void tui_terminal_size(int *rows, int *cols);

// Attributes of a theme, for colours that can be had. Done by open; again after a change of theme.
void tui_terminal_paint(struct tui_terminal *t, enum tui_theme theme);

#endif
