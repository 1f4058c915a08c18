// SPDX-License-Identifier: MIT
#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curses.h>
#include <term.h>

#include "../common/capability.h"

// Uses only the terminfo functions of libtinfo, which readline needs anyway.

static bool read_capability(const char *name, char *out, size_t size)
{
    const char *value = ui_capability(name);
    size_t n = ui_capability_copy(value, out, size);
    out[n < size ? n : 0] = 0;
    return value && n < size;
}

bool live_open(struct live *l)
{
    int error;
    const char *term = getenv("TERM");
    memset(l, 0, sizeof *l);
    if (!term || setupterm(term, STDOUT_FILENO, &error) != OK)
        return false;
    if (!read_capability("dim", l->dim, sizeof l->dim) ||
        !read_capability("sgr0", l->normal, sizeof l->normal))
        l->dim[0] = 0;
    l->possible = read_capability("cuu1", l->up, sizeof l->up) &&
                  read_capability("el", l->clear, sizeof l->clear) &&
                  read_capability("cuf", l->right, sizeof l->right);
    return l->possible;
}

static void put(struct ui_stream *out, const char *bytes)
{
    ui_stream_raw(out, bytes, strlen(bytes));
}

static void move_back(struct live *l, struct ui_stream *out)
{
    put(out, l->up);
    put(out, "\r");
    if (out->column > 0)
        put(out, tiparm(l->right, (int)out->column));
}

void live_show(struct live *l, struct ui_stream *out, const char *text)
{
    if (!l->possible || out->width < 20)
        return;
    char cut[512];
    snprintf(cut, sizeof cut, "%.*s",
             (int)(out->width - 1 < sizeof cut ? out->width - 1 : sizeof cut - 1), text);
    put(out, "\r\n"); // scrolls on the last row, so that moving up is always right
    put(out, cut);
    put(out, l->clear);
    move_back(l, out);
    l->shown = true;
}

void live_hide(struct live *l, struct ui_stream *out)
{
    if (!l->shown)
        return;
    l->shown = false;
    put(out, "\r\n");
    put(out, l->clear);
    move_back(l, out);
}

void live_show_progress(struct live *l, struct ui_stream *out, const char *text)
{
    if (!l->possible)
        return;
    if (!l->progress)
        ui_stream_line_end(out);
    put(out, "\r");
    put(out, text);
    put(out, l->clear);
    l->progress = true;
}

void live_end_progress(struct live *l, struct ui_stream *out)
{
    if (!l->progress)
        return;
    put(out, "\r");
    put(out, l->clear);
    l->progress = false;
}
