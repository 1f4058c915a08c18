// SPDX-License-Identifier: MIT
// What a terminal sends, divided into text and sequences; and characters in the input editor.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../ui/common/escape.h"
#include "../../ui/tui/editor.h"

// What the sink received: text as it is, <Esc>, <A-x>, <bytes after ESC>, <paste>, </paste>.
static char seen[65536];

static void on_input(void *arg, enum ui_escape_kind kind, const char *bytes, size_t n)
{
    static const char *const forms[] = {
        [UI_ESCAPE_TEXT] = "%.*s",
        [UI_ESCAPE_ALT] = "<A-%.*s>",
        [UI_ESCAPE_SEQUENCE] = "<%.*s>",
    };
    size_t at = strlen(seen);
    (void)arg;
    if (kind == UI_ESCAPE_ESC)
        strcat(seen, "<Esc>");
    else if (kind == UI_ESCAPE_PASTE_BEGIN)
        strcat(seen, "<paste>");
    else if (kind == UI_ESCAPE_PASTE_END)
        strcat(seen, "</paste>");
    else
        snprintf(seen + at, sizeof seen - at, forms[kind],
                 (int)(kind == UI_ESCAPE_SEQUENCE ? n - 1 : n),
                 kind == UI_ESCAPE_SEQUENCE ? bytes + 1 : bytes);
}

static bool rxvt(void *arg, const char *bytes, size_t n)
{
    (void)arg;
    return n == 4 && memcmp(bytes, "\033[7$", 4) == 0; // Shift-Home
}

static void expect(const char *input, const char *output)
{
    struct ui_escape whole = {.sink = on_input, .known = rxvt}, single = whole;
    seen[0] = '\0';
    ui_escape_push(&whole, input, strlen(input));
    ui_escape_flush(&whole);
    assert_string_equal(seen, output);
    seen[0] = '\0';
    for (const char *p = input; *p; p++)
        ui_escape_push(&single, p, 1);
    ui_escape_flush(&single);
    assert_string_equal(seen, output);
}

static void unknown_sequences_are_not_text(void **state)
{
    (void)state;
    expect("a\033[13;5ub", "a<[13;5u>b");             // Ctrl-Enter of modifyOtherKeys and kitty
    expect("\033[<64;10;12Mx", "<[<64;10;12M>x");     // an SGR mouse report
    expect("\033[M !!x", "x");                        // an X10 mouse report
    expect("\033]11;rgb:0000/0000/0000\033\\x", "x"); // OSC answers, both ends
    expect("\033]0;title\ax", "x");
    expect("\033P1+r544e=787465726d\033\\x", "x"); // DCS
    expect("\033_Gi=31;OK\033\\x", "x");           // APC
    expect("\033[?1;2cx", "<[?1;2c>x");            // device attributes
    expect("\033[24;80Rx", "<[24;80R>x");
    expect("\033[[Ax", "<[[A>x"); // F1 of the Linux console
    expect("\033OA\033OMx", "<OA><OM>x");
    expect("\033O5Cx", "<O5C>x");
    expect("\033[7$x", "<[7$>x"); // by the terminal's own table
    expect("\033[I\033[Ox", "<[I><[O>x");
    // longer than is reported: still no text
    expect("\033[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20mx", "x");
}

static void a_broken_sequence_ends(void **state)
{
    (void)state;
    expect("\033[13\rb", "\rb");           // Enter is never lost
    expect("\033]11;rgb\003b", "\003b");   // Ctrl-C ends a string without an end
    expect("\033]11;rgb\033[Ab", "<[A>b"); // so does another sequence
    expect("\033[1\033[Bx", "<[B>x");
    expect("\033]0;x\030y", "y"); // CAN
    expect("\033\033[A", "<Esc><[A>");
    expect("\033\r", "<Esc>\r");
}

static void keys_alone(void **state)
{
    (void)state;
    expect("\033", "<Esc>");
    expect("\033x", "<A-x>");
    expect("\033[", "<A-[>");
    expect("\033O", "<A-O>");
    expect("\033]", "<A-]>");
    expect("\033[1", ""); // the rest did not come
    expect("caf\303\251", "caf\303\251");
}

static void pastes(void **state)
{
    (void)state;
    expect("\033[200~one\r\ntwo\rthree\n\033[201~x", "<paste>one\ntwo\nthree\n</paste>x");
    expect("\033[200~a\033[31mb\033[Ac\033xd\033[201~", "<paste>abcxd</paste>");
    expect("\033[200~a", "<paste>a</paste>"); // the end marker was lost
    expect("\033[201~x", "x");
    expect("one\r\ntwo\r\n", "one\rtwo\r"); // without markers: one Enter a line
    expect("a\n", "a\n");
}

