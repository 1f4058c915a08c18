// SPDX-License-Identifier: MIT
// The line front end: readline for the input, plain text for the story. For SSH, serial lines and
// screen readers. Moves the cursor up only for the line of live figures, which is off by default.
//
// During a turn the terminal is in its ordinary mode: Ctrl-C is a signal, and a whole line typed
// meanwhile ("/set temperature 0.5", "/backend fp32") is entered at once. Between turns readline
// reads the terminal.
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "../common/charset.h"
#include "../common/figures.h"
#include "../common/message.h"
#include "../common/setting.h"
#include "../common/signals.h"
#include "../common/stream.h"
#include "base/format.h"
#include "ahead.h"
#include "complete.h"
#include "keyboard.h"
#include "live.h"
#include "memory.h"

struct line {
    const struct dt_app_api *api;
    struct dt_app *app;
    struct ui_stream out;
    struct live live;
    jmp_buf way_out; // when readline gets no memory
    bool quit, hung_up;
    bool asking;  // readline reads the terminal
    bool editing; // Enter calls edit()
    uint32_t question;
    bool question_default;
    char *first;      // text to insert at the next prompt, owned
    char *suggestion; // what was inserted and is not a text to edit, in readline's bytes, owned
    bool suggests;    // `first` is to become a suggestion
    char *collected;  // lines that ended in a backslash, owned
    struct ahead ahead;
    bool thinks_shown; // a line has said that the model thinks
};

static struct line *self; // for readline's call-backs, which have no argument
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
    if (self)
        self->api->stop(self->app); // also ends the wait in poll()
}

static void measure(struct line *l)
{
    struct winsize size;
    l->out.width = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        l->out.width = size.ws_col;
}

static void show_lines(struct line *l, const char *text, size_t n)
{
    live_hide(&l->live, &l->out);
    ui_stream_lines(&l->out, text, n);
}

static void show_line(struct line *l, const char *text)
{
    show_lines(l, text, strlen(text));
}

static void enter_command(struct line *l, const char *command)
{
    l->api->input(l->app, command, strlen(command));
}

static void stop_asking(struct line *l)
{
    if (!l->asking)
        return;
    if (!l->suggestion || strcmp(rl_line_buffer, l->suggestion) != 0)
        ahead_put_back(&l->ahead, rl_line_buffer, (size_t)rl_end);
    ahead_drain(&l->ahead, keyboard_edited());
    rl_callback_handler_remove();
    l->asking = false;
}

// Inserts a text at the next prompt, behind one that waits for that, unless it is a suggestion.
static void insert_later(struct line *l, const char *utf8)
{
    size_t had = l->first && !l->suggests ? strlen(l->first) : 0;
    char *joined = realloc(l->first, had + strlen(utf8) + 1);
    l->suggests = false;
    if (!joined)
        return;
    strcpy(joined + had, utf8);
    l->first = joined;
}

static void enter(struct line *l, const char *bytes)
{
    if (l->question) {
        while (isspace((unsigned char)*bytes))
            bytes++;
        bool yes = *bytes ? *bytes == 'y' || *bytes == 'Y' : l->question_default;
        l->api->answer(l->app, l->question, yes);
        l->question = 0;
        return;
    }
    char *utf8 = ui_to_utf8(l->api, l->app, bytes);
    if (!utf8) {
        fputs("duotale: out of memory; press Up to get the entry back\n", stderr);
        add_history(bytes);
        return;
    }
    size_t n = strlen(utf8);
    bool continues = n && utf8[n - 1] == '\\';
    if (l->collected || continues) { // an entry of several lines
        size_t had = l->collected ? strlen(l->collected) : 0;
        char *joined = realloc(l->collected, had + n + 2);
        if (joined) {
            memcpy(joined + had, utf8, n + 1);
            if (continues)
                strcpy(joined + had + n - 1, "\n");
            l->collected = joined;
        }
        free(utf8);
        if (continues)
            return;
        utf8 = l->collected;
        l->collected = NULL;
        if (!utf8)
            return;
    }
    n = strlen(utf8);
    if (n) {
        add_history(bytes);
        l->api->remember(l->app, utf8);
    }
    bool accepted = l->editing ? l->api->edit(l->app, utf8, n) : l->api->input(l->app, utf8, n);
    if (accepted)
        l->editing = false;
    else
        insert_later(l, utf8);
    free(utf8);
}

static void on_line(char *bytes)
{
    struct line *l = self;
    l->asking = false;
    rl_callback_handler_remove();
    ahead_follow(&l->ahead);
    if (!bytes) { // Ctrl-D on an empty line
        ui_stream_raw(&l->out, "\n", 1);
        enter_command(l, "/quit");
        return;
    }
    enter(l, bytes);
    free(bytes);
}

