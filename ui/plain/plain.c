// SPDX-License-Identifier: MIT
// The plain front end, compiled in: pipes, and terminals that can do nothing. The story goes to
// stdout and nothing else does; remarks and figures go to stderr. From a pipe, what comes is one
// prompt, or one entry a line when it begins with a slash; then it leaves.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/figures.h"
#include "../common/stream.h"
#include "base/format.h"
#include "plain.h"

#define INPUT_MAX (64u * 1024)

struct plain {
    const struct dt_app_api *api;
    struct dt_app *app;
    struct ui_stream out, err;
    bool terminal;     // stdin is one: entries are asked for
    bool quit, output; // something was asked for
    bool ended;        // no more input
    bool begun, lines; // whether any has come; whether each of its lines is an entry
    char input[INPUT_MAX];
    size_t length;
    uint32_t question;
    bool question_default, editing;
    bool prompted;
    size_t redrawn; // the turn whose prompt stands at the end of the output, 1-based
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

static void remark(struct plain *p, const char *text, size_t n)
{
    if (p->terminal)
        ui_stream_line_end(&p->out);
    ui_stream_lines(&p->err, text, n);
}

static void event(struct plain *p, const struct dt_app_event *e)
{
    char line[640];
    switch (e->type) {
    case DT_EVENT_TURN: {
        struct dt_app_turn turn;
        // in story mode the prompt is the beginning of the text, so it is told as well; once,
        // whoever showed it
        if (p->redrawn != e->turn + 1 && !p->api->story(p->app)->chat &&
            p->api->turn(p->app, e->turn, &turn) && turn.text_length == 0)
            ui_stream_text(&p->out, turn.prompt, turn.prompt_length);
        p->redrawn = 0;
        break;
    }
    case DT_EVENT_TEXT:
        ui_stream_text(&p->out, e->text, e->length);
        break;
    case DT_EVENT_TURN_END:
        ui_stream_line_end(&p->out);
        if (strcmp(p->api->get(p->app, DT_SET_STATS), "off") != 0) {
            ui_figures_line(p->api->figures(p->app), 0, line, sizeof line);
            remark(p, line, strlen(line));
        }
        break;
    case DT_EVENT_REDRAW:
        remark(p, e->text, e->length);
        ui_stream_line_end(&p->out);
        p->redrawn = ui_stream_turns(&p->out, e->turn);
        break;
    case DT_EVENT_NOTICE:
        remark(p, e->text, e->length);
        break;
    case DT_EVENT_OUTPUT:
        ui_stream_lines(&p->out, e->text, e->length);
        break;
    case DT_EVENT_ASK:
        remark(p, e->text, e->length);
        if (p->terminal) {
            p->question = e->id;
            p->question_default = e->yes_default;
        } else {
            p->api->answer(p->app, e->id, e->yes_default); // nobody is there to be asked
        }
        break;
    case DT_EVENT_EDIT:
        remark(p, "The last text was:", 18);
        remark(p, e->text, e->length);
        remark(p, "Enter what it should be instead.", 32);
        p->editing = true;
        break;
    case DT_EVENT_INPUT:
        remark(p, "It was:", 7);
        remark(p, e->text, e->length);
        break;
    case DT_EVENT_QUIT:
        p->quit = true;
        break;
    default: // states, progress, lists: nothing a pipe wants
        break;
    }
}

static void enter(struct plain *p, char *text)
{
    size_t n = strlen(text);
    if (p->question) {
        bool yes = n ? text[0] == 'y' || text[0] == 'Y' : p->question_default;
        p->api->answer(p->app, p->question, yes);
        p->question = 0;
        return;
    }
    char *utf8 = malloc(3 * n + 9);
    if (!utf8) {
        remark(p, "There is no memory to take that entry.", 38);
        return;
    }
    utf8[n = p->api->decode(p->app, text, n, utf8)] = 0;
    p->output = true;
    if (p->editing)
        p->api->edit(p->app, utf8, n);
    else
        p->api->input(p->app, utf8, n);
    p->editing = false;
    free(utf8);
}

// Takes what can be taken of the input: a line on a terminal or of a script, the whole of a pipe.
static void take(struct plain *p)
{
    if (p->length && !p->begun) { // decided once: the lines behind a command are entries as well
        p->begun = true;
        p->lines = p->terminal || p->input[0] == '/';
    }
    bool lines = p->lines || p->question;
    // commands are taken while a story is told, as far as they can be done then
    while (p->length && !p->quit &&
           (p->api->state(p->app) == DT_APP_IDLE || (p->terminal && p->input[0] == '/'))) {
        char *end = memchr(p->input, '\n', p->length);
        if (!lines && !p->ended && p->length < INPUT_MAX - 1)
            return;
        if (lines && !end && !p->ended && p->length < INPUT_MAX - 1)
            return;
        size_t n = lines && end ? (size_t)(end - p->input) : p->length,
               used = n + (lines && end ? 1 : 0);
        char entry[INPUT_MAX];
        memcpy(entry, p->input, n);
        while (n && (entry[n - 1] == '\n' || entry[n - 1] == '\r'))
            n--;
        if (lines && n && entry[n - 1] == '\\' && end && memchr(end + 1, '\n', p->length - used)) {
            *end = ' '; // a line that goes on: joined with the next one
            end[-1] = '\n';
            continue;
        }
        entry[n] = 0;
        memmove(p->input, p->input + used, p->length - used);
        p->length -= used;
        p->prompted = false;
        if (n || p->terminal || !p->output)
            enter(p, entry);
        struct dt_app_event e;
        while (p->api->next(p->app, &e))
            event(p, &e);
        if (p->question)
            return;
    }
}

static void read_input(struct plain *p)
{
    ssize_t n = read(STDIN_FILENO, p->input + p->length, INPUT_MAX - 1 - p->length);
    if (n > 0)
        p->length += (size_t)n;
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
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
        struct dt_app_event e;
        while (!p->quit && p->api->next(p->app, &e))
            event(p, &e);
        if (p->quit)
            return;
        if (p->out.broken) { // the reader of the story has gone
            p->api->stop(p->app);
            p->api->exit_code(p->app, 1);
            p->api->input(p->app, "/quit", 5);
            p->out.broken = false;
            p->out.fd = p->err.fd = -1;
        }
        if (p->interrupted && !p->terminal) { // the text so far stands
            p->api->exit_code(p->app, 130);
            p->length = 0;
            p->ended = p->output = true;
        }
        take(p);
        if (p->quit)
            return;
        bool idle = p->api->state(p->app) == DT_APP_IDLE;
        if (!leaving && p->ended && idle && !p->length) {
            if (!p->output && !p->terminal) {
                p->output = true; // nothing was asked for: a story all the same
                p->api->input(p->app, "", 0);
            } else {
                leaving = true;
                p->api->input(p->app, "/quit", 5);
            }
            continue;
        }
        ask(p);
        struct pollfd fds[2] = {{p->api->fd(p->app), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        bool want_input = !p->ended && p->length < INPUT_MAX - 1;
        if (poll(fds, want_input ? 2 : 1, -1) > 0 && want_input && fds[1].revents)
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
        dt_format(reason, reason_size, "%zu bytes are needed and not there", sizeof *p);
        return -1;
    }
    p->api = api;
    p->app = app;
    p->out = (struct ui_stream){.api = api, .app = app, .fd = STDOUT_FILENO};
    p->err = (struct ui_stream){.api = api, .app = app, .fd = STDERR_FILENO};
    p->terminal = isatty(STDIN_FILENO);
    p->output = api->given(app);
    running = p;
    struct sigaction before, interrupt = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &interrupt, &before);
    loop(p);
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
    .description = "pipes, and terminals that can do nothing",
    .usable = usable,
    .run = run,
};
