// SPDX-License-Identifier: MIT
// The library: saved stories. Typing searches them.
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "panels.h"

#define RESULTS_MAX 50u

static void search(struct tui *ui)
{
    ui->search_id = ui->api->search(ui->app, ui->entry, 0, RESULTS_MAX);
}

void tui_library_open(struct tui *ui)
{
    search(ui); // an empty search finds the newest stories
}

int tui_library_rows(struct tui *ui)
{
    size_t count;
    ui->api->library(ui->app, &count);
    return (int)(count ? count : 1) + 2;
}

void tui_library_draw(struct tui *ui, int rows, int cols)
{
    size_t count;
    const struct dt_app_entry *e = ui->api->library(ui->app, &count);
    WINDOW *w = ui->panel_window;
    wmove(w, 1, 2);
    int used = tui_putf(ui, w, TUI_PAINT_USER, cols - 2, "search: %s_", ui->entry);
    if (cols - used > 46) {
        static const char hint[] = "Enter opens, Ctrl-E exports, Ctrl-D deletes";
        wmove(w, 1, cols - (int)sizeof hint);
        tui_put(ui, w, TUI_PAINT_NOTICE, hint, sizeof hint - 1, (int)sizeof hint);
    }
    if (count == 0) {
        wmove(w, 2, 2);
        tui_putf(ui, w, TUI_PAINT_NOTICE, cols - 2, "%s",
                 ui->entry_length ? "No matching stories." : "No stories yet.");
        return;
    }
    int list = rows - 1, top = tui_list_top(ui, list, (int)count);
    for (int y = 0; y < list && top + y < (int)count; y++) {
        const struct dt_app_entry *one = &e[top + y];
        enum tui_paint paint = tui_list_row(ui, y + 1, top + y);
        char day[32] = "";
        struct tm at;
        time_t seconds = (time_t)one->updated;
        if (localtime_r(&seconds, &at))
            strftime(day, sizeof day, "%Y-%m-%d", &at);
        int wide = cols >= 70 ? 30 : cols - 20;
        tui_putf(ui, w, paint, 18, "%c%4lld %s ", one->current ? '*' : ' ', (long long)one->id,
                 day);
        used = tui_put(ui, w, paint, one->title, strlen(one->title), wide);
        for (; used < wide; used++)
            tui_put(ui, w, paint, " ", 1, 1);
        if (cols >= 70)
            tui_putf(ui, w, TUI_PAINT_NOTICE, cols - 52, " %s", one->snippet);
    }
}

bool tui_library_key(struct tui *ui, int key, wint_t wide)
{
    size_t count;
    const struct dt_app_entry *e = ui->api->library(ui->app, &count);
    long long id = ui->selected < (int)count ? (long long)e[ui->selected].id : 0;
    if (tui_is_enter(key, wide)) {
        tui_panel_close(ui);
        if (id)
            tui_commandf(ui, "/open %lld", id);
    } else if (wide == ('e' & 31)) {
        if (id) {
            tui_commandf(ui, "/export %lld story-%lld.md", id, id);
        }
    } else if (key == KEY_DC || wide == ('d' & 31)) {
        if (id)
            tui_commandf(ui, "/delete %lld", id);
    } else if (wide == 127 || wide == 8 || key == KEY_BACKSPACE) {
        while (ui->entry_length && ((unsigned char)ui->entry[--ui->entry_length] & 0xC0) == 0x80)
            ;
        ui->entry[ui->entry_length] = 0;
        search(ui);
    } else if (!key && wide >= 32 && ui->entry_length + 5 < sizeof ui->entry) {
        ui->entry_length += dt_utf8_encode((uint32_t)wide, ui->entry + ui->entry_length);
        ui->entry[ui->entry_length] = 0;
        search(ui);
    } else {
        return tui_list_key(ui, key, wide, (int)count);
    }
    return true;
}
