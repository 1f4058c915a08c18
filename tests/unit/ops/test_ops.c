// SPDX-License-Identifier: MIT
// The operator harness: every kernel of one module over random shapes, against the reference's bits
// or in double.
//     test_ops MODULE.so [--bench]
// Exit 77 when this CPU cannot run the module. --bench times the kernels instead of checking them.
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/stack.h"
#include "host/modules/cpu.h"
#include "ops/rig.h"

enum { shapes = 1000 };

static const struct dt_backend *const reference = &dt_backend_reference;

static void fill(float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = rig_normal() * scale;
}

// Two of the same contents, for an operator in place and its oracle.
static void twins(float **a, float **b, size_t n, float scale)
{
    *a = rig_floats(n);
    *b = rig_floats(n);
    fill(*a, n, scale);
    memcpy(*b, *a, n * sizeof **a);
}

static void same_bits(const char *what, const float *ours, const float *theirs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(ours + i, theirs + i, sizeof *ours) != 0)
            fail_msg("%s: value %zu of %zu is %.9g, the reference has %.9g", what, i, n,
                     (double)ours[i], (double)theirs[i]);
    }
}

static void near(const char *what, const float *ours, const float *theirs, size_t n,
                 double relative, double absolute)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)ours[i] - theirs[i]) <= fabs((double)theirs[i]) * relative + absolute))
            fail_msg("%s: value %zu of %zu is %.9g, should be near %.9g", what, i, n,
                     (double)ours[i], (double)theirs[i]);
    }
}

static void rmsnorm(void **state)
{
    (void)state;
    if (!rig.table->rmsnorm)
        skip();
    for (int i = 0; i < shapes; i++) {
        uint32_t n = rig_between(1, 900), columns = rig_between(1, 33);
        size_t stride = ((size_t)n + 15) / 16 * 16;
        float *x = rig_floats(columns * stride), *weight = rig_floats(n);
        float *ours = rig_floats(columns * stride), *theirs = rig_floats(columns * stride);
        fill(x, columns * stride, 1.0f);
        fill(weight, n, 1.0f);
        reference->rmsnorm(NULL, theirs, stride, x, stride, weight, n, columns, 1e-5f);
        bool in_place = rig_below(2);
        if (in_place)
            memcpy(ours, x, columns * stride * sizeof *x);
        rig.table->rmsnorm(rig.ctx, ours, stride, in_place ? ours : x, stride, weight, n, columns,
                           1e-5f);
        for (uint32_t c = 0; c < columns; c++) {
            if (rig.integer)
                same_bits("rmsnorm", ours + c * stride, theirs + c * stride, n);
            else
                near("rmsnorm", ours + c * stride, theirs + c * stride, n, 1e-5, 1e-30);
        }
        rig_free();
    }
}

static void rope(void **state)
{
    (void)state;
    if (!rig.table->rope)
        skip();
    for (int i = 0; i < shapes; i++) {
        uint32_t heads = rig_between(1, 12), size = 2 * rig_between(1, 80);
        uint32_t rotated = rig_below(4) ? size : 2 * (1 + rig_below(size / 2));
        float *ours, *theirs, *cosine = rig_floats(rotated / 2), *sine = rig_floats(rotated / 2);
        twins(&ours, &theirs, (size_t)heads * size, 1.0f);
        fill(cosine, rotated / 2, 0.5f);
        fill(sine, rotated / 2, 0.5f);
        uint32_t style = rig_below(2);
        reference->rope(NULL, theirs, heads, size, rotated, cosine, sine, style);
        rig.table->rope(rig.ctx, ours, heads, size, rotated, cosine, sine, style);
        same_bits(style == DT_ROPE_PAIRS ? "rope of pairs" : "rope of halves", ours, theirs,
                  (size_t)heads * size);
        rig_free();
    }
}

static void softmax(void **state)
{
    (void)state;
    if (!rig.table->softmax)
        skip();
    for (int i = 0; i < shapes; i++) {
        uint32_t n = rig_between(1, 1100);
        float *ours, *theirs;
        twins(&ours, &theirs, n, rig_below(2) ? 3.0f : 40.0f);
        reference->softmax(NULL, theirs, n);
        rig.table->softmax(rig.ctx, ours, n);
        if (rig.exact)
            same_bits("softmax", ours, theirs, n);
        else
            near("softmax", ours, theirs, n, 2.1e-3, 1e-37);
        rig_free();
    }
}

