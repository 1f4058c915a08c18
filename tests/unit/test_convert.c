// SPDX-License-Identifier: MIT
// Conversion: a model packed for a backend reads back unchanged; cancelling leaves no file.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/formats/open_model.h"
#include "host/convert/convert.h"
#include "host/file.h"
#include "synth.h"

// A toy layout: a header with the shape, then the columns one after another. Packs only fp32, and
// no matrices with a row per token.
struct toy_header {
    uint32_t rows, cols;
};

static size_t toy_bytes(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    return w->form == DT_FORM_F32 && w->rows < 200
               ? sizeof(struct toy_header) + (size_t)w->rows * w->cols * 4
               : 0;
}

static void toy_pack(void *ctx, void *packed, const struct dt_matrix *w, uint32_t begin,
                     uint32_t end)
{
    (void)ctx;
    float *row = malloc(w->cols * sizeof *row),
          *out = (float *)(void *)((char *)packed + sizeof(struct toy_header));
    *(struct toy_header *)packed = (struct toy_header){w->rows, w->cols};
    for (uint32_t r = begin; r < end; r++) {
        dt_matrix_row(w, r, row);
        for (uint32_t c = 0; c < w->cols; c++)
            out[(size_t)c * w->rows + r] = row[c];
    }
    free(row);
}

static const struct dt_backend toy = {.abi = DT_BACKEND_ABI,
                                      .size = sizeof toy,
                                      .name = "toy",
                                      .variant = "",
                                      .description = "a test",
                                      .layout = "toy-1",
                                      .row_tile = 1,
                                      .form_count = 1,
                                      .forms = {DT_FORM_F32},
                                      .pack_bytes = toy_bytes,
                                      .pack = toy_pack};

struct opened {
    struct dt_file file;
    struct synth bytes;
    void *memory;
    struct dt_model model;
};

static void open_bytes(struct opened *o, const unsigned char *bytes, size_t n)
{
    struct dt_error err = {0};
    size_t need = dt_model_measure(bytes, n, "x", &err);
    if (!need)
        fail_msg("%s", err.message);
    o->memory = aligned_alloc(DT_ALIGN, need);
    struct dt_arena arena = dt_arena_over(o->memory, need);
    if (dt_model_open(bytes, n, "x", &arena, &o->model, &err))
        fail_msg("%s", err.message);
}

static void open_file(struct opened *o, const char *path)
{
    struct dt_error err = {0};
    if (dt_file_map(&o->file, path, &err))
        fail_msg("%s", err.message);
    open_bytes(o, o->file.bytes, o->file.size);
}

static void close_all(struct opened *o)
{
    dt_file_unmap(&o->file);
    synth_free(&o->bytes);
    free(o->memory);
}

static const struct synth_shape shape = {.dim = 32,
                                         .hidden = 48,
                                         .layers = 2,
                                         .heads = 4,
                                         .kv_heads = 2,
                                         .vocab = 301,
                                         .context = 16,
                                         .shared = false,
                                         .group = 16,
                                         .seed = 4};

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static size_t files_in_folder(void)
{
    size_t count = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return count;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/duotale-convert-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlink(in_folder(e->d_name));
    closedir(d);
    return rmdir(folder);
}

static void check_packed(const struct dt_matrix *packed, const struct dt_matrix *plain)
{
    struct toy_header header;
    assert_int_equal(packed->form, DT_FORM_PACKED);
    assert_string_equal(packed->layout, "toy-1");
    assert_int_equal(packed->rows, plain->rows);
    assert_int_equal(packed->cols, plain->cols);
    assert_int_equal(packed->bytes, sizeof header + (size_t)plain->rows * plain->cols * 4);
    assert_int_equal((uintptr_t)packed->quants % 64, 0);
    memcpy(&header, packed->quants, sizeof header);
    assert_true(header.rows == plain->rows && header.cols == plain->cols);
    float *row = malloc(plain->cols * sizeof *row);
    const float *values =
        (const float *)(const void *)((const char *)packed->quants + sizeof header);
    for (uint32_t r = 0; r < plain->rows; r++) {
        dt_matrix_row(plain, r, row);
        for (uint32_t c = 0; c < plain->cols; c++)
            assert_true(values[(size_t)c * plain->rows + r] == row[c]);
    }
    free(row);
}

