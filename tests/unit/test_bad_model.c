// SPDX-License-Identifier: MIT
// Every row of the table of broken files is refused with DT_BAD_INPUT or DT_UNSUPPORTED (exit code
// 3) and one line that names the file, the field and its value. Nothing is read out of bounds: the
// bytes end where the heap block ends.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bad_files.h"
#include "core/formats/open_model.h"

// A copy of the exact size, so that sanitizers detect overruns.
static unsigned char *exact_copy(const struct synth *s)
{
    unsigned char *copy = malloc(s->n ? s->n : 1);
    if (s->n)
        memcpy(copy, s->bytes, s->n);
    return copy;
}

static dt_status open_model(const unsigned char *bytes, size_t n, const char *name,
                            struct dt_model *model, void **memory, struct dt_error *err)
{
    *memory = NULL;
    size_t need = dt_model_measure(bytes, n, name, err);
    if (!need)
        return err->status;
    *memory = aligned_alloc(DT_ALIGN, need);
    struct dt_arena arena = dt_arena_over(*memory, need);
    dt_status status = dt_model_open(bytes, n, name, &arena, model, err);
    if (!status)
        assert_int_equal(arena.used, need); // the measure is exact
    return status;
}

static dt_status open_tokenizer(const unsigned char *bytes, size_t n, const char *name,
                                struct dt_error *err)
{
    struct dt_vocab vocab;
    size_t need = dt_vocab_measure(BAD_FILE_VOCAB);
    void *memory = aligned_alloc(DT_ALIGN, need);
    struct dt_arena arena = dt_arena_over(memory, need);
    dt_status status = dt_vocab_open_bin(bytes, n, name, BAD_FILE_VOCAB, &arena, &vocab, err);
    free(memory);
    return status;
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    const char *name, *message;
    enum bad_kind kind;
    struct synth file = {0};
    size_t models = 0, tokenizers = 0, wrong = 0;
    for (size_t i = 0; bad_file(i, &file, &name, &kind, &message); i++, synth_free(&file)) {
        unsigned char *bytes = exact_copy(&file);
        struct dt_error err = {0};
        struct dt_model model;
        void *memory = NULL;
        char line[1024];
        dt_status status = kind == BAD_MODEL
                               ? open_model(bytes, file.n, "broken.bin", &model, &memory, &err)
                               : open_tokenizer(bytes, file.n, "broken.bin", &err);
        dt_error_line(&err, line, sizeof line);
        if (dt_status_exit_code(status) != 3 || !strstr(line, message) ||
            strncmp(line, "broken.bin: ", 12) || (kind == BAD_TOKENIZER && status != DT_BAD_INPUT))
            wrong++, print_error("%s: status %s, message \"%s\"; expected \"%s\"\n", name,
                                 dt_status_name(status), line, message);
        models += kind == BAD_MODEL;
        tokenizers += kind == BAD_TOKENIZER;
        free(memory);
        free(bytes);
    }
    assert_int_equal(wrong, 0);
    assert_true(models >= 120 && tokenizers >= 10);
}

// Files so small that every length and many changes can be tested.
enum { SMALL_FILES = 4 };

static void small_file(struct synth *out, int which)
{
    static const struct synth_shape shape = {.dim = 8,
                                             .hidden = 12,
                                             .layers = 1,
                                             .heads = 2,
                                             .kv_heads = 1,
                                             .vocab = 5,
                                             .context = 4,
                                             .group = 4,
                                             .seed = 3};
    struct synth_shape gguf = shape;
    gguf.vocab = 260;
    if (which < 3)
        synth_llama2c(out, &shape, which);
    else
        synth_gguf(out, &gguf, NULL);
}

// Truncated at every length: refused, until the whole file is there.
static void every_length_of_a_file(void **state)
{
    (void)state;
    for (int which = 0; which < SMALL_FILES; which++) {
        struct synth file = {0};
        small_file(&file, which);
        for (size_t n = 0; n <= file.n; n++) {
            struct synth cut = {file.bytes, n, 0};
            unsigned char *bytes = exact_copy(&cut);
            struct dt_error err = {0};
            struct dt_model model;
            void *memory;
            dt_status status = open_model(bytes, n, "x", &model, &memory, &err);
            assert_int_equal(status, n < file.n ? DT_BAD_INPUT : DT_OK);
            free(memory);
            free(bytes);
        }
        synth_free(&file);
    }
}

