// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <locale.h>
#include <wchar.h>
#include <cmocka.h>

#include "base/status.h"
#include "base/text.h"
#include "base/typed_text.h"

static uint64_t random_state = 362436069362436069u;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 20) % n);
}

static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        char out[5] = {0};
        uint32_t back;
        bool surrogate = code >= 0xD800 && code < 0xE000;
        size_t n = dt_utf8_encode(code, out);
        size_t wanted = surrogate ? 3 : code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        assert_int_equal(n, wanted);
        assert_int_equal(dt_utf8_decode(out, n, &back), n);
        assert_int_equal(back, surrogate ? DT_REPLACEMENT : code);
        assert_true(dt_utf8_valid(out, n));
        if (n > 1) { // truncated, it is invalid
            assert_false(dt_utf8_valid(out, n - 1));
            assert_int_equal(dt_utf8_decode(out, n - 1, &back), 1);
            assert_int_equal(back, DT_REPLACEMENT);
        }
    }
    char out[4];
    assert_int_equal(dt_utf8_encode(0x110000, out), 3);
    assert_memory_equal(out, "\xef\xbf\xbd", 3);
}

// Whether four bytes are valid, by the bit patterns; the shortest form is checked by encoding
// again.
static bool plainly_valid(const unsigned char *s, size_t n)
{
    uint32_t code = n == 2 ? s[0] & 0x1Fu : n == 3 ? s[0] & 0x0Fu : s[0] & 0x07u;
    if (n == 1)
        return s[0] < 0x80;
    if (n == 2 ? (s[0] & 0xE0) != 0xC0 : n == 3 ? (s[0] & 0xF0) != 0xE0 : (s[0] & 0xF8) != 0xF0)
        return false;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return false;
        code = code << 6 | (s[i] & 0x3Fu);
    }
    return code >= (n == 2   ? 0x80u
                    : n == 3 ? 0x800u
                             : 0x10000u) &&
           code < 0x110000 && (code < 0xD800 || code > 0xDFFF);
}

static void every_short_sequence(void **state)
{
    (void)state;
    for (uint32_t u = 0; u < 1u << 24; u++) {
        unsigned char s[3] = {(unsigned char)(u >> 16), (unsigned char)(u >> 8), (unsigned char)u};
        if (s[0] < 0xC0 && (u & 0xffff)) // continuation bytes and ASCII are one byte
            continue;
        size_t wanted = plainly_valid(s, 1)   ? 1
                        : plainly_valid(s, 2) ? 2
                        : plainly_valid(s, 3) ? 3
                                              : 0;
        uint32_t code;
        size_t n = dt_utf8_decode((const char *)s, 3, &code);
        if (n != (wanted ? wanted : 1) ||
            (code == DT_REPLACEMENT) != (wanted == 0 || memcmp(s, "\xef\xbf\xbd", 3) == 0))
            fail_msg("%02x %02x %02x: length %zu, code %x", s[0], s[1], s[2], n, code);
    }
    for (uint32_t i = 0; i < 4000000; i++) {
        unsigned char s[4] = {
            (unsigned char)(0xF0 + random_below(8)), (unsigned char)(0x70 + random_below(0x60)),
            (unsigned char)(0x70 + random_below(0x60)), (unsigned char)(0x70 + random_below(0x60))};
        uint32_t code;
        assert_int_equal(dt_utf8_decode((const char *)s, 4, &code), plainly_valid(s, 4) ? 4 : 1);
    }
}

static void filtered(const char *in, size_t n, const char *wanted)
{
    for (size_t cut = 0; cut <= n; cut++) {
        struct dt_text_filter filter = {0};
        char out[256];
        size_t m = dt_text_filter_push(&filter, in, cut, out);
        m += dt_text_filter_push(&filter, in + cut, n - cut, out + m);
        m += dt_text_filter_flush(&filter, out + m);
        out[m] = 0;
        assert_string_equal(out, wanted);
        assert_int_equal(filter.held_count, 0);
    }
}

#define FILTERED(in, wanted) filtered(in, sizeof in - 1, wanted)
#define BAD                  "\xef\xbf\xbd"

