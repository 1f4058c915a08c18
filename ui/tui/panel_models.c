// SPDX-License-Identifier: MIT
#include "../common/figures.h"
#include "base/format.h"
#include "panels.h"

void tui_models_open(struct tui *ui)
{
    ui->api->find_models(ui->app);
}

int tui_models_rows(struct tui *ui)
{
    size_t count;
    ui->api->models(ui->app, &count);
    return count ? (int)count : 1;
}

void tui_models_draw(struct tui *ui, int rows, int cols)
{
    size_t count;
    const struct dt_app_model *m = ui->api->models(ui->app, &count);
    if (count == 0) {
        wmove(ui->panel_window, 1, 2);
        tui_putf(ui, ui->panel_window, TUI_PAINT_NOTICE, cols - 2, "Looking for models...");
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
                     "%5s +%5s RAM  %.1fM weights  %s", file, own, (double)one->parameters / 1e6,
                     one->format ? one->format : "");
    }
}

bool tui_models_key(struct tui *ui, int key, wint_t wide)
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
