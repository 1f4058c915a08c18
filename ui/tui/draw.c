// SPDX-License-Identifier: MIT
// The division of the screen, and one frame. Only changed rows are written, and a growing story
// scrolls by the terminal's scroll region, so that a token costs few bytes on a serial line.
#include "tui.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/format.h"
#include "base/text.h"

// Whether the C library, and so curses, gives the character as many columns as base/text does. If
// not, everything to its right would be misplaced.
static bool libc_agrees(uint32_t code, int width)
{
    return code < 0x80 || wcwidth((wchar_t)code) == width;
}

static void write_encoded(struct tui *ui, WINDOW *window, const char *text, size_t n)
{
    char encoded[256 + 8];
    size_t bytes = ui->api->encode(ui->app, text, n, encoded);
    if (ui->charset != DT_CHARSET_LATIN1) {
        waddnstr(window, encoded, (int)bytes);
        return;
    }
    // Without a Latin-1 locale waddch() takes bytes from 0x80 on for controls. A horizontal line of
    // length one is drawn unchanged, and curses sends an 8-bit character that it cannot convert as
    // that byte.
    for (size_t i = 0; i < bytes; i++) {
        wchar_t wide[2] = {(unsigned char)encoded[i], 0};
        attr_t attributes;
        short pair;
        cchar_t cell;
        if (wide[0] < 0x80) {
            waddch(window, (chtype)wide[0]);
            continue;
        }
        wattr_get(window, &attributes, &pair, NULL);
        setcchar(&cell, wide, attributes, pair, NULL);
        whline_set(window, &cell, 1);
        wmove(window, getcury(window), getcurx(window) + 1);
    }
}

size_t tui_substitute(struct tui *ui, const char *text, size_t n, char *out)
{
    char bytes[TUI_SUBSTITUTE_MAX + 8];
    size_t length = ui->api->encode(ui->app, text, n, bytes);
    return ui->api->decode(ui->app, bytes, length, out);
}

size_t tui_substitute_length(const char *text, size_t n)
{
    if (n <= TUI_SUBSTITUTE_MAX)
        return n;
    size_t piece = TUI_SUBSTITUTE_MAX;
    while (piece > TUI_SUBSTITUTE_MAX - 4 && ((unsigned char)text[piece] & 0xC0) == 0x80)
        piece--; // keep characters whole
    return piece;
}

// Whether a terminal may join the character with the one before, and so move everything to its
// right: joiners, variation selectors and tags. They are left out on the screen, not in the text.
static bool joins(uint32_t code)
{
    return code == 0x200D || (code >= 0xFE00 && code <= 0xFE0F) ||
           (code >= 0xE0020 && code <= 0xE007F);
}

// A skin tone alone is a coloured square; after an emoji, some terminals draw both as one.
static bool is_skin_tone(uint32_t code)
{
    return code >= 0x1F3FB && code <= 0x1F3FF;
}

int tui_put(struct tui *ui, WINDOW *window, enum tui_paint paint, const char *text, size_t n,
            int cols)
{
    char chunk[256], substituted[3 * TUI_SUBSTITUTE_MAX + 32];
    if (ui->charset != DT_CHARSET_UTF8) { // before columns are counted: an ellipsis becomes three
        n = tui_substitute(ui, text, tui_substitute_length(text, n), substituted);
        text = substituted;
    }
    size_t filled = 0;
    int used = 0;
    wattrset(window, (int)ui->terminal.attributes[paint]);
    for (size_t at = 0; at < n;) {
        uint32_t code;
        size_t length = dt_utf8_decode(text + at, n - at, &code);
        int width = dt_text_width(code);
        if (code == '\n' || used + (width > 0 ? width : 0) > cols)
            break;
        if (width >= 0 && !joins(code)) {
            if (filled + 4 > sizeof chunk) {
                write_encoded(ui, window, chunk, filled);
                filled = 0;
            }
            if (is_skin_tone(code)) {
                memcpy(chunk + filled, "  ", 2);
                filled += 2;
            } else if (ui->charset != DT_CHARSET_UTF8 || libc_agrees(code, width)) {
                memcpy(chunk + filled, text + at, length);
                filled += length;
            } else {
                memcpy(chunk + filled, "??", (size_t)width);
                filled += (size_t)width;
            }
            used += width;
        }
        at += length;
    }
    write_encoded(ui, window, chunk, filled);
    return used;
}