static void replacement_as_unicode_recommends(void **state)
{
    (void)state;
    // the examples of the Unicode Standard, tables 3-8 to 3-11
    FILTERED("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A");
    FILTERED("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A");
    FILTERED("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", BAD BAD BAD BAD BAD "A" BAD BAD "B");
    FILTERED("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", BAD BAD BAD BAD "A");
    FILTERED("\xF0\x9F\x99", BAD);
    FILTERED("\xE4\xBD\xE4\xBD\xA0", BAD "\xE4\xBD\xA0");
    FILTERED("caf\xC3\xA9 \xF0\x9F\x99\x82", "caf\xC3\xA9 \xF0\x9F\x99\x82");
}

static void control_characters(void **state)
{
    (void)state;
    FILTERED("a\x1b[2Jb\r\n\tc\0d\x7f\x9b\x07", "a[2Jb\n\tcd" BAD);
    FILTERED("\xC2\x9B"
             "31m\xC2\x85",
             "31m"); // C1 in UTF-8
    FILTERED("a\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAE"
             "b\xE2\x81\xA6"
             "c\xE2\x81\xA9",
             "abc");
    FILTERED("\xE2\x80\x94\xE2\x80\x9C\xE2\x81\xA5\xE2\x81\xAA",
             "\xE2\x80\x94\xE2\x80\x9C\xE2\x81\xA5\xE2\x81\xAA"); // adjacent codes are kept
    // every code point: what remains is printable, newline or tab
    for (uint32_t code = 0; code < 0x110000; code++) {
        char in[4], out[32];
        struct dt_text_filter filter = {0};
        size_t n = dt_utf8_encode(code, in), m = dt_text_filter_push(&filter, in, n, out);
        bool stays = code == '\n' || code == '\t' || dt_text_width(code) >= 0;
        if ((code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069))
            stays = false;
        assert_int_equal(m, stays ? n : 0);
    }
}

// Random bytes divided anywhere give the same text, valid and within the documented size; clean
// text is unchanged.
static void cleaned(const char *in, size_t n, enum dt_text_form form, const char *wanted)
{
    char out[200], tight[200];
    size_t length = dt_text_clean(out, sizeof out, in, n, form);
    assert_string_equal(out, wanted);
    assert_int_equal(length, strlen(wanted));
    assert_true(length <= n);
    assert_true(dt_utf8_valid(out, length));
    assert_true(dt_text_is_clean(out, length, form));
    assert_int_equal(dt_text_is_clean(in, n, form), length == n && memcmp(in, out, n) == 0);
    memcpy(tight, in, n); // in place, and in buffers of every size
    assert_int_equal(dt_text_clean(tight, n + 1, tight, n, form), length);
    assert_string_equal(tight, wanted);
    for (size_t size = 1; size <= length + 1; size++) {
        size_t cut = dt_text_clean(tight, size, in, n, form);
        assert_true(cut < size && cut + 4 > size - 1);
        assert_memory_equal(tight, wanted, cut);
        assert_int_equal(tight[cut], 0);
        assert_true(dt_utf8_valid(tight, cut));
    }
}

static void the_border(void **state)
{
    (void)state;
    cleaned("", 0, DT_TEXT_LINE, "");
    cleaned("a b", 3, DT_TEXT_LINE, "a b");
    cleaned("a\0b", 3, DT_TEXT_LINES, "a?b");
    cleaned("\x1b[31mred\x07\x7f", 10, DT_TEXT_LINES, "?[31mred??");
    cleaned("\xc2\x9b"
            "31m\xc2\xa0",
            7, DT_TEXT_LINE, "?31m\xc2\xa0");
    cleaned("a\n\tb\r\n", 6, DT_TEXT_LINES, "a\n\tb?\n");
    cleaned("a\n\tb\r\n", 6, DT_TEXT_LINE, "a??b??");
    cleaned("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8x", 10, DT_TEXT_LINES, "???x");
    cleaned("\xe2\x80\x8f\xd8\x9c", 5, DT_TEXT_LINES, "\xe2\x80\x8f\xd8\x9c");
    cleaned("\xe2\x80\x8f\xd8\x9c", 5, DT_TEXT_LINE, "??");
    cleaned("\xff\xed\xa0\x80\xc3", 5, DT_TEXT_LINE, "?????");
    cleaned("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x89", 9, DT_TEXT_LINE,
            "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x89");
    for (unsigned a = 0; a < 256; a++) { // every pair of bytes
        for (unsigned b = 0; b < 256; b++) {
            char pair[2] = {(char)a, (char)b}, out[3];
            size_t n = dt_text_clean(out, sizeof out, pair, 2, DT_TEXT_LINE);
            assert_true(n <= 2 && dt_text_is_clean(out, n, DT_TEXT_LINE));
        }
    }
}

