// SPDX-License-Identifier: MIT
// The full-screen front end: opens, listens to keys and events, leaves.
#include "tui.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/format.h"
#include "base/text.h"

#define FRAME_NS 33000000u // at most 30 frames a second: two tokens a frame at 60 tok/s

enum own_command {
    OWN_HELP = 1,
    OWN_PANEL,
    OWN_SCRIPT,
    OWN_SAVE_SCREEN,
    OWN_REDRAW,
    OWN_SCROLL,
};

static const struct dt_command own_commands[] = {
    {"help", "[command]", "Shows the keys and the commands.", DT_COMPLETE_COMMAND, OWN_HELP},
    {"panel", "sampling|backends|models|library|help|none", "Opens a panel, or closes it.",
     DT_COMPLETE_NONE, OWN_PANEL},
    {"script", "file", "Plays keystrokes and commands from a file.", DT_COMPLETE_FILE, OWN_SCRIPT},
    {"save-screen", "file", "Writes the screen as text.", DT_COMPLETE_FILE, OWN_SAVE_SCREEN},
    {"redraw", "", "Draws the whole screen anew.", DT_COMPLETE_NONE, OWN_REDRAW},
    {"scroll", "top|end|rows",
     "Moves in the story: to its beginning or end, or by rows (-5: back).", DT_COMPLETE_NONE,
     OWN_SCROLL},
};

uint64_t tui_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// ---- saying things ----

static bool generation(struct tui *ui)
{
    enum dt_app_state state = ui->api->state(ui->app);
    return state == DT_APP_READING || state == DT_APP_GENERATING || state == DT_APP_SWAPPING;
}

static void append(struct tui *ui, enum tui_voice voice, const char *text, size_t n)
{
    char twin[3 * TUI_PIECE + 32];
    for (size_t piece; n > 0; text += piece, n -= piece) {
        piece = ui->charset == DT_CHARSET_UTF8 ? n : tui_piece(text, n);
        size_t length = ui->charset == DT_CHARSET_UTF8 ? n : tui_twin(ui, text, piece, twin);
        size_t row = tui_layout_append(&ui->story, voice,
                                       ui->charset == DT_CHARSET_UTF8 ? text : twin, length);
        if (row < ui->changed_row)
            ui->changed_row = row;
    }
    size_t gone = tui_layout_trim(&ui->story, TUI_SCROLLBACK);
    if (gone) { // everything that counts rows or bytes moves with the text
        ui->top -= gone < ui->top ? gone : ui->top;
        ui->changed_row -= gone < ui->changed_row ? gone : ui->changed_row;
        ui->drawn_top = SIZE_MAX;
    }
    ui->dirty = true;
}

static bool at_line_begin(const struct tui *ui)
{
    return ui->story.length == 0 || ui->story.text[ui->story.length - 1] == '\n';
}

static void append_line(struct tui *ui, enum tui_voice voice, const char *line, size_t n)
{
    if (!at_line_begin(ui))
        append(ui, voice, "\n", 1);
    append(ui, voice, line, n);
    append(ui, voice, "\n", 1);
}

void tui_say(struct tui *ui, enum tui_voice voice, const char *line)
{
    dt_format(ui->message, sizeof ui->message, "%s", line);
    ui->message_voice = voice;
    ui->progress = ui->state_said = false;
    ui->dirty = true;
}

// A remark of the program. It stands in the story's margin when it does not tear a sentence apart,
// and over the input while nobody would see it there.
static void notice(struct tui *ui, enum dt_app_level level, const char *line, size_t n)
{
    enum tui_voice voice = level == DT_NOTICE_ERROR ? TUI_VOICE_ERROR : TUI_VOICE_NOTICE;
    bool output = generation(ui);
    tui_say(ui, voice, output || !ui->follow || ui->panel != TUI_PANEL_NONE ? line : "");
    if (!output) {
        append_line(ui, voice, line, n);
        return;
    }
    char *more = realloc(ui->later, ui->later_length + n + 2);
    if (!more)
        return; // it was shown
    memcpy(more + ui->later_length, line, n);
    more[ui->later_length + n] = '\n';
    ui->later = more;
    ui->later_length += n + 1;
}

