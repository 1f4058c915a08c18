// SPDX-License-Identifier: MIT
#include "keyboard.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <readline/readline.h>

#include "../common/escape.h"

// readline's call-backs have no argument.
static struct {
    struct ui_escape escape;
    int delay_ms;
    uint64_t last_ns; // when the terminal last sent something
    unsigned char queue[256];
    size_t first, count;
    bool gone;
    int edited; // see keyboard_edited()
    int meta;   // argument of readline's function that sets the mode
} keyboard;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void enqueue(const char *bytes, size_t n)
{
    if (keyboard.first > 0) {
        memmove(keyboard.queue, keyboard.queue + keyboard.first, keyboard.count);
        keyboard.first = 0;
    }
    if (keyboard.count + n > sizeof keyboard.queue)
        return;
    memcpy(keyboard.queue + keyboard.count, bytes, n);
    keyboard.count += n;
}

static bool is_bound(const char *bytes, size_t n)
{
    char sequence[UI_ESCAPE_HELD + 1];
    int type = ISKMAP;
    memcpy(sequence, bytes, n);
    sequence[n] = '\0';
    return rl_function_of_keyseq(sequence, NULL, &type) != NULL && type != ISKMAP;
}

static void on_input(void *arg, enum ui_escape_kind kind, const char *bytes, size_t n)
{
    (void)arg;
    char pair[2] = {'\033', bytes[0]};
    switch (kind) {
    case UI_ESCAPE_TEXT:
    case UI_ESCAPE_ESC:
    case UI_ESCAPE_PASTE_END:
        enqueue(bytes, n);
        break;
    case UI_ESCAPE_ALT:
        if (!strchr("[O]PX^_", bytes[0])) // they would begin a sequence
            enqueue(pair, 2);
        break;
    case UI_ESCAPE_SEQUENCE:
    case UI_ESCAPE_PASTE_BEGIN:
        if (is_bound(bytes, n))
            enqueue(bytes, n);
        break;
    }
}

char keyboard_typed(char byte)
{
    return byte == '\n' ? '\r' : byte == '\0' ? 'd' & 31 : byte;
}

// Reads one byte: what follows an Enter is read during the turn, with the terminal in another mode.
static void read_some(void)
{
    char byte;
    ssize_t n = read(STDIN_FILENO, &byte, 1);
    if (n > 0) {
        keyboard.last_ns = now_ns();
        if (keyboard.edited > 0) {
            keyboard.edited--;
            if (byte == '\r') // typed since: the driver would have made a line feed of it
                keyboard.edited = 0;
            if (byte != '\n' || !keyboard.escape.after_return) // else it is part of that Enter
                byte = keyboard_typed(byte);
        }
        ui_escape_push(&keyboard.escape, &byte, 1);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        keyboard.gone = true;
    }
}

// readline asks for a byte: within a key sequence or a paste it waits for more than was read.
static int get_byte(FILE *in)
{
    (void)in;
    while (keyboard.count == 0 && !keyboard.gone) {
        struct pollfd wait = {STDIN_FILENO, POLLIN, 0};
        int ready = poll(&wait, 1, keyboard_wait_ms());
        if (ready > 0)
            read_some();
        else if (ready == 0)
            ui_escape_flush(&keyboard.escape);
        else if (errno != EINTR)
            return EOF;
    }
    if (keyboard.count == 0)
        return EOF;
    keyboard.count--;
    return keyboard.queue[keyboard.first++];
}

static int available(void)
{
    return keyboard.count > 0;
}

// What came before the terminal is in readline's mode waits in the driver's form, also what came
// after the last look at it.
static void prepare(int meta)
{
    keyboard.meta = meta;
    rl_prep_terminal(meta);
    if (ioctl(STDIN_FILENO, FIONREAD, &keyboard.edited) != 0)
        keyboard.edited = 0;
}

static int insert_newline(int count, int key)
{
    (void)count;
    (void)key;
    rl_insert_text("\n");
    return 0;
}

void keyboard_open(bool marks_pastes)
{
    rl_readline_name = "duotale"; // for conditional lines in the user's inputrc
    rl_catch_signals = 0;
    rl_catch_sigwinch = 0;
    rl_instream = stdin;
    rl_outstream = stdout;
    rl_variable_bind("enable-bracketed-paste", marks_pastes ? "on" : "off");
    rl_variable_bind("colored-stats", "off");
    memset(&keyboard, 0, sizeof keyboard);
    keyboard.escape.sink = on_input;
    keyboard.delay_ms = ui_escape_delay_ms(STDIN_FILENO);
    rl_getc_function = get_byte;
    rl_input_available_hook = available;
    rl_prep_term_function = prepare;
    rl_initialize(); // which sets these by the locale
    rl_variable_bind("input-meta", "on");
    rl_variable_bind("output-meta", "on");
    rl_variable_bind("convert-meta", "off");
    rl_bind_key('\n', insert_newline);
}

static void pass_on(const bool *asking)
{
    while (keyboard.count > 0 && *asking)
        rl_callback_read_char();
}

bool keyboard_read(const bool *asking)
{
    read_some();
    pass_on(asking);
    return !keyboard.gone;
}

int keyboard_wait_ms(void)
{
    int wait = ui_escape_wait_ms(&keyboard.escape, keyboard.delay_ms);
    uint64_t passed = (now_ns() - keyboard.last_ns) / 1000000u;
    return wait < 0 ? -1 : passed < (uint64_t)wait ? wait - (int)passed : 0;
}

void keyboard_flush(const bool *asking)
{
    ui_escape_flush(&keyboard.escape);
    pass_on(asking);
}

void keyboard_follow(bool enter)
{
    keyboard.escape.after_return = enter;
    keyboard.last_ns = now_ns();
}

bool keyboard_follows(void)
{
    return keyboard.escape.after_return;
}

size_t keyboard_edited(void)
{
    return (size_t)keyboard.edited;
}

void keyboard_release(void)
{
    rl_deprep_terminal();
}

void keyboard_resume(bool asking)
{
    rl_reset_screen_size();
    if (!asking)
        return;
    rl_deprep_terminal(); // else readline takes the mode for set
    prepare(keyboard.meta);
    rl_clear_visible_line();
    rl_on_new_line();
    rl_redisplay();
}
