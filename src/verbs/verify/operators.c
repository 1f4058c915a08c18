// SPDX-License-Identifier: MIT
// The checks of all operators but matmul, and the table of operators.
#include <math.h>
#include <string.h>

#include "core/quant/forms.h"
#include "core/stack.h"
#include "verbs/verify/harness.h"

static const struct dt_backend *const reference = &dt_backend_reference;

// Two arrays with the same values, for an operator that works in place and for the reference.
static void twins(float **a, float **b, size_t n, float scale)
{
    *a = dt_rig_floats(n);
    *b = dt_rig_floats(n);
    dt_rig_fill(*a, n, scale);
    memcpy(*b, *a, n * sizeof **a);
}

static void same_list(const char *what, const uint32_t *got, uint32_t count,
                      const uint32_t *expected, uint32_t expected_count)
{
    if (count != expected_count)
        dt_rig_fail("%s: finds %u, the reference finds %u", what, count, expected_count);
    for (uint32_t i = 0; i < count; i++) {
        if (got[i] != expected[i])
            dt_rig_fail("%s: entry %u of %u is %u, the reference gives %u", what, i, count, got[i],
                        expected[i]);
    }
}

static void rmsnorm(void)
{
    uint32_t n = dt_rig_between(1, 900), columns = dt_rig_between(1, 33);
    dt_rig_shape("%u values, %u columns", n, columns);
    size_t stride = ((size_t)n + 15) / 16 * 16;
    float *x = dt_rig_floats(columns * stride), *weight = dt_rig_floats(n);
    float *got = dt_rig_floats(columns * stride), *expected = dt_rig_floats(columns * stride);
    dt_rig_fill(x, columns * stride, 1.0f);
    dt_rig_fill(weight, n, 1.0f);
    reference->rmsnorm(NULL, expected, stride, x, stride, weight, n, columns, 1e-5f);
    bool in_place = dt_rig_below(2);
    if (in_place)
        memcpy(got, x, columns * stride * sizeof *x);
    dt_rig.table.rmsnorm(dt_rig.ctx, got, stride, in_place ? got : x, stride, weight, n, columns,
                         1e-5f);
    for (uint32_t c = 0; c < columns; c++) {
        if (dt_rig.integer)
            dt_rig_same_bits("rmsnorm", got + c * stride, expected + c * stride, n);
        else
            dt_rig_near("rmsnorm", got + c * stride, expected + c * stride, n, 1e-5, 1e-30);
    }
}

static void rope(void)
{
    uint32_t heads = dt_rig_between(1, 12), size = 2 * dt_rig_between(1, 80);
    uint32_t rotated = dt_rig_below(4) ? size : 2 * (1 + dt_rig_below(size / 2));
    dt_rig_shape("%u heads of %u, %u rotated", heads, size, rotated);
    float *got, *expected, *cosine = dt_rig_floats(rotated / 2), *sine = dt_rig_floats(rotated / 2);
    twins(&got, &expected, (size_t)heads * size, 1.0f);
    dt_rig_fill(cosine, rotated / 2, 0.5f);
    dt_rig_fill(sine, rotated / 2, 0.5f);
    uint32_t style = dt_rig_below(2);
    reference->rope(NULL, expected, heads, size, rotated, cosine, sine, style);
    dt_rig.table.rope(dt_rig.ctx, got, heads, size, rotated, cosine, sine, style);
    dt_rig_same_bits(style == DT_ROPE_PAIRS ? "rope of pairs" : "rope of halves", got, expected,
                     (size_t)heads * size);
}

static void softmax(void)
{
    uint32_t n = dt_rig_between(1, 1100);
    dt_rig_shape("%u values", n);
    float *got, *expected;
    twins(&got, &expected, n, dt_rig_below(2) ? 3.0f : 40.0f);
    reference->softmax(NULL, expected, n);
    dt_rig.table.softmax(dt_rig.ctx, got, n);
    if (dt_rig.exact)
        dt_rig_same_bits("softmax", got, expected, n);
    else
        dt_rig_near("softmax", got, expected, n, 2.1e-3, 1e-37);
}

// Results for extreme floats must not depend on the module either.
static void silu_mul_edges(void)
{
    static const float hard[] = {
        0.0f,    -0.0f,    1e-45f,         -1e-45f,         1e-38f,        88.7f,
        -88.7f,  88.8f,    -103.9f,        -104.0f,         1e30f,         -1e30f,
        3.4e38f, -3.4e38f, 0x1.04845ep+5f, -0x1.04845ep+5f, 0x1.f8cbb2p+5f};
    enum { n = sizeof hard / sizeof *hard };
    float *got = dt_rig_floats(n), *expected = dt_rig_floats(n), *up = dt_rig_floats(n);
    for (int i = 0; i < n; i++) {
        got[i] = expected[i] = hard[i];
        up[i] = 1.0f;
    }
    reference->silu_mul(NULL, expected, up, n);
    dt_rig.table.silu_mul(dt_rig.ctx, got, up, n);
    dt_rig_same_bits("silu_mul of extreme values", got, expected, n);
}

