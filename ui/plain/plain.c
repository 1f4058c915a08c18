// SPDX-License-Identifier: MIT
// The plain front end, compiled in: for pipes, and for terminals without capabilities. Only the
// story goes to stdout; messages and figures go to stderr. Input from a pipe is one prompt, or, if
// it begins with a slash, one entry a line; then the program ends.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/enter.h"
#include "../common/escape.h"
#include "../common/figures.h"
#include "../common/message.h"
#include "../common/setting.h"
#include "../common/stream.h"
#include "base/format.h"
#include "plain.h"

#define INPUT_MAX (64u * 1024)

struct plain {
    const struct dt_app_api *api;
    struct dt_app *app;
    struct ui_stream out, err;
    bool terminal; // stdin is a terminal: prompt for entries
    struct ui_enter enter;
    bool quit;
    bool entered; // there was an entry, or the command line had one
    bool ended;   // end of input
    bool begun;   // there was input
    bool lines;   // each line of the input is an entry
    char input[INPUT_MAX], entry[INPUT_MAX];
    size_t length;
    uint32_t question;
    bool question_default, editing;
    bool prompted;
    bool thinks_shown; // a line has said that the model thinks
    volatile sig_atomic_t interrupted;
};

static struct plain *running; // for the signal handler

static void on_interrupt(int signal)
{
    (void)signal;
    if (!running)
        return;
    running->interrupted = 1;
    running->api->stop(running->app);
}

static void show_message(struct plain *p, const char *text, size_t n)
{
    if (p->terminal)
        ui_stream_line_end(&p->out);
    ui_stream_lines(&p->err, text, n);
}

static void show_line(struct plain *p, const char *text)
{
    show_message(p, text, strlen(text));
}

static void enter_command(struct plain *p, const char *command)
{
    p->api->input(p->app, command, strlen(command));
}

static void event(struct plain *p, const struct dt_app_event *e)
{
    char line[640];
    switch (e->type) {
    case DT_EVENT_TURN:
        ui_stream_prompt(&p->out, e->turn, false);
        break;
    case DT_EVENT_THOUGHT:
        if (!ui_stream_thought(&p->out, e->text, e->length) && p->terminal && !p->thinks_shown)
            show_line(p, UI_THINKING);
        p->thinks_shown = true;
        break;
    case DT_EVENT_TEXT:
        ui_stream_thought_end(&p->out);
        ui_stream_text(&p->out, e->text, e->length);
        break;
    case DT_EVENT_TURN_END:
        p->thinks_shown = false;
        ui_stream_thought_end(&p->out);
        ui_stream_line_end(&p->out);
        if (!ui_setting_is(p->api, p->app, DT_SET_STATS, "off")) {
            ui_figures_line(p->api->figures(p->app), 0, line, sizeof line);
            show_line(p, line);
        }
        if (p->terminal && ui_is_story_end(e->end) && !p->api->story(p->app)->chat)
            show_line(p, UI_STORY_END);
        break;
    case DT_EVENT_REDRAW:
        show_message(p, e->text, e->length);
        ui_stream_line_end(&p->out);
        ui_stream_turns(&p->out, e->turn);
        break;
    case DT_EVENT_NOTICE:
        show_message(p, e->text, e->length);
        break;
    case DT_EVENT_OUTPUT:
        ui_stream_lines(&p->out, e->text, e->length);
        break;
    case DT_EVENT_ASK:
        show_message(p, e->text, e->length);
        if (p->terminal) {
            p->question = e->id;
            p->question_default = e->yes_default;
        } else {
            p->api->answer(p->app, e->id, e->yes_default); // no one can answer
        }
        break;
    case DT_EVENT_EDIT:
        show_line(p, "The last text:");
        show_message(p, e->text, e->length);
        show_line(p, "Enter the new text.");
        p->editing = true;
        break;
    case DT_EVENT_INPUT:
        if (p->terminal) { // a pipe has it already
            show_line(p, "The prompt was:");
            show_message(p, e->text, e->length);
        }
        break;
    case DT_EVENT_QUIT:
        p->quit = true;
        break;
    default: // states, progress, lists
        break;
    }
}