int tui_putf(struct tui *ui, WINDOW *window, enum tui_paint paint, int cols, const char *format,
             ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    dt_vformat(text, sizeof text, format, args);
    va_end(args);
    return tui_put(ui, window, paint, text, strlen(text), cols);
}

void tui_put_bar(struct tui *ui, WINDOW *window, enum tui_paint paint, double share, int cols)
{
    bool utf8 = ui->terminal.glyphs >= TUI_GLYPHS_CONSOLE;
    for (int i = 0; i < cols; i++) {
        bool full = share * cols > i + 0.5;
        const char *cell = full ? utf8 ? "\xe2\x96\x88" : "#" : utf8 ? "\xe2\x96\x91" : ".";
        tui_put(ui, window, paint, cell, strlen(cell), 1);
    }
}

// ---- dividing the screen ----

static WINDOW *make_window(WINDOW *old, int rows, int cols, int row)
{
    if (old)
        delwin(old);
    if (rows <= 0)
        return NULL;
    WINDOW *w = newwin(rows, cols, row, 0);
    if (w) {
        idlok(w, TRUE);
        leaveok(w, TRUE);
    }
    return w;
}

// Wraps a text. Returns the rows it is shown in, from 1 to `most`.
static int wrapped_rows(struct tui_layout *l, const char *text, size_t n, int width, int most)
{
    unsigned columns = width > 1 ? (unsigned)width : 1;
    tui_layout_truncate(l, 0);
    if (l->width != columns)
        tui_layout_resize(l, columns, 0);
    tui_layout_append(l, TUI_TEXT_USER, text, n);
    int rows = (int)l->row_count;
    return rows < 1 || most < 1 ? 1 : rows > most ? most : rows;
}

static int input_rows(struct tui *ui)
{
    return wrapped_rows(&ui->entry_layout, ui->input.text, ui->input.length, ui->cols - 3,
                        ui->rows / 3);
}

static int message_rows(struct tui *ui)
{
    return wrapped_rows(&ui->message_layout, ui->message, strlen(ui->message), ui->cols - 1,
                        ui->rows / 5);
}

void tui_draw_sizes(struct tui *ui)
{
    getmaxyx(stdscr, ui->rows, ui->cols);
    ui->status_rows = ui->rows >= 16 && ui->cols < 140 ? 2 : 1;
    ui->message_rows = message_rows(ui);
    ui->input_rows = input_rows(ui);
    int free_rows = ui->rows - ui->status_rows - ui->message_rows - ui->input_rows;
    ui->panel_rows = 0;
    if (ui->panel != TUI_PANEL_NONE && free_rows > 3) {
        int rows = tui_panels[ui->panel].rows(ui) + 1, most = free_rows - (free_rows > 8 ? 4 : 1);
        bool text = ui->panel == TUI_PANEL_HELP || ui->panel == TUI_PANEL_OUTPUT;
        if (!text && free_rows > 12 && most > free_rows * 2 / 3)
            most = free_rows * 2 / 3; // the story stays readable above
        ui->panel_rows = rows < most ? rows : most;
    }
    ui->story_rows = free_rows - ui->panel_rows;
    if (ui->story_rows < 1)
        ui->story_rows = 1; // below the minimum size, some windows are off the screen
    int row = ui->story_rows;
    ui->story_window = make_window(ui->story_window, ui->story_rows, ui->cols, 0);
    ui->panel_window = make_window(ui->panel_window, ui->panel_rows, ui->cols, row);
    int entry_rows = ui->message_rows + ui->input_rows;
    ui->input_window = make_window(ui->input_window, entry_rows, ui->cols, row += ui->panel_rows);
    ui->status_window = make_window(ui->status_window, ui->status_rows, ui->cols, row + entry_rows);
    if (ui->story.width != (unsigned)ui->cols)
        ui->top = tui_layout_resize(&ui->story, (unsigned)ui->cols, ui->top);
    ui->drawn_top = SIZE_MAX;
    ui->dirty = ui->status_dirty = true;
    ui->status_ns = 0;
    if (!ui->terminal.headless) {
        size_t n;
        const char *bytes = tui_terminal_restore_bytes(&n);
        ui->api->crash_bytes(ui->app, bytes, n);
    }
}