static void silu_mul(void)
{
    if (dt_rig.exact && dt_rig.index == 0)
        silu_mul_edges();
    uint32_t n = dt_rig_between(1, 1100);
    dt_rig_shape("%u values", n);
    float *got, *expected, *up = dt_rig_floats(n);
    twins(&got, &expected, n, dt_rig_below(2) ? 3.0f : 40.0f);
    dt_rig_fill(up, n, 1.0f);
    reference->silu_mul(NULL, expected, up, n);
    dt_rig.table.silu_mul(dt_rig.ctx, got, up, n);
    if (dt_rig.exact)
        dt_rig_same_bits("silu_mul", got, expected, n);
    else
        dt_rig_near("silu_mul", got, expected, n, 1.1e-3, 1e-30);
}

static void layernorm(void)
{
    uint32_t n = dt_rig_between(1, 900), columns = dt_rig_between(1, 33);
    bool biased = dt_rig_below(4);
    dt_rig_shape("%u values, %u columns%s", n, columns, biased ? "" : ", no bias");
    size_t stride = ((size_t)n + 15) / 16 * 16;
    float *x = dt_rig_floats(columns * stride), *weight = dt_rig_floats(n);
    float *bias = dt_rig_floats(n), *got = dt_rig_floats(columns * stride);
    float *expected = dt_rig_floats(columns * stride);
    dt_rig_fill(x, columns * stride, 1.0f);
    dt_rig_fill(weight, n, 1.0f);
    dt_rig_fill(bias, n, 1.0f);
    reference->layernorm(NULL, expected, stride, x, stride, weight, biased ? bias : NULL, n,
                         columns, 1e-5f);
    bool in_place = dt_rig_below(2);
    if (in_place)
        memcpy(got, x, columns * stride * sizeof *x);
    dt_rig.table.layernorm(dt_rig.ctx, got, stride, in_place ? got : x, stride, weight,
                           biased ? bias : NULL, n, columns, 1e-5f);
    for (uint32_t c = 0; c < columns; c++) {
        if (dt_rig.integer)
            dt_rig_same_bits("layernorm", got + c * stride, expected + c * stride, n);
        else
            dt_rig_near("layernorm", got + c * stride, expected + c * stride, n, 1e-4, 1e-5);
    }
}

static void same_or_near(const char *what, const float *got, const float *expected, uint32_t n)
{
    if (dt_rig.exact)
        dt_rig_same_bits(what, got, expected, n);
    else
        dt_rig_near(what, got, expected, n, 1.1e-3, 1e-3);
}

static void gelu(void)
{
    uint32_t n = dt_rig_between(1, 1100);
    dt_rig_shape("%u values", n);
    float *got, *expected, *up = dt_rig_floats(n);
    twins(&got, &expected, n, dt_rig_below(2) ? 3.0f : 40.0f);
    dt_rig_fill(up, n, 1.0f);
    if (dt_rig.table.gelu) {
        reference->gelu(NULL, expected, n);
        dt_rig.table.gelu(dt_rig.ctx, got, n);
        same_or_near("gelu", got, expected, n);
    }
    twins(&got, &expected, n, dt_rig_below(2) ? 3.0f : 40.0f);
    if (dt_rig.table.gelu_mul) {
        reference->gelu_mul(NULL, expected, up, n);
        dt_rig.table.gelu_mul(dt_rig.ctx, got, up, n);
        same_or_near("gelu_mul", got, expected, n);
    }
}

static void softcap(void)
{
    uint32_t n = dt_rig_between(1, 1100);
    float cap = dt_rig_below(2) ? 30.0f : 0.5f;
    dt_rig_shape("%u values, cap %g", n, (double)cap);
    float *got, *expected;
    twins(&got, &expected, n, dt_rig_below(2) ? 3.0f : 400.0f);
    reference->softcap(NULL, expected, n, cap);
    dt_rig.table.softcap(dt_rig.ctx, got, n, cap);
    same_or_near("softcap", got, expected, n);
}