static void silu_mul(void **state)
{
    (void)state;
    if (!rig.table->silu_mul)
        skip();
    for (int i = 0; i < shapes; i++) {
        uint32_t n = rig_between(1, 1100);
        float *ours, *theirs, *up = rig_floats(n);
        twins(&ours, &theirs, n, rig_below(2) ? 3.0f : 40.0f);
        fill(up, n, 1.0f);
        reference->silu_mul(NULL, theirs, up, n);
        rig.table->silu_mul(rig.ctx, ours, up, n);
        if (rig.exact)
            same_bits("silu_mul", ours, theirs, n);
        else
            near("silu_mul", ours, theirs, n, 1.1e-3, 1e-30);
        rig_free();
    }
}

static void add(void **state)
{
    (void)state;
    if (!rig.table->add)
        skip();
    for (int i = 0; i < shapes; i++) {
        uint32_t n = rig_between(1, 1100);
        float *ours, *theirs, *y = rig_floats(n);
        twins(&ours, &theirs, n, 1.0f);
        fill(y, n, 1.0f);
        reference->add(NULL, theirs, y, n);
        rig.table->add(rig.ctx, ours, y, n);
        same_bits("add", ours, theirs, n);
        rig_free();
    }
}

// A cache of a random layout: the host's, or strides and slots in disorder.
static struct dt_kv random_kv(uint32_t heads, uint32_t size, uint32_t entries)
{
    struct dt_kv kv = {
        .type = rig_below(3) ? DT_KV_F32 : DT_KV_F16, .heads = heads, .head_size = size};
    kv.capacity = entries + rig_below(40);
    size_t slots = ((size_t)kv.capacity + 15) / 16 * 16;
    if (rig_below(4)) {
        kv.key_slot = 1;
        kv.key_channel = slots + rig_below(2) * 16;
        kv.key_head = kv.key_channel * size;
    } else {
        kv.key_channel = 1;
        kv.key_slot = size;
        kv.key_head = slots * size;
    }
    if (rig_below(4)) {
        kv.value_channel = 1;
        kv.value_slot = rig_below(2) ? size : (size_t)size * heads;
        kv.value_head = kv.value_slot == size ? slots * size : size;
    } else {
        kv.value_slot = 1;
        kv.value_channel = slots;
        kv.value_head = slots * size;
    }
    size_t keys = heads * size * (slots + 16), values = heads * size * slots,
           element = kv.type == DT_KV_F32 ? 4 : 2;
    void *at[2] = {rig_guarded(keys * element, 0), rig_guarded(values * element, 0)};
    size_t counts[2] = {keys, values};
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < counts[k]; i++) {
            float value = rig_normal();
            uint16_t half = rig_to_half(value);
            memcpy((char *)at[k] + i * element,
                   kv.type == DT_KV_F32 ? (void *)&value : (void *)&half, element);
        }
    }
    kv.keys = at[0];
    kv.values = at[1];
    if (rig_below(3) == 0) { // a few first slots, then a ring that wraps
        uint32_t *list = rig_guarded(entries * sizeof *list, 0), keep = rig_below(entries + 1),
                 turn = rig_below(1000);
        for (uint32_t e = 0; e < entries; e++)
            list[e] =
                e < keep || rig_below(8) == 0 ? e : keep + (e - keep + turn) % (kv.capacity - keep);
        kv.slots = list;
    }
    return kv;
}

static void attention(void **state)
{
    (void)state;
    if (!rig.table->attention)
        skip();
    for (int i = 0; i < shapes; i++) {
        uint32_t kv_heads = rig_between(1, 6), sharing = rig_below(2) ? 1 : 1 + rig_below(4);
        uint32_t heads = kv_heads * sharing,
                 size = rig_below(2) ? 8 * (1 + rig_below(20)) : rig_between(1, 130);
        uint32_t entries = rig_between(1, 300), begin = rig_below(heads),
                 end = begin + 1 + rig_below(heads - begin);
        if (rig_below(2)) {
            begin = 0;
            end = heads;
        }
        struct dt_kv kv = random_kv(kv_heads, size, entries);
        size_t stride = ((size_t)entries + 15) / 16 * 16, all = (size_t)heads * size;
        float *q = rig_floats(all), *ours, *theirs, *scores = rig_floats((end - begin) * stride);
        fill(q, all, 1.0f);
        twins(&ours, &theirs, all, 1.0f);
        float divisor = sqrtf((float)size);
        reference->attention(NULL, theirs, q, &kv, heads, begin, end, entries, divisor, scores,
                             stride);
        rig.table->attention(rig.ctx, ours, q, &kv, heads, begin, end, entries, divisor, scores,
                             stride);
        if (rig.exact)
            same_bits("attention", ours, theirs, all);
        else
            near("attention", ours, theirs, all, 1e-2, 2e-2);
        rig_free();
    }
}