static int put_first(void)
{
    struct line *l = self;
    char *bytes = l->first ? ui_from_utf8(l->api, l->app, l->first) : NULL;
    if (bytes)
        rl_insert_text(bytes);
    free(l->suggestion);
    l->suggestion = l->suggests ? bytes : NULL;
    if (!l->suggests)
        free(bytes);
    l->suggests = false;
    free(l->first);
    l->first = NULL;
    return 0;
}

static void ask(struct line *l)
{
    if (l->asking || l->quit)
        return;
    ui_stream_line_end(&l->out);
    rl_startup_hook = put_first;
    l->asking = true;
    const char *prompt = l->question    ? (l->question_default ? "[Y/n] " : "[y/N] ")
                         : l->collected ? ". "
                         : l->editing   ? "# "
                                        : "> ";
    rl_callback_handler_install(prompt, on_line);
    keyboard_follow(ahead_wait_ms(&l->ahead) > 0);
}

static void interrupt_prompt(struct line *l)
{
    bool empty = rl_end == 0 && !l->collected && !l->editing && !l->question;
    const struct dt_app_voice *voice = l->api->voice(l->app);
    bool hushed = voice->speaking || voice->listening; // then Ctrl-C only ends that
    if (voice->listening)
        enter_command(l, "/listen off");
    l->api->stop(l->app); // a voice may still be reading
    if (!rl_end && l->question) {
        l->api->answer(l->app, l->question, false);
        l->question = 0;
    }
    // the typed line stays on the screen; freeing the state draws it again, so this comes first
    rl_free_line_state();
    rl_echo_signal_char(SIGINT);
    rl_crlf();
    rl_replace_line("", 0);
    stop_asking(l);
    free(l->collected);
    l->collected = NULL;
    l->editing = false;
    if (!empty || hushed)
        return;
    if (ui_setting_is(l->api, l->app, DT_SET_INTERRUPT, "quit"))
        enter_command(l, "/quit");
    else
        show_line(l, "Press Ctrl-D, or enter /quit, to leave. The story is saved.");
}

// A slash typed after a suggestion begins a command: it replaces the suggestion.
static int insert_slash(int count, int key)
{
    const char *suggestion = self->suggestion;
    if (suggestion && rl_point == rl_end && strcmp(rl_line_buffer, suggestion) == 0) {
        rl_replace_line("", 0);
        rl_point = 0;
    }
    return rl_insert(count, key);
}

// Puts a prompt into the next entry, or into the history if something is being typed.
static void suggest(struct line *l, const char *utf8)
{
    bool typing =
        (l->asking && rl_end > 0) || !ahead_is_empty(&l->ahead) || l->collected || l->editing;
    char *bytes = typing ? ui_from_utf8(l->api, l->app, utf8) : NULL;
    if (bytes)
        add_history(bytes);
    free(bytes);
    if (typing)
        return;
    stop_asking(l);
    insert_later(l, utf8);
    l->suggests = true;
}

static void show_progress(struct line *l, const struct dt_app_event *e)
{
    char text[160], progress[64];
    if (!l->live.possible || e->done >= e->total) {
        live_end_progress(&l->live, &l->out);
        return;
    }
    dt_format(text, sizeof text, "%s %s", e->text, ui_progress_text(e, progress, sizeof progress));
    live_show_progress(&l->live, &l->out, text);
}

// That the model thinks: until the answer begins, where the terminal can do that.
static void show_thinking(struct line *l)
{
    live_hide(&l->live, &l->out);
    if (l->live.possible && !l->live.progress)
        live_show_progress(&l->live, &l->out, UI_THINKING);
    else if (!l->live.possible && !l->thinks_shown)
        show_line(l, UI_THINKING);
    l->thinks_shown = true;
}

static void turn_ended(struct line *l, enum dt_app_turn_end end)
{
    char text[640];
    l->thinks_shown = false;
    live_hide(&l->live, &l->out);
    ui_stream_thought_end(&l->out);
    ui_stream_line_end(&l->out);
    if (!ui_setting_is(l->api, l->app, DT_SET_STATS, "off")) {
        ui_figures_line(l->api->figures(l->app), 0, text, sizeof text);
        show_line(l, text);
    }
    if (ui_is_story_end(end) && !l->api->story(l->app)->chat)
        show_line(l, UI_STORY_END);
    if (end == DT_END_LENGTH)
        show_line(l, ui_length_limit_text(l->api, l->app, text, sizeof text));
}

