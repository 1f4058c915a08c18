// SPDX-License-Identifier: MIT
#include "panels.h"

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

bool tui_text_key(struct tui *ui, int key, wint_t wide, int lines)
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

// ---- opening ----

void tui_panel_open(struct tui *ui, int panel)
{
    if (ui->panel == panel && panel != TUI_PANEL_OUTPUT) {
        tui_panel_close(ui);
        return;
    }
    ui->panel = panel;
    ui->selected = ui->panel_top = 0;
    ui->entry_length = 0;
    ui->entry[0] = 0;
    if (tui_panels[panel].open)
        tui_panels[panel].open(ui);
    tui_draw_sizes(ui);
}

void tui_panel_close(struct tui *ui)
{
    if (ui->panel == TUI_PANEL_NONE)
        return;
    ui->panel = TUI_PANEL_NONE;
    tui_draw_sizes(ui);
}

const struct tui_panel tui_panels[TUI_PANEL_COUNT] = {
    [TUI_PANEL_HELP] = {"help", "Help", NULL, tui_help_rows, tui_help_draw, tui_help_key},
    [TUI_PANEL_SAMPLING] = {"sampling", "Sampling", NULL, tui_sampling_rows, tui_sampling_draw,
                            tui_sampling_key},
    [TUI_PANEL_BACKENDS] = {"backends", "Backends", tui_backends_open, tui_backends_rows,
                            tui_backends_draw, tui_backends_key},
    [TUI_PANEL_MODELS] = {"models", "Models", tui_models_open, tui_models_rows, tui_models_draw,
                          tui_models_key},
    [TUI_PANEL_LIBRARY] = {"library", "Library", tui_library_open, tui_library_rows,
                           tui_library_draw, tui_library_key},
    [TUI_PANEL_OUTPUT] = {"output", "Esc closes", NULL, tui_output_rows, tui_output_draw,
                          tui_output_key},
};
