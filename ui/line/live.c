// SPDX-License-Identifier: MIT
#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curses.h>
#include <term.h>

// Only terminfo's questions are asked of libtinfo, which readline brings along; no screen is
// opened.

// A capability without its padding ("$<5>"), which terminals no longer need.
static bool take(const char *name, char *out, size_t size)
{
    const char *value = tigetstr(name);
    if (!value || value == (const char *)-1)
        return false;
    size_t n = 0;
    while (*value && n + 1 < size) {
        const char *end = value[0] == '$' && value[1] == '<' ? strchr(value, '>') : NULL;
        if (end)
            value = end + 1;
        else
            out[n++] = *value++;
    }
    out[n] = 0;
    return !*value;
}

bool live_open(struct live *l)
{
    int error;
    const char *term = getenv("TERM");
    memset(l, 0, sizeof *l);
    if (!term || setupterm(term, STDOUT_FILENO, &error) != OK)
        return false;
    l->possible = take("cuu1", l->up, sizeof l->up) && take("el", l->clear, sizeof l->clear) &&
                  take("cuf", l->right, sizeof l->right);
    return l->possible;
}

static void say(struct ui_stream *out, const char *bytes)
{
    ui_stream_raw(out, bytes, strlen(bytes));
}

void live_clear_line(struct live *l, struct ui_stream *out)
{
    if (l->possible)
        say(out, l->clear);
}

static void come_back(struct live *l, struct ui_stream *out)
{
    say(out, l->up);
    say(out, "\r");
    if (out->column > 0)
        say(out, tiparm(l->right, (int)out->column));
}

void live_show(struct live *l, struct ui_stream *out, const char *text)
{
    if (!l->possible || out->width < 20)
        return;
    char cut[512];
    snprintf(cut, sizeof cut, "%.*s",
             (int)(out->width - 1 < sizeof cut ? out->width - 1 : sizeof cut - 1), text);
    say(out, "\r\n"); // scrolls where need be, so going up one line is always right
    say(out, cut);
    say(out, l->clear);
    come_back(l, out);
    l->shown = true;
}

void live_hide(struct live *l, struct ui_stream *out)
{
    if (!l->shown)
        return;
    l->shown = false;
    say(out, "\r\n");
    say(out, l->clear);
    come_back(l, out);
}
