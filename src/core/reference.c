// SPDX-License-Identifier: MIT
// The reference backend: scalar, every sum in the order of llama2.c's run.c and runq.c. It defines
// the results that other backends are tested against, so it is simple rather than fast. The build
// disables contraction, so that products and sums are rounded separately.
#include <math.h>
#include <string.h>

#include "abi/backend.h"
#include "base/expf.h"
#include "core/model.h"
#include "core/quant/k_block.h"
#include "core/stack.h"

static float load_f32(const void *p)
{
    float value;
    memcpy(&value, p, sizeof value); // scales may be unaligned
    return value;
}

static float load_scale(const struct dt_matrix *w, uint32_t row, uint32_t g)
{
    const unsigned char *at =
        (const unsigned char *)w->scales + row * w->scale_row_stride + g * w->scale_group_stride;
    if (w->scale_type == DT_SCALE_F32)
        return load_f32(at);
    uint16_t half;
    memcpy(&half, at, sizeof half);
    return dt_half_to_float(half);
}

static int is_quantised(const struct dt_matrix *w)
{
    return w->group != 0;
}

// ---- matrices ----

static int can_matmul(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    switch (w->form) {
    case DT_FORM_F32:
    case DT_FORM_F16:
    case DT_FORM_BF16:
        return 1;
    case DT_FORM_I8:
    case DT_FORM_Q8_0:
    case DT_FORM_Q4_0:
        return w->group > 0 && w->cols % w->group == 0;
    default:
        return dt_k_has(w->form) && w->group == DT_K_VALUES && w->cols % DT_K_VALUES == 0;
    }
}

// A prepared column is cols int8, then cols / group floats, each padded to 64 bytes.
static size_t quants_bytes(const struct dt_matrix *w)
{
    return ((size_t)w->cols + 63) / 64 * 64;
}

static size_t column_bytes(const struct dt_matrix *w)
{
    return quants_bytes(w) + ((size_t)(w->cols / w->group) * sizeof(float) + 63) / 64 * 64;
}

static size_t act_bytes(void *ctx, const struct dt_matrix *w, uint32_t columns)
{
    (void)ctx;
    return is_quantised(w) ? column_bytes(w) * columns : 0;
}

static void act_prepare(void *ctx, void *act, const float *x, size_t x_stride, uint32_t columns,
                        const struct dt_matrix *w)
{
    (void)ctx;
    for (uint32_t c = 0; c < columns; c++, x += x_stride) {
        int8_t *q = (int8_t *)act + c * column_bytes(w);
        float *scales = (float *)(void *)((unsigned char *)q + quants_bytes(w));
        for (uint32_t g = 0; g < w->cols / w->group; g++) {
            const float *values = x + (size_t)g * w->group;
            float largest = 0.0f;
            for (uint32_t i = 0; i < w->group; i++) {
                float magnitude = fabsf(values[i]);
                if (magnitude > largest)
                    largest = magnitude;
            }
            float scale = largest / 127.0f;
            scales[g] = scale;
            for (uint32_t i = 0; i < w->group; i++) {
                // A group of zeros gives 0. Converting NaN (from broken weights) would be
                // undefined behaviour.
                float quant = scale != 0.0f ? roundf(values[i] / scale) : 0.0f;
                q[(size_t)g * w->group + i] =
                    quant >= -127.0f && quant <= 127.0f ? (int8_t)quant : 0;
            }
        }
    }
}

static float dot_f32(const unsigned char *row, const float *x, uint32_t n)
{
    float sum = 0.0f;
    for (uint32_t j = 0; j < n; j++)
        sum += load_f32(row + (size_t)j * 4) * x[j];
    return sum;
}

static float dot_f16(const unsigned char *row, const float *x, uint32_t n)
{
    float sum = 0.0f;
    for (uint32_t j = 0; j < n; j++) {
        uint16_t half;
        memcpy(&half, row + (size_t)j * 2, sizeof half);
        sum += dt_half_to_float(half) * x[j];
    }
    return sum;
}

static float dot_bf16(const unsigned char *row, const float *x, uint32_t n)
{
    float sum = 0.0f;
    for (uint32_t j = 0; j < n; j++) {
        uint16_t top;
        memcpy(&top, row + (size_t)j * 2, sizeof top);
        uint32_t bits = (uint32_t)top << 16;
        sum += load_f32(&bits) * x[j];
    }
    return sum;
}