static void packed_for_a_backend(void **state)
{
    (void)state;
    for (int eight = 0; eight <= 1; eight++) { // from fp32, and from int8 groups
        struct opened from = {0}, back = {0};
        struct dt_error err = {0};
        struct dt_instance instance = {.table = toy};
        synth_llama2c(&from.bytes, &shape, eight ? 2 : 0);
        open_bytes(&from, from.bytes.bytes, from.bytes.n);
        struct dt_conversion c = {
            .model = &from.model, .form = DT_FORM_F32, .name = "packed", .pack_for = &instance};
        if (dt_convert_gguf(&c, in_folder("packed.gguf"), &err))
            fail_msg("%s", err.message);
        open_file(&back, in_folder("packed.gguf"));
        for (uint32_t l = 0; l < 2; l++) {
            check_packed(&back.model.layers[l].key, &from.model.layers[l].key);
            check_packed(&back.model.layers[l].down, &from.model.layers[l].down);
        }
        assert_int_equal(back.model.embedding.form, DT_FORM_F32); // the toy layout does not pack it
        assert_memory_equal(back.model.final_norm, from.model.final_norm, 32 * sizeof(float));
        // a packed model cannot be converted again
        c.model = &back.model;
        assert_int_equal(dt_convert_gguf(&c, in_folder("again.gguf"), &err), DT_UNSUPPORTED);
        assert_non_null(strstr(err.message, "packed as toy-1"));
        close_all(&from);
        close_all(&back);
    }
}

// A layout that packs no matrix of the model, and a backend without a layout, are refused before
// anything is written.
static void nothing_to_pack(void **state)
{
    (void)state;
    struct opened from = {0};
    struct dt_error err = {0};
    struct dt_instance instance = {.table = toy}, bare = {.table = toy};
    bare.table.layout = NULL;
    synth_llama2c(&from.bytes, &shape, 2);
    open_bytes(&from, from.bytes.bytes, from.bytes.n);
    struct dt_conversion c = {.model = &from.model, .pack_for = &instance}; // int8, unconverted
    assert_int_equal(dt_convert_gguf(&c, in_folder("no.gguf"), &err), DT_UNSUPPORTED);
    assert_non_null(strstr(err.message, "backend toy packs no matrix of this form"));
    c.pack_for = &bare;
    assert_int_equal(dt_convert_gguf(&c, in_folder("no.gguf"), &err), DT_UNSUPPORTED);
    assert_false(dt_file_readable(in_folder("no.gguf")));
    close_all(&from);
}

static int stop_at(void *arg, size_t done, size_t total)
{
    size_t *left = arg;
    (void)total;
    return *left < done;
}

static void a_stop_leaves_nothing(void **state)
{
    (void)state;
    struct opened from = {0};
    synth_llama2c(&from.bytes, &shape, 0);
    open_bytes(&from, from.bytes.bytes, from.bytes.n);
    size_t before = files_in_folder();
    for (size_t left = 0; left < 100000; left += 7919) {
        struct dt_error err = {0};
        struct dt_conversion c = {.model = &from.model, .progress = stop_at, .progress_arg = &left};
        assert_int_equal(dt_convert_gguf(&c, in_folder("stop.gguf"), &err), DT_CANCELLED);
        assert_int_equal(dt_convert_shards(&c, in_folder("stop"), &err), DT_CANCELLED);
        assert_int_equal(dt_convert_llama2c(&c, 1, in_folder("stop.bin"), &err), DT_CANCELLED);
        assert_int_equal(files_in_folder(), before);
    }
    close_all(&from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_for_a_backend),
        cmocka_unit_test(nothing_to_pack),
        cmocka_unit_test(a_stop_leaves_nothing),
    };
    return cmocka_run_group_tests_name("convert", tests, make_folder, drop_folder);
}