void tui_draw_free(struct tui *ui)
{
    WINDOW *below[] = {ui->panel_window, ui->input_window, ui->status_window};
    bool stays = tui_terminal_stays(&ui->terminal); // then only the story is left on the screen
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        if (stays && below[i]) {
            werase(below[i]);
            wrefresh(below[i]);
        }
    }
    ui->story_window = make_window(ui->story_window, 0, 0, 0);
    ui->panel_window = make_window(ui->panel_window, 0, 0, 0);
    ui->input_window = make_window(ui->input_window, 0, 0, 0);
    ui->status_window = make_window(ui->status_window, 0, 0, 0);
}

// ---- the story ----

static size_t last_top(const struct tui *ui)
{
    size_t rows = ui->story.row_count;
    return rows > (size_t)ui->story_rows ? rows - (size_t)ui->story_rows : 0;
}

void tui_scroll(struct tui *ui, long rows)
{
    size_t last = last_top(ui);
    if (rows < 0)
        ui->top -= (size_t)-rows < ui->top ? (size_t)-rows : ui->top;
    else
        ui->top = ui->top + (size_t)rows < last ? ui->top + (size_t)rows : last;
    ui->follow = ui->top >= last;
    ui->dirty = true;
}

static enum tui_paint paint_of(enum tui_text kind)
{
    switch (kind) {
    case TUI_TEXT_USER:
        return TUI_PAINT_USER;
    case TUI_TEXT_THOUGHT:
        return TUI_PAINT_THOUGHT;
    case TUI_TEXT_NOTICE:
        return TUI_PAINT_NOTICE;
    case TUI_TEXT_ERROR:
        return TUI_PAINT_ERROR;
    case TUI_TEXT_STORY:
        break;
    }
    return TUI_PAINT_STORY;
}

static void draw_story_row(struct tui *ui, int y, size_t row)
{
    WINDOW *w = ui->story_window;
    wmove(w, y, 0);
    wattrset(w, A_NORMAL);
    wclrtoeol(w);
    if (row >= ui->story.row_count)
        return;
    const struct tui_row *r = &ui->story.rows[row];
    int column = 0;
    for (size_t at = r->begin; at < r->end;) {
        enum tui_text kind = tui_layout_kind(&ui->story, at);
        size_t end = at;
        while (end < r->end && ui->story.text[end] != '\t' &&
               tui_layout_kind(&ui->story, end) == kind)
            end++;
        column += tui_put(ui, w, paint_of(kind), ui->story.text + at, end - at, ui->cols - column);
        for (; end < r->end && ui->story.text[end] == '\t'; end++) {
            int to = (column / 8 + 1) * 8;
            for (; column < to && column < ui->cols; column++)
                tui_put(ui, w, paint_of(kind), " ", 1, 1);
        }
        at = end;
    }
}