static float dot_quants(const struct dt_matrix *w, uint32_t row, const int8_t *xq, const float *xs)
{
    const unsigned char *quants = (const unsigned char *)w->quants + row * w->row_stride;
    float sum = 0.0f;
    for (uint32_t g = 0; g < w->cols / w->group; g++, quants += w->group_stride, xq += w->group) {
        int32_t products = 0;
        if (w->form == DT_FORM_Q4_0) {
            for (uint32_t i = 0; i < 16; i++) {
                products += ((quants[i] & 15) - 8) * xq[i];
                products += ((quants[i] >> 4) - 8) * xq[i + 16];
            }
        } else {
            const int8_t *wq = (const int8_t *)quants;
            for (uint32_t i = 0; i < w->group; i++)
                products += wq[i] * xq[i];
        }
        sum += (float)products * load_scale(w, row, g) * xs[g];
    }
    return sum;
}

static float dot_k(const struct dt_matrix *w, uint32_t row, const int8_t *xq, const float *xs)
{
    const unsigned char *at = (const unsigned char *)w->quants + row * w->row_stride;
    struct dt_k_block block;
    float sum = 0.0f;
    for (uint32_t g = 0; g < w->cols / DT_K_VALUES; g++, at += w->group_stride, xq += DT_K_VALUES) {
        dt_k_block_read(w->form, at, &block);
        sum += dt_k_block_dot(&block, xq) * xs[g];
    }
    return sum;
}

static float dot(const struct dt_matrix *w, uint32_t r, const void *column)
{
    if (dt_k_has(w->form))
        return dot_k(w, r, column,
                     (const float *)(const void *)((const int8_t *)column + quants_bytes(w)));
    if (is_quantised(w))
        return dot_quants(w, r, column,
                          (const float *)(const void *)((const int8_t *)column + quants_bytes(w)));
    const unsigned char *row = (const unsigned char *)w->quants + r * w->row_stride;
    return w->form == DT_FORM_F32   ? dot_f32(row, column, w->cols)
           : w->form == DT_FORM_F16 ? dot_f16(row, column, w->cols)
                                    : dot_bf16(row, column, w->cols);
}

static void matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                   uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                   uint32_t columns)
{
    (void)ctx;
    size_t stride = is_quantised(w) ? column_bytes(w) : x_stride * sizeof(float);
    for (uint32_t c = 0; c < columns; c++, out += out_stride) {
        for (uint32_t r = row_begin; r < row_end; r++)
            out[r] = dot(w, r, (const unsigned char *)act + c * stride);
    }
}

static void matmul_rows(void *ctx, float *out, const struct dt_matrix *w, const uint32_t *index,
                        uint32_t count, const void *act)
{
    (void)ctx;
    for (uint32_t k = 0; k < count; k++)
        out[k] = dot(w, index[k], act);
}

// Rounding: a sequential sum of n products is within (n + 2) u of the sum of their magnitudes, with
// u = 2^-24.
static float act_error(void *ctx, const void *act, const float *x, const struct dt_matrix *w)
{
    (void)ctx;
    double changed = 0, norm = 0;
    uint32_t terms = w->cols;
    if (is_quantised(w)) {
        const int8_t *q = act;
        const float *scales = (const float *)(const void *)(q + quants_bytes(w));
        for (uint32_t i = 0; i < w->cols; i++) {
            double value = (double)q[i] * (double)scales[i / w->group];
            changed += (x[i] - value) * (x[i] - value);
            norm += value * value;
        }
        terms = w->cols / w->group + 2; // with a conversion and two products for each group
    } else {
        for (uint32_t i = 0; i < w->cols; i++)
            norm += (double)x[i] * (double)x[i];
    }
    return (float)(1.0001 * (sqrt(changed) + (terms + 2) * 0x1p-24 * sqrt(norm)));
}

static void embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    dt_matrix_row(w, row, out);
}

// ---- other operations ----

static void rmsnorm(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                    const float *weight, uint32_t n, uint32_t columns, float epsilon)
{
    (void)ctx;
    for (uint32_t c = 0; c < columns; c++, out += out_stride, x += x_stride) {
        float ss = 0.0f;
        for (uint32_t i = 0; i < n; i++)
            ss += x[i] * x[i];
        ss /= (float)n;
        ss += epsilon;
        ss = 1.0f / sqrtf(ss);
        for (uint32_t i = 0; i < n; i++)
            out[i] = weight[i] * (ss * x[i]);
    }
}

