// SPDX-License-Identifier: MIT
// What the readers make of sound files: shapes, places, values.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/model.h"
#include "synth.h"

struct opened {
    struct synth file;
    void *memory;
    struct dt_model model;
};

static void open_synth(struct opened *o)
{
    struct dt_error err = {0};
    size_t need = dt_model_measure(o->file.bytes, o->file.n, "synthetic", &err);
    if (!need)
        fail_msg("%s", err.message);
    o->memory = aligned_alloc(DT_ALIGN, need);
    struct dt_arena arena = dt_arena_over(o->memory, need);
    if (dt_model_open(o->file.bytes, o->file.n, "synthetic", &arena, &o->model, &err))
        fail_msg("%s", err.message);
    assert_int_equal(arena.used, need);
}

static void close_synth(struct opened *o)
{
    free(o->memory);
    synth_free(&o->file);
}

static const struct synth_shape shape = {.dim = 48, .hidden = 80, .layers = 3, .heads = 6, .kv_heads = 2,
                                         .vocab = 301, .context = 20, .shared = false, .group = 16, .seed = 5};

struct compare {
    const struct dt_model *other;
    double worst;
    bool exact;
    size_t matrices;
};

struct find {
    const char *tensor;
    const struct dt_matrix *found;
};

static dt_status find_one(void *arg, const char *tensor, const struct dt_matrix *w)
{
    struct find *find = arg;
    if (strcmp(tensor, find->tensor) == 0)
        find->found = w;
    return DT_OK;
}

// Every row of every matrix against the same matrix of another file.
static dt_status compare_one(void *arg, const char *tensor, const struct dt_matrix *w)
{
    struct compare *c = arg;
    struct find find = {tensor, NULL};
    dt_model_each_matrix(c->other, find_one, &find);
    assert_non_null(find.found);
    assert_int_equal(w->rows, find.found->rows);
    assert_int_equal(w->cols, find.found->cols);
    float *a = malloc(w->cols * sizeof *a), *b = malloc(w->cols * sizeof *b);
    for (uint32_t r = 0; r < w->rows; r++) {
        dt_matrix_row(w, r, a);
        dt_matrix_row(find.found, r, b);
        if (c->exact)
            assert_memory_equal(a, b, w->cols * sizeof *a);
        for (uint32_t i = 0; i < w->cols; i++) {
            double off = a[i] - (double)b[i];
            c->worst = off > c->worst ? off : -off > c->worst ? -off : c->worst;
        }
    }
    free(a);
    free(b);
    c->matrices++;
    return DT_OK;
}

// The same weights through the three formats.
static void llama2c_formats_agree(void **state)
{
    (void)state;
    for (int shared = 0; shared <= 1; shared++) {
        struct synth_shape s = shape;
        s.shared = shared;
        struct opened v[3] = {0};
        for (int version = 0; version <= 2; version++) {
            synth_llama2c(&v[version].file, &s, version);
            open_synth(&v[version]);
            const struct dt_hparams *hp = &v[version].model.hp;
            assert_int_equal(hp->dim, 48);
            assert_int_equal(hp->hidden, 80);
            assert_int_equal(hp->head_size, 8);
            assert_int_equal(hp->rotated, 8);
            assert_int_equal(hp->kv_heads, 2);
            assert_int_equal(hp->vocab, 301);
            assert_int_equal(hp->tied, shared);
            assert_true(hp->norm_epsilon == 1e-5f && hp->rope_base == 10000.0f && hp->rope_scale == 1.0f);
            assert_int_equal(v[version].model.file_bytes, v[version].file.n);
            assert_int_equal(v[version].model.vocab.kind, DT_VOCAB_NONE);
            assert_memory_equal(v[version].model.final_norm, v[0].model.final_norm, 48 * sizeof(float));
            for (uint32_t l = 0; l < 3; l++) {
                assert_memory_equal(v[version].model.layers[l].attention_norm,
                                    v[0].model.layers[l].attention_norm, 48 * sizeof(float));
                assert_memory_equal(v[version].model.layers[l].ffn_norm, v[0].model.layers[l].ffn_norm,
                                    48 * sizeof(float));
            }
        }
        struct compare exact = {&v[1].model, 0, true, 0}, near = {&v[2].model, 0, false, 0};
        dt_model_each_matrix(&v[0].model, compare_one, &exact);
        dt_model_each_matrix(&v[0].model, compare_one, &near);
        assert_int_equal(exact.matrices, 1 + 3 * 7 + !shared);
        assert_true(near.worst > 0 && near.worst <= 0.25 / 127 / 2 * 1.001);
        for (int i = 0; i < 3; i++)
            close_synth(&v[i]);
    }
}

// Nothing that can be used in place is copied: every matrix and norm points into the file.
static void weights_stay_in_the_file(void **state)
{
    (void)state;
    struct opened o = {0};
    synth_llama2c(&o.file, &shape, 2);
    open_synth(&o);
    const unsigned char *begin = o.file.bytes, *end = begin + o.file.n;
    const struct dt_layer *l = &o.model.layers[2];
    const void *const places[] = {o.model.embedding.quants, o.model.embedding.scales, l->attention_norm,
                                  l->ffn_norm,              l->down.quants,           l->down.scales,
                                  o.model.final_norm,       o.model.classifier.scales};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        assert_true((const unsigned char *)places[i] >= begin && (const unsigned char *)places[i] < end);
    assert_true(o.model.weight_bytes + 256 == o.file.n);
    close_synth(&o);
}

// Groups that divide the rows are all right, whatever they are; odd ones leave scales unaligned.
static void any_group_that_divides(void **state)
{
    (void)state;
    static const uint32_t groups[] = {1, 2, 3, 4, 16, 24, 48, 5};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct synth_shape s = shape;
        s.hidden = 96;
        s.group = groups[i];
        if (s.group == 5) { // odd lengths everywhere
            s.dim = 30;
            s.hidden = 35;
            s.heads = 3;
            s.kv_heads = 1;
        }
        struct opened o = {0}, exact = {0};
        synth_llama2c(&o.file, &s, 2);
        open_synth(&o);
        synth_llama2c(&exact.file, &s, 0);
        open_synth(&exact);
        struct compare near = {&exact.model, 0, false, 0};
        dt_model_each_matrix(&o.model, compare_one, &near);
        assert_true(near.worst <= 0.25 / 127 / 2 * 1.001);
        close_synth(&o);
        close_synth(&exact);
    }
}

static void recognises(void **state)
{
    (void)state;
    struct synth file = {0};
    synth_llama2c(&file, &shape, 0);
    assert_string_equal(dt_model_recognise(file.bytes, file.n), "llama2.c legacy");
    synth_free(&file);
    synth_llama2c(&file, &shape, 2);
    assert_string_equal(dt_model_recognise(file.bytes, file.n), "llama2.c");
    synth_free(&file);
    assert_string_equal(dt_model_recognise((const unsigned char *)"GGUF\3\0\0\0", 8), "GGUF");
    assert_null(dt_model_recognise((const unsigned char *)"Once upon a time there was a file.", 34));
    assert_null(dt_model_recognise((const unsigned char *)"", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama2c_formats_agree),
        cmocka_unit_test(weights_stay_in_the_file),
        cmocka_unit_test(any_group_that_divides),
        cmocka_unit_test(recognises),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
