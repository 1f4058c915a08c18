// SPDX-License-Identifier: MIT
// The status line: what it holds, and what gives way first when the screen is narrow.
#include <string.h>

#include "base/format.h"
#include "../common/figures.h"
#include "tui.h"

void tui_status_note_speed(struct tui *ui, double speed)
{
    if (ui->speed_count == TUI_SPARK) {
        memmove(ui->speeds, ui->speeds + 1, (TUI_SPARK - 1) * sizeof *ui->speeds);
        ui->speed_count--;
    }
    ui->speeds[ui->speed_count++] = speed;
}

// The last speeds as a line of bars, from nothing to the fastest of them.
static void spark(const struct tui *ui, char *out)
{
    static const char *const blocks[] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84",
                                         "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88"};
    static const char *const plain[] = {"_", "_", ".", ".", "-", "-", "=", "="};
    const char *const *glyphs = ui->terminal.glyphs == TUI_GLYPHS_UTF8 ? blocks : plain;
    double most = 0;
    for (int i = 0; i < ui->speed_count; i++)
        most = ui->speeds[i] > most ? ui->speeds[i] : most;
    out[0] = 0;
    for (int i = 0; i < ui->speed_count && most > 0; i++) {
        int level = (int)(ui->speeds[i] / most * 7.99);
        strcat(out, ui->fixed ? glyphs[i % 8] : glyphs[level]);
    }
}

struct field {
    char text[64];
    int importance; // the least important gives way first
};

static void number(char *out, size_t size, double value)
{
    dt_format(out, size, value < 99.95 ? "%.1f" : "%.0f", value);
}

#define FIELDS 10

// In the order they are shown.
static void fill(struct tui *ui, struct field *f)
{
    const struct dt_app_figures *g = ui->api->figures(ui->app);
    char now[16], mean[16], bars[TUI_SPARK * 3 + 1], rss[16], anonymous[16], available[16];
    spark(ui, bars);
    number(now, sizeof now, ui->fixed ? 12.3 : g->speed_now);
    number(mean, sizeof mean, ui->fixed ? 12.3 : g->speed_mean);
    ui_size_text(ui->fixed ? 10 << 20 : g->memory.rss, rss, sizeof rss);
    ui_size_text(ui->fixed ? 4 << 20 : g->memory.anonymous, anonymous, sizeof anonymous);
    ui_size_text(ui->fixed ? 1ull << 30 : g->memory.available, available, sizeof available);
    memset(f, 0, FIELDS * sizeof *f);
    const struct {
        int importance;
        const char *format, *value;
    } texts[] = {
        {6, "%s", g->model},           {7, "%s", ui->fixed ? "reference" : g->stack}, {9, "%s tok/s", now},
        {4, "mean %s", mean},          {3, "%s", bars},                               {8, "", NULL},
        {5, "rss %s", rss},            {2, "anon %s", anonymous},                     {5, "free %s", available},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        f[i].importance = texts[i].importance;
        if (texts[i].value && *texts[i].value)
            dt_format(f[i].text, sizeof f[i].text, "%.24s", texts[i].value);
        if (texts[i].value && *texts[i].value && strcmp(texts[i].format, "%s") != 0) {
            const char *mark = strstr(texts[i].format, "%s");
            dt_format(f[i].text, sizeof f[i].text, "%.*s%s%s", (int)(mark - texts[i].format), texts[i].format,
                      texts[i].value, mark + 2);
        }
    }
    dt_format(f[4].text, sizeof f[4].text, "%s", bars); // multi-byte: not cut
    dt_format(f[5].text, sizeof f[5].text, "ctx %u/%u", g->context_used, g->context_total);
    f[9].importance = 1;
    dt_format(f[9].text, sizeof f[9].text, "flt %.0f/s seed %llu", ui->fixed ? 0.0 : g->major_faults_s,
              (unsigned long long)g->seed);
}

static int wide(const char *text)
{
    return (int)tui_columns(text, strlen(text), 0);
}

void tui_status_draw(struct tui *ui)
{
    struct field field[FIELDS];
    fill(ui, field);
    const char *separator = ui->terminal.glyphs == TUI_GLYPHS_UTF8 ? " \xe2\x94\x82 " : " | ";
    int room = ui->status_rows * (ui->cols - 1), total = 0;
    for (int i = 0; i < FIELDS; i++)
        total += field[i].text[0] ? wide(field[i].text) + 3 : 0;
    while (total > room - (ui->status_rows - 1) * 20) { // a field is not torn over two rows: leave slack
        int least = -1;
        for (int i = 0; i < FIELDS; i++) {
            if (field[i].text[0] && (least < 0 || field[i].importance < field[least].importance))
                least = i;
        }
        if (least < 0)
            break;
        total -= wide(field[least].text) + 3;
        field[least].text[0] = 0;
    }
    WINDOW *w = ui->status_window;
    attr_t attributes = ui->terminal.attributes[TUI_PAINT_STATUS];
    wbkgdset(w, ' ' | attributes);
    werase(w);
    int row = 0, column = 0;
    for (int i = 0; i < FIELDS; i++) {
        if (!field[i].text[0])
            continue;
        int width = wide(field[i].text) + (column ? 3 : 1);
        if (column && column + width > ui->cols - 1 && row + 1 < ui->status_rows) {
            row++;
            column = 0;
            width -= 2;
        }
        wmove(w, row, column);
        tui_put(ui, w, TUI_PAINT_STATUS, column ? separator : " ", column ? strlen(separator) : 1, ui->cols - column);
        tui_put(ui, w, TUI_PAINT_STATUS, field[i].text, strlen(field[i].text), ui->cols - column - width + wide(field[i].text));
        column += width;
    }
    wnoutrefresh(w);
    ui->status_dirty = false;
    ui->status_ns = tui_now();
}