static void argmax_and_select(void **state)
{
    (void)state;
    if (!rig.table->argmax || !rig.table->select)
        skip();
    for (int i = 0; i < shapes; i++) {
        uint32_t n = rig_between(1, 3000);
        float *x = rig_floats(n);
        fill(x, n, 1.0f);
        if (rig_below(2)) { // ties
            for (uint32_t k = 0; k < n; k++)
                x[k] = rintf(x[k]);
        }
        assert_int_equal(rig.table->argmax(rig.ctx, x, n), reference->argmax(NULL, x, n));
        uint32_t *ours = rig_guarded(n * sizeof *ours, 0),
                 *theirs = rig_guarded(n * sizeof *theirs, 0);
        float threshold = rig_below(2) ? x[rig_below(n)] : 3.0f;
        uint32_t count = rig.table->select(rig.ctx, x, n, threshold, ours);
        assert_int_equal(count, reference->select(NULL, x, n, threshold, theirs));
        assert_memory_equal(ours, theirs, count * sizeof *ours);
        rig_free();
    }
}

static uint32_t bfloat(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits >> 16;
}

static void screen(void **state)
{
    (void)state;
    if (!rig.table->screen)
        skip();
    for (int i = 0; i < shapes; i++) {
        uint32_t n = rig_between(1, 3000) * (rig_below(8) ? 1 : 12);
        uint32_t *bounds = rig_guarded(n * sizeof *bounds, 0);
        uint32_t *ours = rig_guarded(n * sizeof *ours, 0),
                 *theirs = rig_guarded(n * sizeof *theirs, 0);
        for (uint32_t k = 0; k < n; k++)
            bounds[k] = bfloat(rig_normal()) << 16 | bfloat(fabsf(rig_normal()));
        if (rig_below(4) == 0) { // no bound: kept
            bounds[rig_below(n)] = bfloat(NAN);
            bounds[rig_below(n)] = bfloat(INFINITY);
        }
        float along = rig_normal() * 5, across = fabsf(rig_normal()) * 5,
              scale = rig_below(8) ? fabsf(rig_normal()) : 0;
        float threshold = along * rig_normal() + across * rig_normal();
        double rest, expected;
        uint32_t count =
            rig.table->screen(rig.ctx, bounds, n, along, across, threshold, scale, ours, &rest);
        assert_int_equal(count, reference->screen(NULL, bounds, n, along, across, threshold, scale,
                                                  theirs, &expected));
        assert_memory_equal(ours, theirs, count * sizeof *ours);
        expected = expected / (1 + 0x1p-20) - n * 0x1p-126;
        if (!(rest >= expected * (1 - 1e-9) && rest <= expected * 1.065 + n * 0x1p-125))
            fail_msg("the rest of %u is %.9g, should be %.9g to 1.065 times that", n, rest,
                     expected);
        rig_free();
    }
}

// What kernels do at the edges of floats must not depend on the module either.
static void edges(void **state)
{
    (void)state;
    if (!rig.exact || !rig.table->silu_mul)
        skip();
    static const float hard[] = {
        0.0f,    -0.0f,    1e-45f,         -1e-45f,         1e-38f,        88.7f,
        -88.7f,  88.8f,    -103.9f,        -104.0f,         1e30f,         -1e30f,
        3.4e38f, -3.4e38f, 0x1.04845ep+5f, -0x1.04845ep+5f, 0x1.f8cbb2p+5f};
    enum { n = sizeof hard / sizeof *hard };
    float *ours = rig_floats(n), *theirs = rig_floats(n), *up = rig_floats(n);
    for (int i = 0; i < n; i++) {
        ours[i] = theirs[i] = hard[i];
        up[i] = 1.0f;
    }
    reference->silu_mul(NULL, theirs, up, n);
    rig.table->silu_mul(rig.ctx, ours, up, n);
    same_bits("silu_mul of hard values", ours, theirs, n);
    rig_free();
}

