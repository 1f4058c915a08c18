// SPDX-License-Identifier: MIT
// The line front end: readline for what is typed, plain text for what is told. For SSH, serial
// lines, screen readers. It never moves the cursor up, but for the live line of figures, which is
// off until somebody asks for it.
//
// While a story is told the terminal is in its ordinary mode: Ctrl-C is a signal, and a whole line
// typed meanwhile ("/set temperature 0.5", "/backend fp32") is taken as it ends. Between stories
// readline has the terminal.
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "../common/figures.h"
#include "../common/stream.h"
#include "base/format.h"
#include "live.h"

#define ENTRY_MAX 16384u

struct line {
    const struct dt_app_api *api;
    struct dt_app *app;
    struct ui_stream out;
    struct live live;
    bool overwrites; // the terminal can go back to the beginning of a line and clear it
    bool quit, hung_up;
    bool asking;  // readline has the terminal
    bool editing; // what is entered goes to edit()
    uint32_t question;
    bool question_default;
    char *first;     // put into the input at the next prompt, owned
    char *collected; // lines that ended in a backslash, owned
    bool progress;   // a progress line is on the screen
    size_t redrawn; // the turn whose prompt stands at the end of what was drawn, 1-based: it is not
                    // repeated when it is told
    char typed[ENTRY_MAX]; // lines typed while a story is told
    size_t typed_length;
};

static struct line *self; // readline's call-backs have no argument
static volatile sig_atomic_t interrupted, resized;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
    if (self)
        self->api->stop(self->app); // harmless when nothing goes on; and it ends the wait in poll()
}

static void on_resize(int signal)
{
    (void)signal;
    resized = 1;
}

static void measure(struct line *l)
{
    struct winsize size;
    l->out.width = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        l->out.width = size.ws_col;
}

// ---- what is typed ----

static char *to_utf8(struct line *l, const char *text)
{
    size_t n = strlen(text);
    char *utf8 = malloc(3 * n + 9);
    if (utf8)
        utf8[l->api->decode(l->app, text, n, utf8)] = 0;
    return utf8;
}

static char *from_utf8(struct line *l, const char *text)
{
    size_t n = strlen(text);
    char *bytes = malloc(n + 9);
    if (bytes)
        bytes[l->api->encode(l->app, text, n, bytes)] = 0;
    return bytes;
}

static void stop_asking(struct line *l)
{
    if (!l->asking)
        return;
    rl_callback_handler_remove();
    l->asking = false;
}

