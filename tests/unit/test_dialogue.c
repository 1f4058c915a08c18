// SPDX-License-Identifier: MIT
// The template of a chat: which one is chosen, and what of a dialogue is new to the model.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/chat.h"

static const char *const pieces[] = {"<s>", "<|end|>", "<|user|>", "<|im_start|>", "a", "b"};
static int32_t types[] = {3, 3, 3, 3, 1, 1};
static uint32_t offsets[6];
static uint16_t lengths[6];
static char bytes[64];

// A model of a vocabulary and a template; tokens 0 to 3 are control tokens.
static struct dt_model model_of(const char *template)
{
    struct dt_model m = {0};
    size_t n = 0;
    for (size_t i = 0; i < 6; i++) {
        offsets[i] = (uint32_t)n;
        lengths[i] = (uint16_t)strlen(pieces[i]);
        memcpy(bytes + n, pieces[i], lengths[i]);
        n += lengths[i];
    }
    m.vocab = (struct dt_vocab){.kind = DT_VOCAB_BPE,
                                .size = 6,
                                .bytes = (const unsigned char *)bytes,
                                .offset = offsets,
                                .length = lengths,
                                .types = (const unsigned char *)types,
                                .types_stride = 4,
                                .bos = 0,
                                .eos = 1,
                                .eot = DT_NO_TOKEN,
                                .unknown = DT_NO_TOKEN};
    m.chat_template = template;
    m.chat_template_length = template ? strlen(template) : 0;
    return m;
}

static const char simple[] =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}"
    "{{ m.content.split('</think>')[-1] }}<|end|>{% else %}<|user|>{{ m.content }}<|end|>"
    "{% endif %}{% endfor %}";

static const struct dt_jinja_message dialogue[] = {
    {"user", "one", 3}, {"assistant", "1", 1}, {"user", "two", 3}};

static void is_text(const struct dt_jinja_text *text, const char *wanted)
{
    assert_int_equal(text->length, strlen(wanted));
    assert_memory_equal(text->text, wanted, text->length);
}

static void feeds_only_the_difference(void **state)
{
    struct dt_model m = model_of(simple);
    struct dt_chat chat;
    struct dt_chat_step step;
    struct dt_error err = {0};
    (void)state;
    assert_int_equal(dt_chat_open(&chat, &m, NULL, DT_TEMPLATE_PLAIN, &err), DT_OK);
    assert_non_null(chat.source);
    assert_int_equal(dt_chat_next(&chat, dialogue, 1, DT_NO_TOKEN, &step, &err), DT_OK);
    assert_true(step.whole);
    is_text(&step.text, "<s><|user|>one<|end|>");
    assert_int_equal(dt_chat_next(&chat, dialogue, 3, 1, &step, &err), DT_OK);
    assert_false(step.whole); // "1<|end|>" is in the context
    is_text(&step.text, "<|user|>two<|end|>");
    // a turn that was stopped, and one that another token ended, are rendered as a whole
    assert_int_equal(dt_chat_next(&chat, dialogue, 3, DT_NO_TOKEN, &step, &err), DT_OK);
    assert_true(step.whole);
    assert_int_equal(dt_chat_next(&chat, dialogue, 3, 0, &step, &err), DT_OK);
    assert_true(step.whole);
    is_text(&step.text, "<s><|user|>one<|end|>1<|end|><|user|>two<|end|>");
    dt_chat_close(&chat);
}

static void a_template_may_drop_thoughts(void **state)
{
    struct dt_model m = model_of(simple);
    struct dt_jinja_message thinking[] = {
        dialogue[0], {"assistant", "hm</think>1", 11}, dialogue[2]};
    struct dt_chat chat;
    struct dt_chat_step step;
    struct dt_error err = {0};
    (void)state;
    assert_int_equal(dt_chat_open(&chat, &m, NULL, DT_TEMPLATE_PLAIN, &err), DT_OK);
    assert_int_equal(dt_chat_next(&chat, thinking, 3, 1, &step, &err), DT_OK);
    assert_true(step.whole);
    is_text(&step.text, "<s><|user|>one<|end|>1<|end|><|user|>two<|end|>");
    dt_chat_close(&chat);
}

