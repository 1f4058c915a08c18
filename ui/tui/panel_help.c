// SPDX-License-Identifier: MIT
#include <string.h>

#include "base/format.h"
#include "panels.h"

#define WIDE 70 // on a narrower screen, the help is in the row below its key

static int count_lines(struct tui *ui, size_t *keys, size_t *commands)
{
    const char *unused, *also;
    for (*keys = 0; tui_key_help(*keys, &unused, &also);)
        ++*keys;
    ui->api->commands(ui->app, commands);
    return (int)(*keys + *commands + 1) * (ui->cols < WIDE ? 2 : 1);
}

int tui_help_rows(struct tui *ui)
{
    size_t keys, commands;
    return count_lines(ui, &keys, &commands);
}

void tui_help_draw(struct tui *ui, int rows, int cols)
{
    size_t keys, commands;
    int lines = count_lines(ui, &keys, &commands);
    const struct dt_command *command = ui->api->commands(ui->app, &commands);
    bool two = ui->cols < WIDE;
    int left = two ? 4 : 36;
    for (int y = 0; y < rows && ui->panel_top + y < lines; y++) {
        size_t line = (size_t)(ui->panel_top + y), i = two ? line / 2 : line;
        const char *key = "", *help = "";
        char head[128];
        if (i < keys) {
            tui_key_help(i, &key, &help);
            dt_format(head, sizeof head, "%s", key);
        } else if (i == keys) {
            dt_format(head, sizeof head, "Commands (a unique beginning is enough):");
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

bool tui_help_key(struct tui *ui, int key, wint_t wide)
{
    size_t keys, commands;
    return tui_text_key(ui, key, wide, count_lines(ui, &keys, &commands));
}
