// SPDX-License-Identifier: MIT
#include "panels.h"

void tui_backends_open(struct tui *ui)
{
    size_t count;
    const struct dt_app_backend *b = ui->api->backends(ui->app, &count);
    for (size_t i = 0; i < count; i++) {
        if (b[i].in_use)
            ui->selected = (int)i;
    }
}

int tui_backends_rows(struct tui *ui)
{
    size_t count;
    ui->api->backends(ui->app, &count);
    return (int)count + (ui->api->compare(ui->app) ? 5 : 1);
}

// One side of the comparison in one row: its speed, and its text around the first difference.
static void draw_side(struct tui *ui, int y, int cols, char letter, const struct dt_app_side *s,
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

void tui_backends_draw(struct tui *ui, int rows, int cols)
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
            "Enter switches in mid-story, + adds on top, c compares it with the one in use";
        tui_put(ui, ui->panel_window, TUI_PAINT_NOTICE, hint, sizeof hint - 1, cols - 2);
    }
    if (below < 4)
        return;
    draw_side(ui, list + 2, cols, 'A', &c->side[0], c);
    draw_side(ui, list + 3, cols, 'B', &c->side[1], c);
    wmove(ui->panel_window, list + 4, 2);
    if (c->differ)
        tui_putf(ui, ui->panel_window, TUI_PAINT_PLAIN, cols - 2,
                 "The greedy texts differ from token %u (byte %zu) on.", c->first_token,
                 c->first_difference);
    else
        tui_putf(ui, ui->panel_window, TUI_PAINT_PLAIN, cols - 2, "The greedy texts are the same%s",
                 c->finished ? "." : " so far.");
}

bool tui_backends_key(struct tui *ui, int key, wint_t wide)
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
