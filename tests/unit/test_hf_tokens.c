// SPDX-License-Identifier: MIT
// Hugging Face folders: which tokens begin and end a text, by all of their files; chat templates;
// and tokenizer.model.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/formats/open_model.h"
#include "core/text/template.h"
#include "core/text/tokenizer.h"
#include "synth_hf.h"

static const struct synth_shape shape = {.dim = 24,
                                         .hidden = 40,
                                         .layers = 1,
                                         .heads = 4,
                                         .kv_heads = 2,
                                         .vocab = 270,
                                         .context = 20,
                                         .seed = 5};

// A folder: the synthetic files, of which some are replaced or added.
struct folder {
    struct synth file[SYNTH_HF_FILES];
    struct dt_model_part parts[SYNTH_HF_FILES + 4];
    void *bytes[SYNTH_HF_FILES + 4];
    uint32_t count;
    void *memory;
    struct dt_model model;
    struct dt_error err;
};

static void add_part(struct folder *f, const char *name, const void *bytes, size_t n)
{
    void *copy = aligned_alloc(8, (n + 7) / 8 * 8); // safetensors need alignment
    memcpy(copy, bytes, n);
    f->bytes[f->count] = copy;
    f->parts[f->count++] = (struct dt_model_part){copy, n, name};
}

struct extra {
    const char *name, *text; // replaces the file of this name, or is added; text "": none
    size_t n;                // 0: the length of text
};

static dt_status open_folder(struct folder *f, bool bpe, const struct extra *extras, size_t count)
{
    static const char *const names[SYNTH_HF_FILES] = {
        "config.json", "tokenizer.json", "tokenizer_config.json", NULL, "model.safetensors"};
    memset(f, 0, sizeof *f);
    synth_hf(f->file, &shape, &(struct synth_hf){.bpe = bpe});
    for (int i = 0; i < SYNTH_HF_FILES; i++) {
        bool replaced = !names[i] || !f->file[i].n;
        for (size_t k = 0; k < count && !replaced; k++)
            replaced = strcmp(extras[k].name, names[i]) == 0;
        if (!replaced)
            add_part(f, names[i], f->file[i].bytes, f->file[i].n);
    }
    for (size_t k = 0; k < count; k++)
        if (extras[k].text && *extras[k].text)
            add_part(f, extras[k].name, extras[k].text,
                     extras[k].n ? extras[k].n : strlen(extras[k].text));
    struct dt_model_found found = {0};
    size_t need = dt_model_measure_parts(f->parts, f->count, &found, &f->err);
    if (!need)
        return f->err.status;
    f->memory = aligned_alloc(DT_ALIGN, need);
    struct dt_arena arena = dt_arena_over(f->memory, need);
    dt_status status = dt_model_open_parts(f->parts, f->count, &found, &arena, &f->model, &f->err);
    if (!status)
        assert_int_equal(arena.used, need);
    return status;
}

static void close_folder(struct folder *f)
{
    for (int i = 0; i < SYNTH_HF_FILES; i++)
        synth_free(&f->file[i]);
    while (f->count > 0)
        free(f->bytes[--f->count]);
    free(f->memory);
}

#define CONFIG(more)                                                                               \
    "{\"model_type\": \"llama\", \"hidden_size\": 24, \"intermediate_size\": 40, "                 \
    "\"num_hidden_layers\": 1, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "           \
    "\"vocab_size\": 270, \"max_position_embeddings\": 20, \"rms_norm_eps\": 1e-05, "              \
    "\"hidden_act\": \"silu\"" more "}"