static void whole_characters(void **state)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x89";
    static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    (void)state;
    for (size_t n = 0; n <= 10; n++)
        assert_int_equal(dt_utf8_whole(text, n), whole[n]);
    assert_int_equal(dt_utf8_whole("\x80\x80\x80\x80", 4), 4); // no character begins here
}

static void errors_are_clean(void **state)
{
    struct dt_error err;
    char name[600];
    (void)state;
    dt_error_set(&err, DT_FAILED, "a\x1b]0;t\x07\xc2\x9b\xff", "key %s is %s", "\xe2\x80\xae\x9b",
                 "\xc2\x9d\n");
    assert_string_equal(err.file, "a?]0;t???");
    assert_string_equal(err.message, "key ?? is ??");
    for (size_t cut = 0; cut < 4; cut++) { // long texts are cut between characters
        memset(name, 'x', cut);
        for (size_t i = cut; i + 4 < sizeof name; i += 3)
            memcpy(name + i, "\xe2\x82\xac", 4);
        dt_error_set(&err, DT_FAILED, name, "%s", name);
        assert_true(strlen(err.file) > sizeof err.file - 4);
        assert_true(strlen(err.message) > sizeof err.message - 4);
        assert_null(strchr(err.file, '?'));
        assert_null(strchr(err.message, '?'));
        assert_true(dt_utf8_valid(err.file, strlen(err.file)));
        assert_true(dt_utf8_valid(err.message, strlen(err.message)));
    }
}

static void cuts_make_no_difference(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char in[64], whole[3 * (64 + 4) + 12], pieces[64 + 3 * 68 * 8];
        size_t n = random_below(sizeof in), w = 0, p = 0;
        static const char likely[] = "\xF0\x9F\x99\x82\xE4\xBD\xA0\xC3\xA9\x80\xED\xF4\x90 a\n\x1b";
        for (size_t i = 0; i < n; i++)
            in[i] =
                random_below(4) ? likely[random_below(sizeof likely - 1)] : (char)random_below(256);
        struct dt_text_filter filter = {0};
        w = dt_text_filter_push(&filter, in, n, whole);
        assert_true(w <= 3 * (n + 4));
        w += dt_text_filter_flush(&filter, whole + w);
        for (size_t i = 0; i < n;) {
            size_t m = 1 + random_below(5);
            m = m > n - i ? n - i : m;
            p += dt_text_filter_push(&filter, in + i, m, pieces + p);
            i += m;
        }
        p += dt_text_filter_flush(&filter, pieces + p);
        assert_int_equal(p, w);
        assert_memory_equal(pieces, whole, w);
        assert_true(dt_utf8_valid(whole, w));
        char again[3 * (sizeof whole + 4)];
        size_t a = dt_text_filter_push(&filter, whole, w, again);
        assert_int_equal(a, w);
        assert_memory_equal(again, whole, w);
    }
}

static void columns(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        int width;
    } rows[] = {
        {0, -1},      {'\n', -1},   {0x1B, -1},   {0x7F, -1},   {0x9F, -1},    {' ', 1},
        {'~', 1},     {0xA0, 1},    {0xAD, 1},    {0xE9, 1},    {0x300, 0},    {0x36F, 0},
        {0x200B, 0},  {0x200D, 0},  {0xFE0F, 0},  {0x20DD, 0},  {0x4F60, 2},   {0x3042, 2},
        {0xAC00, 2},  {0x1160, 0},  {0x1100, 2},  {0xFF21, 2},  {0xFF71, 1},   {0x1F642, 2},
        {0x231A, 2},  {0x2764, 1},  {0x2500, 1},  {0x2588, 1},  {0xFFFD, 1},   {0xE000, 1},
        {0x20000, 2}, {0x2FFFD, 2}, {0x3FFFE, 1}, {0xD800, 1},  {0x10FFFF, 1}, {0x110000, 1},
        {0x0E31, 0},  {0x0600, 1},  {0xFEFF, 0},  {0xE0001, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (dt_text_width(rows[i].code) != rows[i].width)
            fail_msg("U+%04X has %d columns, expected %d", rows[i].code,
                     dt_text_width(rows[i].code), rows[i].width);
    }
    const char *text = "a\xCC\x81\xE4\xBD\xA0\n\xFF\xF0\x9F\x99\x82";
    assert_int_equal(dt_text_columns(text, strlen(text)), 1 + 0 + 2 + 0 + 1 + 2);
    assert_int_equal(dt_text_columns(text, 0), 0);
}

