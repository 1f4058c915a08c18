// SPDX-License-Identifier: MIT
// Thoughts and answer of a model's text, which arrives in any pieces.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/text/thoughts.h"

#define BLANKS50 "                                                  "

static const struct row {
    const char *text, *thought, *answer;
    unsigned rows;
    bool inside; // before the flush
} rows[] = {
    {"<think>\nhm\n</think>\n\nYes", "hm", "Yes", DT_THOUGHT_ANY, false},
    {"<think>hm</think>Yes", "hm", "Yes", DT_THOUGHT_ANY, false},
    {"\n <think>hm</think>Yes", "hm", "Yes", DT_THOUGHT_ANY, false},
    {"<think>\n\n</think>\n\nYes", "", "Yes", DT_THOUGHT_ANY, false},
    {"<think>\n one\n\n two \n", "one\n\n two", "", DT_THOUGHT_ANY, true},
    {"<think>", "", "", DT_THOUGHT_ANY, true},
    {"<think>hm</thi", "hm</thi", "", DT_THOUGHT_ANY, true},
    {"<think>hm</think>", "hm", "", DT_THOUGHT_ANY, false},
    {"<think>hm</think>\n", "hm", "", DT_THOUGHT_ANY, false},
    {"<think>a<<</think>b", "a<<", "b", DT_THOUGHT_ANY, false},
    {"<think>a</</think>b", "a</", "b", DT_THOUGHT_ANY, false},
    {"<think>a </ </think>b", "a </", "b", DT_THOUGHT_ANY, false},
    {"<think>a<think>b</think>c", "a<think>b", "c", DT_THOUGHT_ANY, false},
    {"<think>a</think><think>b</think>\nc", "a\n\nb", "c", DT_THOUGHT_ANY, false},
    {"<think></think><think>b</think>c", "b", "c", DT_THOUGHT_ANY, false},
    {"<think>a</thought>b</think>c", "a</thought>b", "c", DT_THOUGHT_ANY, false},
    {"<thought>a</think>b</thought>c", "a</think>b", "c", DT_THOUGHT_ANY, false},
    {"[THINK]a[/THINK]b", "a", "b", DT_THOUGHT_ANY, false},
    {"\xe2\x97\x81think\xe2\x96\xb7"
     "a\xe2\x97\x81/think\xe2\x96\xb7 b",
     "a", "b", DT_THOUGHT_ANY, false},
    // what is no thought stays as it is
    {"  Yes", "", "  Yes", DT_THOUGHT_ANY, false},
    {"\n", "", "\n", DT_THOUGHT_ANY, false},
    {"", "", "", DT_THOUGHT_ANY, false},
    {"<thi", "", "<thi", DT_THOUGHT_ANY, false},
    {" <thin", "", " <thin", DT_THOUGHT_ANY, false},
    {"<thinker> </think>", "", "<thinker> </think>", DT_THOUGHT_ANY, false},
    {"a <think>b</think>", "", "a <think>b</think>", DT_THOUGHT_ANY, false},
    {"<think>a</think>b<think>c</think>", "a", "b<think>c</think>", DT_THOUGHT_ANY, false},
    {"</think>a", "", "</think>a", DT_THOUGHT_ANY, false},
    {"<think>a</think>b", "", "<think>a</think>b", 0, false},
    {"[THINK]a[/THINK]b", "", "[THINK]a[/THINK]b", 1, false},
    // more blanks than are held
    {BLANKS50 BLANKS50 "<think>a</think>b", "", BLANKS50 BLANKS50 "<think>a</think>b",
     DT_THOUGHT_ANY, false},
    {"<think>" BLANKS50 BLANKS50 "a" BLANKS50 BLANKS50 "b</think>" BLANKS50 BLANKS50 "c",
     "a" BLANKS50 BLANKS50 "b", "c", DT_THOUGHT_ANY, false},
    {"<think>a" BLANKS50 "        </thin", "a" BLANKS50 "        </thin", "", DT_THOUGHT_ANY, true},
};

#define ROWS (sizeof rows / sizeof *rows)

struct parts {
    struct dt_thoughts state;
    char thought[1024], answer[1024];
    size_t thought_n, answer_n;
};

// The exact size of the piece, so that sanitizers detect overruns.
static void push(struct parts *p, const char *text, size_t n)
{
    char *piece = malloc(n + 1);
    memcpy(piece, text, n);
    dt_thoughts_push(&p->state, piece, n, p->thought, &p->thought_n, p->answer, &p->answer_n);
    free(piece);
}

static void is_row(struct parts *p, const struct row *row)
{
    assert_int_equal(p->state.state == DT_THOUGHTS_INSIDE, row->inside);
    dt_thoughts_flush(&p->state, p->thought, &p->thought_n, p->answer, &p->answer_n);
    p->thought[p->thought_n] = p->answer[p->answer_n] = '\0';
    if (strcmp(p->thought, row->thought) != 0 || strcmp(p->answer, row->answer) != 0)
        print_message("\"%s\"\n", row->text);
    assert_string_equal(p->thought, row->thought);
    assert_string_equal(p->answer, row->answer);
}