static void layernorm(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                      const float *weight, const float *bias, uint32_t n, uint32_t columns,
                      float epsilon)
{
    (void)ctx;
    for (uint32_t c = 0; c < columns; c++, out += out_stride, x += x_stride) {
        float mean = 0.0f, variance = 0.0f;
        for (uint32_t i = 0; i < n; i++)
            mean += x[i];
        mean /= (float)n;
        for (uint32_t i = 0; i < n; i++)
            variance += (x[i] - mean) * (x[i] - mean);
        variance /= (float)n;
        variance += epsilon;
        float r = 1.0f / sqrtf(variance);
        for (uint32_t i = 0; i < n; i++)
            out[i] = weight[i] * ((x[i] - mean) * r) + (bias ? bias[i] : 0.0f);
    }
}

static void rope(void *ctx, float *x, uint32_t heads, uint32_t head_size, uint32_t rotated,
                 const float *cosine, const float *sine, uint32_t style)
{
    (void)ctx;
    for (uint32_t h = 0; h < heads; h++, x += head_size) {
        for (uint32_t i = 0; i < rotated / 2; i++) {
            uint32_t a = style == DT_ROPE_HALVES ? i : 2 * i;
            uint32_t b = style == DT_ROPE_HALVES ? i + rotated / 2 : 2 * i + 1;
            float first = x[a], second = x[b];
            x[a] = first * cosine[i] - second * sine[i];
            x[b] = first * sine[i] + second * cosine[i];
        }
    }
}

static void softmax(void *ctx, float *x, uint32_t n)
{
    (void)ctx;
    float largest = x[0];
    for (uint32_t i = 1; i < n; i++) {
        if (x[i] > largest)
            largest = x[i];
    }
    float sum = 0.0f;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = dt_expf(x[i] - largest);
        sum += x[i];
    }
    for (uint32_t i = 0; i < n; i++)
        x[i] /= sum;
}

static float kv_value(const struct dt_kv *kv, const void *base, size_t element)
{
    if (kv->type == DT_KV_F32)
        return ((const float *)base)[element];
    if (kv->type == DT_KV_I8)
        return ((const int8_t *)base)[element];
    return dt_half_to_float(((const uint16_t *)base)[element]);
}

static void softcap(void *ctx, float *x, uint32_t n, float cap)
{
    (void)ctx;
    for (uint32_t i = 0; i < n; i++)
        x[i] = cap * (1.0f - 2.0f / (1.0f + dt_expf(2.0f * (x[i] / cap))));
}

// cap 0: no cap
static void attention_capped(void *ctx, float *out, const float *q, const struct dt_kv *kv,
                             uint32_t heads, uint32_t head_begin, uint32_t head_end,
                             uint32_t entries, float divisor, float cap, float *scores,
                             size_t score_stride)
{
    uint32_t sharing = heads / kv->heads;
    for (uint32_t h = head_begin; h < head_end; h++, scores += score_stride) {
        const float *query = q + (size_t)h * kv->head_size;
        size_t key_base = h / sharing * kv->key_head, value_base = h / sharing * kv->value_head;
        size_t scale_base = h / sharing * kv->scale_head;
        for (uint32_t e = 0; e < entries; e++) {
            size_t slot = kv->slots ? kv->slots[e] : e;
            float score = 0.0f;
            for (uint32_t i = 0; i < kv->head_size; i++)
                score += query[i] * kv_value(kv, kv->keys,
                                             key_base + slot * kv->key_slot + i * kv->key_channel);
            if (kv->type == DT_KV_I8)
                score *= kv->key_scales[scale_base + slot];
            scores[e] = score / divisor;
        }
        if (cap > 0)
            softcap(ctx, scores, entries, cap);
        softmax(ctx, scores, entries);
        float *result = out + (size_t)h * kv->head_size;
        memset(result, 0, kv->head_size * sizeof *result);
        for (uint32_t e = 0; e < entries; e++) {
            size_t slot = kv->slots ? kv->slots[e] : e;
            float weight = scores[e];
            if (kv->type == DT_KV_I8)
                weight *= kv->value_scales[scale_base + slot];
            for (uint32_t i = 0; i < kv->head_size; i++)
                result[i] +=
                    weight * kv_value(kv, kv->values,
                                      value_base + slot * kv->value_slot + i * kv->value_channel);
        }
    }
}