static void special_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *config, *generation, *tokenizer_config;
        uint32_t bos, eos;
        uint32_t ends[4]; // 0: no more
        bool add_bos;
        uint32_t notes;
    } rows[] = {
        {CONFIG(", \"bos_token_id\": 256, \"eos_token_id\": [257, 258]"),
         "{\"eos_token_id\": [259, 257]}",
         "{}",
         256,
         257,
         {257, 258, 259},
         false,
         0},
        {CONFIG(""),
         "",
         "{\"bos_token\": \"<|im_start|>\", \"eos_token\": {\"content\": "
         "\"<|im_end|>\"}}",
         256,
         257,
         {257},
         false,
         0},
        {CONFIG(", \"bos_token_id\": 256"),
         "{\"eos_token_id\": 258}",
         "{\"add_bos_token\": true, \"eos_token\": \"<|im_end|>\"}",
         256,
         258,
         {257, 258},
         true,
         0},
        {CONFIG(", \"bos_token_id\": 256, \"eos_token_id\": 999"),
         "",
         "{\"add_bos_token\": null}",
         256,
         DT_NO_TOKEN,
         {257},
         false,
         1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct folder f;
        const struct extra extras[] = {{"config.json", rows[i].config, 0},
                                       {"generation_config.json", rows[i].generation, 0},
                                       {"tokenizer_config.json", rows[i].tokenizer_config, 0}};
        if (open_folder(&f, true, extras, 3))
            fail_msg("row %zu: %s", i, f.err.message);
        const struct dt_vocab *v = &f.model.vocab;
        uint32_t count = 0;
        assert_int_equal(v->bos, rows[i].bos);
        assert_int_equal(v->eos, rows[i].eos);
        assert_true(v->add_bos == rows[i].add_bos);
        assert_int_equal(f.model.notes, rows[i].notes);
        for (; count < 4 && rows[i].ends[count]; count++)
            assert_int_equal(v->ends[count], rows[i].ends[count]);
        assert_int_equal(v->end_count, count);
        close_folder(&f);
    }
}

// add_bos_token: null is unset, so SentencePiece's default holds.
static void add_bos_unset(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool add_bos;
    } rows[] = {
        {"{\"add_bos_token\": null}", true}, {"{}", true}, {"{\"add_bos_token\": false}", false}};
    for (size_t i = 0; i < 3; i++) {
        struct folder f;
        const struct extra extra = {"tokenizer_config.json", rows[i].text, 0};
        assert_int_equal(open_folder(&f, false, &extra, 1), DT_OK);
        assert_true(f.model.vocab.add_bos == rows[i].add_bos);
        close_folder(&f);
    }
}

static void templates(void **state)
{
    (void)state;
    static const struct {
        struct extra extras[2];
        const char *expected;
    } rows[] = {
        {{{"tokenizer_config.json", "{\"chat_template\": \"A\"}", 0},
          {"chat_template.jinja", "J{#", 0}},
         "J{#"},
        {{{"tokenizer_config.json",
           "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": "
           "\"T\"}, {\"name\": \"default\", \"template\": \"D\"}]}",
           0},
          {"x", "", 0}},
         "D"},
        {{{"tokenizer_config.json", "{}", 0},
          {"chat_template.json", "{\"chat_template\": \"O\\n\"}", 0}},
         "O\n"},
        {{{"tokenizer_config.json", "{\"chat_template\": null}", 0}, {"x", "", 0}}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct folder f;
        if (open_folder(&f, true, rows[i].extras, 2))
            fail_msg("row %zu: %s", i, f.err.message);
        if (!rows[i].expected) {
            assert_null(f.model.chat_template);
        } else {
            assert_int_equal(f.model.chat_template_length, strlen(rows[i].expected));
            assert_memory_equal(f.model.chat_template, rows[i].expected,
                                f.model.chat_template_length);
        }
        close_folder(&f);
    }
}

// ---- tokenizer.model ----

// ---- added tokens ----

#define ADDED_FIRST 262u

// A byte-level tokenizer.json with tokens of every kind from ADDED_FIRST on.
static void make_added(struct synth *out)
{
    static const char rows[] =
        "{\"id\": 262, \"content\": \"<t>\", \"special\": false},"
        "{\"id\": 263, \"content\": \"<l>\", \"special\": false, \"lstrip\": true},"
        "{\"id\": 264, \"content\": \"<r>\", \"special\": false, \"rstrip\": true},"
        "{\"id\": 265, \"content\": \"<b>\", \"lstrip\": true, \"rstrip\": true},"
        "{\"id\": 266, \"content\": \"<w>\", \"special\": false, \"single_word\": true},"
        "{\"id\": 267, \"content\": \"<e>\", \"special\": true, \"rstrip\": true}, ";
    static const char list[] = "\"added_tokens\": [";
    struct synth files[SYNTH_HF_FILES] = {{0}};
    synth_hf(files, &shape, &(struct synth_hf){.bpe = true});
    struct synth *from = &files[SYNTH_HF_TOKENIZER];
    unsigned char *at = memmem(from->bytes, from->n, list, sizeof list - 1);
    assert_non_null(at);
    at += sizeof list - 1;
    synth_put(out, from->bytes, (size_t)(at - from->bytes));
    synth_put(out, rows, sizeof rows - 1);
    synth_put(out, at, from->n - (size_t)(at - from->bytes));
    for (int i = 0; i < SYNTH_HF_FILES; i++)
        synth_free(&files[i]);
}

// Ids as text: a byte's token is the byte, and the added ones are '\1' and up.
static void spell(const uint32_t *tokens, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++)
        *out++ = (char)(tokens[i] >= ADDED_FIRST ? tokens[i] - ADDED_FIRST + 1 : tokens[i]);
    *out = 0;
}