// With any byte changed, and with random headers, the readers return a status and do not crash (run
// with sanitizers).
static void any_byte_changed(void **state)
{
    (void)state;
    uint64_t random = 11;
    for (int which = 0; which < SMALL_FILES; which++) {
        struct synth file = {0};
        small_file(&file, which);
        for (int i = 0; i < 4000; i++) {
            unsigned char *bytes = exact_copy(&file);
            size_t at = i < 64
                            ? (size_t)i
                            : (size_t)((synth_random(&random) + 1) * 1024 * (which < 3 ? 1 : 6)) %
                                  (which < 3 ? 280 : 12000);
            bytes[at % file.n] = (unsigned char)(int)(synth_random(&random) * 512);
            struct dt_error err = {0};
            struct dt_model model;
            void *memory;
            if (open_model(bytes, file.n, "x", &model, &memory, &err) == DT_OK) {
                float *row = malloc(model.hp.dim * sizeof *row);
                dt_matrix_row(&model.embedding, model.hp.vocab - 1, row);
                free(row);
                dt_model_check_scales(&model, "x", &err);
            }
            free(memory);
            free(bytes);
        }
        synth_free(&file);
    }
}

static void too_small_an_arena_is_refused(void **state)
{
    (void)state;
    struct synth file = {0};
    bad_file_companion(&file);
    _Alignas(DT_ALIGN) static unsigned char memory[DT_ALIGN];
    struct dt_arena arena = dt_arena_over(memory, sizeof memory);
    struct dt_model model;
    struct dt_error err = {0};
    assert_int_equal(dt_model_open(file.bytes, file.n, "x", &arena, &model, &err), DT_NO_MEMORY);
    assert_int_equal(arena.used, 0);
    synth_free(&file);
}

// Files that are no model, or one of another program, are named for what they are.
static void foreign_files_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n, at;
        const char *message;
    } files[] = {
        {"version https://git-lfs.github.com/spec/v1\noid", 46, 0, "is a Git LFS pointer"},
        {" \n<!DOCTYPE html><html>", 24, 0, "is a web page"},
        {"\xef\xbb\xbf<HTML>", 9, 0, "is a web page"},
        {"PK\3\4", 4, 0, "is a zip archive, as PyTorch's .pth"},
        {"\x1f\x8b\x08", 3, 0, "gunzip"},
        {"\x28\xb5\x2f\xfd", 4, 0, "zstd -d"},
        {"ustar", 5, 257, "is a tar archive"},
        {"lmgg", 4, 0, "ggml's first format"},
        {"tjgg\3", 5, 0, "ggml's third format (ggjt)"},
        {"\x08\x07\x12\x07pytorch\x1a\x05", 13, 0, "is an ONNX model"},
        {"\x80\2}q", 4, 0, "is a Python pickle"},
        {"\x80\2\x8a\n", 4, 0, "is a PyTorch pickle"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        _Alignas(8) unsigned char bytes[512] = {0};
        struct dt_error err = {0};
        memcpy(bytes + files[i].at, files[i].bytes, files[i].n);
        assert_int_equal(dt_model_measure(bytes, sizeof bytes, "file", &err), 0);
        if (!strstr(err.message, files[i].message))
            fail_msg("%zu: %s", i, err.message);
    }
    // a llama2.c file of width 896 begins as some pickles do
    const uint32_t header[7] = {896, 2432, 1, 14, 2, 300, 16};
    struct dt_error err = {0};
    dt_model_measure((const unsigned char *)header, sizeof header, "file", &err);
    assert_null(strstr(err.message, "pickle"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_files_are_refused),      cmocka_unit_test(foreign_files_are_named),
        cmocka_unit_test(every_length_of_a_file),        cmocka_unit_test(any_byte_changed),
        cmocka_unit_test(too_small_an_arena_is_refused),
    };
    return cmocka_run_group_tests_name("bad_model", tests, NULL, NULL);
}