static void draw_story(struct tui *ui)
{
    if (ui->follow || ui->top > last_top(ui))
        ui->top = last_top(ui);
    size_t from = ui->top, height = (size_t)ui->story_rows;
    if (ui->drawn_top != SIZE_MAX && ui->top >= ui->drawn_top && ui->top - ui->drawn_top < height) {
        size_t moved = ui->top - ui->drawn_top;
        if (moved) {
            scrollok(ui->story_window, TRUE);
            wscrl(ui->story_window, (int)moved);
            scrollok(ui->story_window, FALSE);
        }
        from = ui->drawn_top + height; // rows that came into view
        if (ui->changed_row < from)
            from = ui->changed_row;
        if (from < ui->top)
            from = ui->top;
    }
    for (size_t row = from; row < ui->top + height; row++) {
        if (row > ui->story.row_count && row > ui->drawn_rows && from != ui->top)
            break; // this row was empty and still is
        draw_story_row(ui, (int)(row - ui->top), row);
    }
    ui->drawn_top = ui->top;
    ui->drawn_rows = ui->story.row_count;
    ui->changed_row = ui->story.row_count ? ui->story.row_count - 1 : 0;
    if (!ui->follow) { // there is more below
        const char *mark =
            ui->terminal.glyphs >= TUI_GLYPHS_CONSOLE ? " \xe2\x86\x93 more " : " v more ";
        wmove(ui->story_window, ui->story_rows - 1, ui->cols - 9);
        tui_put(ui, ui->story_window, TUI_PAINT_SELECTED, mark, strlen(mark), 8);
        ui->changed_row =
            ui->top + height - 1 < ui->changed_row ? ui->top + height - 1 : ui->changed_row;
        ui->drawn_top = SIZE_MAX;
    }
    wnoutrefresh(ui->story_window);
}

// ---- message and input ----

// If there is too much of it, its end is shown: there a question says how to answer.
static void draw_message(struct tui *ui)
{
    const struct tui_layout *l = &ui->message_layout; // wrapped by message_rows() in this frame
    enum tui_paint paint = ui->message_kind == TUI_TEXT_ERROR  ? TUI_PAINT_ERROR
                           : ui->message_kind == TUI_TEXT_USER ? TUI_PAINT_USER
                                                               : TUI_PAINT_NOTICE;
    size_t shown = (size_t)ui->message_rows,
           first = l->row_count > shown ? l->row_count - shown : 0;
    for (size_t row = first; row < l->row_count; row++) {
        wmove(ui->input_window, (int)(row - first), 0);
        tui_put(ui, ui->input_window, paint, l->text + l->rows[row].begin,
                l->rows[row].end - l->rows[row].begin, ui->cols - 1);
    }
}

static void draw_input(struct tui *ui)
{
    WINDOW *w = ui->input_window;
    werase(w);
    draw_message(ui);

    const struct tui_layout *l =
        &ui->entry_layout; // wrapped by input_rows() at the beginning of the frame
    size_t cursor_row = 0;
    while (cursor_row + 1 < l->row_count && l->rows[cursor_row + 1].begin <= ui->input.cursor)
        cursor_row++;
    size_t first =
        cursor_row >= (size_t)ui->input_rows ? cursor_row - (size_t)ui->input_rows + 1 : 0;
    const char *mark = ui->input.searching ? "? " : ui->editing ? "# " : "> ";
    for (size_t row = first; row < l->row_count && row < first + (size_t)ui->input_rows; row++) {
        wmove(w, (int)(row - first) + ui->message_rows, 0);
        tui_put(ui, w, TUI_PAINT_TITLE, row == 0 ? mark : "  ", 2, 2);
        tui_put(ui, w, TUI_PAINT_PLAIN, l->text + l->rows[row].begin,
                l->rows[row].end - l->rows[row].begin, ui->cols - 3);
    }
    size_t begin = l->rows ? l->rows[cursor_row].begin : 0;
    int column = 2 + (int)tui_columns(ui->input.text + begin, ui->input.cursor - begin, 0);

    // While a story is generated and nothing is typed, the cursor stays at the end of the story:
    // moving it to the input and back would cost bytes for every token.
    enum dt_app_state state = ui->api->state(ui->app);
    bool at_story = state == DT_APP_GENERATING && ui->input.length == 0 && ui->follow &&
                    ui->panel == TUI_PANEL_NONE && ui->story.row_count > 0;
    leaveok(w, at_story ? TRUE : FALSE);
    leaveok(ui->story_window, at_story ? FALSE : TRUE);
    wmove(w, (int)(cursor_row - first) + ui->message_rows,
          column < ui->cols ? column : ui->cols - 1);
    wnoutrefresh(w);
    if (at_story) {
        const struct tui_row *last = &ui->story.rows[ui->story.row_count - 1];
        int x = (int)tui_columns(ui->story.text + last->begin, last->end - last->begin, 0);
        wmove(ui->story_window, (int)(ui->story.row_count - 1 - ui->top),
              x < ui->cols ? x : ui->cols - 1);
        wnoutrefresh(ui->story_window);
    }
}

