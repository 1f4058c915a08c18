// SPDX-License-Identifier: MIT
#include "tui.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../common/message.h"
#include "../common/setting.h"
#include "../common/signals.h"
#include "base/format.h"

#define FRAME_NS 33000000u // at most 30 frames a second

uint64_t tui_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// ---- the terminal ----

void tui_redraw(struct tui *ui)
{
    clearok(curscr, TRUE);
    ui->drawn_top = SIZE_MAX;
    ui->dirty = ui->status_dirty = true;
}

static void resized(struct tui *ui, bool ask_again)
{
    int rows, cols;
    if (ui->terminal.fixed_size || ui->terminal.headless)
        return;
    tui_terminal_size(&rows, &cols, ask_again);
    tui_terminal_resize(&ui->terminal, rows, cols);
    tui_draw_sizes(ui);
}

void tui_measure(struct tui *ui)
{
    resized(ui, true);
    tui_redraw(ui);
}

// The setting `size`. False if it is "auto", or not a size.
static bool read_size(struct tui *ui, int *rows, int *cols)
{
    char rest;
    return sscanf(ui->api->get(ui->app, DT_SET_SIZE), "%4dx%4d%c", cols, rows, &rest) == 2 &&
           *cols >= TUI_COLUMNS_MIN && *cols <= 500 && *rows >= TUI_ROWS_MIN && *rows <= 300;
}

void tui_use_size(struct tui *ui)
{
    int rows, cols;
    ui->terminal.fixed_size = read_size(ui, &rows, &cols);
    if (ui->terminal.fixed_size) {
        tui_terminal_resize(&ui->terminal, rows, cols);
        tui_draw_sizes(ui);
    } else {
        resized(ui, false);
        if (!ui_setting_is(ui->api, ui->app, DT_SET_SIZE, "auto"))
            tui_message(ui, TUI_TEXT_ERROR,
                        "size must be auto, or COLSxROWS from 40x10 to 500x300. The terminal's "
                        "own size is used.");
    }
    tui_redraw(ui);
}

static void resume(struct tui *ui)
{
    tui_terminal_resume(&ui->terminal);
    resized(ui, false); // the size may have changed meanwhile
    tui_redraw(ui);
}

void tui_suspend(struct tui *ui)
{
    tui_terminal_release(&ui->terminal);
    ui_signals_suspend();
    resume(ui);
}

static void handle_signals(struct tui *ui)
{
    unsigned signals = ui_signals_read();
    if (signals & UI_SIGNAL_SUSPEND)
        tui_suspend(ui);
    if (signals & UI_SIGNAL_CONTINUED) { // by SIGSTOP: the terminal is as the shell left it
        tui_terminal_release(&ui->terminal);
        resume(ui);
    }
    if (signals & UI_SIGNAL_SIZE)
        resized(ui, false);
}

// ---- the loop ----

// Draws what is due. Returns the milliseconds until the next frame, -1 if nothing waits to be
// drawn.
static int draw_due(struct tui *ui)
{
    uint64_t now = tui_now();
    if ((ui->dirty && now - ui->frame_ns >= FRAME_NS) ||
        (ui->status_dirty && now - ui->status_ns >= TUI_STATUS_NS)) {
        tui_draw(ui);
        now = ui->frame_ns = tui_now();
    }
    uint64_t due = UINT64_MAX;
    if (ui->dirty)
        due = ui->frame_ns + FRAME_NS;
    if (ui->status_dirty && ui->status_ns + TUI_STATUS_NS < due)
        due = ui->status_ns + TUI_STATUS_NS;
    if (due == UINT64_MAX)
        return -1;
    return due > now ? (int)((due - now) / 1000000) + 1 : 0;
}

