// SPDX-License-Identifier: MIT
// The readers with valid files: shapes, places, values.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/formats/gguf.h"
#include "core/formats/open_model.h"
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

static const struct synth_shape shape = {.dim = 48,
                                         .hidden = 80,
                                         .layers = 3,
                                         .heads = 6,
                                         .kv_heads = 2,
                                         .vocab = 301,
                                         .context = 20,
                                         .shared = false,
                                         .group = 16,
                                         .seed = 5};

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

// Compares every row of every matrix with the same matrix of another file.
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

// The same weights in the three formats.
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
            assert_true(hp->norm_epsilon == 1e-5f && hp->rope_base == 10000.0f &&
                        hp->rope_scale == 1.0f);
            assert_int_equal(v[version].model.file_bytes, v[version].file.n);
            assert_int_equal(v[version].model.vocab.kind, DT_VOCAB_NONE);
            assert_memory_equal(v[version].model.final_norm, v[0].model.final_norm,
                                48 * sizeof(float));
            for (uint32_t l = 0; l < 3; l++) {
                assert_memory_equal(v[version].model.layers[l].attention_norm,
                                    v[0].model.layers[l].attention_norm, 48 * sizeof(float));
                assert_memory_equal(v[version].model.layers[l].ffn_norm,
                                    v[0].model.layers[l].ffn_norm, 48 * sizeof(float));
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
    const void *const places[] = {o.model.embedding.quants, o.model.embedding.scales,
                                  l->attention_norm,        l->ffn_norm,
                                  l->down.quants,           l->down.scales,
                                  o.model.final_norm,       o.model.classifier.scales};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        assert_true((const unsigned char *)places[i] >= begin &&
                    (const unsigned char *)places[i] < end);
    assert_true(o.model.weight_bytes + 256 == o.file.n);
    close_synth(&o);
}

// Any group that divides the rows is valid; odd groups leave scales unaligned.
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

// The same weights as GGUF in every form, tied or not; F16 norms; llama2.c's groups exactly.
static void gguf_agrees_with_llama2c(void **state)
{
    (void)state;
    static const struct {
        struct synth_gguf how;
        double bound; // of the error of a weight; weights are below 0.25
    } rows[] = {
        {{0}, 0},
        {{.version = 2}, 0},
        {{.form = DT_FORM_F16}, 0},
        {{.form = DT_FORM_Q8_0}, 0.25 / 127 / 2 * 1.02},
        {{.form = DT_FORM_Q4_0}, 0.25 / 8 * 1.02},
        {{.half_norms = true}, 0},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        struct synth_shape s = shape;
        s.dim = 96;
        s.hidden = 64;
        s.shared = i % 2;
        struct opened exact = {0}, o = {0};
        synth_llama2c(&exact.file, &s, 0);
        open_synth(&exact);
        synth_gguf(&o.file, &s, &rows[i / 2].how);
        open_synth(&o);
        struct compare c = {&exact.model, 0, false, 0};
        dt_model_each_matrix(&o.model, compare_one, &c);
        assert_int_equal(c.matrices, 1 + 3 * 7 + !s.shared);
        assert_true(c.worst <= rows[i / 2].bound);
        assert_int_equal(o.model.hp.tied, s.shared);
        assert_int_equal(o.model.hp.rotated, 16);
        assert_string_equal(o.model.format, i / 2 == 1 ? "GGUF v2" : "GGUF v3");
        for (uint32_t k = 0; k < 96; k++) {
            double off = o.model.layers[1].ffn_norm[k] - (double)exact.model.layers[1].ffn_norm[k];
            assert_true(rows[i / 2].how.half_norms ? off < 6e-4 && off > -6e-4 : off == 0);
        }
        const struct dt_vocab *v = &o.model.vocab;
        size_t length;
        assert_int_equal(v->kind, DT_VOCAB_SPM);
        assert_int_equal(v->size, 301);
        assert_true(v->bos == 1 && v->eos == 2 && v->unknown == 0 && v->add_bos && v->meta_space &&
                    v->add_space_prefix);
        assert_memory_equal(dt_vocab_piece(v, 268, &length), "\xe2\x96\x81t", 4);
        assert_int_equal(length, 4);
        assert_true(o.model.name_length == 9 && memcmp(o.model.name, "synthetic", 9) == 0);
        close_synth(&o);
        close_synth(&exact);
    }

    struct synth_gguf groups = {.groups = true};
    struct opened a = {0}, b = {0};
    synth_llama2c(&a.file, &shape, 2);
    open_synth(&a);
    synth_gguf(&b.file, &shape, &groups);
    open_synth(&b);
    struct compare c = {&a.model, 0, true, 0};
    dt_model_each_matrix(&b.model, compare_one, &c);
    assert_int_equal(b.model.layers[0].query.group, 16);
    close_synth(&a);
    close_synth(&b);
}