// Templates that know how to keep a model from thinking, that open the thought themselves, and that
// do neither.
static void a_model_is_kept_from_thinking(void **state)
{
    static const char with_switch[] =
        "{% for m in messages %}{{ m.content }}|{% endfor %}"
        "{% if enable_thinking is defined and not enable_thinking %}<think></think>!{% endif %}",
                      opens[] = "{% for m in messages %}{{ m.content }}|{% endfor %}"
                                "{{ '<think>\\n' }}",
                      bare[] = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}|"
                               "{% endfor %}",
                      other[] = "{% for m in messages %}{{ m.content }}|{% endfor %}"
                                "{% if thinking is defined and not thinking %}[/THINK]{% endif %}";
    static const struct {
        const char *source, *with, *without;
        size_t opened;
    } rows[] = {
        {with_switch, "one|", "one|<think></think>!", 0},
        {opens, "one|<think>\n", "one|<think>\n\n</think>\n\n", 8},
        {bare, "one|", "one|<think>\n\n</think>\n\n", 0},
        {other, "one|", "one|[/THINK]", 0},
        {"{% for m in messages %}{{ m.content }}|{% endfor %}", "one|", "one|", 0},
    };
    struct dt_chat_step step;
    struct dt_error err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dt_model m = model_of(rows[i].source);
        struct dt_chat chat;
        assert_int_equal(dt_chat_open(&chat, &m, NULL, DT_TEMPLATE_PLAIN, &err), DT_OK);
        assert_int_equal(chat.switches, rows[i].source == with_switch || rows[i].source == other);
        assert_int_equal(dt_chat_next(&chat, dialogue, 1, DT_NO_TOKEN, &step, &err), DT_OK);
        is_text(&step.text, rows[i].with);
        assert_int_equal(step.opened, rows[i].opened);
        chat.without_thinking = true;
        assert_int_equal(dt_chat_next(&chat, dialogue, 1, DT_NO_TOKEN, &step, &err), DT_OK);
        is_text(&step.text, rows[i].without);
        assert_int_equal(step.opened, 0);
        for (size_t k = 0; k < step.text.length; k++) // only the message is the user's
            assert_int_equal(step.text.user && step.text.user[k], k < 3);
        dt_chat_close(&chat);
    }
    // what a user types opens no thought
    static const struct dt_jinja_message typed[] = {{"user", "say <think>", 11}};
    struct dt_model m = model_of("{{ messages[0].content }}");
    struct dt_chat chat;
    assert_int_equal(dt_chat_open(&chat, &m, NULL, DT_TEMPLATE_PLAIN, &err), DT_OK);
    chat.thoughts = DT_THOUGHT_ANY;
    assert_int_equal(dt_chat_next(&chat, typed, 1, DT_NO_TOKEN, &step, &err), DT_OK);
    is_text(&step.text, "say <think>");
    assert_int_equal(step.opened, 0);
    // the turns of a family
    struct dt_template_piece empty[4];
    assert_int_equal(dt_chat_empty_thought(&chat, empty), 0);
    chat.without_thinking = true;
    assert_int_equal(dt_chat_empty_thought(&chat, empty), 4);
    assert_string_equal(empty[0].text, "<think>");
    dt_chat_close(&chat);
}

// A template that opens the thought and keeps it: the answer as it is stored begins with what the
// prompt had, and the difference does not.
static void an_opened_thought_is_fed_once(void **state)
{
    static const char source[] = "{% for m in messages %}{% if m.role == 'assistant' %}"
                                 "{{ m.content }}<|end|>{% else %}<|user|>{{ m.content }}<|end|>"
                                 "{% endif %}{% endfor %}{{ '<think>\\n' }}";
    static const struct dt_jinja_message whole[] = {
        {"user", "one", 3}, {"assistant", "<think>\nhm</think>1", 19}, {"user", "two", 3}};
    struct dt_model m = model_of(source);
    struct dt_chat chat;
    struct dt_chat_step step;
    struct dt_error err = {0};
    bool unclosed;
    (void)state;
    assert_int_equal(dt_chat_open(&chat, &m, NULL, DT_TEMPLATE_PLAIN, &err), DT_OK);
    assert_int_equal(dt_chat_next(&chat, whole, 3, 1, &step, &err), DT_OK);
    assert_false(step.whole);
    is_text(&step.text, "<|user|>two<|end|><think>\n");
    assert_int_equal(step.opened, 8);
    // one that does not begin with it is no continuation
    assert_int_equal(dt_chat_next(&chat, dialogue, 3, 1, &step, &err), DT_OK);
    assert_true(step.whole);
    // a thought without an end gets one
    char *closed = dt_chat_close_thought(&chat, "<think>\nhm", 10, &unclosed);
    assert_true(unclosed);
    assert_string_equal(closed, "<think>\nhm\n</think>\n\n");
    free(closed);
    assert_null(dt_chat_close_thought(&chat, whole[1].content, whole[1].length, &unclosed));
    assert_false(unclosed);
    dt_chat_close(&chat);
}