static void waits(void **state)
{
    (void)state;
    struct ui_escape e = {.sink = on_input};
    seen[0] = '\0';
    assert_int_equal(ui_escape_wait_ms(&e, 50), -1);
    ui_escape_push(&e, "\033", 1);
    assert_int_equal(ui_escape_wait_ms(&e, 50), 50);
    assert_int_equal(ui_escape_wait_ms(&e, 300), 300);
    ui_escape_push(&e, "[2", 2); // certainly a sequence: a slow line gets more time
    assert_true(ui_escape_wait_ms(&e, 50) >= 1000);
    ui_escape_push(&e, "00", 2);
    ui_escape_push(&e, "~text\033[20", 9); // a marker in two pieces
    assert_true(ui_escape_wait_ms(&e, 50) >= 1000);
    ui_escape_push(&e, "1~", 2);
    assert_int_equal(ui_escape_wait_ms(&e, 50), -1);
    assert_string_equal(seen, "<paste>text</paste>");
    seen[0] = '\0';
    ui_escape_push(&e, "a\r", 2);
    assert_int_equal(ui_escape_wait_ms(&e, 50), 50); // for the rest of CR LF
    ui_escape_push(&e, "\n\nb\r", 4);
    ui_escape_flush(&e);
    assert_int_equal(ui_escape_wait_ms(&e, 50), -1);
    ui_escape_push(&e, "\n", 1); // Ctrl-J
    assert_string_equal(seen, "a\r\nb\r\n");
}

static void delay(void **state)
{
    (void)state;
    setenv("TERM", "xterm-256color", 1);
    unsetenv("ESCDELAY");
    assert_int_equal(ui_escape_delay_ms(-1), 50);
    setenv("TERM", "vt100", 1); // what a getty sets on a serial line
    assert_int_equal(ui_escape_delay_ms(-1), 300);
    setenv("ESCDELAY", "120", 1);
    assert_int_equal(ui_escape_delay_ms(-1), 120);
    assert_int_equal(ui_escape_enter_ms(-1), 120);
    setenv("ESCDELAY", "soon", 1);
    assert_int_equal(ui_escape_delay_ms(-1), 300);
    unsetenv("ESCDELAY");
    assert_true(ui_escape_enter_ms(-1) < ui_escape_delay_ms(-1));
}

static void lines_of_the_driver(void **state)
{
    (void)state;
    char line[] = "Once\033[A upon\033[13;5u a \033]0;t\atime\033";
    ui_escape_strip(line);
    assert_string_equal(line, "Once upon a time");
}

// ---- the editor ----

static struct tui_editor editor;

static void set(const char *text)
{
    tui_editor_set(&editor, text);
}

static void joined_characters(void **state)
{
    (void)state;
    tui_editor_init(&editor);
    static const char *const joined[] = {
        "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7", // a family
        "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd",                                         // a skin tone
        "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa",                                         // a flag
        "\xe2\x9d\xa4\xef\xb8\x8f\xe2\x80\x8d\xf0\x9f\x94\xa5", // a heart on fire
        "e\xcc\x81",
    };
    for (size_t i = 0; i < sizeof joined / sizeof *joined; i++) {
        char text[64];
        snprintf(text, sizeof text, "a%sb", joined[i]);
        set(text);
        tui_editor_left(&editor);
        tui_editor_backspace(&editor);
        assert_string_equal(editor.text, "ab");
        set(text);
        tui_editor_home(&editor);
        tui_editor_right(&editor);
        tui_editor_delete(&editor);
        assert_string_equal(editor.text, "ab");
    }
    set("\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xab\xf0\x9f\x87\xb7"); // two flags
    tui_editor_backspace(&editor);
    assert_string_equal(editor.text, "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa");
    set("one\ntwo\n");
    tui_editor_backspace(&editor);
    assert_string_equal(editor.text, "one\ntwo");
    tui_editor_free(&editor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_sequences_are_not_text),
        cmocka_unit_test(a_broken_sequence_ends),
        cmocka_unit_test(keys_alone),
        cmocka_unit_test(pastes),
        cmocka_unit_test(waits),
        cmocka_unit_test(delay),
        cmocka_unit_test(lines_of_the_driver),
        cmocka_unit_test(joined_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
