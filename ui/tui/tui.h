// SPDX-License-Identifier: MIT
// The full screen: the state that its files share. One thread.
#ifndef DT_UI_TUI_TUI_H
#define DT_UI_TUI_TUI_H

#include <stdbool.h>
#include <stdint.h>
#include <wchar.h>

#define NCURSES_NOMACROS 1
#include <curses.h>

#include "../common/escape.h"
#include "app/api.h"
#include "editor.h"
#include "layout.h"
#include "terminal.h"

#define TUI_SCROLLBACK (512u * 1024) // bytes of story text in memory; the library has all of it
#define TUI_STATUS_NS  500000000u    // the status line is drawn at most twice a second
#define TUI_SPARK      8             // speeds shown in the spark line

struct tui;

// A panel covers the lower part of the story. The table tui_panels has one row for each.
struct tui_panel {
    const char *name, *title;
    void (*open)(struct tui *ui);                      // may be NULL
    int (*rows)(struct tui *ui);                       // rows of its content, without the title
    void (*draw)(struct tui *ui, int rows, int cols);  // into ui->panel_window from row 1
    bool (*key)(struct tui *ui, int key, wint_t wide); // true: the panel used the key
};

enum tui_panel_id {
    TUI_PANEL_NONE = -1,
    TUI_PANEL_HELP,
    TUI_PANEL_SAMPLING,
    TUI_PANEL_BACKENDS,
    TUI_PANEL_MODELS,
    TUI_PANEL_LIBRARY,
    TUI_PANEL_OUTPUT, // the output of a command
    TUI_PANEL_COUNT
};

extern const struct tui_panel tui_panels[TUI_PANEL_COUNT];

struct tui_script; // a script that is playing

struct tui {
    const struct dt_app_api *api;
    struct dt_app *app;
    struct tui_terminal terminal;
    enum dt_app_charset charset;
    bool quit;
    bool leaving; // without a terminal: /quit was entered because the script has ended

    // windows, created again after every change of size
    int rows, cols, story_rows, panel_rows, message_rows, input_rows, status_rows;
    WINDOW *story_window, *panel_window, *input_window, *status_window;

    // the story
    struct tui_layout story;
    size_t *turn_begin; // byte where each turn begins in the layout, owned
    size_t turn_count, turn_size;
    size_t top;            // first row shown
    bool follow;           // the end stays in view
    size_t drawn_top;      // first row of the frame before; SIZE_MAX: draw everything
    size_t drawn_rows;     // rows the layout had in that frame
    size_t changed_row;    // rows from this one on have changed since
    bool thinking;         // the story ends in a thought
    char *pending_notices; // shown in the story when the turn ends, owned
    size_t pending_length;

    // above the input
    char message[512];
    struct tui_layout message_layout; // wrapped
    enum tui_text message_kind;
    bool message_is_progress; // a progress bar
    bool message_is_state;    // the name of a state; removed when the state ends
    bool message_is_thinking; // it begins with UI_THINKING, until the answer begins

    struct tui_editor input;
    struct tui_layout entry_layout;    // the entry, wrapped
    char finished[TUI_EDITOR_MAX + 4]; // what was entered last
    bool pasting;
    bool suggested;    // the entry was put there by the program and not changed since
    bool editing;      // Enter replaces the last text (/edit)
    uint32_t question; // id of a question that waits for y or n, 0: none
    bool question_default;
    char *save_to; // of TUI_QUESTION_SAVE
    struct ui_escape escape;
    int escape_delay_ms;
    uint64_t input_ns; // when the terminal last sent something
    bool entered;      // since the events were last handled: the next key may answer a question
    char typed[8];     // bytes of a character that is not complete yet
    size_t typed_length;

    int panel;       // enum tui_panel_id
    int selected;    // row in the panel
    int panel_top;   // first row shown
    char entry[256]; // text typed in the panel: a value, a search
    size_t entry_length;
    char *output; // text of TUI_PANEL_OUTPUT, owned
    uint32_t search_id;

    double speeds[TUI_SPARK];
    int speed_count;

    bool dirty, status_dirty;
    uint64_t frame_ns, status_ns; // when each was last drawn
    struct tui_script *script;
    unsigned scripts_begun; // since the user last pressed a key
};

// tui.c
void tui_handle_events(struct tui *ui);
void tui_redraw(struct tui *ui);  // redraws everything, after another program wrote to the screen
void tui_measure(struct tui *ui); // the same, after measuring the terminal
// Uses the setting `size`, or the terminal's size if it is empty or "auto".
void tui_use_size(struct tui *ui);
void tui_suspend(struct tui *ui); // stops the process, as Ctrl-Z does in a shell
uint64_t tui_now(void);           // nanoseconds, monotonic