static void enter(struct plain *p, const char *text, size_t n)
{
    if (p->question) {
        bool yes = n ? text[0] == 'y' || text[0] == 'Y' : p->question_default;
        p->api->answer(p->app, p->question, yes);
        p->question = 0;
        return;
    }
    char small[3 * 80 + 9]; // commands need no memory
    char *utf8 = n <= 80 ? small : malloc(3 * n + 9);
    if (!utf8) {
        show_line(p, "Out of memory. The entry is lost; try a shorter one.");
        p->api->exit_code(p->app, 4);
        p->entered = true;
        return;
    }
    if (p->terminal || p->api->charset(p->app) != DT_CHARSET_UTF8)
        n = p->api->decode(p->app, text, n, utf8);
    else
        memcpy(utf8, text, n); // a pipe as it is, so that UTF-16 is recognised
    p->entered = true;
    if (p->editing)
        p->api->edit(p->app, utf8, n);
    else
        p->api->input(p->app, utf8, n);
    p->editing = false;
    if (utf8 != small)
        free(utf8);
}

// Whether nothing but a typed line ends the turn that is being generated.
static bool ends_endless_turn(struct plain *p)
{
    return p->terminal && p->api->state(p->app) == DT_APP_GENERATING &&
           ui_setting_is(p->api, p->app, DT_SET_LENGTH, "0") &&
           (ui_setting_is(p->api, p->app, DT_SET_OVERFLOW, "shift") ||
            ui_setting_is(p->api, p->app, DT_SET_OVERFLOW, "window"));
}

static bool is_idle(struct plain *p)
{
    return p->api->state(p->app) == DT_APP_IDLE;
}

// Enters what is complete of the input: a line of a terminal or a list of commands, else all of it.
// idle: whether the program was idle before the events were handled, so that a question of the
// command before is known. Returns the same for the events that it handled itself.
static bool enter_input(struct plain *p, bool idle)
{
    if (p->length && !p->begun) { // decided once: lines after a command are entries too
        p->begun = true;
        p->lines = p->terminal || p->input[0] == '/';
    }
    bool lines = p->lines || p->question;
    // on a terminal, commands can be entered during a turn
    while (p->length && !p->quit &&
           ((idle && is_idle(p)) || (p->terminal && p->input[0] == '/') || ends_endless_turn(p))) {
        char *end = memchr(p->input, '\n', p->length);
        if (!lines && !p->ended && p->length < INPUT_MAX - 1)
            return idle;
        if (lines && !end && !p->ended && p->length < INPUT_MAX - 1)
            return idle;
        size_t n = lines && end ? (size_t)(end - p->input) : p->length,
               used = n + (lines && end ? 1 : 0);
        char *entry = p->entry;
        memcpy(entry, p->input, n);
        while (n && (entry[n - 1] == '\n' || entry[n - 1] == '\r'))
            n--;
        if (lines && n && entry[n - 1] == '\\' && end && memchr(end + 1, '\n', p->length - used)) {
            *end = ' '; // join it with the next line
            end[-1] = '\n';
            continue;
        }
        entry[n] = 0;
        if (p->terminal) {
            ui_escape_strip(entry);
            n = strlen(entry);
        }
        memmove(p->input, p->input + used, p->length - used);
        p->length -= used;
        p->prompted = false;
        if (n || p->terminal || !p->entered)
            enter(p, entry, n);
        idle = is_idle(p);
        struct dt_app_event e;
        while (p->api->next(p->app, &e))
            event(p, &e);
        if (p->question)
            return idle;
    }
    return idle;
}

static void read_input(struct plain *p)
{
    char *at = p->input + p->length;
    ssize_t n = read(STDIN_FILENO, at, INPUT_MAX - 1 - p->length);
    for (ssize_t i = 0; i < n; i++)
        if (!p->terminal || !ui_enter_repeats(&p->enter, at[i] == '\n'))
            p->input[p->length++] = at[i];
    if (n > 0)
        return;
    if (n == 0 || (errno != EINTR && errno != EAGAIN))
        p->ended = true;
}

