// SPDX-License-Identifier: MIT
// The speed of one module's kernels over the shapes of the 15M and 110M models: for developing
// kernels. What is reported elsewhere is measured with `duotale bench`.
#include "ops/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Best of a few rounds, seconds a call. Expects `call` to be repeatable.
#define BEST(seconds, call)                                                                        \
    do {                                                                                           \
        seconds = 1e9;                                                                             \
        for (int round_ = 0; round_ < 7; round_++) {                                               \
            double begin_ = now();                                                                 \
            int calls_ = 0;                                                                        \
            while (now() - begin_ < 0.02) {                                                        \
                call;                                                                              \
                calls_++;                                                                          \
            }                                                                                      \
            double each_ = (now() - begin_) / calls_;                                              \
            seconds = each_ < seconds ? each_ : seconds;                                           \
        }                                                                                          \
    } while (0)

static void time_matrix(uint32_t form, uint32_t group, uint32_t rows, uint32_t cols,
                        uint32_t columns)
{
    const struct dt_backend *b = rig.table;
    struct dt_matrix w = rig_matrix(form, rows, cols, group);
    size_t x_stride = ((size_t)cols + 15) / 16 * 16, out_stride = ((size_t)rows + 15) / 16 * 16;
    float *x = rig_floats(columns * x_stride), *out = rig_floats(columns * out_stride);
    for (size_t i = 0; i < columns * x_stride; i++)
        x[i] = rig_normal();
    double prepare = 0.0, multiply;
    const void *act = x;
    if (b->act_prepare) {
        void *to = rig_floats(b->act_bytes(rig.ctx, &w, columns) / 4 + 16);
        BEST(prepare, b->act_prepare(rig.ctx, to, x, x_stride, columns, &w));
        act = to;
    }
    BEST(multiply, b->matmul(rig.ctx, out, out_stride, &w, 0, rows, act, x_stride, columns));
    printf("%-8s %-10s form %u group %-3u %6u x %-5u batch %-3u %9.2f us  %6.1f GB/s  %7.1f GMAC/s "
           " prepare %.2f us\n",
           b->name, b->variant, form, group, rows, cols, columns, multiply * 1e6,
           (double)w.bytes / multiply * 1e-9, (double)rows * cols * columns / multiply * 1e-9,
           prepare * 1e6);
    rig_free();
}

static void time_attention(uint32_t heads, uint32_t size, uint32_t entries)
{
    size_t slots = entries + 16, stride = ((size_t)entries + 15) / 16 * 16;
    float *keys = rig_floats(heads * size * slots), *values = rig_floats(heads * size * slots);
    float *q = rig_floats((size_t)heads * size), *out = rig_floats((size_t)heads * size);
    float *scores = rig_floats(heads * stride);
    for (size_t i = 0; i < heads * size * slots; i++)
        keys[i] = values[i] = rig_normal();
    for (uint32_t i = 0; i < heads * size; i++)
        q[i] = rig_normal();
    struct dt_kv kv = {.type = DT_KV_F32,
                       .heads = heads,
                       .head_size = size,
                       .capacity = entries,
                       .keys = keys,
                       .values = values,
                       .key_head = size * slots,
                       .key_slot = 1,
                       .key_channel = slots,
                       .value_head = size * slots,
                       .value_slot = size,
                       .value_channel = 1};
    double s;
    BEST(s, rig.table->attention(rig.ctx, out, q, &kv, heads, 0, heads, entries, 7.0f, scores,
                                 stride));
    printf("%-8s %-10s attention %u heads of %u, %u entries: %.2f us\n", rig.table->name,
           rig.table->variant, heads, size, entries, s * 1e6);
    rig_free();
}

void rig_speed(void)
{
    static const uint32_t shapes[][2] = {{64, 64},    {512, 64},    {288, 288}, {768, 288},
                                         {288, 768},  {32000, 288}, {768, 768}, {2048, 768},
                                         {768, 2048}, {32000, 768}};
    static const uint32_t batches[] = {1, 32};
    const struct dt_backend *b = rig.table;
    for (uint32_t f = 0; b->matmul && f < b->form_count; f++) {
        for (size_t k = 0; k < sizeof batches / sizeof *batches; k++) {
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
                time_matrix(b->forms[f],
                            b->forms[f] == DT_FORM_I8 && shapes[i][0] == 2048 ? 64 : 32,
                            shapes[i][0], shapes[i][1], batches[k]);
        }
    }
    float *x = rig_floats(32000), *y = rig_floats(32000);
    uint32_t *index = malloc(32000 * sizeof *index);
    for (int i = 0; i < 32000; i++)
        x[i] = y[i] = rig_normal();
    double s;
    volatile uint32_t sink;
#define TIME(op, call)                                                                             \
    if (b->op) {                                                                                   \
        BEST(s, call);                                                                             \
        printf("%-8s %-10s %s: %.2f us\n", b->name, b->variant, #call, s * 1e6);                   \
    }
    TIME(rmsnorm, b->rmsnorm(rig.ctx, y, 288, x, 288, x, 288, 1, 1e-5f))
    TIME(rope, b->rope(rig.ctx, y, 6, 48, 48, x, x, DT_ROPE_PAIRS))
    TIME(silu_mul, b->silu_mul(rig.ctx, y, x, 768))
    TIME(softmax, b->softmax(rig.ctx, y, 32000))
    TIME(argmax, sink = b->argmax(rig.ctx, x, 32000))
    TIME(select, sink = b->select(rig.ctx, x, 32000, 20.0f, index))
    (void)sink;
    free(index);
    rig_free();
    if (b->attention) {
        time_attention(6, 48, 8);
        time_attention(6, 48, 224);
        time_attention(12, 64, 224);
    }
}
