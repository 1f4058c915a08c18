// SPDX-License-Identifier: MIT
// The storyteller's chat template: recognised by its comment; a request and two newlines, EOS at
// the end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/text/template.h"

static const char jinja[] =
    "{# duotale story turns: a request and two newlines, a story and its end #}{{ bos_token }}"
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ message['content'] + '\\n\\n' }}{% elif message['role'] == 'assistant' %}"
    "{{ message['content'] + eos_token }}{% endif %}{% endfor %}";

static void test_known(void **state)
{
    (void)state;
    enum dt_template by_name = DT_TEMPLATE_UNKNOWN;
    assert_int_equal(dt_template_recognise(jinja, sizeof jinja - 1), DT_TEMPLATE_STORY);
    assert_true(dt_template_by_name("story", &by_name));
    assert_int_equal(by_name, DT_TEMPLATE_STORY);
    // without the comment it is an unknown template
    const char *bare = strstr(jinja, "{{ bos_token");
    assert_int_equal(dt_template_recognise(bare, strlen(bare)), DT_TEMPLATE_UNKNOWN);
}

static void test_turns(void **state)
{
    (void)state;
    struct dt_template_piece p[DT_TEMPLATE_PIECES];
    char text[64] = "";
    size_t n = dt_template_turn(DT_TEMPLATE_STORY, true, "Be brief.", 9, "A frog.", 7, p);
    for (size_t i = 0; i < n; i++) {
        assert_false(p[i].marker);
        strncat(text, p[i].text, p[i].length);
    }
    assert_string_equal(text, "A frog.\n\n");

    assert_int_equal(dt_template_close(DT_TEMPLATE_STORY, true, p), 0);
    assert_int_equal(dt_template_close(DT_TEMPLATE_STORY, false, p), 1);
    assert_true(p[0].marker);
    assert_int_equal(p[0].length, 4);
    assert_memory_equal(p[0].text, "</s>", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