static void say_what_waited(struct tui *ui)
{
    if (!ui->later_length)
        return;
    append_line(ui, TUI_VOICE_NOTICE, ui->later, ui->later_length - 1);
    ui->later_length = 0;
}

// ---- the story ----

static bool note_turn(struct tui *ui, size_t turn)
{
    if (turn >= ui->turn_size) {
        size_t size = (turn + 16) * 2;
        size_t *more = realloc(ui->turn_begin, size * sizeof *more);
        if (!more)
            return false;
        ui->turn_begin = more;
        ui->turn_size = size;
    }
    ui->turn_begin[turn] = ui->story.dropped + ui->story.length;
    ui->turn_count = turn + 1;
    return true;
}

// A turn's prompt, as it stands before its text. In story mode the two are one text.
static void append_prompt(struct tui *ui, const char *prompt, size_t n)
{
    bool chat = ui->api->story(ui->app)->chat;
    if (chat && n) {
        if (!at_line_begin(ui))
            append(ui, TUI_VOICE_STORY, "\n", 1);
        if (ui->story.length)
            append(ui, TUI_VOICE_STORY, "\n", 1);
        append(ui, TUI_VOICE_USER, "> ", 2);
    } else if (ui->story.length && !at_line_begin(ui) && ui->turn_count <= 1) {
        append(ui, TUI_VOICE_STORY, "\n", 1);
    }
    append(ui, TUI_VOICE_USER, prompt, n);
    if (chat && n)
        append(ui, TUI_VOICE_STORY, "\n\n", 2);
}

static void begin_turn(struct tui *ui, size_t number)
{
    struct dt_app_turn turn;
    if (number < ui->turn_count || !note_turn(ui, number) || !ui->api->turn(ui->app, number, &turn))
        return; // a turn that goes on has its prompt
    append_prompt(ui, turn.prompt, turn.prompt_length);
}

// Turns from `from` on are drawn anew from what the app holds.
static void rebuild(struct tui *ui, size_t from)
{
    if (from < ui->turn_count && ui->turn_begin[from] >= ui->story.dropped) {
        tui_layout_truncate(&ui->story, ui->turn_begin[from] - ui->story.dropped);
    } else if (from < ui->turn_count) { // its beginning has scrolled out of memory
        tui_layout_truncate(&ui->story, 0);
    }
    ui->turn_count = from < ui->turn_count ? from : ui->turn_count;
    struct dt_app_turn turn;
    for (size_t i = ui->turn_count; ui->api->turn(ui->app, i, &turn); i++) {
        if (!note_turn(ui, i))
            break;
        append_prompt(ui, turn.prompt, turn.prompt_length);
        append(ui, TUI_VOICE_STORY, turn.text, turn.text_length);
    }
    ui->drawn_top = SIZE_MAX;
    ui->changed_row = 0;
    ui->follow = true;
    ui->dirty = true;
}

// ---- events ----

static const char greeting[] = "Type how a story begins, or just Enter. Help: F1, Ctrl-G";

static const char *state_text(enum dt_app_state state)
{
    switch (state) {
    case DT_APP_LOADING:
        return "opening the model";
    case DT_APP_SWAPPING:
        return "making other kernels ready";
    case DT_APP_COMPARING:
        return "comparing";
    case DT_APP_IDLE:
    case DT_APP_READING:
    case DT_APP_GENERATING:
    case DT_APP_SAVING:
        break;
    }
    return "";
}

static void show_progress(struct tui *ui, const struct dt_app_event *e)
{
    if (e->done >= e->total) {
        if (ui->progress)
            tui_say(ui, TUI_VOICE_NOTICE, "");
        return;
    }
    double share = e->total ? (double)e->done / (double)e->total : 0;
    char bar[21];
    for (int i = 0; i < 20; i++)
        bar[i] = share * 20 > i ? '#' : '.';
    bar[20] = 0;
    char left[32] = "";
    if (e->seconds_left >= 0.05)
        dt_format(left, sizeof left, ", about %.1f s more", e->seconds_left);
    dt_format(ui->message, sizeof ui->message, "%s [%s] %d %%%s", e->text, bar, (int)(share * 100),
              left);
    ui->message_voice = TUI_VOICE_NOTICE;
    ui->progress = true;
    ui->state_said = false;
    ui->dirty = true;
}

