// SPDX-License-Identifier: MIT
// Speculation: the same tokens and logits with and without guesses, for random models, backends,
// samplers, threads and undone tokens; guesses where they pay and none where they do not, by given
// times; tables of n-grams, well-formed and hostile.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/convert/convert_draft.h"
#include "host/engine.h"
#include "synth.h"

#define ROUNDS 40
#define STEPS  40u

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t pick(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

static char model_path[] = "/tmp/duotale-draft-XXXXXX", table_path[] = "/tmp/duotale-table-XXXXXX";

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

// ---- the same text ----

static struct dt_engine *open_engine(const struct dt_engine_options *options)
{
    struct dt_error err = {0};
    struct dt_engine *engine;
    assert_int_equal(dt_engine_new(&engine, options, &err), DT_OK);
    if (dt_engine_open(engine, model_path, NULL, &err) != DT_OK)
        fail_msg("%s: %s: %s", options->stack, err.file, err.message);
    return engine;
}

static size_t all_stacks(char (*out)[64], size_t capacity)
{
    struct dt_engine *engine;
    size_t n = 0;
    assert_int_equal(dt_engine_new(&engine, NULL, NULL), DT_OK);
    struct dt_registry *registry = dt_engine_registry(engine);
    for (size_t i = 0; i < dt_registry_count(registry) && n < capacity; i++) {
        const struct dt_backend_info *b = dt_registry_at(registry, i);
        if (!b->reason && b->table->form_count > 0)
            snprintf(out[n++], 64, "%s%s%s", b->name, *b->variant ? "@" : "", b->variant);
    }
    dt_engine_free(engine);
    return n;
}

static void write_model(uint32_t round)
{
    struct synth s = {0};
    struct synth_shape shape = {.dim = 64,
                                .hidden = 96,
                                .layers = 2,
                                .heads = 4,
                                .kv_heads = 2,
                                .vocab = round % 4 == 3 ? 4200 : 300,
                                .context = 64,
                                .shared = round % 2 == 0,
                                .group = round % 3 == 1 ? 32 : 0,
                                .seed = 7 + round % 5};
    struct synth_gguf how = {.form = round % 3 == 0 ? DT_FORM_F32 : DT_FORM_Q8_0};
    if (shape.group)
        synth_llama2c(&s, &shape, 2);
    else
        synth_gguf(&s, &shape, &how);
    write_file(model_path, s.bytes, s.n);
    synth_free(&s);
}

// One token of both engines, which hold the same text.
static uint32_t step(struct dt_engine *plain, struct dt_engine *drafted, uint32_t round)
{
    struct dt_error err = {0};
    uint32_t token = dt_engine_next(plain), same = dt_engine_next(drafted);
    if (token != same)
        fail_msg("round %u, position %u: token %u, with speculation %u", round,
                 dt_session_position(dt_engine_session(plain)), token, same);
    assert_int_equal(dt_engine_eval(plain, &token, 1, &err), DT_OK);
    assert_int_equal(dt_engine_eval(drafted, &token, 1, &err), DT_OK);
    return token;
}

// Takes tokens back, as an undo does.
static void undo(struct dt_engine *engine, uint32_t keep, uint32_t last)
{
    struct dt_error err = {0};
    dt_session_truncate(dt_engine_session(engine), keep);
    assert_int_equal(dt_engine_eval(engine, &last, 1, &err), DT_OK);
}

static void same_logits(struct dt_engine *plain, struct dt_engine *drafted)
{
    struct dt_session *a = dt_engine_session(plain), *b = dt_engine_session(drafted);
    uint32_t vocab = dt_engine_model(plain)->hp.vocab, n = dt_session_position(a);
    assert_int_equal(n, dt_session_position(b));
    assert_memory_equal(dt_session_tokens(a), dt_session_tokens(b), n * sizeof(uint32_t));
    assert_memory_equal(dt_session_logits(a), dt_session_logits(b), vocab * sizeof(float));
}

// Generates with both engines, and writes the text to text[].
static uint32_t generate(struct dt_engine *plain, struct dt_engine *drafted, uint32_t round,
                         uint32_t *text)
{
    struct dt_error err = {0};
    const struct dt_sampling sampling = {.temperature = (float)pick(3) * 0.4f,
                                         .top_p = pick(2) ? 0.9f : 1.0f,
                                         .repeat_penalty = pick(4) ? 1.0f : 1.2f};
    uint32_t vocab = dt_engine_model(plain)->hp.vocab, n = 0, number = 1 + pick(1000);
    text[n++] = 1;
    text[n++] = pick(vocab);
    text[n++] = pick(vocab);
    dt_engine_set_sampling(plain, &sampling, number);
    dt_engine_set_sampling(drafted, &sampling, number);
    dt_session_truncate(dt_engine_session(plain), 0);
    dt_session_truncate(dt_engine_session(drafted), 0);
    assert_int_equal(dt_engine_eval(plain, text, n, &err), DT_OK);
    assert_int_equal(dt_engine_eval(drafted, text, n, &err), DT_OK);
    for (uint32_t i = 0; i < STEPS; i++) {
        text[n++] = step(plain, drafted, round);
        if (pick(12) == 0) {
            n -= pick(n - 3); // n is more than 3
            undo(plain, n - 1, text[n - 1]);
            undo(drafted, n - 1, text[n - 1]);
        }
    }
    same_logits(plain, drafted);
    return n;
}

static void the_same_text(void **unused)
{
    (void)unused;
    char stacks[16][64];
    size_t count = all_stacks(stacks, 16);
    uint64_t right = 0, wrong = 0, tabled = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct dt_convert_draft_facts made;
        struct dt_draft_facts facts;
        struct dt_error err = {0};
        uint32_t text[2 * (STEPS + 3)], n;
        uint64_t before;
        write_model(round);
        unlink(table_path);
        const struct dt_stream_options medium = {.limits = {100000, 8192, 3}};
        struct dt_engine_options o = {.stack = stacks[pick((uint32_t)count)],
                                      .threads = 1 + pick(2),
                                      .kv_type = pick(2) ? DT_KV_F32 : DT_KV_F16,
                                      .batch = 2 + pick(20),
                                      .without_shortlist = pick(2),
                                      .without_vocabulary = true,
                                      .tune = DT_TUNE_NEVER};
        struct dt_engine *plain = open_engine(&o);
        o.draft = DT_DRAFT_FORCED;
        if (pick(3) == 0 && dt_engine_weights(plain)->plan.from_form == DT_FORM_NONE &&
            strncmp(o.stack, "reference", 9) == 0) {
            o.weights = DT_WEIGHTS_STREAMED;
            o.stream = &medium;
        }
        struct dt_engine *drafted = open_engine(&o);
        before = seed;
        n = generate(plain, drafted, round, text);
        assert_true(dt_engine_draft(drafted, &facts));
        // the same again, with a table of this text
        if (dt_engine_model(plain)->vocab.kind != DT_VOCAB_NONE) {
            dt_engine_free(drafted);
            memcpy(text + n, text, n * sizeof *text);
            assert_int_equal(dt_convert_draft(&dt_engine_model(plain)->vocab, text, 2 * n, 1024,
                                              table_path, NULL, &made, &err),
                             DT_OK);
            o.draft_file = table_path;
            drafted = open_engine(&o);
            seed = before;
            generate(plain, drafted, round, text);
            assert_true(dt_engine_draft(drafted, &facts));
            tabled++;
        }
        right += facts.right;
        wrong += facts.guesses - facts.right;
        dt_engine_free(plain);
        dt_engine_free(drafted);
    }
    print_message("%llu guesses right, %llu wrong\n", (unsigned long long)right,
                  (unsigned long long)wrong);
    assert_true(tabled > 20 && right > 200 && wrong > 50);
}