// Activations that are barely numbers, no numbers, or lie halfway between two quants: every way of
// preparing them gives the same.
static void hard_activations(void **state)
{
    (void)state;
    if (!rig.integer || !rig.table->matmul)
        skip();
    enum { cols = 128, rows = 19, most = 70 };
    for (int i = 0; i < 300; i++) {
        struct dt_matrix w =
            rig_matrix(rig.table->forms[rig_below(rig.table->form_count)], rows, cols, 32);
        uint32_t columns = i < most ? (uint32_t)i + 1 : 1 + rig_below(most);
        if (rig.table->act_bytes(rig.ctx, &w, 1) ==
            0) { // takes the floats themselves for this form
            rig_free();
            continue;
        }
        float *x = rig_floats(most * cols), *ours = rig_floats(most * 32),
              *theirs = rig_floats(most * 32);
        for (uint32_t g = 0; g < columns * (cols / 32); g++, x += 32) {
            static const float sizes[] = {1e-45f, 0x1p-126f, 0x1p-119f, 0x1p-101f, 0x1p-99f,
                                          1.0f,   0x1p+99f,  0x1p+102f, 0x1p+119f};
            float size = sizes[rig_below(9)];
            uint32_t kind = rig_below(8);
            for (int k = 0; k < 32; k++) {
                float half = (float)rig_below(255) * 0.5f; // of a scale of 1
                half = rig_below(2) ? nextafterf(half, rig_below(2) ? 1000.0f : -1.0f) : half;
                x[k] = (rig_below(2) ? half : -half) * size;
            }
            x[rig_below(32)] = 127.0f * size;
            if (kind == 0)
                memset(x, 0, 32 * sizeof *x);
            if (kind == 1)
                x[rig_below(32)] = NAN;
            if (kind == 2)
                x[rig_below(32)] = rig_below(2) ? INFINITY : -INFINITY;
        }
        x -= columns * cols;
        void *act = rig_floats(rig.table->act_bytes(rig.ctx, &w, columns) / 4 + 16);
        void *ref_act = rig_floats(reference->act_bytes(NULL, &w, columns) / 4 + 16);
        rig.table->act_prepare(rig.ctx, act, x, cols, columns, &w);
        reference->act_prepare(NULL, ref_act, x, cols, columns, &w);
        rig.table->matmul(rig.ctx, ours, 32, &w, 0, rows, act, cols, columns);
        reference->matmul(NULL, theirs, 32, &w, 0, rows, ref_act, cols, columns);
        for (uint32_t c = 0; c < columns; c++) {
            for (uint32_t r = 0; r < rows; r++) {
                float a = ours[c * 32 + r], b = theirs[c * 32 + r];
                if (memcmp(&a, &b, sizeof a) != 0 &&
                    !(isnan(a) && isnan(b))) // which NaN is nobody's promise
                    fail_msg("row %u of column %u of %u: %.9g, the reference has %.9g", r, c,
                             columns, (double)a, (double)b);
            }
        }
        rig_free();
    }
}

static void to_stderr(void *host, int level, const char *line)
{
    (void)host;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: test_ops MODULE.so [--bench]\n");
        return 2;
    }
    void *handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    rig.table = dlsym(handle, "dt_backend_module");
    if (!rig.table || rig.table->abi != DT_BACKEND_ABI || rig.table->size != sizeof *rig.table) {
        fprintf(stderr, "%s: no table of this interface\n", argv[1]);
        return 1;
    }
    if (!rig.table->probe(dt_cpu())) {
        printf("skipped: this CPU cannot run %s@%s\n", rig.table->name, rig.table->variant);
        return 77;
    }
    static const struct dt_services services = {.size = sizeof services, .log = to_stderr};
    char reason[256] = "";
    if (rig.table->create && rig.table->create(&services, &rig.ctx, reason, sizeof reason) != 0) {
        fprintf(stderr, "%s: %s\n", argv[1], reason);
        return 1;
    }
    rig.integer = strcmp(rig.table->name, "fp32") != 0;
    rig.exact = strcmp(rig.table->name, "fastexp") != 0;
    rig.state = 20240521;
    if (argc > 2 && strcmp(argv[2], "--bench") == 0) {
        rig_speed();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rig_matmul_tests),
        cmocka_unit_test(rmsnorm),
        cmocka_unit_test(rope),
        cmocka_unit_test(softmax),
        cmocka_unit_test(silu_mul),
        cmocka_unit_test(add),
        cmocka_unit_test(attention),
        cmocka_unit_test(argmax_and_select),
        cmocka_unit_test(screen),
        cmocka_unit_test(edges),
        cmocka_unit_test(hard_activations),
    };
    return cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
}