static void keep_for_later(struct line *l, const char *utf8)
{
    free(l->first);
    l->first = strdup(utf8);
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
    char *utf8 = to_utf8(l, bytes);
    if (!utf8) {
        fputs("There is no memory to take that entry; it is in the history (Up).\n", stderr);
        add_history(bytes);
        return;
    }
    size_t n = strlen(utf8);
    bool continues = n && utf8[n - 1] == '\\';
    if (l->collected || continues) { // several lines, each but the last with a backslash at its end
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
    bool taken = l->editing ? l->api->edit(l->app, utf8, n) : l->api->input(l->app, utf8, n);
    if (taken)
        l->editing = false;
    else
        keep_for_later(l, utf8);
    free(utf8);
}

static void on_line(char *bytes)
{
    struct line *l = self;
    stop_asking(l);
    if (!bytes) { // Ctrl-D on an empty line
        ui_stream_raw(&l->out, "\n", 1);
        l->api->input(l->app, "/quit", 5);
        return;
    }
    enter(l, bytes);
    free(bytes);
}

static int put_first(void)
{
    struct line *l = self;
    char *bytes = l->first ? from_utf8(l, l->first) : NULL;
    if (bytes)
        rl_insert_text(bytes);
    free(bytes);
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
}

static void interrupt_prompt(struct line *l)
{
    bool empty = rl_end == 0 && !l->collected && !l->editing && !l->question;
    const struct dt_app_voice *voice = l->api->voice(l->app);
    bool hushed = voice->speaking || voice->listening; // then that is what was meant
    if (voice->listening)
        l->api->input(l->app, "/listen off", strlen("/listen off"));
    l->api->stop(l->app); // nothing is told, but a voice may still be reading
    if (!rl_end && l->question) {
        l->api->answer(l->app, l->question, false);
        l->question = 0;
    }
    // what was typed stays where it is; freeing the state draws the line once more, so that comes
    // before the new one
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
    if (strcmp(l->api->get(l->app, DT_SET_INTERRUPT), "quit") == 0)
        l->api->input(l->app, "/quit", 5);
    else
        ui_stream_lines(&l->out, "To leave: Ctrl-D or /quit. Nothing that was told is lost.", 57);
}

static int insert_newline(int count, int key)
{
    (void)count;
    (void)key;
    rl_insert_text("\n");
    return 0;
}

// ---- Tab ----

// The app completes from one place, readline from another (the last blank): words are cut or
// lengthened to fit.
static char **complete(const char *text, int start, int end)
{
    (void)text;
    struct line *l = self;
    rl_attempted_completion_over = 1;
    const struct dt_app_completion *c = l->api->complete(l->app, rl_line_buffer, (size_t)end);
    if (!c || c->count == 0)
        return NULL;
    char **matches = calloc(c->count + 2, sizeof *matches);
    if (!matches)
        return NULL;
    size_t from = c->from, begin = (size_t)start, kept = 0, common = SIZE_MAX;
    for (size_t i = 0; i < c->count; i++) {
        const char *word = c->words[i];
        size_t n = strlen(word);
        char *match;
        if (from <= begin) { // readline replaces less: drop what it leaves standing
            size_t skip = begin - from < n ? begin - from : n;
            match = strdup(word + skip);
        } else { // readline replaces more: what stands before goes in again
            match = malloc(from - begin + n + 1);
            if (match) {
                memcpy(match, rl_line_buffer + begin, from - begin);
                memcpy(match + (from - begin), word, n + 1);
            }
        }
        if (!match)
            continue;
        matches[++kept] = match;
        size_t same = 0;
        while (kept > 1 && same < common && match[same] && match[same] == matches[1][same])
            same++;
        common = kept > 1 ? same : strlen(match);
    }
    if (kept == 0) {
        free(matches);
        return NULL;
    }
    matches[0] = strndup(matches[1], common);
    rl_completion_append_character = c->suffix;
    return matches;
}

// ---- what is told ----

static void clear_progress(struct line *l)
{
    if (l->progress)
        ui_stream_raw(&l->out, "\r", 1);
    if (l->progress)
        live_clear_line(&l->live, &l->out);
    l->progress = false;
}

static void show_progress(struct line *l, const struct dt_app_event *e)
{
    if (!l->overwrites || e->done >= e->total) {
        clear_progress(l);
        return;
    }
    char text[160], left[32] = "";
    if (e->seconds_left >= 0.05)
        dt_format(left, sizeof left, ", about %.1f s more", e->seconds_left);
    dt_format(text, sizeof text, "\r%s %d %%%s", e->text,
              e->total ? (int)(100 * e->done / e->total) : 0, left);
    text[0] = '\r'; // dt_format lets no control byte through
    if (!l->progress)
        ui_stream_line_end(&l->out);
    live_clear_line(&l->live, &l->out);
    ui_stream_raw(&l->out, text, strlen(text));
    live_clear_line(&l->live, &l->out);
    l->progress = true;
}

static void lines(struct line *l, const char *text, size_t n)
{
    live_hide(&l->live, &l->out);
    ui_stream_lines(&l->out, text, n);
}

// A turn that begins: in a story its prompt is the beginning of the text. One that goes on stands
// above already.
static void show_beginning(struct line *l, size_t i)
{
    struct dt_app_turn turn;
    if (l->redrawn == i + 1 || l->api->story(l->app)->chat)
        return;
    if (!l->api->turn(l->app, i, &turn) || turn.text_length > 0)
        return;
    size_t blank = l->out.column == 0 && turn.prompt_length &&
                   turn.prompt[0] == ' '; // what joins it to the turn before
    ui_stream_text(&l->out, turn.prompt + blank, turn.prompt_length - blank);
}

static void event(struct line *l, const struct dt_app_event *e)
{
    char text[640];
    if (e->type != DT_EVENT_PROGRESS && e->type != DT_EVENT_FIGURES && e->type != DT_EVENT_VOICE &&
        e->type != DT_EVENT_STATE)
        clear_progress(l);
    switch (e->type) {
    case DT_EVENT_TURN:
        stop_asking(l);
        show_beginning(l, e->turn);
        l->redrawn = 0;
        break;
    case DT_EVENT_TEXT:
        live_hide(&l->live, &l->out);
        ui_stream_text(&l->out, e->text, e->length);
        break;
    case DT_EVENT_FIGURES:
        if (strcmp(l->api->get(l->app, DT_SET_STATS), "live") == 0 &&
            l->api->state(l->app) == DT_APP_GENERATING) {
            ui_figures_line(l->api->figures(l->app), 1, text, sizeof text);
            live_show(&l->live, &l->out, text);
        }
        break;
    case DT_EVENT_TURN_END:
        live_hide(&l->live, &l->out);
        ui_stream_line_end(&l->out);
        if (strcmp(l->api->get(l->app, DT_SET_STATS), "off") != 0) {
            ui_figures_line(l->api->figures(l->app), 0, text, sizeof text);
            lines(l, text, strlen(text));
        }
        if (e->end == DT_END_LENGTH)
            lines(l, "As long as the setting length allows; /continue goes on.", 56);
        break;
    case DT_EVENT_REDRAW:
        if (e->length)
            lines(l, e->text, e->length);
        l->redrawn = ui_stream_turns(&l->out, e->turn);
        break;
    case DT_EVENT_PROGRESS:
        show_progress(l, e);
        break;
    case DT_EVENT_NOTICE:
        if (l->asking) { // the entry that is being typed stays: it is drawn again under the notice
            rl_clear_visible_line();
            ui_stream_lines(&l->out, e->text, e->length);
            rl_on_new_line();
            rl_redisplay();
        } else {
            lines(l, e->text, e->length);
        }
        break;
    case DT_EVENT_OUTPUT:
        stop_asking(l);
        lines(l, e->text, e->length);
        break;
    case DT_EVENT_ASK:
        stop_asking(l);
        lines(l, e->text, e->length);
        l->question = e->id;
        l->question_default = e->yes_default;
        break;
    case DT_EVENT_EDIT:
    case DT_EVENT_INPUT:
        stop_asking(l);
        l->editing = e->type == DT_EVENT_EDIT;
        keep_for_later(l, e->text);
        break;
    case DT_EVENT_QUIT:
        l->quit = true;
        break;
    default:
        break;
    }
}

// ---- while a story is told ----

static char *line_end(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n' || text[i] == '\r')
            return text + i;
    }
    return NULL;
}

