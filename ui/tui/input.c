// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <string.h>

#include "base/format.h"
#include "base/text.h"
#include "tui.h"

void tui_input(struct tui *ui, const char *text)
{
    size_t n = strlen(text);
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
    if (ui->charset != DT_CHARSET_UTF8) {
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

bool tui_input_read(struct tui *ui)
{
    bool any = false;
    for (int key; (key = tui_terminal_key()) != ERR; any = true) {
        if (key == 27 && !ui->pasting) { // Esc, or Alt: terminals send Esc and the character
            int next = tui_terminal_key();
            if (next == ERR) {
                tui_key(ui, 0, 27);
            } else if (next >= 32 && next < 127) {
                tui_key(ui, TUI_KEY_ALT + next, 0);
            } else {
                tui_key(ui, 0, 27);
                ungetch(next);
            }
        } else if (key > 0xFF) {
            tui_key(ui, key, 0);
        } else {
            typed(ui, (unsigned char)key);
        }
    }
    return any;
}