// Draws a horizontal line in the title row of the panel from column `from` to before column `to`.
static void draw_rule(struct tui *ui, int from, int to)
{
    for (int column = from; column < to; column++) {
        if (ui->terminal.glyphs >= TUI_GLYPHS_CONSOLE)
            tui_put(ui, ui->panel_window, TUI_PAINT_TITLE, "\xe2\x94\x80", 3, 1);
        else if (ui->terminal.glyphs == TUI_GLYPHS_ACS)
            waddch(ui->panel_window, ACS_HLINE);
        else
            waddch(ui->panel_window, '-');
    }
}

static void draw_panel(struct tui *ui)
{
    const struct tui_panel *panel = &tui_panels[ui->panel];
    werase(ui->panel_window);
    wmove(ui->panel_window, 0, 0);
    draw_rule(ui, 0, 2);
    int used = tui_putf(ui, ui->panel_window, TUI_PAINT_TITLE, ui->cols - 3, " %s ", panel->title);
    draw_rule(ui, 2 + used, ui->cols);
    panel->draw(ui, ui->panel_rows - 1, ui->cols);
    wnoutrefresh(ui->panel_window);
}

void tui_draw(struct tui *ui)
{
    if (input_rows(ui) != ui->input_rows || message_rows(ui) != ui->message_rows)
        tui_draw_sizes(ui);
    if (!ui->story_window || !ui->input_window || !ui->status_window)
        return; // the screen is too small, or there is no memory for windows
    if (ui->dirty) {
        draw_story(ui);
        if (ui->panel_window)
            draw_panel(ui);
    }
    if (ui->status_dirty && tui_now() - ui->status_ns >= TUI_STATUS_NS)
        tui_status_draw(ui);
    draw_input(ui); // last, because it places the cursor
    ui->dirty = false;
    doupdate();
}

// ---- the screen as text ----

bool tui_save_screen(struct tui *ui, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    for (int y = 0; y < ui->rows; y++) {
        char line[4096];
        size_t n = 0, trimmed = 0;
        for (int x = 0; x < ui->cols && n < sizeof line - 64; x++) {
            cchar_t cell;
            wchar_t wide[CCHARW_MAX + 1] = {0};
            attr_t attributes;
            short pair;
            if (mvwin_wch(curscr, y, x, &cell) == ERR ||
                getcchar(&cell, wide, &attributes, &pair, NULL) == ERR)
                continue;
            for (int i = 0; i < CCHARW_MAX && wide[i]; i++) {
                if (attributes & A_ALTCHARSET)
                    line[n++] = wide[i] == 'q' ? '-' : wide[i] == 'x' ? '|' : '+';
                else
                    n += dt_utf8_encode((uint32_t)wide[i], line + n);
            }
            if (n && line[n - 1] != ' ')
                trimmed = n;
            int width = dt_text_width((uint32_t)wide[0]);
            if (width == 2)
                x++; // the second half of a wide character is another cell
        }
        fwrite(line, 1, trimmed, f);
        fputc('\n', f);
    }
    bool good = !ferror(f);
    return fclose(f) == 0 && good;
}