static void read_meanwhile(struct line *l)
{
    ssize_t n =
        read(STDIN_FILENO, l->typed + l->typed_length, sizeof l->typed - 1 - l->typed_length);
    if (n == 0) { // Ctrl-D: leave when the story has been stopped and saved
        l->api->stop(l->app);
        l->api->input(l->app, "/quit", 5);
        return;
    }
    if (n < 0) {
        l->hung_up = errno != EINTR && errno != EAGAIN;
        return;
    }
    l->typed_length += (size_t)n;
    char *end;
    // what was typed before readline gave the terminal back has carriage returns
    while ((end = line_end(l->typed, l->typed_length))) {
        *end = 0;
        size_t used = (size_t)(end - l->typed) + 1;
        l->out.column = 0; // the terminal's echo ended the line
        if (*l->typed)
            enter(l, l->typed);
        memmove(l->typed, l->typed + used, l->typed_length - used);
        l->typed_length -= used;
    }
}

static bool busy(struct line *l)
{
    enum dt_app_state state = l->api->state(l->app);
    return state != DT_APP_IDLE && !l->question;
}

// What the handlers left word of.
static void heed_signals(struct line *l)
{
    if (resized) {
        resized = 0;
        measure(l);
        rl_resize_terminal();
    }
    if (interrupted) {
        interrupted = 0;
        if (l->asking)
            interrupt_prompt(l);
    }
}

