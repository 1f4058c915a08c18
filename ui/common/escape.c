// SPDX-License-Identifier: MIT
#include "escape.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define ESC            '\033'
#define SEQUENCE_MS    1000 // between two bytes of a sequence that has begun without doubt
#define PASTE_MS       3000 // between two bytes of a paste
#define LOCAL_DELAY_MS 50
// A line of 300 bit/s sends 30 bytes a second; buffers on the way add to that.
#define SERIAL_DELAY_MS 300
// Two Enters of a hand are further apart.
#define LOCAL_ENTER_MS  10
#define SERIAL_ENTER_MS 60

enum state {
    TEXT = 0,
    BEGUN,      // after ESC
    CSI,        // after ESC [
    SS3,        // after ESC O
    ONE_MORE,   // after ESC [ [: the Linux console's F1 to F5
    MOUSE,      // after ESC [ M: three bytes follow
    STRING,     // OSC, DCS, SOS, PM, APC: until ST or BEL
    STRING_ESC, // ESC in one of them: \ follows, or another sequence
};

static void report(struct ui_escape *e, enum ui_escape_kind kind, const char *bytes, size_t n)
{
    e->state = TEXT;
    if (e->pasting && kind == UI_ESCAPE_ALT)
        kind = UI_ESCAPE_TEXT; // the character belongs to the paste, the ESC before it does not
    if (e->pasting && kind != UI_ESCAPE_TEXT && kind != UI_ESCAPE_PASTE_BEGIN)
        return;
    e->sink(e->arg, kind, bytes, n);
}

static void end_paste(struct ui_escape *e)
{
    e->pasting = false;
    report(e, UI_ESCAPE_PASTE_END, "\033[201~", 6);
}

static void begin(struct ui_escape *e)
{
    e->state = BEGUN;
    e->held[0] = ESC;
    e->length = 1;
}

static void hold(struct ui_escape *e, char byte)
{
    if (e->length < UI_ESCAPE_HELD)
        e->held[e->length] = byte;
    e->length += e->length <= UI_ESCAPE_HELD;
}

// The sequence is complete.
static void finish(struct ui_escape *e)
{
    e->state = TEXT;
    if (e->length == 6 && memcmp(e->held, "\033[200~", 6) == 0) {
        if (!e->pasting)
            report(e, UI_ESCAPE_PASTE_BEGIN, e->held, 6);
        e->pasting = true;
    } else if (e->length == 6 && memcmp(e->held, "\033[201~", 6) == 0) {
        if (e->pasting)
            end_paste(e);
    } else if (e->length <= UI_ESCAPE_HELD) {
        report(e, UI_ESCAPE_SEQUENCE, e->held, e->length);
    }
}

static void text(struct ui_escape *e, char byte)
{
    bool feed_after_return = byte == '\n' && e->after_return;
    e->state = TEXT;
    e->after_return = byte == '\r';
    if (byte == ESC) {
        begin(e);
        return;
    }
    if (feed_after_return)
        return;
    if (e->pasting && byte == '\r')
        byte = '\n';
    report(e, UI_ESCAPE_TEXT, &byte, 1);
}

static bool is_known(const struct ui_escape *e)
{
    return e->known && e->length <= UI_ESCAPE_HELD && e->known(e->arg, e->held, e->length);
}

static bool is_control(char byte)
{
    return (unsigned char)byte < 0x20 || (unsigned char)byte >= 0x7F;
}

static void after_escape(struct ui_escape *e, char byte)
{
    if (byte == ESC) {
        report(e, UI_ESCAPE_ESC, "\033", 1);
        begin(e);
        return;
    }
    hold(e, byte);
    if (is_known(e)) {
        finish(e);
        return;
    }
    switch (byte) {
    case '[':
        e->state = CSI;
        break;
    case 'O':
        e->state = SS3;
        break;
    case ']': // OSC
    case 'P': // DCS
    case 'X': // SOS
    case '^': // PM
    case '_': // APC
        e->state = STRING;
        break;
    default:
        if (is_control(byte)) {
            report(e, UI_ESCAPE_ESC, "\033", 1);
            text(e, byte);
        } else {
            report(e, UI_ESCAPE_ALT, &byte, 1);
        }
    }
}

