// SPDX-License-Identifier: MIT
// The panels, one a file, and the functions they share.
#ifndef DT_UI_TUI_PANELS_H
#define DT_UI_TUI_PANELS_H

#include "tui.h"

// ---- panels.c ----

// Arrow and page keys in a list of `count` rows. True if the key is one of them.
bool tui_list_key(struct tui *ui, int key, wint_t wide, int count);
// The first row to show, so that the selected one is among the `rows` shown.
int tui_list_top(struct tui *ui, int rows, int count);
// Moves to row y of the panel, marks it if `index` is selected, and returns its paint.
enum tui_paint tui_list_row(struct tui *ui, int y, int index);
// Arrow and page keys in a text of `lines` lines; Enter and q close it. True if the key is one of
// them.
bool tui_text_key(struct tui *ui, int key, wint_t wide, int lines);
bool tui_is_enter(int key, wint_t wide);

// ---- the panels: functions of struct tui_panel ----

int tui_help_rows(struct tui *ui);
void tui_help_draw(struct tui *ui, int rows, int cols);
bool tui_help_key(struct tui *ui, int key, wint_t wide);

int tui_sampling_rows(struct tui *ui);
void tui_sampling_draw(struct tui *ui, int rows, int cols);
bool tui_sampling_key(struct tui *ui, int key, wint_t wide);

void tui_backends_open(struct tui *ui);
int tui_backends_rows(struct tui *ui);
void tui_backends_draw(struct tui *ui, int rows, int cols);
bool tui_backends_key(struct tui *ui, int key, wint_t wide);

void tui_models_open(struct tui *ui);
int tui_models_rows(struct tui *ui);
void tui_models_draw(struct tui *ui, int rows, int cols);
bool tui_models_key(struct tui *ui, int key, wint_t wide);

void tui_library_open(struct tui *ui);
int tui_library_rows(struct tui *ui);
void tui_library_draw(struct tui *ui, int rows, int cols);
bool tui_library_key(struct tui *ui, int key, wint_t wide);

int tui_output_rows(struct tui *ui);
void tui_output_draw(struct tui *ui, int rows, int cols);
bool tui_output_key(struct tui *ui, int key, wint_t wide);

#endif
