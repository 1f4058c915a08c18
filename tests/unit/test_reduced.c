// SPDX-License-Identifier: MIT
// Real vocabularies, cut to few pieces, with texts and the ids that Hugging Face's library gives.
// They are read in place from ../shared/fixtures/reduced; without it the test is skipped.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/formats/hf_vocab.h"
#include "core/text/tokenizer.h"

static const char *const vocabularies[] = {"llama2",      "llama3_1", "qwen3", "gemma3",
                                           "deepseek_v3", "gpt4o",    "gptoss"};

static bool read_file(const char *vocabulary, const char *name, char **text, size_t *n)
{
    char path[1024];
    const char *root = getenv("DT_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/../shared/fixtures/reduced/%s/%s", root ? root : ".",
             vocabulary, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    *text = malloc(*n + 1);
    assert_int_equal(fread(*text, 1, *n, f), *n);
    fclose(f);
    return true;
}

struct reduced {
    char *json;
    void *tables, *memory;
    struct dt_vocab vocab;
    struct dt_tokenizer tokenizer;
};

static bool open_reduced(struct reduced *r, const char *name)
{
    size_t n;
    struct dt_json_outline root;
    struct dt_error err = {0};
    memset(r, 0, sizeof *r);
    if (!read_file(name, "tokenizer.json", &r->json, &n))
        return false;
    assert_int_equal(dt_json_check_outline(r->json, n, name, &root, &err), DT_OK);
    struct dt_arena counter = dt_arena_over(NULL, 0);
    assert_int_equal(dt_hf_vocab(&root, name, 2048, &counter, false, NULL, &err), DT_OK);
    r->tables = aligned_alloc(DT_ALIGN, counter.wanted);
    struct dt_arena arena = dt_arena_over(r->tables, counter.wanted);
    r->vocab.bos = r->vocab.eos = r->vocab.eot = r->vocab.unknown = DT_NO_TOKEN;
    if (dt_hf_vocab(&root, name, 2048, &arena, false, &r->vocab, &err))
        fail_msg("%s: %s", name, err.message);
    size_t need = dt_tokenizer_measure(&r->vocab, 4096);
    r->memory = aligned_alloc(DT_ALIGN, need);
    assert_int_equal(dt_tokenizer_init(&r->tokenizer, &r->vocab, r->memory, need, &err), DT_OK);
    return true;
}

static void close_reduced(struct reduced *r)
{
    free(r->json);
    free(r->tables);
    free(r->memory);
}

// Encodes `text` and compares with the ids of a JSON array.
static bool same(struct reduced *r, const char *text, size_t n, unsigned flags,
                 struct dt_json_value ids)
{
    uint32_t tokens[4096];
    size_t count, i = 0;
    struct dt_error err = {0};
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item;
    if (dt_tokenizer_encode(&r->tokenizer, text, n, flags | DT_ENCODE_PREFIX, tokens, 4096, &count,
                            &err))
        fail_msg("%s", err.message);
    bool good = count == dt_json_count(ids);
    for (; dt_json_next(ids, &walk, &key, &item); i++) {
        uint64_t id;
        good = dt_json_uint_of(item, &id) && i < count && tokens[i] == id && good;
    }
    if (!good) {
        print_error("\"%.*s\": expected %.*s, got", (int)n, text, (int)ids.n, ids.at);
        for (i = 0; i < count; i++)
            print_error(" %u", tokens[i]);
        print_error("\n");
    }
    return good;
}

// Every text of every vocabulary, without markers and, where the texts have them, with.
static void texts(void **state)
{
    (void)state;
    size_t rows = 0, wrong = 0, with_special = 0;
    for (size_t k = 0; k < sizeof vocabularies / sizeof *vocabularies; k++) {
        struct reduced r;
        char *lines;
        size_t n, bad = 0;
        if (!open_reduced(&r, vocabularies[k])) {
            print_message("skipped: ../shared/fixtures/reduced/%s is missing\n", vocabularies[k]);
            skip();
        }
        assert_true(read_file(vocabularies[k], "texts.jsonl", &lines, &n));
        for (char *at = lines, *end; at < lines + n; at = end + 1) {
            struct dt_json_value row;
            struct dt_error err = {0};
            char text[4096];
            end = memchr(at, '\n', (size_t)(lines + n - at));
            assert_non_null(end);
            assert_int_equal(dt_json_check(at, (size_t)(end - at), "row", &row, &err), DT_OK);
            size_t length = dt_json_text_of(dt_json_find(row, "text"), text);
            struct dt_json_value special = dt_json_find(row, "special");
            bad += !same(&r, text, length, 0, dt_json_find(row, "ids"));
            if (special.n)
                bad += !same(&r, text, length, DT_ENCODE_SPECIAL, special);
            with_special += special.n != 0;
            rows++;
        }
        if (bad)
            print_error("%s: %zu texts differ\n", vocabularies[k], bad);
        wrong += bad;
        free(lines);
        close_reduced(&r);
    }
    assert_true(rows >= 7 * 52 && with_special >= 4);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
