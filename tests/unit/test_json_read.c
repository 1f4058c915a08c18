// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/formats/json_read.h"

static dt_status check(const char *text, struct dt_json_value *v, struct dt_error *err)
{
    return dt_json_check(text, strlen(text), "x.json", v, err);
}

static void sound(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{}",
        "[]",
        " [ ] ",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5e+10",
        "1E5",
        "\"\"",
        "\"a\\u00e9\\n\\\"\"",
        "[1,2,3]",
        "{\"a\":{\"b\":[{}]}}",
        "{\"a\" : 1 , \"b\" : [ ] }",
        "\n\t{\"\":null}\r\n",
        "[[[[[[[[]]]]]]]]",
        "\"\xc3\xa9\xff\"",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dt_json_value v;
        struct dt_error err;
        if (check(rows[i], &v, &err))
            fail_msg("%s: %s", rows[i], err.message);
    }
}

static void broken(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",          " ",         "{",       "[",         "}",           "]",        "[1,]",
        "[,1]",      "{,}",       "{\"a\"}", "{\"a\":}",  "{\"a\":1,}",  "{a:1}",    "{'a':1}",
        "[1 2]",     "{\"a\" 1}", "01",      "1.",        ".5",          "-",        "+1",
        "1e",        "1e+",       "nul",     "tru",       "True",        "NaN",      "Infinity",
        "\"",        "\"\\\"",    "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "[1]]",
        "{}{}",      "1 2",       "[1}",     "{\"a\":1]", "//",          "[/**/]",   "\"a\" \"b\"",
        "[\"a\":1]",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dt_json_value v;
        struct dt_error err = {0};
        if (check(rows[i], &v, &err) != DT_BAD_INPUT || !strstr(err.message, "this JSON"))
            fail_msg("%s was accepted", rows[i]);
    }
}

// Nesting deeper than 64 levels is refused, in any mixture of brackets, without recursion.
static void bombs(void **state)
{
    (void)state;
    size_t n = 1 << 20;
    char *text = malloc(n);
    struct dt_json_value v;
    struct dt_error err = {0};
    memset(text, '[', n);
    assert_int_equal(dt_json_check(text, n, "x", &v, &err), DT_BAD_INPUT);
    assert_non_null(strstr(err.message, "at byte 64; expected at most 64 levels"));
    for (size_t i = 0; i + 5 <= n; i += 5)
        memcpy(text + i, "{\"\":[", 5);
    assert_int_equal(dt_json_check(text, n, "x", &v, &err), DT_BAD_INPUT);
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    assert_int_equal(dt_json_check(text, 128, "x", &v, &err), DT_OK);
    memset(text, '"', 1); // one long string, one long number
    memset(text + 1, 'a', n - 2);
    text[n - 1] = '"';
    assert_int_equal(dt_json_check(text, n, "x", &v, &err), DT_OK);
    memset(text, '9', n);
    assert_int_equal(dt_json_check(text, n, "x", &v, &err), DT_OK);
    uint64_t whole;
    double number;
    assert_false(dt_json_uint_of(v, &whole));
    assert_true(dt_json_number_of(v, &number) && number > 1e300);
    free(text);
}

static void looking(void **state)
{
    (void)state;
    struct dt_json_value v, key, item;
    struct dt_error err;
    struct dt_json_walk walk = {0};
    static const char text[] =
        " {\"a\": [1, {\"x\": \"}]\"}, \"s,\\\"]\"], \"b\\\"\": -2.5e1 ,\"c\":{},\"d\":null}";
    assert_int_equal(check(text, &v, &err), DT_OK);
    assert_int_equal(dt_json_count(v), 4);
    struct dt_json_value a = dt_json_find(v, "a");
    assert_int_equal(dt_json_count(a), 3);
    assert_true(dt_json_next(a, &walk, &key, &item) && dt_json_is(item, "1") && key.n == 0);
    assert_true(dt_json_next(a, &walk, &key, &item) &&
                dt_json_is(dt_json_find(item, "x"), "\"}]\""));
    assert_true(dt_json_next(a, &walk, &key, &item) && dt_json_is_text(item));
    assert_false(dt_json_next(a, &walk, &key, &item));
    assert_int_equal(dt_json_count(dt_json_find(v, "c")), 0);
    assert_true(dt_json_is(dt_json_find(v, "d"), "null"));
    assert_int_equal(dt_json_find(v, "e").n, 0);
    assert_int_equal(dt_json_find(a, "x").n, 0);
    assert_int_equal(dt_json_count(dt_json_find(v, "d")), 0);
}