// qwen2: RoPE by halves, biases, byte-level BPE, heads wider than dim / heads, and the end of a
// turn from the template.
static void gguf_qwen2(void **state)
{
    (void)state;
    struct synth_gguf how = {.architecture = "qwen2",
                             .biases = true,
                             .bpe = true,
                             .head_size = 12,
                             .template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ "
                                         "m.content }}<|im_end|>\n{% endfor %}"};
    struct opened o = {0};
    synth_gguf(&o.file, &shape, &how);
    open_synth(&o);
    assert_int_equal(o.model.hp.rope_style, DT_ROPE_HALVES);
    assert_int_equal(o.model.hp.head_size, 12);
    assert_int_equal(o.model.layers[0].query.rows, 72);
    assert_int_equal(o.model.layers[0].output.cols, 72);
    assert_non_null(o.model.layers[2].key_bias);
    assert_int_equal(o.model.vocab.kind, DT_VOCAB_BPE);
    assert_int_equal(o.model.vocab.pretokenizer, DT_PRETOKENIZER_QWEN2);
    assert_int_equal(o.model.vocab.merges_count, 8);
    assert_int_equal(o.model.vocab.eos, 266);
    assert_int_equal(o.model.vocab.eot, 265);
    assert_true(o.model.vocab.end_count == 2 && o.model.vocab.ends[0] == 265 &&
                o.model.vocab.ends[1] == 266);
    assert_true(o.model.vocab.nfc && !o.model.vocab.ignore_merges && o.model.notes == 0);
    assert_int_equal(o.model.vocab.bos, DT_NO_TOKEN);
    assert_false(o.model.vocab.add_bos);
    close_synth(&o);
}

// What other programs accept: an end id outside the vocabulary (with a note), types as u32, no
// name of a pre-tokenizer (with a note).
static void gguf_tolerance(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        size_t at; // after the key and its type
        const char *bytes;
        size_t n;
        const char *note;
    } rows[] = {
        {"tokenizer.ggml.eos_token_id", 0, "\x40\x42\x0f", 4,
         "tokenizer.ggml.eos_token_id is 1000000, but the vocabulary has 301 tokens; ignored"},
        {"tokenizer.ggml.token_type", 0, "\x04", 1, NULL},
        {"tokenizer.ggml.pre", (size_t)-5, "f", 1,
         "tokenizer.ggml.pre is missing, so text is split as for GPT-2"},
        {"tokenizer.ggml.add_bos_token", (size_t)-4, "\0", 1, NULL}, // its type: u8
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct synth_gguf how = {.architecture = "qwen2", .biases = true, .bpe = true};
        struct opened o = {0};
        synth_gguf(&o.file, &shape, &how);
        unsigned char *key = memmem(o.file.bytes, o.file.n, rows[i].key, strlen(rows[i].key));
        assert_non_null(key);
        size_t at = (size_t)(key - o.file.bytes) + strlen(rows[i].key) + 4 + rows[i].at;
        memcpy(o.file.bytes + at, rows[i].bytes, rows[i].n);
        open_synth(&o);
        assert_int_equal(o.model.notes, rows[i].note != NULL);
        if (rows[i].note)
            assert_non_null(strstr(o.model.note[0], rows[i].note));
        assert_int_equal(dt_vocab_type(&o.model.vocab, 265), DT_TOKEN_CONTROL);
        close_synth(&o);
    }
}

// An array with one value for all layers is that value; other arrays are refused.
static void gguf_uniform_arrays(void **state)
{
    (void)state;
    for (uint32_t last = 4; last < 6; last++) {
        struct synth s = {0};
        struct dt_gguf g;
        struct dt_error err = {0};
        uint32_t value = 0;
        synth_put(&s, "GGUF", 4);
        synth_u32(&s, 3);
        synth_u64(&s, 1);
        synth_u64(&s, 1);
        synth_gguf_text(&s, "n");
        synth_u32(&s, 9);
        synth_u32(&s, 5);
        synth_u64(&s, 3);
        synth_u32(&s, 4);
        synth_u32(&s, 4);
        synth_u32(&s, last);
        synth_gguf_text(&s, "t"); // a tensor of one float
        synth_u32(&s, 1);
        synth_u64(&s, 1);
        synth_u32(&s, 0);
        synth_u64(&s, 0);
        while (s.n % 32 != 4)
            synth_u8(&s, 0);
        assert_int_equal(dt_gguf_read(&g, s.bytes, s.n, "x", &err), DT_OK);
        dt_status status = dt_gguf_uint(&g, "n", 1, 9, &value, &err);
        assert_int_equal(status, last == 4 ? DT_OK : DT_BAD_INPUT);
        assert_int_equal(value, last == 4 ? 4 : 0);
        synth_free(&s);
    }
}

