// SPDX-License-Identifier: MIT
// The template language: constructs, errors with their lines, limits, and the origin of bytes.
// tests/golden/chat_templates.py compares more of them with another implementation.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/text/jinja/jinja.h"

#define ARENA (8u << 20)
static void *memory;

static const struct dt_jinja_message dialogue[] = {
    {"system", "Be  kind.", 9},
    {"user", " Hi <|end|> ", 12},
    {"assistant", "<think>\nhm\n</think>\n\nYo", 23},
    {"user", "caf\xc3\xa9", 5},
};

static dt_status render(const char *source, size_t n, struct dt_jinja_text *out,
                        struct dt_error *err)
{
    struct dt_jinja_input in = {.messages = dialogue,
                                .count = sizeof dialogue / sizeof *dialogue,
                                .bos = "<s>",
                                .bos_length = 3,
                                .eos = "</s>",
                                .eos_length = 4,
                                .add_generation_prompt = true,
                                .date = {2024, 7, 26, 13, 5, 9}};
    struct dt_arena arena = dt_arena_over(memory, ARENA);
    *err = (struct dt_error){0};
    return dt_jinja_render(source, n, &in, &arena, out, err);
}

static const struct {
    const char *source, *text;
} rows[] = {
    // blanks around tags
    {"a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"},
    {"a {%- if true -%} b {%- endif %} c", "ab c"},
    {"a\n  {%+ if true +%}\nb{% endif %}", "a\n  \nb"},
    {"x {#- c -#} y{# d #}\nz", "xyz"},
    {"{% raw %}{{ x }} {# y #}{% endraw %}", "{{ x }} {# y #}"},
    {"a\r\nb\rc", "a\nb\nc"},
    // values
    {"{{ 'a\\n\\u00e9\\x41' \"b\" }}", "a\n\xc3\xa9"
                                       "Ab"},
    {"{{ [1, 'a', none, true, 1.5, {'k': (2,)}] }}", "[1, 'a', None, True, 1.5, {'k': (2,)}]"},
    {"{{ 1.0 }} {{ 0.1 }} {{ 1e20 }} {{ 1e-7 }} {{ 1 / 3 }}",
     "1.0 0.1 1e+20 1e-07 0.3333333333333333"},
    {"{{ nothing }}[{{ none }}]", "[None]"},
    // operators
    {"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ -2 }}",
     "3 -4 2 3.5 8 -2"},
    {"{{ 1 + 2 * 3 }} {{ 'a' ~ 1 }} {{ 'ab' * 2 }} {{ [1] + [2] }}", "7 a1 abab [1, 2]"},
    {"{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 'b' in 'abc' }} {{ 'x' not in ['y'] }}",
     "True False True True"},
    {"{{ '' or 'x' }} {{ 1 and 0 }} {{ not 1 == 2 }}", "x 0 True"},
    {"{{ 'a' if false else 'b' }}{{ 'c' if false }}", "b"},
    {"{{ '' == false }} {{ '' != false }} {{ 'a' == false }} {{ '' == true }}",
     "True False False False"},
    // members and slices
    {"{{ messages[0].role }} {{ messages[-1]['content'] }} {{ messages[9] is defined }}",
     "system caf\xc3\xa9 False"},
    {"{{ [1, 2, 3][1:] }} {{ [1, 2, 3][::-1] }} {{ messages[3].content[3:] }} {{ 'abc'[-2] }}",
     "[2, 3] [3, 2, 1] \xc3\xa9 b"},
    // statements
    {"{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content | trim }}"
     "{{ '' if loop.last else '|' }}{% endfor %}",
     "1Hi <|end|>|2caf\xc3\xa9"},
    {"{% for i in [] %}x{% else %}none{% endfor %}", "none"},
    {"{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1"},
    {"{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}"
     "{% endif %}{{ i }}{{ loop.first }}{{ loop.revindex0 }} {% endfor %}",
     "0True4 2False2 "},
    {"{% set x = 1 %}{% for i in [5] %}{% set x = i %}{% endfor %}{{ x }}", "1"},
    {"{% set n = namespace(x=1) %}{% for i in [5] %}{% set n.x = i %}{% endfor %}{{ n.x }}", "5"},
    {"{% set a, b = 1, 2 %}{% set c | upper %}x{{ a }}{% endset %}{{ c }}{{ b }}", "X12"},
    {"{% macro m(a, b=2) %}{{ a }}{{ b }};{% endmacro %}{{ m(1) }}{{ m(b=3, a='z') }}", "12;z3;"},
    {"{% macro b(t) %}<{{ t }}:{{ caller() }}>{% endmacro %}{% call b(1) %}in{% endcall %}",
     "<1:in>"},
    {"{% filter upper %}a{% endfilter %}{% with q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
     "A1False"},
    {"{% generation %}g{% endgeneration %}", "g"},
    // filters, tests, methods, functions
    {"{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
     "{{ messages | map(attribute='role') | join(',') }}",
     "2system,user,assistant,user"},
    {"{{ {'a': [1, none], 'b': 'x\"\xc3\xa9\\n'} | tojson }}",
     "{\"a\": [1, null], \"b\": \"x\\\"\xc3\xa9\\n\"}"},
    {"{{ {'a': [1]} | tojson(indent=1) }}", "{\n \"a\": [\n  1\n ]\n}"},
    {"{{ 'h\xc3\xa9llo' | length }} {{ 'h\xc3\xa9' | upper }} {{ 'a b' | title }}",
     "5 H\xc3\x89 A B"},
    {"{{ [3, 1] | sort }} {{ 'x' | default('y') }} {{ z | default('y') }} {{ '4' | int + 1 }}",
     "[1, 3] x y 5"},
    {"{{ 1 is odd }} {{ 'a' is string }} {{ {} is mapping }} {{ none is none }} {{ q is defined }}",
     "True True True True False"},
    {"{{ messages[2].content.split('</think>')[-1].lstrip('\\n') }}", "Yo"},
    {"{{ 'a-b-c'.split('-', 1) }} {{ 'xx'.replace('x', 'yz') }} {{ 'ab'.startswith('a') }}",
     "['a', 'b-c'] yzyz True"},
    {"{{ strftime_now('%d %b %Y %A %j %-I %p') }}", "26 Jul 2024 Friday 208 1 PM"},
    {"{{ tools is none }} {{ enable_thinking is defined }} {{ add_generation_prompt }}",
     "True False True"},
    // what is not supported parses
    {"{% if false %}{{ 'a' | nosuch }}{% include 'x' %}{{ f(1) }}{{ 'a' is nosuch }}{% endif %}ok",
     "ok"},
};

