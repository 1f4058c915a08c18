// SPDX-License-Identifier: MIT
// Splitting stories into sentences: a table of cases, then properties for all divisions into
// pieces.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sentence.h"

// Each case is a text and its sentences, separated by '|'.
static const char *const cases[][2] = {
    {"Once upon a time. The end.", "Once upon a time.|The end."},
    {"No stop at the end", "No stop at the end"},
    {"", ""},
    {"   \n\n  ", ""},
    {"She ran! Why? Nobody knew.", "She ran!|Why?|Nobody knew."},
    // Quotes close with their sentence; a small letter continues it.
    {"\"Look!\" said Tom. \"A dog.\" Lily smiled.", "\"Look!\" said Tom.|\"A dog.\"|Lily smiled."},
    {"She said, \"Hello there. How are you?\" Tom hid.",
     "She said, \"Hello there.|How are you?\"|Tom hid."},
    {"'Come in.' He came in.", "'Come in.'|He came in."},
    {"\xe2\x80\x9cYes.\xe2\x80\x9d \xe2\x80\x9cNo.\xe2\x80\x9d",
     "\xe2\x80\x9cYes.\xe2\x80\x9d|\xe2\x80\x9cNo.\xe2\x80\x9d"},
    {"(It was late.) They slept.", "(It was late.)|They slept."},
    // Abbreviations and initials.
    {"Mr. Fox met Mrs. Hen and Dr. Owl. They ate.", "Mr. Fox met Mrs. Hen and Dr. Owl.|They ate."},
    {"St. Nicholas came. J. R. Smith saw him.", "St. Nicholas came.|J. R. Smith saw him."},
    {"They left at 5 p.m. and ate plums, pears, etc. Then they slept.",
     "They left at 5 p.m. and ate plums, pears, etc.|Then they slept."},
    {"It was I. He ran.", "It was I.|He ran."},
    {"Many fruits, e.g. Apples.", "Many fruits, e.g. Apples."},
    {"The U.S. Navy came. Hm.", "The U.S. Navy came.|Hm."},
    {"Mr.\nSmith ran.", "Mr. Smith ran."},
    {"\"No.\" No. No!", "\"No.\"|No.|No!"},
    // Numbers.
    {"It cost 3.14 coins. He had 3. Then 2.", "It cost 3.14 coins.|He had 3.|Then 2."},
    {"1. Take bread.\n2. Eat it.", "1. Take bread.|2. Eat it."},
    // Ellipses.
    {"And then... nothing. Well... Yes.", "And then... nothing.|Well...|Yes."},
    {"So\xe2\x80\xa6 it was\xe2\x80\xa6 Then it rained.",
     "So\xe2\x80\xa6 it was\xe2\x80\xa6|Then it rained."},
    {"What?! No!!! Oh...", "What?!|No!!!|Oh..."},
    // Paragraphs, lines and headings.
    {"The Dragon\n\nonce upon", "The Dragon|once upon"},
    {"The Dragon\nOnce upon", "The Dragon|Once upon"},
    {"a line that\ngoes on. Yes", "a line that goes on.|Yes"},
    {"Tell me a story about a dragon.\n\nOnce", "Tell me a story about a dragon.|Once"},
    // Missing spaces; file names are not split.
    {"It was the end.Then they slept.", "It was the end.|Then they slept."},
    {"Read story.txt now.", "Read story.txt now."},
    // Nothing to read aloud.
    {"*** \n\n --- Hello. \" ... \" !", "--- Hello."},
    {"One.\n\n***\n\nTwo.", "One.|Two."},
    // Control characters, white space.
    {"A\tbig \x1b[1m  dog\x07 ran.", "A big [1m dog ran."},
    // Full stops of other scripts.
    {"\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82\xe4\xbd\xa0\xe3\x80\x82",
     "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82|\xe4\xbd\xa0\xe3\x80\x82"},
    {"Caf\xc3\xa9. \xc3\x89t\xc3\xa9.", "Caf\xc3\xa9.|\xc3\x89t\xc3\xa9."},
};

// Feeds text in pieces of `step` bytes and joins the sentences with '|'.
static void split(const char *text, size_t n, size_t step, char *out, size_t size)
{
    struct dt_sentence s = {0};
    size_t used = 0;
    out[0] = '\0';
    for (size_t at = 0; at < n;) {
        size_t piece = n - at < step ? n - at : step;
        for (size_t done = 0; done < piece;) {
            bool complete;
            size_t took = dt_sentence_push(&s, text + at + done, piece - done, &complete);
            assert_true(took > 0 && took <= piece - done);
            assert_true(complete || took == piece - done);
            done += took;
            if (complete)
                used +=
                    (size_t)snprintf(out + used, size - used, "%s%s", used ? "|" : "", s.sentence);
            assert_true(used < size);
        }
        at += piece;
    }
    if (dt_sentence_flush(&s))
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "|" : "", s.sentence);
    assert_true(used < size);
    assert_int_equal(s.length, 0);
}

