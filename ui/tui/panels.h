// SPDX-License-Identifier: MIT
// What panels share.
#ifndef DT_UI_TUI_PANELS_H
#define DT_UI_TUI_PANELS_H

#include "tui.h"

// Arrow and page keys over a list of count rows: true if it was one.
bool tui_list_key(struct tui *ui, int key, wint_t wide, int count);
// The first row shown, so that the selected one is in view of `rows`.
int tui_list_top(struct tui *ui, int rows, int count);
// Moves to row y of the panel and marks it when index is selected; returns how to paint it.
enum tui_paint tui_list_row(struct tui *ui, int y, int index);
bool tui_is_enter(int key, wint_t wide);

// panel_library.c
void tui_library_open(struct tui *ui);
int tui_library_wanted(struct tui *ui);
void tui_library_draw(struct tui *ui, int rows, int cols);
bool tui_library_key(struct tui *ui, int key, wint_t wide);

#endif
