// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/text.h"
#include "tui.h"

void tui_input(struct tui *ui, const char *text)
{
    size_t n = strlen(text);
    ui->entered = true;
    if (ui->editing ? ui->api->edit(ui->app, text, n) : ui->api->input(ui->app, text, n)) {
        ui->editing = false;
        bool command = *text == '/' && text[1] != '/';
        ui->follow |= !command; // a command leaves the story where it is scrolled to
    } else {
        tui_editor_set(&ui->input, text); // refused: nothing typed is lost
    }
    ui->dirty = true;
}

void tui_commandf(struct tui *ui, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    dt_vformat(line, sizeof line, format, args);
    va_end(args);
    ui->api->input(ui->app, line, strlen(line));
}

// One typed byte. The bytes of a character may arrive one by one over a slow line.
static void typed(struct tui *ui, unsigned char byte)
{
    if (ui->charset == DT_CHARSET_LATIN1) {
        char bytes[16];
        uint32_t code = byte;
        size_t n = byte >= 0x80 ? ui->api->decode(ui->app, (const char *)&byte, 1, bytes) : 0;
        if (n)
            dt_utf8_decode(bytes, n, &code);
        tui_key(ui, 0, (wint_t)code);
        return;
    }
    if (byte < 0x80 || byte >= 0xC0)
        ui->typed_length = 0; // the bytes before were no whole character
    ui->typed[ui->typed_length++] = (char)byte;
    unsigned char lead = (unsigned char)ui->typed[0];
    size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (ui->typed_length < size)
        return;
    uint32_t code;
    size_t n = dt_utf8_decode(ui->typed, ui->typed_length, &code);
    bool whole = n == ui->typed_length && (code != DT_REPLACEMENT || n == 3);
    ui->typed_length = 0;
    if (whole)
        tui_key(ui, 0, (wint_t)code);
}

static void on_input(void *arg, enum ui_escape_kind kind, const char *bytes, size_t n)
{
    struct tui *ui = arg;
    int key;
    if (ui->entered) {
        ui->entered = false;
        tui_handle_events(ui);
    }
    if (ui->quit)
        return;
    ui->scripts_begun = 0;
    if (kind == UI_ESCAPE_TEXT && bytes[0] == ('c' & 31))
        tui_script_end(ui);
    switch (kind) {
    case UI_ESCAPE_TEXT:
        typed(ui, (unsigned char)bytes[0]);
        break;
    case UI_ESCAPE_ESC:
        tui_key(ui, 0, 27);
        break;
    case UI_ESCAPE_ALT:
        tui_key(ui, TUI_KEY_ALT + (unsigned char)bytes[0], 0);
        break;
    case UI_ESCAPE_SEQUENCE:
        key = tui_terminal_find_key(bytes, n);
        if (key) // else it is a key, a mouse report or an answer that has no use here
            tui_key(ui, key, 0);
        break;
    case UI_ESCAPE_PASTE_BEGIN:
        tui_key(ui, TUI_KEY_PASTE_BEGIN, 0);
        break;
    case UI_ESCAPE_PASTE_END:
        tui_key(ui, TUI_KEY_PASTE_END, 0);
        break;
    }
}

static bool is_whole_key(void *arg, const char *bytes, size_t n)
{
    (void)arg;
    return tui_terminal_is_whole_key(bytes, n);
}

void tui_input_init(struct tui *ui)
{
    ui->escape = (struct ui_escape){.sink = on_input, .known = is_whole_key, .arg = ui};
    ui->escape_delay_ms = ui_escape_delay_ms(STDIN_FILENO);
}

bool tui_input_read(struct tui *ui)
{
    char bytes[1024];
    int n = 0;
    while (!ui->quit && (n = tui_terminal_read(bytes, sizeof bytes)) > 0) {
        ui->input_ns = tui_now();
        ui_escape_push(&ui->escape, bytes, (size_t)n);
    }
    return ui->quit || n == 0;
}

int tui_input_wait_ms(struct tui *ui)
{
    int wait = ui_escape_wait_ms(&ui->escape, ui->escape_delay_ms);
    if (wait < 0)
        return -1;
    uint64_t passed = (tui_now() - ui->input_ns) / 1000000u;
    if (passed < (uint64_t)wait)
        return wait - (int)passed;
    ui_escape_flush(&ui->escape);
    return -1;
}