static void divides_thoughts_and_answer(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ROWS; i++) {
        struct parts p = {.state.rows = rows[i].rows};
        push(&p, rows[i].text, strlen(rows[i].text));
        is_row(&p, &rows[i]);
    }
}

static void the_pieces_make_no_difference(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ROWS; i++) {
        size_t n = strlen(rows[i].text);
        for (size_t a = 0; a <= n; a++) { // in three pieces
            for (size_t b = a; b <= n; b++) {
                struct parts p = {.state.rows = rows[i].rows};
                push(&p, rows[i].text, a);
                push(&p, rows[i].text + a, b - a);
                push(&p, rows[i].text + b, n - b);
                is_row(&p, &rows[i]);
            }
        }
        struct parts p = {.state.rows = rows[i].rows}; // byte by byte
        for (size_t a = 0; a < n; a++)
            push(&p, rows[i].text + a, 1);
        is_row(&p, &rows[i]);
    }
}

static void finds_the_answer_in_a_whole_text(void **unused)
{
    static const struct {
        const char *text;
        size_t at;
        int open;
    } texts[] = {
        {"<think>\nhm\n</think>\n\nYes", 21, -1},
        {"<think>a</think><think>b</think>\nc", 33, -1},
        {"Yes", 0, -1},
        {" Yes", 0, -1},
        {"", 0, -1},
        {"<think>\nhm", 10, 0},
        {"<think>hm</thi", 14, 0},
        {"<think>hm</think>\n", 18, -1},
        {"<thi", 0, -1},
        {"\n<think>hm</think><thi", 18, -1},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int open = -2;
        size_t n = strlen(texts[i].text);
        assert_int_equal(dt_thoughts_answer(DT_THOUGHT_ANY, texts[i].text, n, &open), texts[i].at);
        assert_int_equal(open, texts[i].open);
        assert_int_equal(dt_thoughts_answer(0, texts[i].text, n, NULL), 0);
        assert_int_equal(dt_thoughts_begins(DT_THOUGHT_ANY, texts[i].text, n),
                         strstr(texts[i].text, "<think>") != NULL);
        assert_false(dt_thoughts_begins(2, texts[i].text, n));
    }
}

static void finds_what_a_prompt_opens(void **unused)
{
    static const struct {
        const char *text;
        size_t n;
    } texts[] = {
        {"<|assistant|>\n<think>\n", 8},
        {"<|assistant|><think>", 7},
        {"<think>x", 0},
        {"<|assistant|>\n", 0},
        {"", 0},
        {"\n", 0},
        {"<think>\n\n</think>\n\n", 0},
        {"think>", 0},
        {"[THINK] \n", 9},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(dt_thoughts_opened(DT_THOUGHT_ANY, texts[i].text, strlen(texts[i].text)),
                         texts[i].n);
    assert_int_equal(dt_thoughts_opened(2, "<think>", 7), 0);
}

static void finds_the_markers_of_a_model(void **unused)
{
    static const char bytes[] = "<s><think></think>[/THINK]a";
    static const uint32_t offset[] = {0, 3, 10, 18, 26};
    static const uint16_t length[] = {3, 7, 8, 8, 1};
    static const unsigned char normal[] = {3, 1, 1, 1, 1}, added[] = {3, 4, 4, 1, 1},
                               control[] = {3, 1, 1, 3, 1};
    struct dt_vocab vocab = {.kind = DT_VOCAB_BPE,
                             .size = 5,
                             .bytes = (const unsigned char *)bytes,
                             .offset = offset,
                             .length = length,
                             .types = normal,
                             .types_stride = 1};
    static const char template[] = "{{ m.content.split('</think>')[-1] }}";
    (void)unused;
    assert_int_equal(dt_thoughts_of_model(&vocab, NULL, 0), 0);
    assert_int_equal(dt_thoughts_of_model(&vocab, template, sizeof template - 1), 1);
    assert_int_equal(dt_thoughts_of_model(&vocab, "{{ m }}", 7), 0);
    vocab.types = added;
    assert_int_equal(dt_thoughts_of_model(&vocab, NULL, 0), 1);
    vocab.types = control;
    unsigned found = dt_thoughts_of_model(&vocab, NULL, 0);
    assert_true(dt_thoughts_is_marker(found, "[/THINK]", 8));
    assert_false(dt_thoughts_is_marker(found, "<think>", 7));
    assert_false(dt_thoughts_is_marker(found, "[/THINK", 7));
    vocab.types = NULL; // llama2.c: its pieces have no types
    assert_int_equal(dt_thoughts_of_model(&vocab, NULL, 0), 0);
    assert_int_equal(dt_thoughts_of_model(&vocab, template, sizeof template - 1), 1);
    for (unsigned i = 0; i < DT_THOUGHT_ROWS; i++) {
        assert_true(strlen(dt_thought_markers(i)->open) < DT_THOUGHTS_HELD / 2);
        assert_true(strlen(dt_thought_markers(i)->close) < DT_THOUGHTS_HELD / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divides_thoughts_and_answer),
        cmocka_unit_test(the_pieces_make_no_difference),
        cmocka_unit_test(finds_the_answer_in_a_whole_text),
        cmocka_unit_test(finds_what_a_prompt_opens),
        cmocka_unit_test(finds_the_markers_of_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