// Right guesses are appended without a pass; what is not the next token drops them.
static void guesses_of_a_session(void **unused)
{
    (void)unused;
    struct dt_error err = {0};
    struct dt_engine_options o = {
        .stack = "reference", .threads = 1, .draft = DT_DRAFT_FORCED, .without_vocabulary = true};
    write_model(0);
    struct dt_engine *engine = open_engine(&o);
    struct dt_session *s = dt_engine_session(engine);
    const uint32_t guesses[] = {5, 6, 7, 8, 9, 10, 300};
    assert_int_equal(dt_session_eval_guessing(s, 4, guesses, 3, &err), DT_OK);
    assert_int_equal(dt_session_position(s), 1);
    assert_int_equal(dt_session_guesses(s), 3);
    assert_int_equal(dt_session_eval(s, guesses, 1, NULL, NULL, &err), DT_OK);
    assert_int_equal(dt_session_position(s), 2);
    assert_int_equal(dt_session_guesses(s), 2);
    dt_session_truncate(s, 2); // not less than there are
    assert_int_equal(dt_session_guesses(s), 2);
    dt_session_truncate(s, 1);
    assert_int_equal(dt_session_guesses(s), 0);
    // as many as there is space for, and only tokens of the vocabulary
    assert_int_equal(dt_session_eval_guessing(s, 4, guesses, 7, &err), DT_OK);
    assert_int_equal(dt_session_guesses(s), 4);
    assert_int_equal(dt_session_eval_guessing(s, 4, guesses + 5, 2, &err), DT_OK);
    assert_int_equal(dt_session_guesses(s), 1);
    assert_int_equal(dt_session_eval_guessing(s, 300, guesses, 2, &err), DT_BAD_INPUT);
    while (dt_session_position(s) < 63)
        assert_int_equal(dt_session_eval(s, guesses, 1, NULL, NULL, &err), DT_OK);
    assert_int_equal(dt_session_eval_guessing(s, 4, guesses, 3, &err), DT_OK);
    assert_int_equal(dt_session_guesses(s), 0);
    assert_int_equal(dt_session_eval_guessing(s, 4, guesses, 3, &err), DT_CONTEXT_FULL);
    dt_engine_free(engine);
}

