// SPDX-License-Identifier: MIT
// Pre-tokenizers: patterns against the code of the fast rules, names, words of each rule.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/text/pretokenizer.h"
#include "core/text/pretokenizer_fast.h"

static const struct {
    enum dt_pretokenizer kind;
    uint32_t count;
    const char *patterns[2];
} fast[] = {
    {DT_PRETOKENIZER_GPT2,
     1,
     {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"}},
    {DT_PRETOKENIZER_LLAMA3,
     1,
     {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
      "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {DT_PRETOKENIZER_QWEN2,
     1,
     {"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
      "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {DT_PRETOKENIZER_SMOLLM,
     2,
     {"\\p{N}", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|"
                "\\s+"}},
};

static uint32_t random_below(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

// The patterns name their rules, and split random text as the code does.
static void patterns_and_code_agree(void **state)
{
    (void)state;
    static const char *const parts[] = {"a",
                                        "Zz",
                                        " ",
                                        "  ",
                                        "\n",
                                        "\r\n",
                                        "\t",
                                        "1",
                                        "23",
                                        "'s",
                                        "'LL",
                                        "'",
                                        "!",
                                        "...",
                                        "\xc2\xa0",
                                        "\xff",
                                        "\xc3\xa9",
                                        "\xe0\xa5\xa7",
                                        "\xf0\x9f\x98\x80",
                                        "\xe3\x80\x80",
                                        "\xcc\x81"};
    uint64_t random = 7;
    for (size_t k = 0; k < sizeof fast / sizeof *fast; k++) {
        static struct dt_pattern step[2];
        struct dt_pretokenizer_pattern patterns[2];
        for (uint32_t i = 0; i < fast[k].count; i++) {
            size_t n = strlen(fast[k].patterns[i]);
            patterns[i] = (struct dt_pretokenizer_pattern){fast[k].patterns[i], n};
            assert_true(dt_pattern_compile(&step[i], fast[k].patterns[i], n));
        }
        enum dt_pretokenizer kind;
        assert_true(dt_pretokenizer_by_patterns(patterns, fast[k].count, &kind));
        assert_int_equal(kind, fast[k].kind);
        struct dt_pretokenizer_plan plan = {kind, fast[k].count, step};
        for (int round = 0; round < 20000; round++) {
            char text[128];
            size_t n = 0;
            for (uint32_t i = random_below(&random, 16) + 1; i > 0; i--) {
                const char *part = parts[random_below(&random, sizeof parts / sizeof *parts)];
                memcpy(text + n, part, strlen(part));
                n += strlen(part);
            }
            struct dt_pretokenizer_walk walk = {.plan = &plan};
            for (size_t at = 0, end; at < n; at = end) {
                end = dt_pretokenizer_word(&walk, text, n, at);
                if (end != dt_pretokenizer_fast(kind, text, n, at))
                    fail_msg("rule %d: \"%.*s\" at %zu", (int)kind, (int)n, text, at);
            }
        }
    }
}

// The words of a text, separated by |.
static void rules(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *words;
    } rows[] = {
        {"gpt-4o", "XMLHttpRequest isn't", "XMLHttp|Request| isn't"},
        {"gpt-4o", "a/b\n/c 1234", "a|/b|\n|/c| |123|4"},
        {"tekken", "HTTPServer 12", "HTTPServer| |1|2"},
        {"deepseek-v3", "a1234\xe4\xbd\xa0 b", "a|123|4|\xe4\xbd\xa0| b"},
        {"deepseek-coder", "x = 12\n\ny", "x| = |1|2|\n|\n|y"},
        {"deepseek-coder",
         "\xe4\xb8\x80"
         "1",
         "\xe4\xb8\x80|1"},
        {"deepseek-llm", "Ab 12 ", "Ab| |12| "},
        {"falcon", "a=12345 x", "a|=|123|45| x"},
        {"falcon", "\xd0\xbc", "\xd0|\xbc"}, // its bytes look like digits
        {"bloom", "Hello, you", "Hello|,| you"},
        {"viking", "a1b", "a|1|b"},
        {"bailingmoe", "I'll 12", "I|'ll| |1|2"},
        {"seed-coder", "x!\n\n1", "x|!|\n\n|1"},
        {"llama-bpe", "x!\n\n1234", "x|!\n\n|123|4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum dt_pretokenizer kind;
        bool ignore_merges, nfc;
        assert_true(dt_pretokenizer_by_name(rows[i].name, strlen(rows[i].name), &kind,
                                            &ignore_merges, &nfc));
        size_t bytes = dt_pretokenizer_measure(kind), n = strlen(rows[i].text), written = 0;
        void *memory = aligned_alloc(DT_ALIGN, bytes + DT_ALIGN);
        struct dt_arena arena = dt_arena_over(memory, bytes);
        struct dt_pretokenizer_plan plan;
        assert_true(dt_pretokenizer_plan(&plan, kind, &arena));
        struct dt_pretokenizer_walk walk = {.plan = &plan};
        char words[128];
        for (size_t at = 0, end; at < n; at = end) {
            end = dt_pretokenizer_word(&walk, rows[i].text, n, at);
            if (at)
                words[written++] = '|';
            memcpy(words + written, rows[i].text + at, end - at);
            written += end - at;
        }
        words[written] = 0;
        assert_string_equal(words, rows[i].words);
        free(memory);
    }
}

// Every rule has a name that leads back to it, with its flags where a name has them.
static void names(void **state)
{
    (void)state;
    for (int kind = 0; kind <= DT_PRETOKENIZER_SEED_CODER; kind++) {
        const char *name = dt_pretokenizer_name((enum dt_pretokenizer)kind, false, false);
        enum dt_pretokenizer back;
        bool ignore_merges, nfc;
        assert_true(dt_pretokenizer_by_name(name, strlen(name), &back, &ignore_merges, &nfc));
        assert_int_equal(back, kind);
    }
    assert_string_equal(dt_pretokenizer_name(DT_PRETOKENIZER_LLAMA3, true, false), "llama-bpe");
    assert_string_equal(dt_pretokenizer_name(DT_PRETOKENIZER_LLAMA3, false, false), "smaug-bpe");
    assert_string_equal(dt_pretokenizer_name(DT_PRETOKENIZER_QWEN2, false, true), "qwen2");
}

// Patterns that mean something else, or are not understood.
static void other_patterns(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\\p{Han}+", "a++", "(?=a)", "[[:alpha:]]", "a|(b", "\\d+",     "[a-", "",   "a{2,1}",
        "(?<!a)b",   "[^a", "a{0}",  "a\\",         ".",    "\\p{L}+?", "(a",  "b)", "[z-a]+"};
    struct dt_pattern p;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dt_pattern_compile(&p, rows[i], strlen(rows[i])))
            fail_msg("%s", rows[i]);
    enum dt_pretokenizer kind;
    struct dt_pretokenizer_pattern pattern = {"\\p{L}+", 6};
    assert_false(dt_pretokenizer_by_patterns(&pattern, 1, &kind));
    assert_false(dt_pretokenizer_by_patterns(&pattern, 0, &kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_and_code_agree),
        cmocka_unit_test(rules),
        cmocka_unit_test(names),
        cmocka_unit_test(other_patterns),
    };
    return cmocka_run_group_tests_name("pretokenizer", tests, NULL, NULL);
}