static void scroll_command(struct tui *ui, const char *where)
{
    long most = (long)ui->story.row_count;
    tui_scroll(ui, *where == 't'              ? -most
                   : *where == 'e' || !*where ? most
                                              : strtol(where, NULL, 10));
}

static void own_command(struct tui *ui, const struct dt_app_event *e)
{
    switch (e->command->id) {
    case OWN_HELP:
        tui_panel_open(ui, TUI_PANEL_HELP);
        break;
    case OWN_PANEL:
        for (int i = 0; i < TUI_PANEL_OUTPUT; i++) {
            if (e->length && strncmp(tui_panels[i].name, e->text, e->length) == 0) {
                tui_panel_open(ui, i);
                return;
            }
        }
        tui_panel_close(ui);
        break;
    case OWN_SCRIPT:
        tui_script_begin(ui, e->text);
        break;
    case OWN_SAVE_SCREEN: {
        char line[512];
        tui_draw(ui); // what the user will see, not what was seen before the command
        if (tui_save_screen(ui, e->text))
            dt_format(line, sizeof line, "The screen is in %s.", e->text);
        else
            dt_format(line, sizeof line, "%s: the screen could not be written: %s", e->text,
                      strerror(errno));
        tui_say(ui, TUI_VOICE_NOTICE, line);
        break;
    }
    case OWN_REDRAW:
        tui_redraw(ui);
        break;
    case OWN_SCROLL:
        scroll_command(ui, e->text);
        break;
    default:
        break;
    }
}

static void show_output(struct tui *ui, const char *text, size_t n)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    if (lines <= 3 && !generation(ui)) { // a few lines stand well in the story's margin
        append_line(ui, TUI_VOICE_NOTICE, text, n && text[n - 1] == '\n' ? n - 1 : n);
        return;
    }
    free(ui->output);
    ui->output = strndup(text, n);
    tui_panel_open(ui, TUI_PANEL_OUTPUT);
}

