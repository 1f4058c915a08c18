// SPDX-License-Identifier: MIT
// The full screen: what its files share. One thread, one struct.
#ifndef DT_UI_TUI_TUI_H
#define DT_UI_TUI_TUI_H

#include <stdbool.h>
#include <stdint.h>
#include <wchar.h>

#define NCURSES_NOMACROS 1
#include <curses.h>

#include "app/api.h"
#include "editor.h"
#include "layout.h"
#include "terminal.h"

#define TUI_SCROLLBACK (512u * 1024) // bytes of text kept on screen's side; the library has it all
#define TUI_STATUS_NS  500000000u    // the status line is drawn twice a second at most
#define TUI_SPARK      8             // speeds remembered for the spark line

struct tui;

// A panel: what lies over the lower part of the story. One row in the table of panels.
struct tui_panel {
    const char *name, *title;
    void (*open)(struct tui *ui);                      // may be NULL
    int (*wanted)(struct tui *ui);                     // rows it would like, without its title
    void (*draw)(struct tui *ui, int rows, int cols);  // into ui->panel_window from row 1
    bool (*key)(struct tui *ui, int key, wint_t wide); // true: it was the panel's
};

enum tui_panel_id {
    TUI_PANEL_NONE = -1,
    TUI_PANEL_HELP,
    TUI_PANEL_SAMPLING,
    TUI_PANEL_BACKENDS,
    TUI_PANEL_MODELS,
    TUI_PANEL_LIBRARY,
    TUI_PANEL_OUTPUT, // what a command printed
    TUI_PANEL_COUNT
};

extern const struct tui_panel tui_panels[TUI_PANEL_COUNT];

struct tui_script; // a script that is being played

struct tui {
    const struct dt_app_api *api;
    struct dt_app *app;
    struct tui_terminal terminal;
    enum dt_app_charset charset;
    bool quit;
    bool leaving; // /quit was said for a user who is not there

    // windows, made anew at every change of size
    int rows, cols, story_rows, panel_rows, input_rows, status_rows;
    WINDOW *story_window, *panel_window, *input_window, *status_window;

    // the story
    struct tui_layout story;
    size_t *turn_begin; // byte where each turn begins in the layout
    size_t turn_count, turn_size;
    size_t top;         // first row shown
    bool follow;        // the end is kept in view
    size_t drawn_top;   // what the story window shows; SIZE_MAX: nothing
    size_t drawn_rows;  // rows of the layout it showed then
    size_t changed_row; // rows from here on are to be drawn anew
    char *later;        // notices that wait for the end of the turn, owned
    size_t later_length;

    // one line above the input
    char message[512];
    enum tui_voice message_voice;
    bool progress;   // the message is a progress bar
    bool state_said; // or the name of a state, gone with it

    struct tui_editor input;
    struct tui_layout entry_layout; // the entry, wrapped
    bool pasting;
    bool editing;      // what is entered replaces the last text (/edit)
    uint32_t question; // id of a question that waits for y or n, 0: none
    bool question_default;
    char typed[8]; // bytes of a character that is not whole yet
    size_t typed_length;

    int panel;       // enum tui_panel_id
    int selected;    // row in the panel
    int panel_top;   // first row shown
    char entry[256]; // what is typed in the panel: a value, a search
    size_t entry_length;
    char *output; // text of TUI_PANEL_OUTPUT, owned
    uint32_t search_id;

    double speeds[TUI_SPARK];
    int speed_count;

    bool dirty, status_dirty;
    uint64_t frame_ns, status_ns; // when they were last drawn
    struct tui_script *script;
};

// tui.c
void tui_input(struct tui *ui, const char *text); // a command or a prompt
void tui_commandf(struct tui *ui, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tui_say(struct tui *ui, enum tui_voice voice, const char *line);
void tui_panel_open(struct tui *ui, int panel);
void tui_panel_close(struct tui *ui);
void tui_redraw(struct tui *ui);  // everything anew: somebody else wrote on the screen
void tui_suspend(struct tui *ui); // to sleep, as Ctrl-Z asks
uint64_t tui_now(void);           // nanoseconds, monotonic

// draw.c: everything that writes to windows
void tui_draw_sizes(
    struct tui *ui);           // after a change of size or of what is open: divides the screen anew
void tui_draw(struct tui *ui); // one frame: only what changed goes to the terminal
void tui_draw_free(struct tui *ui);
void tui_scroll(struct tui *ui, long rows); // the story, up (negative) or down
// UTF-8 with no character but those the terminal has, at most TUI_PIECE bytes of it at a time
// (tui_piece says how many to give): out has space for three times as many and 32. Returns the
// length.
#define TUI_PIECE 512u
size_t tui_twin(struct tui *ui, const char *text, size_t n, char *out);
size_t tui_piece(const char *text, size_t n);
// Text in the terminal's charset at the window's cursor, cut at `cols` columns. Returns the columns
// used.
int tui_put(struct tui *ui, WINDOW *window, enum tui_paint paint, const char *text, size_t n,
            int cols);
int tui_putf(struct tui *ui, WINDOW *window, enum tui_paint paint, int cols, const char *format,
             ...) __attribute__((format(printf, 5, 6)));
// A bar of `cols` cells, `share` of 1 full.
void tui_put_bar(struct tui *ui, WINDOW *window, enum tui_paint paint, double share, int cols);
// Writes the screen as text, one line a row, trailing spaces cut. False with errno.
bool tui_save_screen(struct tui *ui, const char *path);

// status.c
void tui_status_note_speed(struct tui *ui, double speed);
void tui_status_draw(struct tui *ui);

// keys.c
void tui_key(struct tui *ui, int key, wint_t wide); // one key of the terminal or of a script
bool tui_key_named(const char *name, int *key, wint_t *wide); // "F1", "C-x", "Enter", "a"
// The table for the help panel and the manual: row i, or false.
bool tui_key_help(size_t i, const char **keys, const char **help);

// script.c: keystrokes and commands from a file, played as if somebody typed them
bool tui_script_begin(struct tui *ui, const char *path); // false: a message says why
void tui_script_step(
    struct tui *ui,
    const struct dt_app_event *event);  // after every event, and once a frame (event NULL)
int tui_script_wait_ms(struct tui *ui); // how long poll may sleep; -1: for ever
void tui_script_end(struct tui *ui);

#endif