static void loop(struct line *l)
{
    while (!l->quit && !l->hung_up) {
        struct dt_app_event e;
        while (!l->quit && l->api->next(l->app, &e))
            event(l, &e);
        if (l->quit)
            return;
        if (l->out.broken)
            l->hung_up = true;
        heed_signals(l); // one that came before the events were taken does not end the wait
        if (!busy(l) && !l->asking) {
            // whole lines that were typed ahead are entries, the beginning of one goes on at the
            // prompt
            struct pollfd ahead = {STDIN_FILENO, POLLIN, 0};
            if (poll(&ahead, 1, 0) > 0 && (ahead.revents & POLLIN)) {
                read_meanwhile(l);
                continue;
            }
            if (l->typed_length > 0) {
                l->typed[l->typed_length] = 0;
                l->typed_length = 0;
                char *utf8 = to_utf8(l, l->typed);
                if (utf8)
                    keep_for_later(l, utf8);
                free(utf8);
            }
            ask(l);
        }
        struct pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {l->api->fd(l->app), POLLIN, 0}};
        int ready = poll(fds, 2, -1);
        heed_signals(l); // before what was typed behind them
        if (l->api->leaving(l->app))
            l->api->stop(l->app);
        if (ready <= 0)
            continue;
        if ((fds[0].revents & (POLLHUP | POLLERR)) && !(fds[0].revents & POLLIN))
            l->hung_up = true;
        else if (fds[0].revents && l->asking)
            rl_callback_read_char();
        else if (fds[0].revents)
            read_meanwhile(l);
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
    dt_format(reason, reason_size, "standard input and output are not both a terminal");
    return -1;
}

static void set_up_readline(struct line *l)
{
    rl_readline_name = "duotale"; // for conditional lines in the user's inputrc
    rl_catch_signals = 0;
    rl_catch_sigwinch = 0;
    rl_instream = stdin;
    rl_outstream = stdout;
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = " ";
    rl_completer_quote_characters = "";
    rl_variable_bind("enable-bracketed-paste", l->overwrites ? "on" : "off");
    rl_variable_bind("colored-stats", "off");
    rl_initialize();
    rl_bind_key('\n', insert_newline);
    using_history();
    stifle_history(500);
    for (size_t i = 0, count = l->api->history_count(l->app); i < count; i++) {
        char *bytes = from_utf8(l, l->api->history(l->app, i));
        if (bytes)
            add_history(bytes);
        free(bytes);
    }
}

static int run(const struct dt_app_api *api, struct dt_app *app, char *reason, size_t reason_size)
{
    struct line *l = calloc(1, sizeof *l);
    if (!l) {
        dt_format(reason, reason_size, "%zu bytes are needed and not there", sizeof *l);
        return -1;
    }
    l->api = api;
    l->app = app;
    l->out = (struct ui_stream){.api = api, .app = app, .fd = STDOUT_FILENO};
    l->overwrites = live_open(&l->live);
    self = l;
    measure(l);
    fflush(stdout);
    struct sigaction old_interrupt, old_resize;
    struct sigaction interrupt = {.sa_handler = on_interrupt}, resize = {.sa_handler = on_resize};
    sigaction(SIGINT, &interrupt, &old_interrupt);
    sigaction(SIGWINCH, &resize, &old_resize);
    set_up_readline(l);

    loop(l);

    stop_asking(l);
    if (!l->hung_up)
        ui_stream_line_end(&l->out);
    if (l->hung_up) { // nobody is there any more: the story is saved before we go
        api->stop(app);
        api->input(app, "/quit", 5);
    }
    sigaction(SIGINT, &old_interrupt, NULL);
    sigaction(SIGWINCH, &old_resize, NULL);
    clear_history();
    self = NULL;
    free(l->first);
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