static void event(struct tui *ui, const struct dt_app_event *e)
{
    ui->dirty = true;
    switch (e->type) {
    case DT_EVENT_NONE:
        break;
    case DT_EVENT_STATE:
        if (ui->progress || ui->state_said)
            tui_say(ui, TUI_VOICE_NOTICE, "");
        if (*state_text(e->state)) {
            tui_say(ui, TUI_VOICE_NOTICE, state_text(e->state));
            ui->state_said = true;
        }
        if (!generation(ui))
            say_what_waited(ui);
        if (e->state == DT_APP_READING)
            ui->speed_count = 0;
        if (e->state == DT_APP_IDLE && ui->turn_count == 0 && ui->story.length == 0)
            tui_say(ui, TUI_VOICE_NOTICE, greeting);
        ui->status_dirty = true;
        break;
    case DT_EVENT_TURN:
        say_what_waited(ui);
        begin_turn(ui, e->turn);
        break;
    case DT_EVENT_TEXT:
        append(ui, TUI_VOICE_STORY, e->text, e->length);
        break;
    case DT_EVENT_TURN_END:
        say_what_waited(ui);
        if (e->end == DT_END_LENGTH)
            tui_say(ui, TUI_VOICE_NOTICE,
                    "As long as the setting length allows; /continue goes on.");
        else if (e->end == DT_END_STOPPED)
            tui_say(ui, TUI_VOICE_NOTICE, "Stopped; /continue goes on, /retry tells it anew.");
        ui->status_dirty = true;
        ui->status_ns = 0; // the final figures at once
        break;
    case DT_EVENT_REDRAW:
        rebuild(ui, e->turn);
        if (e->length)
            tui_say(ui, TUI_VOICE_NOTICE, e->text);
        break;
    case DT_EVENT_FIGURES: {
        const struct dt_app_figures *figures = ui->api->figures(ui->app);
        if (generation(ui) && figures->speed_now > 0)
            tui_status_note_speed(ui, figures->speed_now);
        ui->status_dirty = true;
        break;
    }
    case DT_EVENT_VOICE:
        ui->status_dirty = true;
        break;
    case DT_EVENT_PROGRESS:
        show_progress(ui, e);
        break;
    case DT_EVENT_NOTICE:
        notice(ui, e->level, e->text, e->length);
        break;
    case DT_EVENT_OUTPUT:
        show_output(ui, e->text, e->length);
        break;
    case DT_EVENT_ASK:
        ui->question = e->id;
        ui->question_default = e->yes_default;
        dt_format(ui->message, sizeof ui->message, "%s %s", e->text,
                  e->yes_default ? "[Y/n]" : "[y/N]");
        ui->message_voice = TUI_VOICE_USER;
        ui->progress = ui->state_said = false;
        break;
    case DT_EVENT_EDIT:
        ui->editing = true;
        tui_editor_set(&ui->input, e->text);
        tui_say(ui, TUI_VOICE_NOTICE,
                "Change the text; Enter takes it and goes on from there, Esc leaves it as it was.");
        tui_panel_close(ui);
        break;
    case DT_EVENT_INPUT:
        tui_editor_set(&ui->input, e->text);
        break;
    case DT_EVENT_SETTING:
        if (e->setting == DT_SET_THEME) {
            const char *name = ui->api->get(ui->app, DT_SET_THEME);
            tui_terminal_paint(&ui->terminal, strcmp(name, "mono") == 0 ? TUI_THEME_MONO
                                              : strcmp(name, "high-contrast") == 0
                                                  ? TUI_THEME_CONTRAST
                                                  : TUI_THEME_DEFAULT);
            clearok(curscr, TRUE);
            ui->drawn_top = SIZE_MAX;
        }
        ui->status_dirty = true;
        break;
    case DT_EVENT_MODEL:
        ui->status_dirty = true;
        ui->status_ns = 0;
        break;
    case DT_EVENT_BACKENDS:
    case DT_EVENT_MODELS:
    case DT_EVENT_COMPARE:
        tui_draw_sizes(ui);
        break;
    case DT_EVENT_LIBRARY:
        if (e->id == ui->search_id && ui->panel == TUI_PANEL_LIBRARY) {
            ui->selected = 0;
            tui_draw_sizes(ui);
        }
        break;
    case DT_EVENT_COMMAND:
        own_command(ui, e);
        break;
    case DT_EVENT_QUIT:
        ui->quit = true;
        break;
    }
}

// ---- input ----

void tui_input(struct tui *ui, const char *text)
{
    size_t n = strlen(text);
    if (ui->editing ? ui->api->edit(ui->app, text, n) : ui->api->input(ui->app, text, n)) {
        ui->editing = false;
        ui->follow |=
            *text != '/' || text[1] == '/'; // a command says nothing about where one reads
    } else {
        tui_editor_set(&ui->input, text); // it was not taken: nothing typed is lost
    }
    ui->dirty = true;
}

void tui_commandf(struct tui *ui, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    dt_vformat(line, sizeof line, format, args);
    va_end(args);
    ui->api->input(ui->app, line, strlen(line));
}

void tui_panel_open(struct tui *ui, int panel)
{
    if (ui->panel == panel && panel != TUI_PANEL_OUTPUT) {
        tui_panel_close(ui);
        return;
    }
    ui->panel = panel;
    ui->selected = ui->panel_top = 0;
    ui->entry_length = 0;
    ui->entry[0] = 0;
    if (tui_panels[panel].open)
        tui_panels[panel].open(ui);
    tui_draw_sizes(ui);
}

void tui_panel_close(struct tui *ui)
{
    if (ui->panel == TUI_PANEL_NONE)
        return;
    ui->panel = TUI_PANEL_NONE;
    tui_draw_sizes(ui);
}

static void resized(struct tui *ui)
{
    int rows, cols;
    if (ui->terminal.fixed_size)
        return; // the user or a script has the say
    tui_terminal_size(&rows, &cols);
    tui_terminal_resize(&ui->terminal, rows, cols);
    tui_draw_sizes(ui);
}

static void signals(struct tui *ui)
{
    unsigned what = tui_terminal_signals();
    if (what & TUI_SIGNAL_SUSPEND)
        tui_suspend(ui);
    if (what &
        TUI_SIGNAL_WOKEN) // somebody stopped us without a word, and the shell has drawn since
        tui_redraw(ui);
    if (what & TUI_SIGNAL_SIZE)
        resized(ui);
}