// A model in three files equals the model in one; in another order or with a file missing it is
// refused.
static void gguf_in_parts(void **state)
{
    (void)state;
    struct synth files[3] = {{0}};
    struct dt_model_part parts[3];
    struct dt_error err = {0};
    struct opened whole = {0};
    for (uint32_t i = 0; i < 3; i++) {
        struct synth_gguf how = {.split_no = i, .split_count = 3};
        synth_gguf(&files[i], &shape, &how);
        parts[i] = (struct dt_model_part){files[i].bytes, files[i].n, "part"};
    }
    assert_int_equal(dt_model_split_count(files[0].bytes, files[0].n), 3);
    synth_gguf(&whole.file, &shape, NULL);
    assert_int_equal(dt_model_split_count(whole.file.bytes, whole.file.n), 1);
    open_synth(&whole);

    size_t need = dt_model_measure_parts(parts, 3, NULL, &err);
    assert_true(need > 0);
    void *memory = aligned_alloc(DT_ALIGN, need);
    struct dt_arena arena = dt_arena_over(memory, need);
    struct dt_model model;
    assert_int_equal(dt_model_open_parts(parts, 3, NULL, &arena, &model, &err), DT_OK);
    assert_int_equal(arena.used, need);
    struct compare c = {&whole.model, 0, true, 0};
    dt_model_each_matrix(&model, compare_one, &c);
    assert_int_equal(c.matrices, 1 + 3 * 7 + 1);
    assert_int_equal(model.file_bytes, files[0].n + files[1].n + files[2].n);

    arena.used = 0;
    assert_int_equal(dt_model_open_parts(parts, 2, NULL, &arena, &model, &err), DT_BAD_INPUT);
    assert_non_null(strstr(err.message, "split.count is 3, but 2 files are there"));
    struct dt_model_part swapped[3] = {parts[0], parts[2], parts[1]};
    assert_int_equal(dt_model_open_parts(swapped, 3, NULL, &arena, &model, &err), DT_BAD_INPUT);
    assert_non_null(strstr(err.message, "split.no is 2; expected 1"));
    free(memory);
    close_synth(&whole);
    for (int i = 0; i < 3; i++)
        synth_free(&files[i]);
}

// The full check finds and names a NaN in a block's scale.
static void scales_in_blocks(void **state)
{
    (void)state;
    struct synth_gguf how = {.form = DT_FORM_Q8_0};
    struct synth_shape s = shape;
    s.dim = 96;
    s.hidden = 64;
    struct opened o = {0};
    struct dt_error err = {0};
    synth_gguf(&o.file, &s, &how);
    open_synth(&o);
    assert_int_equal(dt_model_check_scales(&o.model, "x", &err), DT_OK);
    unsigned char *block =
        o.file.bytes + ((const unsigned char *)o.model.layers[1].down.scales - o.file.bytes);
    block[34 * (2 * 5 + 1)] = 0x00; // row 5, block 1: infinity as F16
    block[34 * (2 * 5 + 1) + 1] = 0x7c;
    assert_int_equal(dt_model_check_scales(&o.model, "x", &err), DT_BAD_INPUT);
    assert_non_null(strstr(err.message, "blk.1.ffn_down.weight: scale 1 of row 5 is inf"));
    close_synth(&o);
}

// Files made by llama.cpp's quantizer have the same values as the llama2.c file.
static bool read_shared(const char *name, struct synth *out)
{
    char path[1024], block[4096];
    snprintf(path, sizeof path, "%s/../shared/models/%s",
             getenv("DT_SOURCE_ROOT") ? getenv("DT_SOURCE_ROOT") : ".", name);
    FILE *f = fopen(path, "rb");
    for (size_t n; f && (n = fread(block, 1, sizeof block, f));)
        synth_put(out, block, n);
    if (f)
        fclose(f);
    return f != NULL;
}

static void gguf_of_others(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double bound;
    } rows[] = {{"stories260K-h192-f32.gguf", 0},
                {"stories260K-h192-F16.gguf", 1e-3},
                {"stories260K-h192-Q8_0.gguf", 0.012},
                {"stories260K-h192-Q4_0.gguf", 0.3}};
    struct opened exact = {0};
    if (!read_shared("stories260K-h192.bin", &exact.file)) {
        print_message("../shared/models/stories260K-h192.bin is not there: skipped\n");
        skip();
    }
    open_synth(&exact);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct opened o = {0};
        assert_true(read_shared(rows[i].name, &o.file));
        open_synth(&o);
        struct compare c = {&exact.model, 0, rows[i].bound == 0, 0};
        dt_model_each_matrix(&o.model, compare_one, &c);
        print_message("%s: worst error of a weight %g\n", rows[i].name, c.worst);
        assert_true(c.worst <= rows[i].bound);
        close_synth(&o);
    }
    close_synth(&exact);
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
    assert_null(
        dt_model_recognise((const unsigned char *)"Once upon a time there was a file.", 34));
    assert_null(dt_model_recognise((const unsigned char *)"", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama2c_formats_agree),
        cmocka_unit_test(weights_stay_in_the_file),
        cmocka_unit_test(any_group_that_divides),
        cmocka_unit_test(gguf_agrees_with_llama2c),
        cmocka_unit_test(gguf_qwen2),
        cmocka_unit_test(gguf_tolerance),
        cmocka_unit_test(gguf_uniform_arrays),
        cmocka_unit_test(gguf_in_parts),
        cmocka_unit_test(scales_in_blocks),
        cmocka_unit_test(gguf_of_others),
        cmocka_unit_test(recognises),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