// ---- where it pays ----

// The time of a text on a machine where a pass takes 1000 and a guess `column` more. Every token of
// the text is `period` after the same one with this chance in 100.
static double simulate(double column, bool free_columns, uint32_t chance, uint32_t length)
{
    struct dt_draft d;
    uint32_t *text = malloc(length * sizeof *text), held = 0;
    void *memory = aligned_alloc(DT_ALIGN, dt_draft_measure(length));
    assert_true(text && memory);
    memset(memory, 0, dt_draft_measure(length));
    for (uint32_t i = 0; i < length; i++)
        text[i] = i >= 20 && pick(100) < chance ? text[i - 20] : pick(1000);
    dt_draft_init(&d, length, memory);
    d.free_columns = free_columns;
    double time = 0;
    for (uint32_t i = 0; i < length; i++) {
        if (held > 0 && d.guess[d.count - held].token == text[i]) {
            held--;
            dt_draft_right(&d, 10);
            time += 10;
            continue;
        }
        if (held > 0)
            dt_draft_wrong(&d);
        dt_draft_guess(&d, text, i, text[i], 4);
        held = d.count;
        double pass = 1000 + 1000 * column * d.count;
        dt_draft_passed(&d, (uint64_t)pass);
        time += pass;
    }
    free(text);
    free(memory);
    return time / 1000 / length;
}

static void where_it_pays(void **unused)
{
    (void)unused;
    // a token's share of a pass; a text that repeats nothing costs at most 2 % more
    const double columns[] = {0, 0.05, 0.2, 0.5, 0.8, 1, 1.5};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        double free_columns = columns[i] < 0.1;
        for (uint32_t length = 256; length <= 4096; length *= 4) {
            double nothing = simulate(columns[i], free_columns > 0, 0, length),
                   much = simulate(columns[i], free_columns > 0, 90, length);
            print_message("column %.2f, %u tokens: %.3f of the time, %.3f of a text that repeats\n",
                          columns[i], length, nothing, much);
            assert_true(nothing < 1.02);
            assert_true(much < 1.02);
            if (columns[i] < 0.1)
                assert_true(much < 0.6);
        }
    }
    assert_true(simulate(0.2, false, 95, 4096) < 0.8);
}

// ---- tables ----

static void open_vocabulary(struct dt_engine **engine, const struct dt_vocab **vocab)
{
    struct dt_error err = {0};
    struct dt_engine_options o = {.without_backend = true};
    write_model(0);
    assert_int_equal(dt_engine_new(engine, &o, &err), DT_OK);
    assert_int_equal(dt_engine_prepare(*engine, model_path, NULL, NULL, &err), DT_OK);
    *vocab = &dt_engine_model(*engine)->vocab;
}