static void renders_every_construct(void **state)
{
    struct dt_jinja_text out;
    struct dt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dt_status status = render(rows[i].source, strlen(rows[i].source), &out, &err);
        if (status || out.length != strlen(rows[i].text) ||
            memcmp(out.text, rows[i].text, out.length) != 0)
            fail_msg("%s\nexpected %s\nfound    %.*s %s", rows[i].source, rows[i].text,
                     status ? 0 : (int)out.length, out.text, err.message);
    }
}

static const struct {
    const char *source;
    dt_status status;
    const char *message;
} faults[] = {
    {"\n\n{{ raise_exception('no turns') }}", DT_BAD_INPUT, "line 3: no turns"},
    {"{% if x %}\n{{ 1 +\n }}{% endif %}", DT_BAD_INPUT, "line 3: expected a value"},
    {"a\n{% for x %}{% endfor %}", DT_BAD_INPUT, "line 2: expected in"},
    {"{% if x %}", DT_BAD_INPUT, "expected elif, but the template ends"},
    {"{% endif %}", DT_BAD_INPUT, "unexpected endif"},
    {"{{ 'a }}", DT_BAD_INPUT, "quotes"},
    {"{{ a", DT_BAD_INPUT, "does not end"},
    {"{# a", DT_BAD_INPUT, "does not end"},
    {"\n{{ nothing.member }}", DT_BAD_INPUT, "line 2: an undefined value has no member"},
    {"{{ 'a' + 1 }}", DT_BAD_INPUT, "cannot join text and a number"},
    {"{{ 1 // 0 }}", DT_BAD_INPUT, "division by zero"},
    {"{{ 1 < 'a' }}", DT_BAD_INPUT, "no order"},
    {"{% for i in 3 %}{% endfor %}", DT_BAD_INPUT, "cannot be iterated"},
    {"{% set x.y = 1 %}", DT_BAD_INPUT, "namespace"},
    {"\n{{ 'a' | nosuch }}", DT_UNSUPPORTED, "line 2: the filter \"nosuch\" is not supported"},
    {"{{ 'a' is nosuch }}", DT_UNSUPPORTED, "the test \"nosuch\""},
    {"{{ nosuch(1) }}", DT_UNSUPPORTED, "no function or method \"nosuch\""},
    {"{% include 'x' %}", DT_UNSUPPORTED, "the statement \"include\""},
    {"{{ 9223372036854775807 + 1 }}", DT_UNSUPPORTED, "64 bits"},
    // limits
    {"{% set r = range(2000) %}{% for i in range(3000) %}{{ 'x' in r }}{% endfor %}",
     DT_UNSUPPORTED, "steps"},
    {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", DT_UNSUPPORTED, "nested"},
    {"{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
     DT_NO_MEMORY, "memory"},
    {"{{ range(1000000) }}", DT_UNSUPPORTED, "more than 100000"},
};

static void names_every_fault(void **state)
{
    struct dt_jinja_text out;
    struct dt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        dt_status status = render(faults[i].source, strlen(faults[i].source), &out, &err);
        if (status != faults[i].status || err.status != status ||
            !strstr(err.message, faults[i].message))
            fail_msg("%s\nexpected %s: %s\nfound    %s: %s", faults[i].source,
                     dt_status_name(faults[i].status), faults[i].message, dt_status_name(status),
                     err.message);
    }
}