static void event(struct line *l, const struct dt_app_event *e)
{
    char text[640];
    if (e->type != DT_EVENT_PROGRESS && e->type != DT_EVENT_FIGURES && e->type != DT_EVENT_VOICE &&
        e->type != DT_EVENT_STATE && e->type != DT_EVENT_THOUGHT)
        live_end_progress(&l->live, &l->out);
    switch (e->type) {
    case DT_EVENT_TURN:
        stop_asking(l);
        ui_stream_prompt(&l->out, e->turn, true);
        break;
    case DT_EVENT_THOUGHT:
        if (!ui_thoughts_are_shown(l->api, l->app, true)) {
            show_thinking(l);
            break;
        }
        live_end_progress(&l->live, &l->out);
        live_hide(&l->live, &l->out);
        ui_stream_thought(&l->out, e->text, e->length);
        break;
    case DT_EVENT_TEXT:
        live_hide(&l->live, &l->out);
        ui_stream_thought_end(&l->out);
        ui_stream_text(&l->out, e->text, e->length);
        break;
    case DT_EVENT_FIGURES:
        if (ui_setting_is(l->api, l->app, DT_SET_STATS, "live") &&
            l->api->state(l->app) == DT_APP_GENERATING) {
            ui_figures_line(l->api->figures(l->app), 1, text, sizeof text);
            live_show(&l->live, &l->out, text);
        }
        break;
    case DT_EVENT_TURN_END:
        turn_ended(l, e->end);
        break;
    case DT_EVENT_REDRAW:
        if (e->length)
            show_lines(l, e->text, e->length);
        ui_stream_turns(&l->out, e->turn);
        break;
    case DT_EVENT_PROGRESS:
        show_progress(l, e);
        break;
    case DT_EVENT_NOTICE:
        if (l->asking) { // the typed entry is drawn again below the notice
            rl_clear_visible_line();
            ui_stream_lines(&l->out, e->text, e->length);
            rl_on_new_line();
            rl_redisplay();
        } else {
            show_lines(l, e->text, e->length);
        }
        break;
    case DT_EVENT_OUTPUT:
        stop_asking(l);
        show_lines(l, e->text, e->length);
        break;
    case DT_EVENT_ASK:
        stop_asking(l);
        show_lines(l, e->text, e->length);
        l->question = e->id;
        l->question_default = e->yes_default;
        break;
    case DT_EVENT_EDIT:
        stop_asking(l);
        l->editing = true;
        insert_later(l, e->text);
        break;
    case DT_EVENT_INPUT:
        suggest(l, e->text);
        break;
    case DT_EVENT_QUIT:
        l->quit = true;
        break;
    default:
        break;
    }
}

// ---- what is typed while readline does not read ----

static bool busy(struct line *l)
{
    return l->api->state(l->app) != DT_APP_IDLE && !l->question;
}

// Whether a line waits: an Enter below the end of a turn, and text below a command that may still
// ask, which it then answers.
static bool must_wait(struct line *l, const char *line, enum dt_app_state state)
{
    if (l->question)
        return false;
    return *line ? state == DT_APP_READING && *line != '/' && *line != AHEAD_END[0]
                 : state == DT_APP_SAVING;
}

// Enters the next whole line that was typed ahead. state: before the events were handled, so that
// a question of the command before is known. False if there is none, or it must wait.
static bool enter_ahead(struct line *l, enum dt_app_state state)
{
    const char *line = ahead_next(&l->ahead);
    if (!line)
        return false;
    if (must_wait(l, line, state))
        return l->api->state(l->app) != state; // then look again
    ahead_remove(&l->ahead);
    l->out.column = 0;                  // the echo of the newline moved the cursor
    if (strcmp(line, AHEAD_END) == 0) { // leaves once the story is stopped and saved
        l->api->stop(l->app);
        enter_command(l, "/quit");
    } else if (*line || !busy(l)) {
        enter(l, line);
    } else if (state == DT_APP_GENERATING) {
        l->api->input(l->app, "", 0); // stops a turn that nothing limits
    }
    return true;
}

// Whole lines typed ahead are entered before readline asks; an unfinished one is continued at the
// prompt. False: readline does not ask yet.
static bool use_ahead(struct line *l)
{
    struct pollfd ahead = {STDIN_FILENO, POLLIN, 0};
    if (poll(&ahead, 1, 0) > 0 && (ahead.revents & POLLIN)) {
        l->hung_up = !ahead_read(&l->ahead);
        return false;
    }
    const char *rest = ahead_rest(&l->ahead);
    char *utf8 = rest ? ui_to_utf8(l->api, l->app, rest) : NULL;
    if (utf8)
        insert_later(l, utf8);
    free(utf8);
    return true;
}

static void suspend(struct line *l)
{
    live_hide(&l->live, &l->out);
    if (l->asking)
        keyboard_release();
    ui_signals_suspend();
}

static void handle_signals(struct line *l)
{
    unsigned signals = ui_signals_read();
    if (signals & UI_SIGNAL_SUSPEND)
        suspend(l);
    if (signals)
        measure(l);
    if (signals & (UI_SIGNAL_SUSPEND | UI_SIGNAL_CONTINUED))
        keyboard_resume(l->asking);
    else if (signals & UI_SIGNAL_SIZE)
        rl_resize_terminal();
    if (interrupted) {
        interrupted = 0;
        if (l->asking)
            interrupt_prompt(l);
    }
}