static void tables(void **unused)
{
    (void)unused;
    struct dt_engine *engine;
    const struct dt_vocab *vocab;
    struct dt_convert_draft_facts facts;
    struct dt_draft_table table;
    struct dt_error err = {0};
    open_vocabulary(&engine, &vocab);
    // behind 11: mostly 12; behind 10 11: 13. 20 is the end of a text, behind which nothing counts.
    const uint32_t text[] = {11,          12, 9,  11,          12, 9,  11,          12, 8,  11,
                             12,          7,  10, 11,          13, 6,  10,          11, 13, 20,
                             DT_NO_TOKEN, 21, 20, DT_NO_TOKEN, 21, 20, DT_NO_TOKEN, 21};
    assert_int_equal(dt_convert_draft(vocab, text, sizeof text / sizeof *text, 1024, table_path,
                                      NULL, &facts, &err),
                     DT_OK);
    assert_int_equal(facts.tokens, 25);
    FILE *f = fopen(table_path, "rb");
    assert_non_null(f);
    unsigned char bytes[DT_DRAFT_HEADER + 1024 * DT_DRAFT_ENTRY + 8];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_int_equal(n, facts.bytes);
    assert_int_equal(dt_draft_table_open(&table, bytes, n, "t", vocab, &err), DT_OK);
    assert_int_equal(table.used, facts.entries);
    uint32_t frequency, other = 5;
    assert_int_equal(dt_draft_table_find(&table, text, 1, &frequency), 12);
    assert_int_equal(frequency, 255 * 4 / 7);
    assert_int_equal(dt_draft_table_find(&table, text + 12, 2, &frequency), 13);
    assert_int_equal(dt_draft_table_find(&table, text + 21, 1, &frequency), 20);
    assert_int_equal(dt_draft_table_find(&table, text + 19, 1, &frequency), DT_NO_TOKEN);
    assert_int_equal(dt_draft_table_find(&table, &other, 1, &frequency), DT_NO_TOKEN);
    // a table of nothing is none
    assert_int_equal(dt_convert_draft(vocab, text, 3, 64, table_path, NULL, &facts, &err),
                     DT_BAD_INPUT);

    static const struct {
        size_t at, cut;
        uint32_t value;
        const char *says;
    } faults[] = {
        {0, 0, 1, "is not a table of n-grams"},
        {0, 1, 0, "bytes; its"},
        {8, 0, 2, "version 2"},
        {12, 0, 301, "is for a vocabulary of 301 tokens; the model has 300"},
        {16, 0, 3, "is for another vocabulary of 300 tokens"},
        {24, 0, 0, "power of two"},
        {24, 0, 3, "power of two"},
        {24, 0, UINT32_MAX, "power of two"},
        {24, 0, 1u << 25, "power of two"},
        {24, 0, 1u << 24, "bytes; its"},
        {28, 0, 5000, "entries"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        unsigned char bad[sizeof bytes];
        memcpy(bad, bytes, n);
        if (!faults[i].cut)
            memcpy(bad + faults[i].at, &faults[i].value, 4);
        assert_int_equal(dt_draft_table_open(&table, bad, n - faults[i].cut, "t", vocab, &err),
                         DT_BAD_INPUT);
        if (!strstr(err.message, faults[i].says))
            fail_msg("%s", err.message);
    }
    for (size_t cut = 0; cut < DT_DRAFT_HEADER; cut++)
        assert_int_equal(dt_draft_table_open(&table, bytes, cut, "t", vocab, &err), DT_BAD_INPUT);
    // any entries: a token of the vocabulary, or none
    for (size_t i = DT_DRAFT_HEADER; i < n; i++)
        bytes[i] = (unsigned char)pick(256);
    assert_int_equal(dt_draft_table_open(&table, bytes, n, "t", vocab, &err), DT_OK);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t gram[3] = {pick(300), pick(300), pick(300)},
                 found = dt_draft_table_find(&table, gram, 1 + pick(3), &frequency);
        assert_true(found == DT_NO_TOKEN || found < 300);
    }
    dt_engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(where_it_pays),
        cmocka_unit_test(guesses_of_a_session),
        cmocka_unit_test(the_same_text),
    };
    int fds[] = {mkstemp(model_path), mkstemp(table_path)};
    if (fds[0] < 0 || fds[1] < 0)
        return 1;
    close(fds[0]);
    close(fds[1]);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(model_path);
    unlink(table_path);
    return failed;
}