static void add(void)
{
    uint32_t n = dt_rig_between(1, 1100);
    dt_rig_shape("%u values", n);
    float *got, *expected, *y = dt_rig_floats(n);
    twins(&got, &expected, n, 1.0f);
    dt_rig_fill(y, n, 1.0f);
    reference->add(NULL, expected, y, n);
    dt_rig.table.add(dt_rig.ctx, got, y, n);
    dt_rig_same_bits("add", got, expected, n);
}

// Random keys or values of a cache.
static void *random_entries(uint32_t type, size_t count)
{
    size_t element = type == DT_KV_F32 ? 4 : type == DT_KV_F16 ? 2 : 1;
    char *to = dt_rig_guarded(count * element, 0);
    for (size_t i = 0; i < count; i++) {
        float value = dt_rig_normal();
        uint16_t half = dt_rig_to_half(value);
        int8_t quant = (int8_t)((int32_t)dt_rig_below(255) - 127);
        memcpy(to + i * element,
               type == DT_KV_F32   ? (void *)&value
               : type == DT_KV_F16 ? (void *)&half
                                   : (void *)&quant,
               element);
    }
    return to;
}

static const float *random_scales(size_t count)
{
    float *scales = dt_rig_guarded(count * sizeof *scales, 0);
    for (size_t i = 0; i < count; i++)
        scales[i] = (float)dt_rig_below(1000) * 0x1p-15f;
    return scales;
}

// A cache of a random layout: the host's, or others that strides and slots allow. Of a type that
// the module reads.
static struct dt_kv random_kv(uint32_t heads, uint32_t size, uint32_t entries)
{
    bool i8 = dt_rig.table.kv_types >> DT_KV_I8 & 1;
    uint32_t type = dt_rig_below(3) ? DT_KV_F32 : DT_KV_F16;
    struct dt_kv kv = {
        .type = i8 && dt_rig_below(3) == 0 ? DT_KV_I8 : type, .heads = heads, .head_size = size};
    kv.capacity = entries + dt_rig_below(40);
    size_t slots = ((size_t)kv.capacity + 15) / 16 * 16;
    if (dt_rig_below(4)) {
        kv.key_slot = 1;
        kv.key_channel = slots + dt_rig_below(2) * 16;
        kv.key_head = kv.key_channel * size;
    } else {
        kv.key_channel = 1;
        kv.key_slot = size;
        kv.key_head = slots * size;
    }
    if (dt_rig_below(4)) {
        kv.value_channel = 1;
        kv.value_slot = dt_rig_below(2) ? size : (size_t)size * heads;
        kv.value_head = kv.value_slot == size ? slots * size : size;
    } else {
        kv.value_slot = 1;
        kv.value_channel = slots;
        kv.value_head = slots * size;
    }
    kv.keys = random_entries(kv.type, heads * size * (slots + 16));
    kv.values = random_entries(kv.type, heads * size * slots);
    if (kv.type == DT_KV_I8) {
        kv.scale_head = kv.capacity + dt_rig_below(20);
        kv.key_scales = random_scales(heads * kv.scale_head);
        kv.value_scales = random_scales(heads * kv.scale_head);
    }
    if (dt_rig_below(3) == 0) { // a few first slots, then a ring buffer
        uint32_t *list = dt_rig_guarded(entries * sizeof *list, 0),
                 keep = dt_rig_below(entries + 1), turn = dt_rig_below(1000);
        for (uint32_t e = 0; e < entries; e++)
            list[e] = e < keep || dt_rig_below(8) == 0
                          ? e
                          : keep + (e - keep + turn) % (kv.capacity - keep);
        kv.slots = list;
    }
    return kv;
}

static void attention_of(bool capped)
{
    const char *what = capped ? "attention_capped" : "attention";
    uint32_t kv_heads = dt_rig_between(1, 6), sharing = dt_rig_below(2) ? 1 : 1 + dt_rig_below(4);
    uint32_t heads = kv_heads * sharing,
             size = dt_rig_below(2) ? 8 * (1 + dt_rig_below(20)) : dt_rig_between(1, 130);
    uint32_t entries = dt_rig_between(1, 300), begin = dt_rig_below(heads),
             end = begin + 1 + dt_rig_below(heads - begin);
    if (dt_rig_below(2)) {
        begin = 0;
        end = heads;
    }
    dt_rig_shape("%u heads of %u, %u KV heads, heads %u to %u, %u entries", heads, size, kv_heads,
                 begin, end - 1, entries);
    struct dt_kv kv = random_kv(kv_heads, size, entries);
    size_t stride = ((size_t)entries + 15) / 16 * 16, all = (size_t)heads * size;
    float *q = dt_rig_floats(all), *got, *expected, *scores = dt_rig_floats((end - begin) * stride);
    dt_rig_fill(q, all, 1.0f);
    twins(&got, &expected, all, 1.0f);
    float divisor = sqrtf((float)size), cap = dt_rig_below(2) ? 50.0f : 1.0f;
    if (capped) {
        reference->attention_capped(NULL, expected, q, &kv, heads, begin, end, entries, divisor,
                                    cap, scores, stride);
        dt_rig.table.attention_capped(dt_rig.ctx, got, q, &kv, heads, begin, end, entries, divisor,
                                      cap, scores, stride);
    } else {
        reference->attention(NULL, expected, q, &kv, heads, begin, end, entries, divisor, scores,
                             stride);
        dt_rig.table.attention(dt_rig.ctx, got, q, &kv, heads, begin, end, entries, divisor, scores,
                               stride);
    }
    if (dt_rig.exact)
        dt_rig_same_bits(what, got, expected, all);
    else
        dt_rig_near(what, got, expected, all, 1e-2, 2e-2);
}

