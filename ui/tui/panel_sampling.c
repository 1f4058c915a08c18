// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "panels.h"

static const int settings_shown[] = {
    DT_SET_TEMPERATURE,    DT_SET_TOP_P, DT_SET_TOP_K,  DT_SET_MIN_P,
    DT_SET_REPEAT_PENALTY, DT_SET_SEED,  DT_SET_LENGTH,
};
#define COUNT ((int)(sizeof settings_shown / sizeof *settings_shown))

int tui_sampling_rows(struct tui *ui)
{
    (void)ui;
    return COUNT + 2;
}

void tui_sampling_draw(struct tui *ui, int rows, int cols)
{
    size_t count;
    const struct dt_setting *settings = ui->api->settings(ui->app, &count);
    int list = rows > COUNT ? COUNT : rows, top = tui_list_top(ui, list, COUNT);
    for (int y = 0; y < list && top + y < COUNT; y++) {
        int id = settings_shown[top + y];
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
    if (rows > COUNT + (cols < 120) && cols < 120) {
        const char *help = settings[settings_shown[ui->selected]].help;
        wmove(ui->panel_window, rows - 1, 2);
        tui_put(ui, ui->panel_window, TUI_PAINT_PLAIN, help, strlen(help), cols - 2);
    }
    if (rows > COUNT) {
        wmove(ui->panel_window, rows, 2);
        static const char hint[] =
            "Left/Right change, also during a story; digits and Enter set; Esc closes";
        tui_put(ui, ui->panel_window, TUI_PAINT_NOTICE, hint, sizeof hint - 1, cols - 2);
    }
}

static void set_typed(struct tui *ui, int id)
{
    struct dt_error err = {0};
    char line[800];
    if (ui->entry_length && ui->api->set(ui->app, id, ui->entry, &err) != DT_OK)
        tui_message(ui, TUI_TEXT_ERROR, dt_error_line(&err, line, sizeof line));
    ui->entry_length = 0;
    ui->entry[0] = 0;
}

bool tui_sampling_key(struct tui *ui, int key, wint_t wide)
{
    struct dt_error err = {0};
    char line[800];
    int id = settings_shown[ui->selected];
    int steps = key == KEY_RIGHT || wide == '+'                         ? 1
                : key == KEY_LEFT || (wide == '-' && !ui->entry_length) ? -1
                                                                        : 0;
    if (steps) {
        if (ui->api->step(ui->app, id, steps, &err) != DT_OK)
            tui_message(ui, TUI_TEXT_ERROR, dt_error_line(&err, line, sizeof line));
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
    return tui_list_key(ui, key, wide, COUNT);
}