static void test_cases(void **state)
{
    (void)state;
    char out[1024];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = strlen(cases[i][0]);
        for (size_t step = 1; step <= (n ? n : 1); step++) {
            split(cases[i][0], n, step, out, sizeof out);
            assert_string_equal(out, cases[i][1]);
        }
    }
}

// A sentence is complete as soon as the next one begins, so that speech is not delayed.
static void test_latency(void **state)
{
    (void)state;
    struct dt_sentence s = {0};
    bool complete;
    assert_int_equal(dt_sentence_push(&s, "He ran. T", 9, &complete), 9);
    assert_true(complete);
    assert_string_equal(s.sentence, "He ran.");
    assert_int_equal(dt_sentence_push(&s, "he end.\n", 8, &complete), 8);
    assert_true(complete);
    assert_string_equal(s.sentence, "The end.");
    assert_false(dt_sentence_flush(&s));
}

// Text without stops is split at commas or spaces into pieces that fit, and nothing is lost.
static void test_long(void **state)
{
    (void)state;
    static char text[6000], out[8000], back[8000];
    for (int kind = 0; kind < 4; kind++) {
        static const char *const words[] = {"and then he ran on ", "one, two ", "aaaaaaaaaa",
                                            "\xc3\xa9"};
        size_t n = 0, length = strlen(words[kind]);
        while (n + length < sizeof text) {
            memcpy(text + n, words[kind], length);
            n += length;
        }
        split(text, n, 7, out, sizeof out);
        size_t used = 0, run = 0;
        for (const char *p = out; *p; p++) {
            run = *p == '|' ? 0 : run + 1;
            assert_true(run <= DT_SENTENCE_MAX);
            if (kind == 1 && *p == '|')
                assert_true(p[-1] == ',');
            if (kind == 3 && *p == '|')
                assert_true((unsigned char)p[1] == 0xc3);
            if (*p != '|' && *p != ' ')
                back[used++] = *p;
        }
        size_t at = 0;
        for (size_t i = 0; i < n; i++)
            if (text[i] != ' ')
                assert_true(at < used && back[at++] == text[i]);
        assert_int_equal(at, used);
    }
}

// For any bytes: sentences fit, do not depend on the division into pieces, and have no control
// characters and no white space at their ends.
static void test_noise(void **state)
{
    (void)state;
    static char text[600], out[4000], again[4000];
    static const char alphabet[] = ".!?\"'\n ,AbI3\xe2\x80\xa6\x9d\xc3\xa9\xff\x1b";
    uint32_t random = 1;
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < sizeof text; i++) {
            random = random * 1664525u + 1013904223u;
            text[i] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
        }
        split(text, sizeof text, sizeof text, out, sizeof out);
        split(text, sizeof text, 1 + (size_t)round % 9, again, sizeof again);
        assert_string_equal(out, again);
        for (const char *p = out; *p; p++) {
            assert_true((unsigned char)*p >= 0x20);
            if (*p == '|')
                assert_true(p[1] != ' ' && p[1] != '|' && p[1] != '\0' && p[-1] != ' ');
        }
    }
}

static void test_syllables(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t count;
    } words[] = {
        {"cat", 1},
        {"little", 2},
        {"liked", 1},
        {"wanted", 2},
        {"like", 1},
        {"beautiful", 3},
        {"the", 1},
        {"dragon", 2},
        {"princess", 2},
        {"hmm", 1},
        {"Once upon a time", 5},
        {"She didn't.", 2},
        {"", 0},
        {"...", 0},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_int_equal(dt_sentence_syllables(words[i].text, strlen(words[i].text)),
                         words[i].count);
    const char *story = "Once upon a time, there was a little girl. She ran.";
    uint32_t slow = dt_sentence_milliseconds(story, strlen(story), 100);
    uint32_t fast = dt_sentence_milliseconds(story, strlen(story), 200);
    assert_true(slow > 2 * fast - 10 && slow < 2 * fast + 10);
    assert_int_equal(dt_sentence_milliseconds("", 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases), cmocka_unit_test(test_latency),   cmocka_unit_test(test_long),
        cmocka_unit_test(test_noise), cmocka_unit_test(test_syllables),
    };
    return cmocka_run_group_tests_name("base: sentences", tests, NULL, NULL);
}
