// SPDX-License-Identifier: MIT
// Opens the terminal, and restores it at the end. The only file that depends on the kind of
// terminal.
#ifndef DT_UI_TUI_TERMINAL_H
#define DT_UI_TUI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#define TUI_ROWS_MIN    10
#define TUI_COLUMNS_MIN 40

// Keys for which curses has no code.
#define TUI_KEY_PASTE_BEGIN 0x2000
#define TUI_KEY_PASTE_END   0x2001
#define TUI_KEY_ALT         0x4000 // added to a character: Alt and that key, or Esc and that key

// The characters that lines and bars are drawn with.
enum tui_glyphs {
    TUI_GLYPHS_ASCII = 0, // - | # . and letters
    TUI_GLYPHS_ACS,       // the terminal's own line-drawing set
    TUI_GLYPHS_CONSOLE,   // UTF-8 on the Linux console: its font has only code page 437
    TUI_GLYPHS_UTF8,
};

// In the order of the words of the setting `theme`.
enum tui_theme {
    TUI_THEME_DEFAULT = 0,
    TUI_THEME_MONO,     // bold, dim and reverse, no colour
    TUI_THEME_CONTRAST, // bold and full colours on black
};

// The role of a text on the screen; the theme decides its colours.
enum tui_paint {
    TUI_PAINT_PLAIN = 0,
    TUI_PAINT_STORY,
    TUI_PAINT_USER,
    TUI_PAINT_THOUGHT,
    TUI_PAINT_NOTICE,
    TUI_PAINT_ERROR,
    TUI_PAINT_STATUS,
    TUI_PAINT_TITLE,
    TUI_PAINT_SELECTED,
    TUI_PAINT_COUNT,
};

struct tui_terminal_options {
    bool utf8;   // the charset is UTF-8, by the locale or by the user's setting
    bool colour; // false under NO_COLOR
    enum tui_theme theme;
    bool headless;  // there is no terminal: nothing is displayed, a script can save screens
    int rows, cols; // 0: ask the terminal
};

struct tui_terminal {
    char term[64];  // the terminfo entry in use
    bool fell_back; // it is not that of the environment's TERM
    enum tui_glyphs glyphs;
    enum tui_theme theme;
    bool colour, open, headless;
    bool dims;       // it can show dim text
    bool fixed_size; // given by the user or a script: changes of the real size are ignored
    unsigned attributes[TUI_PAINT_COUNT]; // chtype attributes of each paint
};

// Finds the terminfo entry to use, without touching the terminal: that of TERM; if it does not
// exist, xterm-256color, then vt100. NULL with one line in reason if there is none, or if the
// terminal cannot position its cursor (dumb).
const char *tui_terminal_entry(char *reason, size_t size);

// Opens the screen on stdin and stdout. False with one line in reason if there is no entry or the
// terminal is smaller than 40x10; nothing has been drawn then.
bool tui_terminal_open(struct tui_terminal *t, const struct tui_terminal_options *options,
                       char *reason, size_t size);

// Restores the terminal. Does nothing if it is not open.
void tui_terminal_close(struct tui_terminal *t);

// Whether the screen stays visible after the end, because the terminal has no alternate screen.
bool tui_terminal_stays(const struct tui_terminal *t);

// Reads the bytes that wait, at most `size`, without waiting: first what was typed before the
// screen was open or while it was suspended, where a line end is always a carriage return. Returns
// 0 if there are none, -1 if the terminal is gone.
int tui_terminal_read(char *bytes, size_t size);

// The curses key code of an escape sequence, by the terminfo entry or the common forms; 0: unknown.
int tui_terminal_find_key(const char *bytes, size_t n);

// Whether the bytes are a whole sequence, and no other one begins with them.
bool tui_terminal_is_whole_key(const char *bytes, size_t n);

// Makes the screen this large.
void tui_terminal_resize(struct tui_terminal *t, int rows, int cols);

// Restores the terminal for other programs, before the process stops.
void tui_terminal_release(struct tui_terminal *t);

// Takes it again. What was typed meanwhile is read by tui_terminal_read().
void tui_terminal_resume(struct tui_terminal *t);

// The bytes that restore the screen after a crash: attributes off, cursor visible, alternate screen
// left. The program's crash handler writes them, and restores the terminal's modes. Static, valid
// while the terminal is open.
const char *tui_terminal_restore_bytes(size_t *n);

// The size of the terminal: the kernel's, or the terminal's own answer where the kernel reports 0x0
// (a serial line), or 24x80. The answer is stored; with ask_again the terminal is asked again,
// which takes up to a second. Text typed meanwhile is not lost.
void tui_terminal_size(int *rows, int *cols, bool ask_again);

// Sets the attributes of a theme. tui_terminal_open() does it; call it again after a change.
void tui_terminal_paint(struct tui_terminal *t, enum tui_theme theme);

#endif