static void added_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned flags;
        const char *expected;
    } rows[] = {
        {"a <t> b", DT_ENCODE_USER, "a \1 b"},
        {"a <l> b", DT_ENCODE_USER, "a\2 b"},
        {"a  \t\n<l>b", DT_ENCODE_USER, "a\2b"},
        {"a\xe3\x80\x80<l>b", DT_ENCODE_USER, "a\2b"}, // U+3000 is a space
        {"a <r> \n\xc2\xa0"
         "b",
         DT_ENCODE_USER, "a \3b"},
        {"a <b> b", DT_ENCODE_USER, "a\4b"},
        {" <b> ", DT_ENCODE_USER, "\4"},
        {"<r> <l>", DT_ENCODE_USER, "\3\2"},
        {"<r>\xa0x", DT_ENCODE_USER, "\3\xa0x"}, // not valid UTF-8
        {"a <w> b", DT_ENCODE_USER, "a \5 b"},
        {"a<w> b", DT_ENCODE_USER, "a<w> b"},
        {"<w>", DT_ENCODE_USER, "\5"},
        {"<w>1", DT_ENCODE_USER, "<w>1"},
        {"_<w>", DT_ENCODE_USER, "_<w>"},
        {"\xc3\xa9<w>", DT_ENCODE_USER, "\xc3\xa9<w>"},
        {".<w>!<w><w>", DT_ENCODE_USER, ".\5!\5\5"},
        {" <e> x", DT_ENCODE_USER, " <e> x"},
        {" <e> x", DT_ENCODE_SPECIAL, " \6x"},
        {"a <l> b", 0, "a <l> b"},
    };
    struct synth json = {0};
    struct folder f;
    char found[64];
    uint32_t tokens[64];
    size_t count;
    make_added(&json);
    struct extra extra = {"tokenizer.json", (const char *)json.bytes, json.n};
    assert_int_equal(open_folder(&f, true, &extra, 1), DT_OK);
    size_t size = dt_tokenizer_measure(&f.model.vocab, 256);
    void *memory = aligned_alloc(DT_ALIGN, (size + DT_ALIGN - 1) / DT_ALIGN * DT_ALIGN);
    struct dt_tokenizer t;
    assert_int_equal(dt_tokenizer_init(&t, &f.model.vocab, memory, size, &f.err), DT_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(dt_tokenizer_encode(&t, rows[i].text, strlen(rows[i].text), rows[i].flags,
                                             tokens, 64, &count, &f.err),
                         DT_OK);
        spell(tokens, count, found);
        if (strcmp(found, rows[i].expected) != 0)
            fail_msg("row %zu: %s is %s", i, rows[i].text, found);
    }
    // in a dialogue: the white space behind a token of the template is the user's here
    static const char dialogue[] = "<e>  Hi <e>", typed[] = "\0\0\0\1\1\1\1\1\1\1\1";
    assert_int_equal(dt_template_encode_text(&t, dialogue, (const unsigned char *)typed, 11, false,
                                             false, tokens, 64, &count, &f.err),
                     DT_OK);
    spell(tokens, count, found);
    assert_string_equal(found, "\6Hi <e>");
    // what continues an answer that ended with such a token
    dt_vocab_add_end(&f.model.vocab, ADDED_FIRST + 5);
    assert_int_equal(
        dt_template_encode_text(&t, " \nHi", NULL, 4, false, true, tokens, 64, &count, &f.err),
        DT_OK);
    spell(tokens, count, found);
    assert_string_equal(found, "Hi");
    free(memory);
    close_folder(&f);
    synth_free(&json);
}