// The C library's table is of another Unicode version: nearly the same.
static void columns_as_the_c_library(void **state)
{
    (void)state;
#ifndef __GLIBC__
    skip();
#endif
    if (!setlocale(LC_CTYPE, "C.UTF-8")) {
        print_message("skipped: no C.UTF-8 locale\n");
        skip();
    }
    uint32_t compared = 0, differ = 0;
    for (uint32_t code = 0; code < 0x20000; code++) {
        int theirs = wcwidth((wchar_t)code);
        if (theirs < 0) // unassigned there, or a control character
            continue;
        compared++;
        if (theirs != dt_text_width(code)) {
            differ++;
            if (getenv("DT_TEST_VERBOSE"))
                print_message("U+%04X: %d, C library %d\n", code, dt_text_width(code), theirs);
        }
    }
    setlocale(LC_CTYPE, "C");
    assert_true(compared > 50000);
    assert_in_range(differ, 0, 60);
}

// A stop text is found however the stream is cut, and only what is before it comes out.
static void stop_texts(void **state)
{
    (void)state;
    static const struct {
        const char *stream, *out;
        bool found;
    } rows[] = {{"one\nUser: two", "one", true},
                {"one\nUse", "one\nUse", false},
                {"aaab", "a", true},
                {"\n\nUser:", "\n", true},
                {"xaabUser:", "x", true},
                {"\nUse\nUser:x", "\nUse", true},
                {"", "", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step < 12; step++) {
            struct dt_stop_text s = {.text = {"\nUser:", "aab"}, .count = 2};
            char out[DT_STOP_TEXT_MAX + 64];
            size_t n = strlen(rows[i].stream), all = 0, written;
            bool found = false;
            for (size_t at = 0; at < n && !found; at += step, all += written)
                found = dt_stop_text_push(&s, rows[i].stream + at, n - at < step ? n - at : step,
                                          out + all, &written);
            if (!found)
                all += dt_stop_text_flush(&s, out + all);
            assert_true(found == rows[i].found);
            assert_int_equal(all, strlen(rows[i].out));
            assert_memory_equal(out, rows[i].out, all);
        }
}

static void typed_text(void **state)
{
    (void)state;
    struct dt_error err = {0};
    char text[] = "\xef\xbb\xbf"
                  "a\r\nb\rc\r\n";
    size_t n = sizeof text - 1;
    assert_int_equal(dt_typed_text_clean(text, &n, "x", &err), DT_OK);
    assert_int_equal(n, 6);
    assert_memory_equal(text, "a\nb\rc\n", n);
    char marked[] = "\xff\xfe"
                    "a\0",
         wide[] = "a\0b\0c\0", zeros[] = "\0\0\0\0";
    n = 4;
    assert_int_equal(dt_typed_text_clean(marked, &n, "x", &err), DT_BAD_INPUT);
    n = 6;
    assert_int_equal(dt_typed_text_clean(wide, &n, "x", &err), DT_BAD_INPUT);
    n = 1; // behind the last newline of UTF-16
    assert_int_equal(dt_typed_text_clean(zeros, &n, "x", &err), DT_BAD_INPUT);
    n = 0;
    assert_int_equal(dt_typed_text_clean(zeros, &n, "x", &err), DT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(every_short_sequence),
        cmocka_unit_test(replacement_as_unicode_recommends),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(cuts_make_no_difference),
        cmocka_unit_test(the_border),
        cmocka_unit_test(whole_characters),
        cmocka_unit_test(errors_are_clean),
        cmocka_unit_test(columns),
        cmocka_unit_test(stop_texts),
        cmocka_unit_test(typed_text),
        cmocka_unit_test(columns_as_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