static void attention(void *ctx, float *out, const float *q, const struct dt_kv *kv, uint32_t heads,
                      uint32_t head_begin, uint32_t head_end, uint32_t entries, float divisor,
                      float *scores, size_t score_stride)
{
    attention_capped(ctx, out, q, kv, heads, head_begin, head_end, entries, divisor, 0.0f, scores,
                     score_stride);
}

static void silu_mul(void *ctx, float *gate, const float *up, uint32_t n)
{
    (void)ctx;
    for (uint32_t i = 0; i < n; i++) {
        float value = gate[i];
        value *= 1.0f / (1.0f + dt_expf(-value));
        gate[i] = value * up[i];
    }
}

static float gelu_of(float x)
{
    return x * (1.0f / (1.0f + dt_expf(-(x * (1.5957691216f + 0.0713548163f * (x * x))))));
}

static void gelu(void *ctx, float *x, uint32_t n)
{
    (void)ctx;
    for (uint32_t i = 0; i < n; i++)
        x[i] = gelu_of(x[i]);
}

static void gelu_mul(void *ctx, float *gate, const float *up, uint32_t n)
{
    (void)ctx;
    for (uint32_t i = 0; i < n; i++)
        gate[i] = gelu_of(gate[i]) * up[i];
}

static void add(void *ctx, float *x, const float *y, uint32_t n)
{
    (void)ctx;
    for (uint32_t i = 0; i < n; i++)
        x[i] += y[i];
}

static uint32_t argmax(void *ctx, const float *x, uint32_t n)
{
    (void)ctx;
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (x[i] > x[best])
            best = i;
    }
    return best;
}

static uint32_t select_above(void *ctx, const float *x, uint32_t n, float threshold,
                             uint32_t *index)
{
    (void)ctx;
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (x[i] >= threshold)
            index[count++] = i;
    }
    return count;
}

static uint32_t screen(void *ctx, const uint32_t *bounds, uint32_t n, float along, float across,
                       float threshold, float scale, uint32_t *index, double *rest)
{
    (void)ctx;
    uint32_t count = 0;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t upper = bounds[i] & 0xffff0000, lower = bounds[i] << 16;
        float a, b;
        memcpy(&a, &upper, sizeof a);
        memcpy(&b, &lower, sizeof b);
        float u = a * along + b * across;
        if (u < threshold)
            sum += exp((double)(u - threshold) * (double)scale * 0.69314718055994531);
        else
            index[count++] = i;
    }
    *rest = sum * (1 + 0x1p-20) + n * 0x1p-126; // for the rounding of u - threshold
    return count;
}

static int probe(const struct dt_cpu *cpu)
{
    (void)cpu;
    return 1;
}

// Used twice: as the table that a module would export, and in the instance at the bottom of stacks.
// clang-format off
#define TABLE \
    { \
        .abi = DT_BACKEND_ABI, \
        .size = sizeof(struct dt_backend), \
        .name = "reference", \
        .variant = "", \
        .description = "scalar, llama2.c's order of operations, bit for bit; " \
                       "all other backends are tested against it", \
        .row_tile = 1, \
        .form_count = 6, \
        .forms = {DT_FORM_F32, DT_FORM_I8, DT_FORM_Q8_0, DT_FORM_F16, DT_FORM_BF16, DT_FORM_Q4_0}, \
        .probe = probe, \
        .can_matmul = can_matmul, \
        .act_bytes = act_bytes, \
        .act_prepare = act_prepare, \
        .matmul = matmul, \
        .embed = embed, \
        .rmsnorm = rmsnorm, \
        .rope = rope, \
        .attention = attention, \
        .softmax = softmax, \
        .silu_mul = silu_mul, \
        .add = add, \
        .argmax = argmax, \
        .select = select_above, \
        .matmul_rows = matmul_rows, \
        .act_error = act_error, \
        .screen = screen, \
        .layernorm = layernorm, \
        .gelu = gelu, \
        .gelu_mul = gelu_mul, \
        .softcap = softcap, \
        .attention_capped = attention_capped, \
        .more_forms = DT_FORM_BIT(DT_FORM_Q4_K) | DT_FORM_BIT(DT_FORM_Q5_K) | \
                      DT_FORM_BIT(DT_FORM_Q6_K), \
        .kv_types = 1 << DT_KV_F32 | 1 << DT_KV_F16 | 1 << DT_KV_I8, \
    }
// clang-format on

const struct dt_backend dt_backend_reference = TABLE;
const struct dt_instance dt_instance_reference = {.table = TABLE, .ctx = NULL};