// story.c: the text of the story in its layout
void tui_story_append(struct tui *ui, enum tui_text kind, const char *text, size_t n);
// Adds whole lines: ends the line before them if need be.
void tui_story_lines(struct tui *ui, enum tui_text kind, const char *lines, size_t n);
// Adds the prompt of turn `number`, unless it is there (a continued turn).
void tui_story_begin_turn(struct tui *ui, size_t number);
// A part of a thought, dimmed or between markers; where thoughts are hidden, only a message.
void tui_story_thought(struct tui *ui, const char *text, size_t n);
// Ends a thought, if the story ends in one, with an empty line.
void tui_story_thought_end(struct tui *ui);
// Removes the word that the model thinks from the message.
void tui_story_thinking_end(struct tui *ui);
// Adds the turns from `from` on again, as the app has them now.
void tui_story_rebuild(struct tui *ui, size_t from);
// Whether a turn is running, so that lines of the program would split a sentence.
bool tui_story_running(const struct tui *ui);
// A notice of the program: in the story, or above the input while a turn is running; it is then
// added to the story when the turn ends.
void tui_story_notice(struct tui *ui, enum dt_app_level level, const char *line, size_t n);
void tui_story_flush_notices(struct tui *ui);

// event.c
void tui_event(struct tui *ui, const struct dt_app_event *event);
void tui_message(struct tui *ui, enum tui_text kind, const char *line); // above the input
bool tui_shows_error(const struct tui *ui); // above the input: it stays there until the next key
void tui_greet(struct tui *ui);             // if nothing is on the screen yet: says how to begin

// command.c: commands that only this front end has
void tui_command_register(struct tui *ui);
void tui_command_run(struct tui *ui, const struct dt_app_event *event);
#define TUI_QUESTION_SAVE UINT32_MAX // a question of this front end: replace the file of a screen?
void tui_command_answer(struct tui *ui, bool yes);

// input.c
void tui_input(struct tui *ui, const char *text); // enters a command or a prompt
void tui_commandf(struct tui *ui, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tui_input_init(struct tui *ui);
bool tui_input_read(struct tui *ui); // handles all waiting keys; false: the terminal is gone
// Handles a key that waited long enough for the rest of a sequence. Returns how long poll() may
// wait for the next one; -1: without limit.
int tui_input_wait_ms(struct tui *ui);

// panels.c
void tui_panel_open(struct tui *ui, int panel);
void tui_panel_close(struct tui *ui);

// draw.c: everything that writes to windows
void tui_draw_sizes(struct tui *ui); // divides the screen, after a change of size or of the panel
void tui_draw(struct tui *ui);       // one frame: only changes are sent to the terminal
void tui_draw_free(struct tui *ui);
void tui_scroll(struct tui *ui, long rows); // scrolls the story up (negative) or down
// Replaces the characters that the terminal does not have. Takes at most TUI_SUBSTITUTE_MAX bytes
// of UTF-8, which tui_substitute_length() finds; `out` has space for three times as many and 32.
// Returns the length.
#define TUI_SUBSTITUTE_MAX 512u
size_t tui_substitute(struct tui *ui, const char *text, size_t n, char *out);
size_t tui_substitute_length(const char *text, size_t n);
// Writes text in the terminal's charset at the window's cursor, cut at `cols` columns. Returns the
// columns used.
int tui_put(struct tui *ui, WINDOW *window, enum tui_paint paint, const char *text, size_t n,
            int cols);
int tui_putf(struct tui *ui, WINDOW *window, enum tui_paint paint, int cols, const char *format,
             ...) __attribute__((format(printf, 5, 6)));
// A bar of `cols` cells, filled to `share` (0 to 1).
void tui_put_bar(struct tui *ui, WINDOW *window, enum tui_paint paint, double share, int cols);
// Writes the screen as text, one line a row, without trailing spaces. False with errno.
bool tui_save_screen(struct tui *ui, const char *path);

// status.c
void tui_status_note_speed(struct tui *ui, double speed);
void tui_status_draw(struct tui *ui);

// keys.c
void tui_key(struct tui *ui, int key, wint_t wide); // handles one key of the terminal or a script
bool tui_key_named(const char *name, int *key, wint_t *wide); // "F1", "C-x", "Enter", "a"
// Row i of the help on keys, or false past the last.
bool tui_key_help(size_t i, const char **keys, const char **help);

// script.c: plays keys and commands from a file
bool tui_script_begin(struct tui *ui, const char *path); // false: a message has the reason
// Call after every event, and once a frame with event NULL.
void tui_script_step(struct tui *ui, const struct dt_app_event *event);
int tui_script_wait_ms(struct tui *ui); // how long poll() may wait; -1: without limit
void tui_script_end(struct tui *ui);

#endif