static void attention(void)
{
    attention_of(false);
}

static void attention_capped(void)
{
    attention_of(true);
}

static void argmax_and_select(void)
{
    uint32_t n = dt_rig_between(1, 3000);
    dt_rig_shape("%u values", n);
    float *x = dt_rig_floats(n);
    dt_rig_fill(x, n, 1.0f);
    if (dt_rig_below(2)) { // ties
        for (uint32_t k = 0; k < n; k++)
            x[k] = rintf(x[k]);
    }
    uint32_t best = dt_rig.table.argmax(dt_rig.ctx, x, n), right = reference->argmax(NULL, x, n);
    if (best != right)
        dt_rig_fail("argmax: is %u, the reference gives %u", best, right);
    uint32_t *got = dt_rig_guarded(n * sizeof *got, 0),
             *expected = dt_rig_guarded(n * sizeof *expected, 0);
    float threshold = dt_rig_below(2) ? x[dt_rig_below(n)] : 3.0f;
    uint32_t count = dt_rig.table.select(dt_rig.ctx, x, n, threshold, got);
    uint32_t right_count = reference->select(NULL, x, n, threshold, expected);
    same_list("select", got, count, expected, right_count);
}

static uint32_t bfloat(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits >> 16;
}

static void screen(void)
{
    uint32_t n = dt_rig_between(1, 3000) * (dt_rig_below(8) ? 1 : 12);
    dt_rig_shape("%u values", n);
    uint32_t *bounds = dt_rig_guarded(n * sizeof *bounds, 0);
    uint32_t *got = dt_rig_guarded(n * sizeof *got, 0),
             *expected = dt_rig_guarded(n * sizeof *expected, 0);
    for (uint32_t k = 0; k < n; k++)
        bounds[k] = bfloat(dt_rig_normal()) << 16 | bfloat(fabsf(dt_rig_normal()));
    if (dt_rig_below(4) == 0) { // without a bound, so never dropped
        bounds[dt_rig_below(n)] = bfloat(NAN);
        bounds[dt_rig_below(n)] = bfloat(INFINITY);
    }
    float along = dt_rig_normal() * 5, across = fabsf(dt_rig_normal()) * 5,
          scale = dt_rig_below(8) ? fabsf(dt_rig_normal()) : 0;
    float threshold = along * dt_rig_normal() + across * dt_rig_normal();
    double rest, mass;
    uint32_t count =
        dt_rig.table.screen(dt_rig.ctx, bounds, n, along, across, threshold, scale, got, &rest);
    uint32_t kept =
        reference->screen(NULL, bounds, n, along, across, threshold, scale, expected, &mass);
    same_list("screen", got, count, expected, kept);
    mass = mass / (1 + 0x1p-20) - n * 0x1p-126;
    if (!(rest >= mass * (1 - 1e-9) && rest <= mass * 1.065 + n * 0x1p-125))
        dt_rig_fail("screen: the rest is %.9g; must be between %.9g and 1.065 times that", rest,
                    mass);
}

// Activations that are subnormal, not finite, or halfway between two quants.
static void extreme_activations(float *x)
{
    static const float sizes[] = {1e-45f, 0x1p-126f, 0x1p-119f, 0x1p-101f, 0x1p-99f,
                                  1.0f,   0x1p+99f,  0x1p+102f, 0x1p+119f};
    float size = sizes[dt_rig_below(9)];
    uint32_t kind = dt_rig_below(8);
    for (int k = 0; k < 32; k++) {
        float half = (float)dt_rig_below(255) * 0.5f; // of a scale of 1
        half = dt_rig_below(2) ? nextafterf(half, dt_rig_below(2) ? 1000.0f : -1.0f) : half;
        x[k] = (dt_rig_below(2) ? half : -half) * size;
    }
    x[dt_rig_below(32)] = 127.0f * size;
    if (kind == 0)
        memset(x, 0, 32 * sizeof *x);
    if (kind == 1)
        x[dt_rig_below(32)] = NAN;
    if (kind == 2)
        x[dt_rig_below(32)] = dt_rig_below(2) ? INFINITY : -INFINITY;
}