static void a_refused_system_message_goes_before_the_first(void **state)
{
    static const char source[] =
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
        "{% endif %}[{{ m.content }}]{% endfor %}";
    static const struct dt_jinja_message messages[] = {{"system", "be kind", 7}, {"user", "x", 1}};
    struct dt_model m = model_of(source);
    struct dt_chat chat;
    struct dt_jinja_text text;
    struct dt_error err = {0};
    (void)state;
    assert_int_equal(dt_chat_open(&chat, &m, NULL, DT_TEMPLATE_PLAIN, &err), DT_OK);
    assert_true(chat.merge_system);
    assert_int_equal(dt_chat_render(&chat, messages, 2, &text, &err), DT_OK);
    is_text(&text, "[be kind\n\nx]");
    chat.merge_system = false;
    assert_int_equal(dt_chat_render(&chat, messages, 2, &text, &err), DT_BAD_INPUT);
    assert_non_null(strstr(err.message, "no system"));
    dt_chat_close(&chat);
}

static void chooses_a_template(void **state)
{
    static const struct {
        const char *template;
        bool own;
        enum dt_template family;
        const char *reason;
    } rows[] = {
        {simple, true, DT_TEMPLATE_UNKNOWN, ""},
        {"{{ 'a' | nosuch }}", false, DT_TEMPLATE_UNKNOWN, "the filter \"nosuch\""},
        {"{% if %}<|im_start|><|im_end|>", false, DT_TEMPLATE_CHATML, "expected a value"},
        {"always this", false, DT_TEMPLATE_UNKNOWN, "does not show the user's message"},
        {NULL, false, DT_TEMPLATE_CHATML, ""}, // the vocabulary has <|im_start|>
        {"{# duotale story turns #}{{ eos_token }}", false, DT_TEMPLATE_STORY, ""},
    };
    struct dt_chat chat;
    struct dt_error err = {0};
    char name[64];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dt_model m = model_of(rows[i].template);
        assert_int_equal(dt_chat_open(&chat, &m, NULL, DT_TEMPLATE_LLAMA2, &err), DT_OK);
        assert_int_equal(chat.source != NULL, rows[i].own);
        if (!rows[i].own)
            assert_int_equal(chat.family, rows[i].family);
        assert_int_equal(chat.reason.status != DT_OK, rows[i].reason[0] != 0);
        assert_non_null(strstr(chat.reason.message, rows[i].reason));
        dt_chat_close(&chat);
    }
    // a byte-level vocabulary without control tokens never gets Llama 2's
    struct dt_model m = model_of(NULL);
    types[3] = 1;
    dt_chat_open(&chat, &m, NULL, DT_TEMPLATE_LLAMA2, &err);
    assert_int_equal(chat.family, DT_TEMPLATE_PLAIN);
    m.vocab.kind = DT_VOCAB_SPM;
    dt_chat_open(&chat, &m, NULL, DT_TEMPLATE_LLAMA2, &err);
    assert_int_equal(chat.family, DT_TEMPLATE_LLAMA2);
    types[3] = 3;
    // by name, and from a file
    assert_int_equal(dt_chat_open(&chat, &m, "gemma", DT_TEMPLATE_PLAIN, &err), DT_OK);
    assert_string_equal(dt_chat_name(&chat, name, sizeof name), "gemma");
    assert_int_equal(dt_chat_open(&chat, &m, "/nonexistent", DT_TEMPLATE_PLAIN, &err), DT_USAGE);
    char path[] = "/tmp/duotale-template-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    fputs(simple, f);
    fclose(f);
    assert_int_equal(dt_chat_open(&chat, &m, path, DT_TEMPLATE_PLAIN, &err), DT_OK);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "own template, %zu bytes", strlen(simple));
    assert_string_equal(dt_chat_name(&chat, name, sizeof name), wanted);
    dt_chat_close(&chat);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feeds_only_the_difference),
        cmocka_unit_test(a_template_may_drop_thoughts),
        cmocka_unit_test(a_model_is_kept_from_thinking),
        cmocka_unit_test(an_opened_thought_is_fed_once),
        cmocka_unit_test(a_refused_system_message_goes_before_the_first),
        cmocka_unit_test(chooses_a_template),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