static void loop(struct line *l)
{
    while (!l->quit && !l->hung_up) {
        enum dt_app_state state = l->api->state(l->app);
        struct dt_app_event e;
        while (!l->quit && l->api->next(l->app, &e))
            event(l, &e);
        if (l->quit)
            return;
        if (l->out.broken)
            l->hung_up = true;
        handle_signals(l); // a signal before this line does not end the wait below
        if (!l->asking && enter_ahead(l, state))
            continue;
        if (!busy(l) && !l->asking) {
            if (!use_ahead(l))
                continue;
            ask(l);
        }
        struct pollfd fds[3] = {
            {STDIN_FILENO, POLLIN, 0},
            {l->api->fd(l->app), POLLIN, 0},
            {ui_signals_fd(), POLLIN, 0},
        };
        int ready = poll(fds, 3, l->asking ? keyboard_wait_ms() : ahead_wait_ms(&l->ahead));
        handle_signals(l); // before the input typed after them
        if (ready == 0 && l->asking)
            keyboard_flush(&l->asking);
        if (l->api->leaving(l->app))
            l->api->stop(l->app);
        if (ready <= 0)
            continue;
        if ((fds[0].revents & (POLLHUP | POLLERR)) && !(fds[0].revents & POLLIN))
            l->hung_up = true;
        else if (fds[0].revents && l->asking)
            l->hung_up = !keyboard_read(&l->asking);
        else if (fds[0].revents)
            l->hung_up = !ahead_read(&l->ahead);
    }
}

// ---- the run ----

static int usable(const struct dt_app_api *api, struct dt_app *app, char *reason,
                  size_t reason_size)
{
    (void)api;
    (void)app;
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        return 0;
    dt_format(reason, reason_size, "standard input and output must both be a terminal");
    return -1;
}

static void set_up_readline(struct line *l)
{
    complete_open(l->api, l->app);
    keyboard_open(l->live.possible);
    rl_bind_key('/', insert_slash);
    using_history();
    stifle_history(500);
    for (size_t i = 0, count = l->api->history_count(l->app); i < count; i++) {
        char *bytes = ui_from_utf8(l->api, l->app, l->api->history(l->app, i));
        if (bytes)
            add_history(bytes);
        free(bytes);
    }
}

// readline got no memory: restores the terminal and leaves the session.
static void leave_without_memory(struct line *l)
{
    static const char text[] = "duotale: out of memory: no line can be read. Finished turns are in "
                               "the library.\n";
    rl_deprep_terminal();
    ui_stream_raw(&l->out, "\n", 1);
    ui_stream_raw(&l->out, text, sizeof text - 1);
    l->api->exit_code(l->app, 4);
    l->api->stop(l->app);
    enter_command(l, "/quit");
}

static int run(const struct dt_app_api *api, struct dt_app *app, char *reason, size_t reason_size)
{
    struct line *l = calloc(1, sizeof *l);
    if (!l) {
        ui_no_memory_text(sizeof *l, reason, reason_size);
        return -1;
    }
    l->api = api;
    l->app = app;
    l->out = (struct ui_stream){.api = api, .app = app, .fd = STDOUT_FILENO};
    live_open(&l->live);
    l->out.terminal = true;
    l->out.dim = *l->live.dim ? l->live.dim : NULL;
    l->out.normal = l->live.normal;
    self = l;
    ahead_init(&l->ahead);
    measure(l);
    fflush(stdout);
    struct sigaction old_interrupt, interrupt = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &interrupt, &old_interrupt);
    ui_signals_open();
    memory_set_way_out(&l->way_out);
    if (setjmp(l->way_out) == 0) {
        set_up_readline(l);
        loop(l);
        stop_asking(l);
        rl_clear_history();
    } else {
        leave_without_memory(l);
    }
    memory_set_way_out(NULL);
    if (!l->hung_up) {
        ui_stream_thought_end(&l->out);
        ui_stream_line_end(&l->out);
    } else { // the terminal is gone: save the story, and leave
        api->stop(app);
        enter_command(l, "/quit");
    }
    sigaction(SIGINT, &old_interrupt, NULL);
    ui_signals_close();
    self = NULL;
    free(l->first);
    free(l->suggestion);
    free(l->collected);
    free(l);
    return 0;
}

__attribute__((visibility("default"))) extern const struct dt_ui dt_ui_module;
const struct dt_ui dt_ui_module = {
    .size = sizeof(struct dt_ui),
    .build = DT_UI_BUILD,
    .name = "line",
    .description = "one line at a time, with history and completion (readline)",
    .usable = usable,
    .run = run,
};