// Every way of preparing such activations must give the same product.
static void act_prepare(void)
{
    enum { cols = 256, rows = 19, most = 70 };
    uint32_t form = dt_rig_form();
    uint32_t columns = dt_rig.index < most ? dt_rig.index + 1 : 1 + dt_rig_below(most);
    dt_rig_shape("%s, %u columns", dt_form_name(form), columns);
    struct dt_matrix w = dt_rig_matrix(form, rows, cols, 32);
    if (dt_rig.table.act_bytes(dt_rig.ctx, &w, 1) == 0)
        return; // this form uses the floats themselves
    float *x = dt_rig_floats(most * cols), *got = dt_rig_floats(most * 32),
          *expected = dt_rig_floats(most * 32);
    for (uint32_t g = 0; g < columns * (cols / 32); g++)
        extreme_activations(x + g * 32);
    void *act = dt_rig_floats(dt_rig.table.act_bytes(dt_rig.ctx, &w, columns) / 4 + 16);
    void *ref_act = dt_rig_floats(reference->act_bytes(NULL, &w, columns) / 4 + 16);
    dt_rig.table.act_prepare(dt_rig.ctx, act, x, cols, columns, &w);
    reference->act_prepare(NULL, ref_act, x, cols, columns, &w);
    dt_rig.table.matmul(dt_rig.ctx, got, 32, &w, 0, rows, act, cols, columns);
    reference->matmul(NULL, expected, 32, &w, 0, rows, ref_act, cols, columns);
    for (uint32_t c = 0; c < columns; c++) {
        for (uint32_t r = 0; r < rows; r++) {
            float a = got[c * 32 + r], b = expected[c * 32 + r];
            if (memcmp(&a, &b, sizeof a) != 0 && !(isnan(a) && isnan(b))) // any NaN will do
                dt_rig_fail("matmul: row %u, column %u is %.9g, the reference gives %.9g", r, c,
                            (double)a, (double)b);
        }
    }
}

// ---- the table ----

#define PRESENT(name, condition)                                                                   \
    static bool name(void)                                                                         \
    {                                                                                              \
        return condition;                                                                          \
    }

PRESENT(has_matmul, dt_rig.table.matmul != NULL)
PRESENT(has_act_prepare, dt_rig.integer &&dt_rig.table.matmul &&dt_rig.table.act_prepare)
PRESENT(has_rmsnorm, dt_rig.table.rmsnorm != NULL)
PRESENT(has_rope, dt_rig.table.rope != NULL)
PRESENT(has_attention, dt_rig.table.attention != NULL)
PRESENT(has_softmax, dt_rig.table.softmax != NULL)
PRESENT(has_silu_mul, dt_rig.table.silu_mul != NULL)
PRESENT(has_add, dt_rig.table.add != NULL)
PRESENT(has_argmax, dt_rig.table.argmax &&dt_rig.table.select)
PRESENT(has_screen, dt_rig.table.screen != NULL)
PRESENT(has_layernorm, dt_rig.table.layernorm != NULL)
PRESENT(has_gelu, dt_rig.table.gelu || dt_rig.table.gelu_mul)
PRESENT(has_softcap, dt_rig.table.softcap != NULL)
PRESENT(has_attention_capped, dt_rig.table.attention_capped != NULL)

const struct dt_rig_operator dt_rig_operators[] = {
    {"matmul, embed", has_matmul, dt_rig_check_matmul},
    {"act_prepare", has_act_prepare, act_prepare},
    {"rmsnorm", has_rmsnorm, rmsnorm},
    {"rope", has_rope, rope},
    {"attention", has_attention, attention},
    {"softmax", has_softmax, softmax},
    {"silu_mul", has_silu_mul, silu_mul},
    {"add", has_add, add},
    {"argmax, select", has_argmax, argmax_and_select},
    {"screen", has_screen, screen},
    {"layernorm", has_layernorm, layernorm},
    {"gelu, gelu_mul", has_gelu, gelu},
    {"softcap", has_softcap, softcap},
    {"attention_capped", has_attention_capped, attention_capped},
};
const size_t dt_rig_operator_count = sizeof dt_rig_operators / sizeof *dt_rig_operators;
