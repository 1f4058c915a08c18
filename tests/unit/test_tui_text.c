// SPDX-License-Identifier: MIT
// The layout and the input editor of the full screen, without a screen.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../ui/tui/editor.h"
#include "../../ui/tui/layout.h"

static uint64_t seed = 0x9E3779B97F4A7C15ull;

static uint32_t pick(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

static void expect_rows(const char *text, unsigned width, const char *const *rows)
{
    struct tui_layout l;
    tui_layout_init(&l, width, 0);
    tui_layout_append(&l, TUI_TEXT_STORY, text, strlen(text));
    size_t i = 0;
    for (; rows[i]; i++) {
        assert_true(i < l.row_count);
        char row[256] = {0};
        if (l.rows[i].end > l.rows[i].begin) // not for an empty row
            memcpy(row, l.text + l.rows[i].begin, l.rows[i].end - l.rows[i].begin);
        assert_string_equal(row, rows[i]);
    }
    assert_int_equal(i, l.row_count);
    tui_layout_free(&l);
}

#define ROWS(text, width, ...) expect_rows(text, width, (const char *const[]){__VA_ARGS__, NULL})

static void wraps_at_words(void **state)
{
    (void)state;
    ROWS("", 10, "");
    ROWS("one two three", 10, "one two", "three");
    ROWS("one two three", 7, "one two", "three");
    ROWS("one\n\ntwo", 10, "one", "", "two");
    ROWS("one\n", 10, "one", "");
    ROWS("abcdefghij", 4, "abcd", "efgh", "ij");
    ROWS("a b", 1, "a", "b");
    ROWS("\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0", 4, "\xe4\xbd\xa0\xe5\xa5\xbd", "\xe4\xbd\xa0");
    ROWS("e\xcc\x81\x61", 1, "e\xcc\x81", "a");
    ROWS("\xe4\xbd\xa0", 1,
         "\xe4\xbd\xa0"); // wider than the screen: one a row
}

// Text appended in pieces has the same rows as the whole text; only break characters are missing.
static void pieces_make_the_same_rows(void **state)
{
    (void)state;
    static const char *const words[] = {"a",  "bird",         " ",         "  ", "\n", "elephant",
                                        ", ", "\xe4\xbd\xa0", "e\xcc\x81", "\t"};
    for (int round = 0; round < 300; round++) {
        struct tui_layout l, whole;
        tui_layout_init(&l, 1 + pick(30), 0);
        for (uint32_t i = pick(80); i > 0; i--) {
            const char *w = words[pick(10)];
            tui_layout_append(&l, (enum tui_text)pick(3), w, strlen(w));
        }
        if (pick(3) == 0 && l.length) { // a retry
            size_t cut = pick((uint32_t)l.length);
            while (cut && ((unsigned char)l.text[cut] & 0xC0) == 0x80)
                cut--;
            tui_layout_truncate(&l, cut);
            tui_layout_append(&l, TUI_TEXT_STORY, "again", 5);
        }
        if (pick(3) == 0)
            tui_layout_resize(&l, 1 + pick(50), pick((uint32_t)l.row_count));
        tui_layout_init(&whole, l.width, 0);
        tui_layout_append(&whole, TUI_TEXT_STORY, l.text, l.length);
        assert_int_equal(l.row_count, whole.row_count);
        size_t expected = 0;
        for (size_t i = 0; i < l.row_count; i++) {
            assert_int_equal(l.rows[i].begin, whole.rows[i].begin);
            assert_int_equal(l.rows[i].end, whole.rows[i].end);
            assert_true(l.rows[i].begin - expected <= 1);
            expected = l.rows[i].end;
            unsigned columns =
                tui_columns(l.text + l.rows[i].begin, l.rows[i].end - l.rows[i].begin, 0);
            assert_true(columns <= l.width ||
                        l.width < 8); // a tab or a wide character on a very narrow screen
        }
        assert_int_equal(expected, l.length);
        tui_layout_free(&l);
        tui_layout_free(&whole);
    }
}

static void kinds_and_trim(void **state)
{
    (void)state;
    struct tui_layout l;
    tui_layout_init(&l, 10, 0);
    tui_layout_append(&l, TUI_TEXT_USER, "you said\n", 9);
    tui_layout_append(&l, TUI_TEXT_STORY, "once upon a time there was", 26);
    assert_int_equal(tui_layout_kind(&l, 0), TUI_TEXT_USER);
    assert_int_equal(tui_layout_kind(&l, 8), TUI_TEXT_USER);
    assert_int_equal(tui_layout_kind(&l, 9), TUI_TEXT_STORY);
    assert_int_equal(tui_layout_kind(&l, 30), TUI_TEXT_STORY);
    assert_int_equal(tui_layout_trim(&l, 1000), 0);
    size_t rows = l.row_count;
    size_t gone = tui_layout_trim(&l, 12);
    assert_true(gone > 0 && l.length <= 12);
    assert_int_equal(l.row_count, rows - gone);
    assert_int_equal(tui_layout_kind(&l, 0), TUI_TEXT_STORY);
    assert_memory_equal(l.text + l.length - 3, "was", 3);
    tui_layout_free(&l);
}

static struct tui_editor *editor(const char *text)
{
    static struct tui_editor e;
    tui_editor_free(&e);
    tui_editor_init(&e);
    tui_editor_set(&e, text);
    return &e;
}

static void edits(void **state)
{
    (void)state;
    struct tui_editor *e = editor("one two");
    tui_editor_kill_word(e);
    assert_string_equal(e->text, "one ");
    tui_editor_home(e);
    tui_editor_yank(e);
    assert_string_equal(e->text, "twoone ");
    tui_editor_kill_end(e);
    assert_string_equal(e->text, "two");
    tui_editor_kill_begin(e);
    assert_string_equal(e->text, "");
    tui_editor_insert(e, "a\x1b[2J\tb\r\nc\rd", 12);
    assert_string_equal(e->text, "a[2J b\nc\nd");
    e = editor("xe\xcc\x81y");
    tui_editor_left(e);
    tui_editor_backspace(e); // deletes the letter with its accent
    assert_string_equal(e->text, "xy");
    tui_editor_delete(e);
    assert_string_equal(e->text, "x");
    char *big = malloc(TUI_EDITOR_MAX + 1);
    memset(big, 'x', TUI_EDITOR_MAX + 1);
    assert_false(tui_editor_insert(e, big, TUI_EDITOR_MAX));
    assert_string_equal(e->text, "x");
    free(big);
    tui_editor_free(e);
}

static void moves_in_lines(void **state)
{
    (void)state;
    struct tui_editor *e = editor("first line\nsecond");
    assert_true(tui_editor_up(e));
    assert_int_equal(e->cursor, 6);
    assert_true(tui_editor_down(e));
    assert_int_equal(e->cursor, 17);
    assert_false(tui_editor_down(e));
    tui_editor_word_left(e);
    assert_int_equal(e->cursor, 11);
    tui_editor_free(e);
}

static void history(void **state)
{
    (void)state;
    char out[64];
    struct tui_editor *e = editor("a red fox");
    tui_editor_finish(e, out, sizeof out);
    assert_string_equal(out, "a red fox");
    assert_string_equal(e->text, "");
    tui_editor_set(e, "a blue bird");
    tui_editor_finish(e, out, sizeof out);
    tui_editor_set(e, "a blue bird");
    tui_editor_finish(e, out, sizeof out); // not added twice
    assert_int_equal(e->history_count, 2);
    tui_editor_set(e, "draft");
    assert_true(tui_editor_up(e));
    assert_string_equal(e->text, "a blue bird");
    assert_true(tui_editor_up(e));
    assert_string_equal(e->text, "a red fox");
    assert_false(tui_editor_up(e));
    assert_true(tui_editor_down(e));
    assert_true(tui_editor_down(e));
    assert_string_equal(e->text, "draft");

    tui_editor_search(e);
    assert_true(tui_editor_search_add(e, "a", 1));
    assert_string_equal(e->text, "a blue bird");
    assert_true(tui_editor_search_again(e));
    assert_string_equal(e->text, "a red fox");
    assert_false(tui_editor_search_add(e, "z", 1));
    tui_editor_search_end(e, false);
    assert_string_equal(e->text, "draft");
    tui_editor_search(e);
    assert_true(tui_editor_search_add(e, "fox", 3));
    tui_editor_search_end(e, true);
    assert_string_equal(e->text, "a red fox");
    for (int i = 0; i < 600; i++) {
        snprintf(out, sizeof out, "entry %d", i);
        assert_true(tui_editor_remember(e, out));
    }
    assert_int_equal(e->history_count, TUI_HISTORY_MAX);
    tui_editor_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wraps_at_words), cmocka_unit_test(pieces_make_the_same_rows),
        cmocka_unit_test(kinds_and_trim), cmocka_unit_test(edits),
        cmocka_unit_test(moves_in_lines), cmocka_unit_test(history),
    };
    return cmocka_run_group_tests_name("tui_text", tests, NULL, NULL);
}