void tui_redraw(struct tui *ui)
{
    clearok(curscr, TRUE);
    ui->drawn_top = SIZE_MAX;
    ui->dirty = ui->status_dirty = true;
}

void tui_suspend(struct tui *ui)
{
    tui_terminal_suspend(&ui->terminal);
    resized(ui); // the window may have another size by now
    tui_redraw(ui);
}

// One byte of typed text; characters of several bytes come in pieces over a slow line.
static void typed(struct tui *ui, unsigned char byte)
{
    if (ui->charset != DT_CHARSET_UTF8) {
        char bytes[16];
        uint32_t code = byte;
        size_t n = byte >= 0x80 ? ui->api->decode(ui->app, (const char *)&byte, 1, bytes) : 0;
        if (n)
            dt_utf8_decode(bytes, n, &code);
        tui_key(ui, 0, (wint_t)code);
        return;
    }
    if (byte < 0x80 || byte >= 0xC0)
        ui->typed_length = 0; // a new character: what was there is not going to be whole
    ui->typed[ui->typed_length++] = (char)byte;
    size_t wanted = byte < 0x80 ? 1 : 0;
    unsigned char lead = (unsigned char)ui->typed[0];
    if (!wanted)
        wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (ui->typed_length < wanted)
        return;
    uint32_t code;
    size_t n = dt_utf8_decode(ui->typed, ui->typed_length, &code);
    bool whole = n == ui->typed_length && (code != DT_REPLACEMENT || n == 3);
    ui->typed_length = 0;
    if (whole)
        tui_key(ui, 0, (wint_t)code);
}

// All that was typed. False when nothing was there to read.
static bool read_keys(struct tui *ui)
{
    bool any = false;
    for (int key; (key = tui_terminal_key()) != ERR; any = true) {
        if (key == 27 && !ui->pasting) { // Esc, unless something comes right behind it: that is how
                                         // terminals say Alt
            int next = tui_terminal_key();
            if (next == ERR)
                tui_key(ui, 0, 27);
            else if (next >= 32 && next < 127)
                tui_key(ui, TUI_KEY_ALT + next, 0);
            else {
                tui_key(ui, 0, 27);
                ungetch(next);
            }
        } else if (key > 0xFF) {
            tui_key(ui, key, 0);
        } else {
            typed(ui, (unsigned char)key);
        }
    }
    return any;
}

// ---- the run ----

// Without a terminal only when the user insists, by --ui tui, and says what to do: then nothing is
// shown, and a script plays.
static bool headless(const struct dt_app_api *api, struct dt_app *app)
{
    return !isatty(STDIN_FILENO) && !isatty(STDOUT_FILENO) &&
           strcmp(api->get(app, DT_SET_UI), "tui") == 0 && api->given(app);
}

static int usable(const struct dt_app_api *api, struct dt_app *app, char *reason,
                  size_t reason_size)
{
    if (!headless(api, app) && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
        dt_format(reason, reason_size, "standard input and output are not both a terminal");
        return -1;
    }
    return tui_terminal_entry(reason, reason_size) ? 0 : -1;
}

static void choose_charset(struct tui *ui)
{
    ui->charset = ui->api->charset(ui->app);
    // curses speaks the locale's charset; where the user named another, a locale that has it is
    // looked for
    if (ui->charset == DT_CHARSET_UTF8 && MB_CUR_MAX == 1 && !setlocale(LC_CTYPE, "C.UTF-8"))
        ui->charset = DT_CHARSET_ASCII;
    if (ui->charset == DT_CHARSET_LATIN1) {
        setlocale(LC_CTYPE, "C");
        use_legacy_coding(2);
    }
}

// Draws if it is time, and says how long it may be left alone: milliseconds, -1 for ever.
static int draw_in_time(struct tui *ui)
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

