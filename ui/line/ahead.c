// SPDX-License-Identifier: MIT
#include "ahead.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "keyboard.h"

#define CONTROL(letter) ((letter)&31)

static size_t line_begin(const struct ahead *a)
{
    size_t at = a->length;
    while (at > 0 && a->text[at - 1] != '\r')
        at--;
    return at;
}

static void erase_character(struct ahead *a)
{
    size_t begin = line_begin(a);
    if (MB_CUR_MAX > 1) {
        while (a->length > begin && ((unsigned char)a->text[a->length - 1] & 0xC0) == 0x80)
            a->length--;
    }
    a->length -= a->length > begin;
}

static void erase_word(struct ahead *a)
{
    size_t begin = line_begin(a);
    while (a->length > begin && a->text[a->length - 1] == ' ')
        a->length--;
    while (a->length > begin && a->text[a->length - 1] != ' ')
        a->length--;
}

static void append(struct ahead *a, char byte)
{
    if (a->length < sizeof a->text)
        a->text[a->length++] = byte;
}

// The keys of the driver's line editing: what came in readline's mode is not edited yet.
static void on_key(struct ahead *a, char byte)
{
    switch (byte) {
    case '\r':
        if (a->length == sizeof a->text)
            a->length--;
        append(a, '\r');
        break;
    case CONTROL('h'):
    case 127:
        erase_character(a);
        break;
    case CONTROL('u'):
        a->length = line_begin(a);
        break;
    case CONTROL('w'):
        erase_word(a);
        break;
    case CONTROL('d'):
        if (line_begin(a) == a->length) {
            append(a, CONTROL('d'));
            append(a, '\r');
        }
        break;
    default:
        if ((unsigned char)byte >= ' ' || byte == '\t' ||
            (byte == '\n' && line_begin(a) < a->length))
            append(a, byte);
    }
}

static void on_input(void *arg, enum ui_escape_kind kind, const char *bytes, size_t n)
{
    struct ahead *a = arg;
    (void)n;
    if (kind == UI_ESCAPE_ALT) // Esc and a key, since the driver has no keys with Alt
        append(a, bytes[0]);
    else if (kind == UI_ESCAPE_TEXT && !a->escape.pasting)
        on_key(a, bytes[0]);
    else if (kind == UI_ESCAPE_TEXT &&
             ((unsigned char)bytes[0] >= ' ' || bytes[0] == '\n' || bytes[0] == '\t'))
        append(a, bytes[0]);
}

void ahead_init(struct ahead *a)
{
    memset(a, 0, sizeof *a);
    a->escape.sink = on_input;
    a->escape.arg = a;
    a->enter.delay_ms = ui_escape_enter_ms(STDIN_FILENO);
}

bool ahead_read(struct ahead *a)
{
    char bytes[4096]; // the longest line of the driver
    struct pollfd wait = {STDIN_FILENO, POLLIN, 0};
    while (a->length < sizeof a->text && poll(&wait, 1, 0) == 1 && wait.revents) {
        ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n < 0)
            return errno == EINTR || errno == EAGAIN;
        if (n == 0) { // Ctrl-D, or the terminal is gone
            a->length = line_begin(a);
            on_key(a, CONTROL('d'));
            return true;
        }
        for (ssize_t i = 0; i < n; i++) {
            bool end = (bytes[i] == '\n' || bytes[i] == '\r') && !a->escape.pasting;
            if (bytes[i] == '\0')
                bytes[i] = keyboard_typed('\0');
            if (!ui_enter_repeats(&a->enter, end))
                ui_escape_push(&a->escape, end ? "\r" : bytes + i, 1);
        }
    }
    return true;
}

void ahead_follow(struct ahead *a)
{
    a->enter.after = false;
    ui_enter_repeats(&a->enter, true);
    ahead_read(a);
}

int ahead_wait_ms(struct ahead *a)
{
    return ui_enter_wait_ms(&a->enter, STDIN_FILENO);
}

void ahead_put_back(struct ahead *a, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        append(a, bytes[i]);
}

void ahead_drain(struct ahead *a, size_t edited)
{
    char bytes[1024];
    int waiting = 0;
    a->enter.after = false;
    ui_enter_repeats(&a->enter, keyboard_follows());
    while (ioctl(STDIN_FILENO, FIONREAD, &waiting) == 0 && waiting > 0) {
        ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n <= 0)
            return;
        for (size_t i = 0; i < (size_t)n && edited > 0; i++, edited--) {
            if (bytes[i] == '\r') // not the driver's form: it would be a line feed
                edited = 1;
            bytes[i] = keyboard_typed(bytes[i]);
        }
        ui_escape_push(&a->escape, bytes, (size_t)n);
    }
}

bool ahead_is_empty(const struct ahead *a)
{
    return a->length == 0;
}

const char *ahead_next(struct ahead *a)
{
    const char *end = memchr(a->text, '\r', a->length);
    if (!end)
        return NULL;
    size_t n = (size_t)(end - a->text);
    memcpy(a->line, a->text, n);
    a->line[n] = '\0';
    return a->line;
}

void ahead_remove(struct ahead *a)
{
    size_t used = strlen(a->line) + 1;
    memmove(a->text, a->text + used, a->length - used);
    a->length -= used;
}

const char *ahead_rest(struct ahead *a)
{
    ui_escape_flush(&a->escape); // the rest of a sequence or a paste comes in another mode
    if (a->length == 0)
        return NULL;
    memcpy(a->line, a->text, a->length);
    a->line[a->length] = '\0';
    a->length = 0;
    return a->line;
}
