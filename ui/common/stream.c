// SPDX-License-Identifier: MIT
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "setting.h"

// After a signal. A session that is asked to end does not wait for a reader that does not read.
static bool may_wait(struct ui_stream *s)
{
    struct pollfd ready = {s->fd, POLLOUT, 0};
    return !s->api->leaving(s->app) || poll(&ready, 1, 100) == 1;
}

void ui_stream_raw(struct ui_stream *s, const char *bytes, size_t n)
{
    while (n > 0 && !s->broken) {
        ssize_t wrote = write(s->fd, bytes, n);
        if (wrote >= 0) {
            bytes += wrote;
            n -= (size_t)wrote;
        } else if (errno == EAGAIN) { // another program made the terminal non-blocking
            struct pollfd wait = {s->fd, POLLOUT, 0};
            poll(&wait, 1, -1);
        } else if (errno != EINTR || !may_wait(s)) {
            s->broken = true;
            s->error = errno;
        }
    }
}

static void put(struct ui_stream *s, const char *text, size_t n)
{
    char out[256 + 8];
    while (n > 0) {
        size_t part = n < 256 ? n : 256;
        while (part < n && part > 1 && ((unsigned char)text[part] & 0xC0) == 0x80)
            part--;
        size_t bytes = s->api->encode(s->app, text, part, out);
        ui_stream_raw(s, out, bytes);
        text += part;
        n -= part;
    }
}

// Writes the word that is held back.
static void flush(struct ui_stream *s)
{
    if (s->word_length == 0)
        return;
    unsigned columns = (unsigned)dt_text_columns(s->word, s->word_length);
    size_t skip = 0;
    if (s->width && s->column + columns > s->width && s->column > 0) {
        ui_stream_raw(s, "\n", 1);
        s->column = 0;
        while (skip < s->word_length && s->word[skip] == ' ')
            skip++; // spaces before the word
        columns -= (unsigned)skip;
    }
    put(s, s->word + skip, s->word_length - skip);
    s->column += columns;
    if (s->width && s->column > s->width)
        s->column = (s->column - 1) % s->width + 1; // of a word longer than the line
    s->word_length = 0;
}

void ui_stream_text(struct ui_stream *s, const char *text, size_t n)
{
    if (!s->width) {
        put(s, text, n);
        for (size_t i = 0; i < n; i++)
            s->column = text[i] == '\n' ? 0 : 1;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        bool space = text[i] == ' ', ended = s->word_length && s->word[s->word_length - 1] != ' ';
        if (text[i] == '\n' || (space && ended) || s->word_length == sizeof s->word)
            flush(s);
        if (text[i] == '\n') {
            ui_stream_raw(s, "\n", 1);
            s->column = 0;
        } else {
            s->word[s->word_length++] = text[i] == '\t' ? ' ' : text[i];
        }
    }
}

void ui_stream_line_end(struct ui_stream *s)
{
    flush(s);
    if (s->column > 0)
        ui_stream_raw(s, "\n", 1);
    s->column = 0;
}

static void put_dim(struct ui_stream *s, bool dim)
{
    const char *bytes = dim ? s->dim : s->normal;
    if (s->dim && s->normal)
        ui_stream_raw(s, bytes, strlen(bytes));
}

bool ui_stream_thought(struct ui_stream *s, const char *text, size_t n)
{
    if (!ui_thoughts_are_shown(s->api, s->app, s->terminal))
        return false;
    if (!s->thinking) {
        flush(s);
        put_dim(s, true);
        s->thinking = true;
        if (!s->dim || !s->normal)
            ui_stream_text(s, "<think>\n", 8);
    }
    ui_stream_text(s, text, n);
    return true;
}

void ui_stream_thought_end(struct ui_stream *s)
{
    if (!s->thinking)
        return;
    s->thinking = false;
    flush(s);
    put_dim(s, false);
    if (!s->dim || !s->normal)
        ui_stream_text(s, "\n</think>", 9);
    ui_stream_text(s, "\n\n", 2);
}

void ui_stream_turns(struct ui_stream *s, size_t from)
{
    struct dt_app_turn turn = {0};
    bool chat = s->api->story(s->app)->chat;
    size_t i = from;
    for (; s->api->turn(s->app, i, &turn); i++) {
        ui_stream_text(s, turn.prompt, turn.prompt_length);
        if (chat)
            ui_stream_line_end(s);
        if (turn.thought_length)
            ui_stream_thought(s, turn.thought, turn.thought_length);
        if (turn.text_length || turn.finished)
            ui_stream_thought_end(s);
        ui_stream_text(s, turn.text, turn.text_length);
    }
    bool unfinished = i > from && turn.text_length == 0;
    s->prompt_shown = unfinished ? i : 0;
    if (!unfinished)
        ui_stream_line_end(s);
}

void ui_stream_prompt(struct ui_stream *s, size_t number, bool skip_blank)
{
    struct dt_app_turn turn;
    bool shown = s->prompt_shown == number + 1;
    s->prompt_shown = 0;
    if (shown || s->api->story(s->app)->chat || !s->api->turn(s->app, number, &turn) ||
        turn.text_length > 0)
        return;
    bool blank = skip_blank && s->column == 0 && turn.prompt_length && turn.prompt[0] == ' ';
    ui_stream_text(s, turn.prompt + blank, turn.prompt_length - blank);
}

void ui_stream_lines(struct ui_stream *s, const char *text, size_t n)
{
    bool thinking = s->thinking;
    ui_stream_line_end(s);
    if (thinking)
        put_dim(s, false);
    ui_stream_text(s, text, n);
    ui_stream_line_end(s);
    if (thinking)
        put_dim(s, true);
}