// The shorter of two waits; negative: without limit.
static int earlier(int a, int b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

void tui_handle_events(struct tui *ui)
{
    struct dt_app_event e;
    while (!ui->quit && ui->api->next(ui->app, &e)) {
        tui_event(ui, &e);
        tui_script_step(ui, &e);
    }
}

static void loop(struct tui *ui)
{
    bool terminal_gone = !ui->terminal.headless && !tui_input_read(ui); // what was typed ahead
    while (!ui->quit && !terminal_gone) {
        int wait = earlier(tui_input_wait_ms(ui), tui_script_wait_ms(ui));
        wait = earlier(wait, draw_due(ui)); // last: a key handled above is drawn
        struct pollfd fds[3] = {
            {ui->terminal.headless ? -1 : STDIN_FILENO, POLLIN, 0},
            {ui->api->fd(ui->app), POLLIN, 0},
            {ui_signals_fd(), POLLIN, 0},
        };
        if (poll(fds, 3, wait) < 0) // interrupted: the signal also wrote to one of the descriptors
            fds[0].revents = fds[2].revents = 0;
        if (fds[2].revents)
            handle_signals(ui);
        tui_handle_events(ui);
        // poll() reports a terminal that is gone as readable; after a stop, what was typed
        // meanwhile is read already
        if (fds[0].revents || (fds[2].revents && !ui->terminal.headless))
            terminal_gone = !tui_input_read(ui);
        tui_script_step(ui, NULL);
        if (ui->terminal.headless && !ui->script && !ui->leaving &&
            ui->api->state(ui->app) == DT_APP_IDLE) {
            ui->leaving = true; // no more input can come
            tui_commandf(ui, "/quit");
        }
    }
}

// ---- start and end ----

// Without a terminal the full screen runs only if --ui tui asks for it and the command line has
// something to do: nothing is displayed, and a script can save screens.
static bool headless(const struct dt_app_api *api, struct dt_app *app)
{
    return !isatty(STDIN_FILENO) && !isatty(STDOUT_FILENO) &&
           ui_setting_is(api, app, DT_SET_UI, "tui") && api->given(app);
}

static int usable(const struct dt_app_api *api, struct dt_app *app, char *reason,
                  size_t reason_size)
{
    if (!headless(api, app) && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
        dt_format(reason, reason_size, "standard input and output must both be a terminal");
        return -1;
    }
    return tui_terminal_entry(reason, reason_size) ? 0 : -1;
}

// curses uses the locale's charset. If the user named another one, this sets a locale that has it.
static void choose_charset(struct tui *ui)
{
    ui->charset = ui->api->charset(ui->app);
    if (ui->charset == DT_CHARSET_UTF8 && MB_CUR_MAX == 1 && !setlocale(LC_CTYPE, "C.UTF-8"))
        ui->charset = DT_CHARSET_ASCII;
    if (ui->charset == DT_CHARSET_LATIN1) {
        setlocale(LC_CTYPE, "C");
        use_legacy_coding(2);
    }
}

static bool open_terminal(struct tui *ui, char *reason, size_t reason_size)
{
    struct tui_terminal_options options = {
        .utf8 = ui->charset == DT_CHARSET_UTF8,
        .colour = ui->api->colour(ui->app),
        .theme = (enum tui_theme)ui_setting_choice(ui->api, ui->app, DT_SET_THEME),
        .headless = headless(ui->api, ui->app),
    };
    if (!read_size(ui, &options.rows, &options.cols))
        options.cols = options.rows = 0;
    if (options.headless && !options.rows) {
        options.cols = 80;
        options.rows = 24;
    }
    return tui_terminal_open(&ui->terminal, &options, reason, reason_size);
}

static void begin(struct tui *ui)
{
    tui_draw_sizes(ui);
    tui_command_register(ui);
    tui_editor_init(&ui->input);
    tui_input_init(ui);
    for (size_t i = 0, count = ui->api->history_count(ui->app); i < count; i++)
        tui_editor_remember(&ui->input, ui->api->history(ui->app, i));
    tui_story_rebuild(ui, 0);
    tui_greet(ui);
    if (ui->terminal.fell_back) {
        char line[128];
        dt_format(line, sizeof line, "TERM=%s: no terminfo entry; the terminal is used as %s.",
                  getenv("TERM"), ui->terminal.term);
        ui->api->notice(ui->app, DT_NOTICE_INFO, line);
    }
}

static void free_all(struct tui *ui)
{
    tui_script_end(ui);
    tui_editor_free(&ui->input);
    tui_layout_free(&ui->story);
    tui_layout_free(&ui->message_layout);
    tui_layout_free(&ui->entry_layout);
    free(ui->turn_begin);
    free(ui->pending_notices);
    free(ui->output);
    free(ui->save_to);
    free(ui);
}

static int run(const struct dt_app_api *api, struct dt_app *app, char *reason, size_t reason_size)
{
    struct tui *ui = calloc(1, sizeof *ui);
    if (!ui) {
        ui_no_memory_text(sizeof *ui, reason, reason_size);
        return -1;
    }
    ui->api = api;
    ui->app = app;
    ui->panel = TUI_PANEL_NONE;
    ui->follow = true;
    choose_charset(ui);
    // what is shown when memory is short has its own already
    bool good = tui_layout_init(&ui->story, 80, 0);
    good = tui_layout_init(&ui->message_layout, 80, sizeof ui->message) && good;
    good = tui_layout_init(&ui->entry_layout, 80, 1024) && good;
    if (!good)
        ui_no_memory_text(1024, reason, reason_size);
    if (!good || !open_terminal(ui, reason, reason_size)) {
        free_all(ui);
        return -1;
    }
    begin(ui);
    loop(ui);
    tui_draw_free(ui);
    tui_terminal_close(&ui->terminal);
    api->crash_bytes(app, NULL, 0);
    free_all(ui);
    return 0;
}

#ifdef DT_STATIC_MODULES
#define dt_ui_module dt_ui_module_tui
#endif
__attribute__((visibility("default"))) extern const struct dt_ui dt_ui_module;
const struct dt_ui dt_ui_module = {
    .size = sizeof(struct dt_ui),
    .build = DT_UI_BUILD,
    .name = "tui",
    .description = "full screen: story, live figures, panels (ncurses)",
    .usable = usable,
    .run = run,
};