static bool at_end_of_file(void)
{
    struct pollfd again = {STDIN_FILENO, POLLIN, 0};
    if (poll(&again, 1, 0) != 1)
        return false; // curses has swallowed something that is no key
    char byte;
    ssize_t n = read(STDIN_FILENO, &byte, 1);
    if (n == 1)
        ungetch((unsigned char)byte);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void loop(struct tui *ui)
{
    bool terminal_gone = false;
    while (!ui->quit && !terminal_gone) {
        int wait = draw_in_time(ui), script = tui_script_wait_ms(ui);
        if (script >= 0 && (wait < 0 || script < wait))
            wait = script;
        struct pollfd fds[3] = {
            {ui->terminal.headless ? -1 : STDIN_FILENO, POLLIN, 0},
            {ui->api->fd(ui->app), POLLIN, 0},
            {tui_terminal_fd(), POLLIN, 0},
        };
        if (poll(fds, 3, wait) < 0)
            fds[0].revents = fds[2].revents =
                0; // interrupted: whoever did it has left a word somewhere
        if (fds[2].revents)
            signals(ui);
        struct dt_app_event e;
        while (!ui->quit && ui->api->next(ui->app, &e)) {
            event(ui, &e);
            tui_script_step(ui, &e);
        }
        // a terminal that is gone can be read for ever, and gives nothing
        if (fds[0].revents && !read_keys(ui))
            terminal_gone = fds[0].revents & (POLLHUP | POLLERR | POLLNVAL) || at_end_of_file();
        tui_script_step(ui, NULL);
        if (ui->terminal.headless && !ui->script && !ui->leaving &&
            ui->api->state(ui->app) == DT_APP_IDLE) {
            ui->leaving = true; // nobody is there to say more
            tui_commandf(ui, "/quit");
        }
    }
}

static int run(const struct dt_app_api *api, struct dt_app *app, char *reason, size_t reason_size)
{
    struct tui *ui = calloc(1, sizeof *ui);
    if (!ui) {
        dt_format(reason, reason_size, "the full screen needs %zu bytes that are not there",
                  sizeof *ui);
        return -1;
    }
    ui->api = api;
    ui->app = app;
    ui->panel = TUI_PANEL_NONE;
    ui->follow = true;
    choose_charset(ui);
    const char *theme = api->get(app, DT_SET_THEME);
    struct tui_terminal_options options = {
        .utf8 = ui->charset == DT_CHARSET_UTF8,
        .colour = api->colour(app),
        .theme = strcmp(theme, "mono") == 0            ? TUI_THEME_MONO
                 : strcmp(theme, "high-contrast") == 0 ? TUI_THEME_CONTRAST
                                                       : TUI_THEME_DEFAULT,
    };
    const char *size = api->get(app, DT_SET_SIZE);
    if (sscanf(size, "%dx%d", &options.cols, &options.rows) != 2)
        options.cols = options.rows = 0;
    options.headless = headless(api, app);
    if (options.headless && !options.rows) {
        options.cols = 80;
        options.rows = 24;
    }
    tui_layout_init(&ui->story, 80);
    tui_layout_init(&ui->entry_layout, 80);
    if (!tui_terminal_open(&ui->terminal, &options, reason, reason_size)) {
        tui_layout_free(&ui->story);
        tui_layout_free(&ui->entry_layout);
        free(ui);
        return -1;
    }
    tui_draw_sizes(ui);
    api->own_commands(app, own_commands, sizeof own_commands / sizeof *own_commands);
    tui_editor_init(&ui->input);
    for (size_t i = 0, count = api->history_count(app); i < count; i++)
        tui_editor_remember(&ui->input, api->history(app, i));
    rebuild(ui, 0);
    if (ui->turn_count == 0 && api->state(app) == DT_APP_IDLE)
        tui_say(ui, TUI_VOICE_NOTICE, greeting);
    if (ui->terminal.fell_back) {
        char line[128];
        dt_format(line, sizeof line,
                  "There is no terminfo entry for this terminal; it is used as %s.",
                  ui->terminal.term);
        api->notice(app, DT_NOTICE_INFO, line);
    }

    loop(ui);

    tui_draw_free(ui);
    tui_terminal_close(&ui->terminal);
    api->crash_bytes(app, NULL, 0);
    tui_script_end(ui);
    tui_editor_free(&ui->input);
    tui_layout_free(&ui->story);
    tui_layout_free(&ui->entry_layout);
    free(ui->turn_begin);
    free(ui->later);
    free(ui->output);
    free(ui);
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