static void ask(struct plain *p)
{
    if (!p->terminal || p->prompted || p->api->state(p->app) != DT_APP_IDLE)
        return;
    ui_stream_line_end(&p->out);
    ui_stream_raw(&p->err, p->question ? "y/n " : "> ", p->question ? 4 : 2);
    p->prompted = true;
}

static void loop(struct plain *p)
{
    bool leaving = false;
    while (!p->quit) {
        bool idle = is_idle(p);
        struct dt_app_event e;
        while (!p->quit && p->api->next(p->app, &e))
            event(p, &e);
        if (p->quit)
            return;
        if (p->out.broken) { // the reader of the story is gone
            char line[200];
            if (p->out.error != EPIPE && p->out.error != EINTR) {
                dt_format(
                    line, sizeof line,
                    "duotale: cannot write to standard output: %s; the story is in the library",
                    strerror(p->out.error));
                show_line(p, line);
            }
            p->api->stop(p->app);
            if (p->out.error != EINTR) // else it is that of the signal
                p->api->exit_code(p->app, 1);
            enter_command(p, "/quit");
            p->out.broken = false;
            p->out.fd = p->err.fd = -1;
        }
        if (p->interrupted && !p->terminal) { // the text so far stays
            p->api->exit_code(p->app, 130);
            p->length = 0;
            p->ended = p->entered = true;
        }
        idle = enter_input(p, idle);
        if (p->quit)
            return;
        if (!idle && is_idle(p) && p->length) // it has become idle: its events come first
            continue;
        idle = is_idle(p);
        if (!leaving && p->ended && idle && !p->length) {
            if (!p->entered && !p->terminal) {
                p->entered = true; // an empty pipe: an opening of the program's choice
                enter_command(p, "");
            } else {
                leaving = true;
                enter_command(p, "/quit");
            }
            continue;
        }
        ask(p);
        struct pollfd fds[2] = {{p->api->fd(p->app), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        bool want_input = !p->ended && p->length < INPUT_MAX - 1;
        int wait = want_input ? ui_enter_wait_ms(&p->enter, STDIN_FILENO) : -1;
        if (poll(fds, want_input ? 2 : 1, wait) > 0 && want_input && fds[1].revents)
            read_input(p);
        if (p->api->leaving(p->app))
            p->api->stop(p->app);
    }
}

static int usable(const struct dt_app_api *api, struct dt_app *app, char *reason,
                  size_t reason_size)
{
    (void)api;
    (void)app;
    (void)reason;
    (void)reason_size;
    return 0;
}

static int run(const struct dt_app_api *api, struct dt_app *app, char *reason, size_t reason_size)
{
    struct plain *p = calloc(1, sizeof *p);
    if (!p) {
        ui_no_memory_text(sizeof *p, reason, reason_size);
        return -1;
    }
    p->api = api;
    p->app = app;
    p->out = (struct ui_stream){.api = api, .app = app, .fd = STDOUT_FILENO};
    p->out.terminal = isatty(STDOUT_FILENO);
    p->err = (struct ui_stream){.api = api, .app = app, .fd = STDERR_FILENO};
    p->terminal = isatty(STDIN_FILENO);
    p->enter.delay_ms = ui_escape_enter_ms(STDIN_FILENO);
    p->entered = api->given(app);
    running = p;
    struct sigaction before, interrupt = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &interrupt, &before);
    loop(p);
    ui_stream_thought_end(&p->out);
    ui_stream_line_end(&p->out);
    sigaction(SIGINT, &before, NULL);
    running = NULL;
    free(p);
    return 0;
}

const struct dt_ui dt_ui_plain = {
    .size = sizeof(struct dt_ui),
    .build = DT_UI_BUILD,
    .name = "plain",
    .description = "plain text, for pipes and terminals without capabilities",
    .usable = usable,
    .run = run,
};