static void put_field(struct synth *s, unsigned number, const void *bytes, size_t n)
{
    synth_u8(s, (uint8_t)(number << 3 | 2));
    if (n >= 128)
        synth_u8(s, (uint8_t)(n | 128));
    synth_u8(s, (uint8_t)(n >= 128 ? n >> 7 : n));
    synth_put(s, bytes, n);
}

static void put_piece(struct synth *s, const char *piece, float score, uint8_t type)
{
    struct synth p = {0};
    put_field(&p, 1, piece, strlen(piece));
    synth_u8(&p, 2 << 3 | 5);
    synth_f32(&p, score);
    if (type != 1) { // normal is the default
        synth_u8(&p, 3 << 3);
        synth_u8(&p, type);
    }
    put_field(s, 1, p.bytes, p.n);
    synth_free(&p);
}

// algorithm 2: BPE. prefix, extra: add_dummy_prefix and remove_extra_whitespaces.
static void make_sentencepiece(struct synth *s, uint8_t algorithm, uint8_t prefix, uint8_t extra)
{
    put_piece(s, "<unk>", 0, 2);
    put_piece(s, "<s>", 0, 3);
    put_piece(s, "</s>", 0, 3);
    for (unsigned byte = 0; byte < 256; byte++) {
        char piece[8];
        snprintf(piece, sizeof piece, "<0x%02X>", byte);
        put_piece(s, piece, 0, 6);
    }
    put_piece(s, "th", 0, 1);
    put_piece(s, "\xe2\x96\x81the", -1, 1);
    put_piece(s, "the", -2, 1);
    put_piece(s, "t", -3, 1);
    put_piece(s, "h", -4, 1);
    put_piece(s, "e", -5, 1);
    put_piece(s, "\xe2\x96\x81", -6, 1);
    const uint8_t trainer[] = {3 << 3, algorithm};
    put_field(s, 2, trainer, sizeof trainer);
    const uint8_t normalizer[] = {3 << 3, prefix, 4 << 3, extra};
    put_field(s, 3, normalizer, sizeof normalizer);
}