// A byte of a control sequence or a single shift.
static void in_sequence(struct ui_escape *e, char byte)
{
    if (is_control(byte)) { // not part of any sequence: what came before is dropped
        text(e, byte);
        return;
    }
    hold(e, byte);
    if (is_known(e) || e->state == ONE_MORE) {
        finish(e);
    } else if (e->state == SS3) {
        if (byte < '0' || byte > ';') // parameters of modified keys
            finish(e);
    } else if (byte == '[' && e->length == 3) {
        e->state = ONE_MORE;
    } else if (byte == 'M' && e->length == 3) {
        e->state = MOUSE;
        e->skip = 3;
    } else if (byte >= '@') {
        finish(e);
    }
}

static void push(struct ui_escape *e, char byte)
{
    switch ((enum state)e->state) {
    case TEXT:
        text(e, byte);
        break;
    case BEGUN:
        after_escape(e, byte);
        break;
    case CSI:
    case SS3:
    case ONE_MORE:
        in_sequence(e, byte);
        break;
    case MOUSE:
        if ((unsigned char)byte < 0x20)
            text(e, byte);
        else if (--e->skip == 0)
            e->state = TEXT;
        break;
    case STRING:
        if (byte == ESC)
            e->state = STRING_ESC;
        else if (byte == '\a' || byte == '\030' || byte == '\032') // BEL, CAN, SUB
            e->state = TEXT;
        else if ((unsigned char)byte < 0x20) // Enter or Ctrl-C ends a string that never ends
            text(e, byte);
        else
            hold(e, byte);
        break;
    case STRING_ESC:
        if (byte == '\\') {
            e->state = TEXT;
        } else {
            begin(e);
            after_escape(e, byte);
        }
        break;
    }
}

void ui_escape_push(struct ui_escape *e, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        push(e, bytes[i]);
}

int ui_escape_wait_ms(const struct ui_escape *e, int delay_ms)
{
    if (e->pasting)
        return PASTE_MS;
    if (e->state == TEXT)
        return e->after_return ? delay_ms : -1;
    if (e->length <= 2 && e->state != STRING_ESC)
        return delay_ms;
    return delay_ms > SEQUENCE_MS ? delay_ms : SEQUENCE_MS;
}

void ui_escape_flush(struct ui_escape *e)
{
    bool alone = e->state == BEGUN;
    bool alt = e->length == 2 && (e->state == CSI || e->state == SS3 || e->state == STRING);
    e->state = TEXT;
    e->after_return = false;
    if (e->pasting)
        end_paste(e);
    else if (alone)
        report(e, UI_ESCAPE_ESC, "\033", 1);
    else if (alt)
        report(e, UI_ESCAPE_ALT, e->held + 1, 1);
}

// Whether bytes may come one by one: not a pseudo terminal (major numbers 136 to 143) and not a
// virtual console (major 4, minor below 64). Numbers: the kernel's Documentation/admin-guide.
static bool is_serial(int fd)
{
    static const char *const names[] = {"vt100", "vt102", "vt220", "linux-serial", "dialup"};
    struct stat info;
    const char *term = getenv("TERM");
    for (size_t i = 0; term && i < sizeof names / sizeof *names; i++) {
        if (strcmp(term, names[i]) == 0)
            return true;
    }
    if (fstat(fd, &info) != 0 || !S_ISCHR(info.st_mode))
        return false;
    unsigned kind = major(info.st_rdev), number = minor(info.st_rdev);
    return !(kind >= 136 && kind <= 143) && !(kind == 4 && number < 64);
}

// ESCDELAY, or what holds without it.
static int given_or(int fd, int serial, int local)
{
    const char *given = getenv("ESCDELAY");
    char *end;
    long ms = given ? strtol(given, &end, 10) : 0;
    if (given && *given && !*end && ms > 0 && ms <= 60000)
        return (int)ms;
    return is_serial(fd) ? serial : local;
}

int ui_escape_delay_ms(int fd)
{
    return given_or(fd, SERIAL_DELAY_MS, LOCAL_DELAY_MS);
}

int ui_escape_enter_ms(int fd)
{
    return given_or(fd, SERIAL_ENTER_MS, LOCAL_ENTER_MS);
}

// ---- whole lines ----

struct line {
    char *text;
    size_t length;
};

static void keep_text(void *arg, enum ui_escape_kind kind, const char *bytes, size_t n)
{
    struct line *line = arg;
    if (kind == UI_ESCAPE_TEXT && n == 1)
        line->text[line->length++] = bytes[0]; // never ahead of the bytes that are read
}

void ui_escape_strip(char *line)
{
    struct line out = {.text = line};
    struct ui_escape e = {.sink = keep_text, .arg = &out};
    ui_escape_push(&e, line, strlen(line));
    line[out.length] = '\0';
}
