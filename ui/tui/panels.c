// SPDX-License-Identifier: MIT
// The panels but the library: help, sampling, backends, models, and what a command printed. One row
// of the table a panel.
#include "panels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/figures.h"
#include "base/format.h"

// ---- lists in general ----

bool tui_list_key(struct tui *ui, int key, wint_t wide, int count)
{
    int page = ui->panel_rows > 2 ? ui->panel_rows - 2 : 1;
    int to = ui->selected;
    switch (key) {
    case KEY_UP:
        to--;
        break;
    case KEY_DOWN:
        to++;
        break;
    case KEY_PPAGE:
        to -= page;
        break;
    case KEY_NPAGE:
        to += page;
        break;
    case KEY_HOME:
        to = 0;
        break;
    case KEY_END:
        to = count - 1;
        break;
    default:
        if (wide == ('p' & 31))
            to--;
        else if (wide == ('n' & 31))
            to++;
        else
            return false;
    }
    ui->selected = to >= count ? count - 1 : to;
    if (ui->selected < 0)
        ui->selected = 0;
    return true;
}

int tui_list_top(struct tui *ui, int rows, int count)
{
    if (ui->selected >= count)
        ui->selected = count ? count - 1 : 0;
    if (ui->selected < ui->panel_top)
        ui->panel_top = ui->selected;
    if (ui->selected >= ui->panel_top + rows)
        ui->panel_top = ui->selected - rows + 1;
    return ui->panel_top;
}

enum tui_paint tui_list_row(struct tui *ui, int y, int index)
{
    wmove(ui->panel_window, y + 1, 0);
    tui_put(ui, ui->panel_window, TUI_PAINT_TITLE, index == ui->selected ? "> " : "  ", 2, 2);
    return index == ui->selected ? TUI_PAINT_SELECTED : TUI_PAINT_PLAIN;
}

bool tui_is_enter(int key, wint_t wide)
{
    return key == KEY_ENTER || wide == '\r' || wide == '\n';
}

// Lines of text to be read, not chosen from: the list's "selection" is the first line shown.
static bool reading_key(struct tui *ui, int key, wint_t wide, int lines)
{
    int page = ui->panel_rows > 2 ? ui->panel_rows - 2 : 1;
    int last = lines > ui->panel_rows - 1 ? lines - (ui->panel_rows - 1) : 0, to = ui->panel_top;
    if (key == KEY_UP || key == KEY_DOWN)
        to += key == KEY_UP ? -1 : 1;
    else if (key == KEY_PPAGE || key == KEY_NPAGE)
        to += key == KEY_PPAGE ? -page : page;
    else if (wide == ('p' & 31) || wide == ('n' & 31))
        to += wide == ('p' & 31) ? -page : page;
    else if (tui_is_enter(key, wide) || wide == 'q') {
        tui_panel_close(ui);
        return true;
    } else
        return false;
    ui->panel_top = to < 0 ? 0 : to > last ? last : to;
    return true;
}

// ---- help ----

#define HELP_WIDE 70 // below, what a key does stands on a line of its own

static int help_lines(struct tui *ui, size_t *keys, size_t *commands)
{
    const char *unused, *also;
    for (*keys = 0; tui_key_help(*keys, &unused, &also);)
        ++*keys;
    ui->api->commands(ui->app, commands);
    return (int)(*keys + *commands + 1) * (ui->cols < HELP_WIDE ? 2 : 1);
}

static int help_wanted(struct tui *ui)
{
    size_t keys, commands;
    return help_lines(ui, &keys, &commands);
}

static void help_draw(struct tui *ui, int rows, int cols)
{
    size_t keys, commands;
    int lines = help_lines(ui, &keys, &commands);
    const struct dt_command *command = ui->api->commands(ui->app, &commands);
    bool two = ui->cols < HELP_WIDE;
    int left = two ? 4 : 36;
    for (int y = 0; y < rows && ui->panel_top + y < lines; y++) {
        size_t line = (size_t)(ui->panel_top + y), i = two ? line / 2 : line;
        const char *key = "", *help = "";
        char head[128];
        if (i < keys) {
            tui_key_help(i, &key, &help);
            dt_format(head, sizeof head, "%s", key);
        } else if (i == keys) {
            dt_format(head, sizeof head, "Commands (unique beginnings do):");
        } else {
            dt_format(head, sizeof head, "/%s %s", command[i - keys - 1].name,
                      command[i - keys - 1].arguments);
            help = command[i - keys - 1].help;
        }
        wmove(ui->panel_window, y + 1, 0);
        if (!two || line % 2 == 0)
            tui_put(ui, ui->panel_window, TUI_PAINT_USER, head, strlen(head),
                    *help && !two ? left - 1 : cols);
        if (two ? line % 2 == 0 : !*help)
            continue;
        wmove(ui->panel_window, y + 1, left);
        tui_put(ui, ui->panel_window, TUI_PAINT_PLAIN, help, strlen(help), cols - left);
    }
}