static void tokenizer_model(void **state)
{
    (void)state;
    for (uint8_t prefix = 0; prefix < 2; prefix++) {
        struct synth s = {0};
        struct folder f;
        make_sentencepiece(&s, 2, prefix, 0);
        const struct extra extras[] = {{"tokenizer.json", "", 0},
                                       {"tokenizer.model", (const char *)s.bytes, s.n},
                                       {"tokenizer_config.json",
                                        "{\"added_tokens_decoder\": {\"268\": {\"content\": "
                                        "\"<|im_end|>\", \"special\": true}, "
                                        "\"900\": {\"content\": \"far\"}}}",
                                        0}};
        if (open_folder(&f, false, extras, 3))
            fail_msg("%s", f.err.message);
        const struct dt_vocab *v = &f.model.vocab;
        assert_true(v->kind == DT_VOCAB_SPM && v->size == 270 && v->bos == 1 && v->eos == 2 &&
                    v->unknown == 0 && v->add_bos && v->add_space_prefix == (prefix != 0));
        assert_int_equal(dt_vocab_type(v, 268), DT_TOKEN_CONTROL);
        assert_int_equal(dt_vocab_type(v, 269), DT_TOKEN_UNUSED);
        assert_true(v->end_count == 2 && v->ends[0] == 2 && v->ends[1] == 268);
        struct dt_tokenizer t;
        size_t need = dt_tokenizer_measure(v, 64), count;
        void *memory = aligned_alloc(DT_ALIGN, need);
        uint32_t tokens[64];
        assert_int_equal(dt_tokenizer_init(&t, v, memory, need, &f.err), DT_OK);
        assert_int_equal(dt_tokenizer_encode(&t, "the\n", 4, DT_ENCODE_BOS | DT_ENCODE_PREFIX,
                                             tokens, 64, &count, &f.err),
                         DT_OK);
        assert_true(count == 3 && tokens[0] == 1 && tokens[1] == (prefix ? 260u : 261u) &&
                    tokens[2] == 13);
        free(memory);
        close_folder(&f);
        synth_free(&s);
    }
}

static void broken_tokenizer_models(void **state)
{
    (void)state;
    static const struct {
        uint8_t algorithm, extra;
        size_t cut;
        const char *message;
    } rows[] = {{1, 0, 0, "its algorithm is unigram"},
                {4, 0, 0, "its algorithm is not BPE"},
                {2, 1, 0, "it removes spaces"},
                {2, 0, 1, "not a SentencePiece model, or cut off"},
                {2, 0, 40, "is broken"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct synth s = {0};
        struct folder f;
        make_sentencepiece(&s, rows[i].algorithm, 1, rows[i].extra);
        const struct extra extras[] = {
            {"tokenizer.json", "", 0},
            {"tokenizer.model", (const char *)s.bytes, s.n - rows[i].cut}};
        dt_status status = open_folder(&f, false, extras, 2);
        assert_true(status == DT_UNSUPPORTED || status == DT_BAD_INPUT);
        if (!strstr(f.err.message, rows[i].message))
            fail_msg("row %zu: %s", i, f.err.message);
        close_folder(&f);
        synth_free(&s);
    }
}

// A text that is no JSON any more is not noticed by who has measured it, because it is not checked
// again.
static void checked_once(void **state)
{
    (void)state;
    struct folder f;
    struct dt_model_found found = {0};
    struct dt_model model;
    assert_int_equal(open_folder(&f, true, NULL, 0), DT_OK);
    size_t need = dt_model_measure_parts(f.parts, f.count, &found, &f.err);
    assert_true(found.tokenizer > 0 && found.tokenizer <= f.count);
    const struct dt_model_part *part = &f.parts[found.tokenizer - 1];
    assert_string_equal(part->name, "tokenizer.json");
    unsigned char *last = (unsigned char *)f.bytes[found.tokenizer - 1] + part->n - 1;
    assert_int_equal(*last, '\n');
    *last = ']';
    struct dt_arena arena = dt_arena_over(f.memory, need);
    assert_int_equal(dt_model_open_parts(f.parts, f.count, &found, &arena, &model, &f.err), DT_OK);
    assert_int_equal(model.vocab.size, f.model.vocab.size);
    assert_true(model.vocab.merges_count == f.model.vocab.merges_count);
    assert_int_equal(dt_model_open_parts(f.parts, f.count, NULL, &arena, &model, &f.err),
                     DT_BAD_INPUT);
    close_folder(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_tokens),  cmocka_unit_test(add_bos_unset),
        cmocka_unit_test(templates),       cmocka_unit_test(added_tokens),
        cmocka_unit_test(tokenizer_model), cmocka_unit_test(broken_tokenizer_models),
        cmocka_unit_test(checked_once),
    };
    return cmocka_run_group_tests_name("hf_tokens", tests, NULL, NULL);
}