// The members of the root and of its objects are found without walking; with more members than the
// outline holds, by walking.
static void outline(void **state)
{
    (void)state;
    static struct dt_json_outline o;
    struct dt_error err;
    size_t items;
    static const char text[] =
        "{\"a\": [1, {\"x\": []}, [2, 3]], \"m\" : {\"v\":{\"k\": 1,\"l\": {}}, "
        "\"n\": [ ], \"s\": \"}\"}, \"m\": {\"z\": 1}, \"l\": [{\"v\": 4}]} ";
    assert_int_equal(dt_json_check_outline(text, strlen(text), "x", &o, &err), DT_OK);
    assert_true(o.root.at == text && o.root.n == strlen(text) - 1 && !o.partial);
    assert_true(
        dt_json_is(dt_json_outline_find(&o, NULL, "a", &items), "[1, {\"x\": []}, [2, 3]]"));
    assert_int_equal(items, 3);
    assert_true(dt_json_is(dt_json_outline_find(&o, "m", "v", &items), "{\"k\": 1,\"l\": {}}"));
    assert_int_equal(items, 2);
    assert_true(dt_json_is(dt_json_outline_find(&o, "m", "n", &items), "[ ]") && items == 0);
    assert_true(dt_json_is(dt_json_outline_find(&o, "m", "s", NULL), "\"}\""));
    // the first of two members of a name; nothing of lists, scalars, or what is not there
    assert_int_equal(dt_json_outline_find(&o, "m", "z", &items).n, 0);
    assert_int_equal(items, 0);
    assert_int_equal(dt_json_outline_find(&o, "l", "v", NULL).n, 0);
    assert_int_equal(dt_json_outline_find(&o, "q", "m", NULL).n, 0);
    assert_int_equal(dt_json_outline_find(&o, NULL, "v", NULL).n, 0);
    char many[2048] = "{\"m\": {", *at = many + strlen(many);
    for (int i = 0; i < 80; i++)
        at += sprintf(at, "\"k%d\": [%d, 0], ", i, i);
    strcpy(at, "\"last\": [1, 2, 3]}}");
    assert_int_equal(dt_json_check_outline(many, strlen(many), "x", &o, &err), DT_OK);
    assert_true(o.partial);
    assert_true(dt_json_is(dt_json_outline_find(&o, "m", "last", &items), "[1, 2, 3]"));
    assert_int_equal(items, 3);
    assert_true(dt_json_is(dt_json_outline_find(&o, "m", "k79", NULL), "[79, 0]"));
    assert_int_equal(dt_json_check_outline("{\"a\": 1,}", 9, "x", &o, &err), DT_BAD_INPUT);
    assert_int_equal(dt_json_check_outline("[1]", 3, "x", &o, &err), DT_OK);
    assert_int_equal(dt_json_outline_find(&o, NULL, "a", NULL).n, 0);
}

static void texts(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } rows[] = {
        {"\"plain\"", "plain"},
        {"\"\\b\\f\\n\\r\\t\\\"\\\\\\/\"", "\b\f\n\r\t\"\\/"},
        {"\"\\u0041\\u00e9\\u4f60\"", "A\xc3\xa9\xe4\xbd\xa0"},
        {"\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\\ud83dx\\ude00\"", "\xef\xbf\xbdx\xef\xbf\xbd"},
        {"\"\\ud83d\\n\"", "\xef\xbf\xbd\n"},
        {"12", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dt_json_value v;
        struct dt_error err;
        char out[64];
        assert_int_equal(check(rows[i].json, &v, &err), DT_OK);
        size_t n = dt_json_text_of(v, out);
        assert_int_equal(n, strlen(rows[i].text));
        assert_int_equal(n, dt_json_text_of(v, NULL));
        assert_memory_equal(out, rows[i].text, n);
        assert_true(n <= v.n);
    }
}

static void numbers(void **state)
{
    (void)state;
    static const char *const rows[] = {"0",
                                       "-0.0",
                                       "1e-05",
                                       "1e-6",
                                       "10000.0",
                                       "500000.0",
                                       "0.1",
                                       "3.14159265358979",
                                       "1000000.0",
                                       "123456789012345678",
                                       "1E22",
                                       "2.5e-7",
                                       "0.30000000000000004"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dt_json_value v;
        struct dt_error err;
        double got, want = strtod(rows[i], NULL);
        assert_int_equal(check(rows[i], &v, &err), DT_OK);
        assert_true(dt_json_number_of(v, &got));
        assert_true((float)got == (float)want);
        assert_true(got >= want * (1 - 3e-16) && got <= want * (1 + 3e-16));
    }
    static const struct {
        const char *text;
        int whole; // -1: none
    } whole[] = {{"7", 7},   {"7.0", 7},    {"7e2", 700}, {"7.5", -1},
                 {"-7", -1}, {"\"7\"", -1}, {"1e30", -1}, {"true", -1}};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        struct dt_json_value v;
        struct dt_error err;
        uint64_t got;
        assert_int_equal(check(whole[i].text, &v, &err), DT_OK);
        assert_int_equal(dt_json_uint_of(v, &got), whole[i].whole >= 0);
        if (whole[i].whole >= 0)
            assert_int_equal(got, whole[i].whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound),   cmocka_unit_test(broken),  cmocka_unit_test(bombs),
        cmocka_unit_test(looking), cmocka_unit_test(outline), cmocka_unit_test(texts),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests_name("json_read", tests, NULL, NULL);
}