static bool help_key(struct tui *ui, int key, wint_t wide)
{
    size_t keys, commands;
    return reading_key(ui, key, wide, help_lines(ui, &keys, &commands));
}

// ---- what a command printed ----

static int output_lines(struct tui *ui)
{
    int lines = 0;
    for (const char *p = ui->output ? ui->output : ""; *p; p++)
        lines += *p == '\n' || !p[1];
    return lines;
}

static void output_draw(struct tui *ui, int rows, int cols)
{
    const char *line = ui->output ? ui->output : "";
    for (int i = 0; i < ui->panel_top && *line; i++) {
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    for (int y = 0; y < rows && *line; y++) {
        size_t n = strcspn(line, "\n");
        wmove(ui->panel_window, y + 1, 0);
        tui_put(ui, ui->panel_window, TUI_PAINT_PLAIN, line, n, cols);
        line += n;
        line += *line == '\n';
    }
}

static bool output_key(struct tui *ui, int key, wint_t wide)
{
    return reading_key(ui, key, wide, output_lines(ui));
}

// ---- sampling ----

static const int sampling_rows[] = {
    DT_SET_TEMPERATURE,    DT_SET_TOP_P, DT_SET_TOP_K,  DT_SET_MIN_P,
    DT_SET_REPEAT_PENALTY, DT_SET_SEED,  DT_SET_LENGTH,
};
#define SAMPLING_COUNT ((int)(sizeof sampling_rows / sizeof *sampling_rows))

static int sampling_wanted(struct tui *ui)
{
    (void)ui;
    return SAMPLING_COUNT + 2;
}

static void sampling_draw(struct tui *ui, int rows, int cols)
{
    size_t count;
    const struct dt_setting *settings = ui->api->settings(ui->app, &count);
    int list = rows > SAMPLING_COUNT ? SAMPLING_COUNT : rows,
        top = tui_list_top(ui, list, SAMPLING_COUNT);
    for (int y = 0; y < list && top + y < SAMPLING_COUNT; y++) {
        int id = sampling_rows[top + y];
        const struct dt_setting *s = &settings[id];
        enum tui_paint paint = tui_list_row(ui, y, top + y);
        bool typing = top + y == ui->selected && ui->entry_length;
        char value[40];
        const char *now = ui->api->get(ui->app, id);
        if (typing)
            dt_format(value, sizeof value, "%s", ui->entry);
        else
            dt_format(value, sizeof value, "%.24s", now);
        tui_putf(ui, ui->panel_window, paint, 16, "%-15s ", s->name);
        tui_putf(ui, ui->panel_window, paint, 12, "%s%-11s", value, typing ? "_" : "");
        double most = id == DT_SET_TEMPERATURE ? 2
                      : id == DT_SET_LENGTH    ? 1024
                      : id == DT_SET_TOP_K     ? 200
                                               : s->maximum;
        if (cols >= 60 && id != DT_SET_SEED) {
            wmove(ui->panel_window, y + 1, 32);
            tui_put_bar(ui, ui->panel_window, TUI_PAINT_NOTICE,
                        (strtod(value, NULL) - s->minimum) / (most - s->minimum), 12);
        }
        if (cols >= 120) {
            wmove(ui->panel_window, y + 1, 46);
            tui_put(ui, ui->panel_window, TUI_PAINT_NOTICE, s->help, strlen(s->help), cols - 46);
        }
    }
    if (rows > SAMPLING_COUNT + (cols < 120) && cols < 120) {
        const char *help = settings[sampling_rows[ui->selected]].help;
        wmove(ui->panel_window, rows - 1, 2);
        tui_put(ui, ui->panel_window, TUI_PAINT_PLAIN, help, strlen(help), cols - 2);
    }
    if (rows > SAMPLING_COUNT) {
        wmove(ui->panel_window, rows, 2);
        static const char hint[] =
            "Left/Right change, also while it tells; digits and Enter set; Esc closes";
        tui_put(ui, ui->panel_window, TUI_PAINT_NOTICE, hint, sizeof hint - 1, cols - 2);
    }
}

static void set_typed(struct tui *ui, int id)
{
    struct dt_error err = {0};
    char line[800];
    if (ui->entry_length && ui->api->set(ui->app, id, ui->entry, &err) != DT_OK)
        tui_say(ui, TUI_VOICE_ERROR, dt_error_line(&err, line, sizeof line));
    ui->entry_length = 0;
    ui->entry[0] = 0;
}

static bool sampling_key(struct tui *ui, int key, wint_t wide)
{
    struct dt_error err = {0};
    char line[800];
    int id = sampling_rows[ui->selected];
    int steps = key == KEY_RIGHT || wide == '+'                         ? 1
                : key == KEY_LEFT || (wide == '-' && !ui->entry_length) ? -1
                                                                        : 0;
    if (steps) {
        if (ui->api->step(ui->app, id, steps, &err) != DT_OK)
            tui_say(ui, TUI_VOICE_ERROR, dt_error_line(&err, line, sizeof line));
        return true;
    }
    if ((wide >= '0' && wide <= '9') || wide == '.') {
        if (ui->entry_length < 20) {
            ui->entry[ui->entry_length++] = (char)wide;
            ui->entry[ui->entry_length] = 0;
        }
        return true;
    }
    if (ui->entry_length && (wide == 127 || wide == 8 || key == KEY_BACKSPACE)) {
        ui->entry[--ui->entry_length] = 0;
        return true;
    }
    if (tui_is_enter(key, wide)) {
        set_typed(ui, id);
        return true;
    }
    if (key == KEY_UP || key == KEY_DOWN)
        set_typed(ui, id);
    return tui_list_key(ui, key, wide, SAMPLING_COUNT);
}

// ---- backends ----

static void backends_open(struct tui *ui)
{
    size_t count;
    const struct dt_app_backend *b = ui->api->backends(ui->app, &count);
    for (size_t i = 0; i < count; i++) {
        if (b[i].in_use)
            ui->selected = (int)i;
    }
}

static int backends_wanted(struct tui *ui)
{
    size_t count;
    ui->api->backends(ui->app, &count);
    return (int)count + (ui->api->compare(ui->app) ? 5 : 1);
}

// One side's text around the first difference, on one line.
static void side(struct tui *ui, int y, int cols, char letter, const struct dt_app_side *s,
                 const struct dt_app_compare *c)
{
    wmove(ui->panel_window, y, 2);
    if (s->refused) {
        tui_putf(ui, ui->panel_window, TUI_PAINT_ERROR, cols - 2, "%c %s: %s", letter, s->stack,
                 s->refused);
        return;
    }
    int used = tui_putf(ui, ui->panel_window, TUI_PAINT_USER, cols - 2,
                        "%c %-18s %8.1f tok/s %5u tokens ", letter, s->stack, s->speed, s->tokens);
    if (!c->differ || s->text_length <= c->first_difference)
        return;
    size_t from = c->first_difference > 16 ? c->first_difference - 16 : 0;
    while (from > 0 && ((unsigned char)s->text[from] & 0xC0) == 0x80)
        from--;
    tui_put(ui, ui->panel_window, TUI_PAINT_PLAIN, s->text + from, s->text_length - from,
            cols - 3 - used);
}

static void backends_draw(struct tui *ui, int rows, int cols)
{
    size_t count;
    const struct dt_app_backend *b = ui->api->backends(ui->app, &count);
    const struct dt_app_compare *c = ui->api->compare(ui->app);
    int below = c && rows > 6 ? 4 : rows > 3 ? 1 : 0, list = rows - below;
    if (list > (int)count)
        list = (int)count;
    int top = tui_list_top(ui, list, (int)count);
    for (int y = 0; y < list && top + y < (int)count; y++) {
        const struct dt_app_backend *one = &b[top + y];
        enum tui_paint paint = tui_list_row(ui, y, top + y);
        tui_putf(ui, ui->panel_window, paint, 24, "%c%-22s ", one->in_use ? '*' : ' ', one->name);
        if (one->reason)
            tui_putf(ui, ui->panel_window, TUI_PAINT_ERROR, cols - 26, "%s", one->reason);
        else if (cols < 60)
            tui_putf(ui, ui->panel_window, TUI_PAINT_NOTICE, cols - 26, "%s", one->description);
        else
            tui_putf(ui, ui->panel_window, TUI_PAINT_NOTICE, cols - 26, "score %-3d %s", one->score,
                     one->description);
    }
    if (below > 0) {
        wmove(ui->panel_window, list + 1, 2);
        static const char hint[] =
            "Enter swaps in mid-story, + stacks on top, c compares it with the one in use";
        tui_put(ui, ui->panel_window, TUI_PAINT_NOTICE, hint, sizeof hint - 1, cols - 2);
    }
    if (below < 4)
        return;
    side(ui, list + 2, cols, 'A', &c->side[0], c);
    side(ui, list + 3, cols, 'B', &c->side[1], c);
    wmove(ui->panel_window, list + 4, 2);
    if (c->differ)
        tui_putf(ui, ui->panel_window, TUI_PAINT_PLAIN, cols - 2,
                 "The greedy texts first differ at token %u (byte %zu).", c->first_token,
                 c->first_difference);
    else
        tui_putf(ui, ui->panel_window, TUI_PAINT_PLAIN, cols - 2, "The greedy texts are the same%s",
                 c->finished ? "." : " so far.");
}

static bool backends_key(struct tui *ui, int key, wint_t wide)
{
    size_t count;
    const struct dt_app_backend *b = ui->api->backends(ui->app, &count);
    if (count == 0)
        return tui_is_enter(key, wide);
    if (ui->selected >= (int)count)
        ui->selected = (int)count - 1;
    const char *name = b[ui->selected].name, *stack = ui->api->figures(ui->app)->stack;
    if (tui_is_enter(key, wide))
        tui_commandf(ui, "/backend %s", name);
    else if (wide == '+')
        tui_commandf(ui, "/backend %s+%s", stack, name);
    else if (wide == 'c')
        tui_commandf(ui, "/compare %s %s", stack, name);
    else
        return tui_list_key(ui, key, wide, (int)count);
    return true;
}

// ---- models ----

static void models_open(struct tui *ui)
{
    ui->api->find_models(ui->app);
}

static int models_wanted(struct tui *ui)
{
    size_t count;
    ui->api->models(ui->app, &count);
    return count ? (int)count : 1;
}

static void models_draw(struct tui *ui, int rows, int cols)
{
    size_t count;
    const struct dt_app_model *m = ui->api->models(ui->app, &count);
    if (count == 0) {
        wmove(ui->panel_window, 1, 2);
        tui_putf(ui, ui->panel_window, TUI_PAINT_NOTICE, cols - 2, "looking for models ...");
    }
    int top = tui_list_top(ui, rows, (int)count);
    for (int y = 0; y < rows && top + y < (int)count; y++) {
        const struct dt_app_model *one = &m[top + y];
        enum tui_paint paint = tui_list_row(ui, y, top + y);
        char file[16], own[16];
        tui_putf(ui, ui->panel_window, paint, cols >= 70 ? 32 : 20, "%c%-31s",
                 one->in_use ? '*' : ' ', one->name);
        ui_size_text(one->file_bytes, file, sizeof file);
        ui_size_text(one->own_bytes, own, sizeof own);
        int left = cols - (cols >= 70 ? 36 : 24);
        if (one->reason)
            tui_putf(ui, ui->panel_window, TUI_PAINT_ERROR, left, "%5s  %s", file, one->reason);
        else
            tui_putf(ui, ui->panel_window, TUI_PAINT_NOTICE, left,
                     "%5s +%5s own  %.1fM weights  %s", file, own, (double)one->parameters / 1e6,
                     one->format ? one->format : "");
    }
}

static bool models_key(struct tui *ui, int key, wint_t wide)
{
    size_t count;
    const struct dt_app_model *m = ui->api->models(ui->app, &count);
    if (!tui_is_enter(key, wide))
        return tui_list_key(ui, key, wide, (int)count);
    if (ui->selected < (int)count) {
        char path[1024];
        dt_format(path, sizeof path, "%s", m[ui->selected].path);
        tui_panel_close(ui);
        tui_commandf(ui, "/model %s", path);
    }
    return true;
}

// ---- the table ----

const struct tui_panel tui_panels[TUI_PANEL_COUNT] = {
    [TUI_PANEL_HELP] = {"help", "Help", NULL, help_wanted, help_draw, help_key},
    [TUI_PANEL_SAMPLING] = {"sampling", "Sampling", NULL, sampling_wanted, sampling_draw,
                            sampling_key},
    [TUI_PANEL_BACKENDS] = {"backends", "Backends", backends_open, backends_wanted, backends_draw,
                            backends_key},
    [TUI_PANEL_MODELS] = {"models", "Models", models_open, models_wanted, models_draw, models_key},
    [TUI_PANEL_LIBRARY] = {"library", "Library", tui_library_open, tui_library_wanted,
                           tui_library_draw, tui_library_key},
    [TUI_PANEL_OUTPUT] = {"output", "Esc closes", NULL, output_lines, output_draw, output_key},
};
