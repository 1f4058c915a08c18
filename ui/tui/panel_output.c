// SPDX-License-Identifier: MIT
// The output of a command that is too long for the story.
#include <string.h>

#include "panels.h"

int tui_output_rows(struct tui *ui)
{
    int lines = 0;
    for (const char *p = ui->output ? ui->output : ""; *p; p++)
        lines += *p == '\n' || !p[1];
    return lines;
}

void tui_output_draw(struct tui *ui, int rows, int cols)
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

bool tui_output_key(struct tui *ui, int key, wint_t wide)
{
    return tui_text_key(ui, key, wide, tui_output_rows(ui));
}
