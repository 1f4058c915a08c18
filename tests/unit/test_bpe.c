// SPDX-License-Identifier: MIT
// Compares byte-level BPE with the ids of an independent tokenizer (tests/golden/bpe), and checks
// properties for any text.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "core/text/tokenizer.h"
#include "core/text/tokenizer_bpe.h"
#include "synth.h"

#define MAX_PIECES 2048

// A vocabulary made from merges.
struct bpe {
    struct synth text, merges;
    uint32_t offset[MAX_PIECES];
    uint16_t length[MAX_PIECES];
    struct dt_vocab vocab;
    struct dt_tokenizer tokenizer;
    void *memory;
};

static FILE *golden(const char *name)
{
    char path[1024];
    const char *root = getenv("DT_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/bpe/%s", root ? root : ".", name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s is missing", path);
    return f;
}

static uint32_t find(const struct bpe *b, const char *piece, size_t n)
{
    for (uint32_t i = 0; i < b->vocab.size; i++)
        if (b->length[i] == n && memcmp(b->text.bytes + b->offset[i], piece, n) == 0)
            return i;
    return DT_NO_TOKEN;
}

static void add_piece(struct bpe *b, const char *piece, size_t n)
{
    if (find(b, piece, n) != DT_NO_TOKEN)
        return;
    assert_true(b->vocab.size < MAX_PIECES);
    b->offset[b->vocab.size] = (uint32_t)b->text.n;
    b->length[b->vocab.size++] = (uint16_t)n;
    synth_put(&b->text, piece, n);
}

// Piece i is byte i in GPT-2's visible characters.
static void add_bytes(struct bpe *b)
{
    uint32_t other = 256;
    for (uint32_t byte = 0; byte < 256; byte++) {
        bool visible = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        uint32_t code = visible ? byte : other++;
        char piece[2] = {(char)(code < 128 ? code : 0xc0 | code >> 6), (char)(0x80 | (code & 63))};
        add_piece(b, piece, code < 128 ? 1 : 2);
    }
}

static void bpe_free(struct bpe *b)
{
    synth_free(&b->text);
    synth_free(&b->merges);
    free(b->memory);
}

static void bpe_make(struct bpe *b, enum dt_pretokenizer kind, size_t max_text)
{
    FILE *f = golden("merges.txt");
    char line[512];
    memset(b, 0, sizeof *b);
    add_bytes(b);
    while (fgets(line, sizeof line, f)) {
        size_t n = strcspn(line, "\n");
        char *space = memchr(line, ' ', n);
        synth_u64(&b->merges, n);
        synth_put(&b->merges, line, n);
        b->vocab.merges_count++;
        memmove(space, space + 1, n - (size_t)(space - line));
        add_piece(b, line, n - 1);
    }
    fclose(f);
    b->vocab.kind = DT_VOCAB_BPE;
    b->vocab.pretokenizer = kind;
    b->vocab.ignore_merges = kind == DT_PRETOKENIZER_LLAMA3;
    b->vocab.bytes = b->text.bytes;
    b->vocab.offset = b->offset;
    b->vocab.length = b->length;
    b->vocab.merges = b->merges.bytes;
    b->vocab.merges_bytes = b->merges.n;
    b->vocab.bos = b->vocab.eos = b->vocab.unknown = b->vocab.eot = DT_NO_TOKEN;
    size_t need = dt_tokenizer_measure(&b->vocab, max_text);
    b->memory = aligned_alloc(DT_ALIGN, need);
    struct dt_error err = {0};
    assert_int_equal(dt_tokenizer_init(&b->tokenizer, &b->vocab, b->memory, need, &err), DT_OK);
}

static const struct {
    const char *name;
    enum dt_pretokenizer kind;
} families[] = {{"gpt2", DT_PRETOKENIZER_GPT2},
                {"llama3", DT_PRETOKENIZER_LLAMA3},
                {"qwen2", DT_PRETOKENIZER_QWEN2},
                {"smollm", DT_PRETOKENIZER_SMOLLM}};

static void ids_of_an_independent_tokenizer(void **state)
{
    (void)state;
    static char line[65536], text[16384];
    static uint32_t tokens[16384];
    for (size_t k = 0; k < 4; k++) {
        struct bpe b;
        char name[32];
        size_t rows = 0, wrong = 0;
        bpe_make(&b, families[k].kind, sizeof text);
        snprintf(name, sizeof name, "%s.txt", families[k].name);
        FILE *f = golden(name);
        while (fgets(line, sizeof line, f)) {
            size_t n = strcspn(line, "\t") / 2, count;
            struct dt_error err = {0};
            for (size_t i = 0; i < n; i++) {
                unsigned byte;
                sscanf(line + 2 * i, "%2x", &byte);
                text[i] = (char)byte;
            }
            assert_int_equal(
                dt_tokenizer_encode(&b.tokenizer, text, n, 0, tokens, 16384, &count, &err), DT_OK);
            char *at = line + 2 * n + 1;
            bool same = true;
            size_t i = 0;
            for (; *at != '\n'; i++) {
                unsigned long id = strtoul(at, &at, 10);
                same = same && i < count && tokens[i] == id;
                at += *at == ' ';
            }
            if (!same || i != count) {
                wrong++;
                print_error("%s: \"%.*s\" (%.*s): other ids than expected\n", families[k].name,
                            (int)n, text, (int)(2 * n), line);
            }
            rows++;
        }
        fclose(f);
        bpe_free(&b);
        assert_true(rows >= 300);
        assert_int_equal(wrong, 0);
    }
}

// In every family any bytes decode to themselves, also invalid UTF-8.
static void round_trip(void **state)
{
    (void)state;
    uint64_t random = 99;
    static const char *const parts[] = {
        "the", " ", "\n", "12", "'s", "\xc3\xa9", "\xff", "\xe4\xbd\xa0", "\xf0\x9f\x98", "!", "a"};
    for (size_t k = 0; k < 4; k++) {
        struct bpe b;
        bpe_make(&b, families[k].kind, 4096);
        for (int i = 0; i < 2000; i++) {
            char text[256], back[DT_PIECE_MAX * 4];
            size_t n = 0, count, m = 0;
            uint32_t tokens[256];
            for (int j = i % 24; j >= 0; j--) {
                unsigned pick = (unsigned)((synth_random(&random) + 1) * 1024);
                if (i % 2) {
                    text[n++] = (char)(pick & 255);
                } else {
                    const char *part = parts[pick % (sizeof parts / sizeof *parts)];
                    memcpy(text + n, part, strlen(part));
                    n += strlen(part);
                }
            }
            struct dt_error err = {0};
            assert_int_equal(dt_tokenizer_encode(&b.tokenizer, text, n,
                                                 DT_ENCODE_PREFIX | DT_ENCODE_SPECIAL, tokens, 256,
                                                 &count, &err),
                             DT_OK);
            for (size_t t = 0; t < count; t++)
                m += dt_tokenizer_decode(&b.tokenizer, t ? tokens[t - 1] : DT_NO_TOKEN, tokens[t],
                                         back + m);
            assert_int_equal(m, n);
            assert_memory_equal(back, text, n);
        }
        bpe_free(&b);
    }
}

// A megabyte of one word takes n log n steps, as one of many words. (Its time is printed.)
static void a_megabyte(void **state)
{
    (void)state;
    size_t n = 1 << 20, count;
    char *text = malloc(n);
    uint32_t *tokens = malloc(n * sizeof *tokens);
    for (int kind = 0; kind < 3; kind++) {
        struct bpe b;
        struct dt_error err = {0};
        bpe_make(&b, families[kind].kind, n);
        for (size_t i = 0; i < n; i++)
            text[i] = kind == 0   ? "the dog said: it's 12 o'clock.\n"[i % 31]
                      : kind == 1 ? (char)('a' + i * i % 23)
                                  : ' ';
        clock_t begin = clock();
        assert_int_equal(dt_tokenizer_encode(&b.tokenizer, text, n, 0, tokens, n, &count, &err),
                         DT_OK);
        print_message("%s: 1 MiB in %.0f ms, %zu tokens\n", families[kind].name,
                      (double)(clock() - begin) * 1000 / CLOCKS_PER_SEC, count);
        bpe_free(&b);
    }
    free(text);
    free(tokens);
}

static void merges_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *merge, *message;
    } rows[] = {{"t", "item 0 is \"t\"; expected two pieces"},
                {"t ", "expected two pieces"},
                {" t", "expected two pieces"},
                {"t zzzz", NULL}, // merges that cannot happen are ignored
                {"zzzz t", NULL},
                {"z q", NULL},
                {"#version: 0.2", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bpe b;
        struct dt_error err = {0};
        uint32_t tokens[8];
        size_t count;
        bpe_make(&b, DT_PRETOKENIZER_GPT2, 64);
        b.merges.n = 0;
        synth_u64(&b.merges, strlen(rows[i].merge));
        synth_put(&b.merges, rows[i].merge, strlen(rows[i].merge));
        b.vocab.merges = b.merges.bytes;
        b.vocab.merges_count = 1;
        for (int again = 0; again < 2; again++) { // refused again
            assert_int_equal(
                dt_tokenizer_encode(&b.tokenizer, "the", 3, 0, tokens, 8, &count, &err),
                rows[i].message ? DT_BAD_INPUT : DT_OK);
            if (rows[i].message)
                assert_non_null(strstr(err.message, rows[i].message));
            else
                assert_int_equal(count, 3);
        }
        bpe_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_an_independent_tokenizer),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(a_megabyte),
        cmocka_unit_test(merges_that_lie),
    };
    return cmocka_run_group_tests_name("bpe", tests, NULL, NULL);
}
