// SPDX-License-Identifier: MIT
// The status line: its fields, and which of them are left out on a narrow screen.
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

// The last speeds as a row of bars, scaled to the fastest.
static void spark(const struct tui *ui, char *out)
{
    static const char *const blocks[] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83",
                                         "\xe2\x96\x84", "\xe2\x96\x85", "\xe2\x96\x86",
                                         "\xe2\x96\x87", "\xe2\x96\x88"};
    static const char *const shades[] = {"\xe2\x96\x91", "\xe2\x96\x91", "\xe2\x96\x92",
                                         "\xe2\x96\x92", "\xe2\x96\x93", "\xe2\x96\x93",
                                         "\xe2\x96\x88", "\xe2\x96\x88"};
    static const char *const plain[] = {"_", "_", ".", ".", "-", "-", "=", "="};
    const char *const *glyphs = ui->terminal.glyphs == TUI_GLYPHS_UTF8      ? blocks
                                : ui->terminal.glyphs == TUI_GLYPHS_CONSOLE ? shades
                                                                            : plain;
    double most = 0;
    for (int i = 0; i < ui->speed_count; i++)
        most = ui->speeds[i] > most ? ui->speeds[i] : most;
    out[0] = 0;
    for (int i = 0; i < ui->speed_count && most > 0; i++) {
        int level = (int)(ui->speeds[i] / most * 7.99);
        strcat(out, glyphs[level]);
    }
}

struct field {
    char text[64];
    int importance; // the least important is left out first
    int row, column;
};

static void number(char *out, size_t size, double value)
{
    dt_format(out, size, value < 99.95 ? "%.1f" : "%.0f", value);
}

// In the order of the screen.
enum {
    UNSAVED,
    MODEL,
    STACK,
    SLOW,
    WEIGHTS,
    PER_PASS,
    NOW,
    MEAN,
    SPARK,
    VOICE,
    CONTEXT,
    RSS,
    ANONYMOUS,
    AVAILABLE,
    FAULTS,
    SEED,
    FIELDS
};

// The file name without its extension, cut to at most `most` bytes and whole characters.
static void model_name(const char *name, size_t most, char *out, size_t size)
{
    size_t n = strlen(name);
    const char *dot = strrchr(name, '.');
    if (dot && dot > name)
        n = (size_t)(dot - name);
    if (n > most) {
        for (n = most; n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80;)
            n--;
    }
    dt_format(out, size, "%.*s", (int)n, name);
}

// While a voice reads: its real-time factor, and how many sentences wait to be read. "listening"
// outranks every field but "not saved", so that an open microphone is always visible.
static void voice(const struct tui *ui, struct field *f)
{
    const struct dt_app_voice *v = ui->api->voice(ui->app);
    if (v->listening) {
        dt_format(f->text, sizeof f->text, "listening");
        f->importance = 13;
        return;
    }
    if (!v->speaking)
        return;
    size_t n = dt_format(f->text, sizeof f->text, "voice");
    if (v->real_time_factor > 0)
        n += dt_format(f->text + n, sizeof f->text - n, " rtf %.3f", v->real_time_factor);
    if (v->waiting > 0)
        dt_format(f->text + n, sizeof f->text - n, " +%u", v->waiting);
}