static void bounds_the_depth_of_any_nesting(void **state)
{
    static const char *const parts[][2] = {
        {"{{ ", "("},
        {"{{ ", "["},
        {"{{ ", "-"},
        {"{{ ", "not "},
        {"{{ a", "(a"},
        {"", "{% if a %}"},
        {"", "{% macro m() %}"},
        {"{{ a", "[a"},
        {"{{ 1 if ", "1 if "},
        {"{{ a", " | f(a"},
        {"{{ a if 1 else ", "a if 1 else "},
        {"{{ a", " is f(a"},
        {"{{ a", ".a"},
        {"{{ a", "|f"},
    };
    static char source[400000];
    struct dt_jinja_text out;
    struct dt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = 0;
        n += (size_t)sprintf(source + n, "%s", parts[i][0]);
        while (n + 50 < 30000)
            n += (size_t)sprintf(source + n, "%s", parts[i][1]);
        assert_int_not_equal(render(source, n, &out, &err), DT_OK);
        n += (size_t)sprintf(source + n, " }}");
        assert_int_not_equal(render(source, n, &out, &err), DT_OK);
    }
}

static void marks_what_a_user_typed(void **state)
{
    static const char source[] =
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|end|>"
        "{{ ('[' + m.content | trim | replace('Hi', 'Ho') + ']').upper() }}{% endif %}{% endfor %}";
    static const char text[] = "<s><|end|>[HO <|END|>]<|end|>[CAF\xc3\x89]";
    static const char user[] = "0000000000"
                               "0"
                               "00"
                               "11111111"
                               "0"
                               "0000000"
                               "0"
                               "11111"
                               "0";
    struct dt_jinja_text out;
    struct dt_error err;
    (void)state;
    assert_int_equal(render(source, sizeof source - 1, &out, &err), DT_OK);
    assert_int_equal(out.length, sizeof text - 1);
    assert_memory_equal(out.text, text, out.length);
    for (size_t i = 0; i < out.length; i++)
        assert_int_equal(out.user[i], user[i] - '0');
}

static void needs_only_its_arena(void **state)
{
    struct dt_jinja_input in = {.messages = dialogue, .count = 4, .date = {2024, 7, 26, 0, 0, 0}};
    struct dt_jinja_text out;
    struct dt_error err;
    bool done = false;
    (void)state;
    for (size_t size = 0; size < 200000 && !done; size += 1024) {
        struct dt_arena arena = dt_arena_over(memory, size);
        const char *source = rows[21].source;
        dt_status status = dt_jinja_render(source, strlen(source), &in, &arena, &out, &err);
        assert_true(status == DT_OK || status == DT_NO_MEMORY);
        done = status == DT_OK;
    }
    assert_true(done);
}

static int setup(void **state)
{
    (void)state;
    memory = aligned_alloc(DT_ALIGN, ARENA);
    return memory ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_every_construct),
        cmocka_unit_test(names_every_fault),
        cmocka_unit_test(bounds_the_depth_of_any_nesting),
        cmocka_unit_test(marks_what_a_user_typed),
        cmocka_unit_test(needs_only_its_arena),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
