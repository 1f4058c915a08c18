// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "tui.h"

enum {
    COMMAND_HELP = 1,
    COMMAND_PANEL,
    COMMAND_SCRIPT,
    COMMAND_SAVE_SCREEN,
    COMMAND_REDRAW,
    COMMAND_SCROLL,
};

static const struct dt_command commands[] = {
    {"help", "[command]", "Shows the keys and the commands.", DT_COMPLETE_COMMAND, COMMAND_HELP},
    {"panel", "sampling|backends|models|library|help|none", "Opens a panel, or closes it.",
     DT_COMPLETE_NONE, COMMAND_PANEL},
    {"script", "file", "Plays keys and commands from a file.", DT_COMPLETE_FILE, COMMAND_SCRIPT},
    {"save-screen", "file", "Writes the screen to a text file.", DT_COMPLETE_FILE,
     COMMAND_SAVE_SCREEN},
    {"redraw", "", "Measures the terminal and redraws the whole screen.", DT_COMPLETE_NONE,
     COMMAND_REDRAW},
    {"scroll", "top|end|rows", "Scrolls the story: to its beginning, its end, or by rows (-5: up).",
     DT_COMPLETE_NONE, COMMAND_SCROLL},
};

void tui_command_register(struct tui *ui)
{
    ui->api->own_commands(ui->app, commands, sizeof commands / sizeof *commands);
}

static void open_panel(struct tui *ui, const char *name, size_t n)
{
    for (int i = 0; i < TUI_PANEL_OUTPUT; i++) {
        if (n && strncmp(tui_panels[i].name, name, n) == 0) {
            tui_panel_open(ui, i);
            return;
        }
    }
    if (n && strncmp("none", name, n) != 0) {
        char line[200];
        dt_format(line, sizeof line, "Unknown panel \"%.60s\". /help panel lists the panels.",
                  name);
        tui_message(ui, TUI_TEXT_ERROR, line);
    } else {
        tui_panel_close(ui);
    }
}

static void save_screen(struct tui *ui, const char *path, bool replace)
{
    char line[512];
    tui_draw(ui); // without what was on the screen before the command
    if (!replace && access(path, F_OK) == 0) {
        dt_format(line, sizeof line, "%s exists. Replace it? [y/N]", path);
        tui_message(ui, TUI_TEXT_USER, line);
        free(ui->save_to);
        ui->save_to = strdup(path);
        ui->question = ui->save_to ? TUI_QUESTION_SAVE : 0;
        ui->question_default = false;
        return;
    }
    if (tui_save_screen(ui, path))
        dt_format(line, sizeof line, "The screen was written to %s.", path);
    else
        dt_format(line, sizeof line, "%s: cannot write the screen: %s", path, strerror(errno));
    tui_message(ui, TUI_TEXT_NOTICE, line);
}

void tui_command_answer(struct tui *ui, bool yes)
{
    if (yes)
        save_screen(ui, ui->save_to, true);
    else
        tui_message(ui, TUI_TEXT_NOTICE, "The file exists; nothing was written.");
    free(ui->save_to);
    ui->save_to = NULL;
}

static void scroll_to(struct tui *ui, const char *where)
{
    size_t n = strlen(where);
    long all = (long)ui->story.row_count;
    char *end;
    long rows = strtol(where, &end, 10);
    if (n && strncmp("top", where, n) == 0) {
        tui_scroll(ui, -all);
    } else if (strncmp("end", where, n) == 0) {
        tui_scroll(ui, all);
    } else if (end != where && !*end) {
        tui_scroll(ui, rows);
    } else {
        char line[200];
        dt_format(line, sizeof line, "/scroll takes top, end or a number of rows (got \"%.60s\").",
                  where);
        tui_message(ui, TUI_TEXT_ERROR, line);
    }
}

void tui_command_run(struct tui *ui, const struct dt_app_event *event)
{
    switch (event->command->id) {
    case COMMAND_HELP:
        tui_panel_open(ui, TUI_PANEL_HELP);
        break;
    case COMMAND_PANEL:
        open_panel(ui, event->text, event->length);
        break;
    case COMMAND_SCRIPT:
        tui_script_begin(ui, event->text);
        break;
    case COMMAND_SAVE_SCREEN:
        save_screen(ui, event->text, false);
        break;
    case COMMAND_REDRAW:
        tui_measure(ui);
        break;
    case COMMAND_SCROLL:
        scroll_to(ui, event->text);
        break;
    default:
        break;
    }
}