static void fill(struct tui *ui, struct field *f)
{
    static const int importance[FIELDS] = {
        [UNSAVED] = 14, [MODEL] = 6, [STACK] = 11,    [SLOW] = 12,
        [NOW] = 12,     [MEAN] = 4,  [SPARK] = 2,     [VOICE] = 7,
        [CONTEXT] = 10, [RSS] = 9,   [ANONYMOUS] = 3, [AVAILABLE] = 8,
        [FAULTS] = 1,   [SEED] = 5,  [WEIGHTS] = 3,   [PER_PASS] = 2,
    };
    const struct dt_app_figures *g = ui->api->figures(ui->app);
    char rss[16], anonymous[16], available[16], now[16], mean[16];
    memset(f, 0, FIELDS * sizeof *f);
    for (int i = 0; i < FIELDS; i++)
        f[i].importance = importance[i];
    if (g->streamed) // it says why a token takes so long
        f[WEIGHTS].importance = f[PER_PASS].importance = 11;
    number(now, sizeof now, g->speed_now);
    number(mean, sizeof mean, g->speed_mean);
    if (g->unsaved)
        dt_format(f[UNSAVED].text, sizeof f[UNSAVED].text, "not saved");
    model_name(g->model, 24, f[MODEL].text, sizeof f[MODEL].text);
    dt_format(f[STACK].text, sizeof f[STACK].text, "%.40s", g->stack);
    if (g->slow)
        dt_format(f[SLOW].text, sizeof f[SLOW].text, "slow");
    dt_format(f[WEIGHTS].text, sizeof f[WEIGHTS].text, "%s", g->weights);
    if (g->per_pass >= 1.005)
        dt_format(f[PER_PASS].text, sizeof f[PER_PASS].text, "%.2f tok/pass", g->per_pass);
    dt_format(f[NOW].text, sizeof f[NOW].text, "%s tok/s", now);
    dt_format(f[MEAN].text, sizeof f[MEAN].text, "mean %s", mean);
    spark(ui, f[SPARK].text);
    voice(ui, &f[VOICE]);
    ui_context_text(g, f[CONTEXT].text, sizeof f[CONTEXT].text);
    dt_format(f[RSS].text, sizeof f[RSS].text, "rss %s",
              ui_size_text(g->memory.rss, rss, sizeof rss));
    dt_format(f[ANONYMOUS].text, sizeof f[ANONYMOUS].text, "anon %s",
              ui_size_text(g->memory.anonymous, anonymous, sizeof anonymous));
    dt_format(f[AVAILABLE].text, sizeof f[AVAILABLE].text, "avail %s",
              ui_size_text(g->memory.available, available, sizeof available));
    dt_format(f[FAULTS].text, sizeof f[FAULTS].text, "flt %.0f/s", g->major_faults_s);
    dt_format(f[SEED].text, sizeof f[SEED].text, "seed %llu", (unsigned long long)g->seed);
}

static int wide(const char *text)
{
    return (int)tui_columns(text, strlen(text), 0);
}

// Places the fields one after the other, each within one row. False if they need more rows.
static bool arrange(struct field *f, int rows, int cols)
{
    int row = 0, column = 0;
    for (int i = 0; i < FIELDS; i++) {
        if (!f[i].text[0])
            continue;
        int width = wide(f[i].text);
        if (column && column + 3 + width > cols) {
            row++;
            column = 0;
        }
        f[i].row = row;
        f[i].column = column ? column + 3 : 1; // " | " between two
        column = f[i].column + width;
        if (row >= rows || column > cols)
            return false;
    }
    return true;
}

void tui_status_draw(struct tui *ui)
{
    struct field field[FIELDS];
    fill(ui, field);
    while (!arrange(field, ui->status_rows, ui->cols)) {
        int least = -1;
        for (int i = 0; i < FIELDS; i++) {
            if (field[i].text[0] && (least < 0 || field[i].importance < field[least].importance))
                least = i;
        }
        if (least < 0)
            break;
        field[least].text[0] = 0;
    }
    const char *separator = ui->terminal.glyphs >= TUI_GLYPHS_CONSOLE ? " \xe2\x94\x82 " : " | ";
    WINDOW *w = ui->status_window;
    wbkgdset(w, ' ' | (chtype)ui->terminal.attributes[TUI_PAINT_STATUS]);
    werase(w);
    for (int i = 0; i < FIELDS; i++) {
        if (!field[i].text[0])
            continue;
        int before = field[i].column > 1 ? 3 : 1;
        wmove(w, field[i].row, field[i].column - before);
        tui_put(ui, w, TUI_PAINT_STATUS, before == 3 ? separator : " ",
                before == 3 ? strlen(separator) : 1, before);
        tui_put(ui, w, TUI_PAINT_STATUS, field[i].text, strlen(field[i].text),
                ui->cols - field[i].column);
    }
    wnoutrefresh(w);
    ui->status_dirty = false;
    ui->status_ns = tui_now();
}
