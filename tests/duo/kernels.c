// SPDX-License-Identifier: MIT
// Compares the kernels in the .S files of rvv07, bit for bit and over odd shapes, with plain C in
// the reference's order of operations. Cross-compiled without contraction; tests/duo/check runs it
// in the RVV 0.7.1 emulator.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../backends/rvv07/kernels.h"

static unsigned seed = 1;
static unsigned failures, checks;

static unsigned rnd(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static float unit(void)
{
    return (float)((int)(rnd() % 20001) - 10000) * 1e-4f;
}

static void same(const char *what, size_t a, size_t b, const void *got, const void *want,
                 size_t bytes)
{
    checks++;
    if (memcmp(got, want, bytes) == 0)
        return;
    failures++;
    if (failures < 30) {
        size_t i = 0;
        while (((const unsigned char *)got)[i] == ((const unsigned char *)want)[i])
            i++;
        printf("kernels: %s (%zu, %zu): differs from byte %zu on: %g, wanted %g\n", what, a, b, i,
               (double)((const float *)got)[i / 4], (double)((const float *)want)[i / 4]);
    }
}

static void test_i8(size_t rows, size_t groups, size_t group, int extreme)
{
    size_t n = groups * group;
    int8_t *w = malloc(n * rows), *x = malloc(n + 1);
    float *ws = malloc(4 * groups * rows), *xs = malloc(4 * groups), y[65], want[65];
    unsigned char *stream = malloc(groups * (group * rows + 4 * rows) + 64), *p = stream;
    for (size_t i = 0; i < n * rows; i++)
        w[i] = (int8_t)(extreme ? (i & 1 ? -128 : -128) : (int)(rnd() % 256) - 128);
    for (size_t i = 0; i < n; i++)
        x[i] = (int8_t)(extreme ? 127 : (int)(rnd() % 255) - 127);
    for (size_t i = 0; i < groups * rows; i++)
        ws[i] = unit();
    for (size_t i = 0; i < groups; i++)
        xs[i] = unit();
    for (size_t g = 0; g < groups; g++) {
        for (size_t k = 0; k < group; k++)
            for (size_t r = 0; r < rows; r++)
                *p++ = (unsigned char)w[r * n + g * group + k];
        for (size_t r = 0; r < rows; r++, p += 4)
            memcpy(p, &ws[r * groups + g], 4);
    }
    for (size_t r = 0; r < rows; r++) {
        float val = 0.0f;
        for (size_t g = 0; g < groups; g++) {
            int32_t sum = 0;
            for (size_t k = 0; k < group; k++)
                sum += w[r * n + g * group + k] * x[g * group + k];
            val += ((float)sum * ws[r * groups + g]) * xs[g];
        }
        want[r] = val;
    }
    want[rows] = y[rows] = 12345.0f;
    (rows == 64 ? dt_rvv07_i8_tile64 : dt_rvv07_i8_tile32)(y, x, xs, stream, groups, group);
    same(rows == 64 ? "i8_tile64" : "i8_tile32", groups, group, y, want, 4 * (rows + 1));
    free(w), free(x), free(ws), free(xs), free(stream);
}

// unpacked rows: int8 and Q4_0 blocks
static void test_strided(size_t rows, size_t group)
{
    unsigned char w[32 * 150], nibbles[32 * 20];
    int8_t x[150];
    float y[33], want[33], ws[32], f[32 * 151], fx[150];
    for (size_t i = 0; i < sizeof w; i++)
        w[i] = (unsigned char)rnd();
    for (size_t i = 0; i < sizeof nibbles; i++)
        nibbles[i] = (unsigned char)rnd();
    for (size_t i = 0; i < 150; i++)
        x[i] = (int8_t)((int)(rnd() % 255) - 127), fx[i] = unit();
    for (size_t i = 0; i < 32 * 151; i++)
        f[i] = unit();
    for (size_t r = 0; r <= rows; r++)
        y[r] = want[r] = unit();
    for (size_t r = 0; r < rows; r++) {
        int32_t sum = 0, sum4 = 0;
        ws[r] = unit();
        for (size_t k = 0; k < group; k++)
            sum += (int8_t)w[r * 150 + k] * x[k];
        for (size_t k = 0; k < 16; k++)
            sum4 += ((nibbles[r * 18 + k] & 15) - 8) * x[k] +
                    ((nibbles[r * 18 + k] >> 4) - 8) * x[k + 16];
        want[r] += ((float)sum * ws[r]) * 0.37f;
        want[r] += ((float)sum4 * ws[r]) * 1.37f;
    }
    dt_rvv07_i8_strided(y, x, w, 150, group, rows, ws, 0.37f);
    dt_rvv07_q4_strided(y, x, nibbles, 18, 32, rows, ws, 1.37f);
    same("strided", rows, group, y, want, 4 * (rows + 1));
    for (size_t r = 0; r < rows; r++) {
        want[r] = 0.0f;
        for (size_t k = 0; k < group; k++)
            want[r] += f[r * 151 + k] * fx[k];
    }
    dt_rvv07_f32_strided(y, fx, f, 151 * 4, group, rows);
    same("strided f32", rows, group, y, want, 4 * (rows + 1));
}

// Rows of an index, with and without gaps between groups: sums, and products with a direction.
static void test_rows(size_t rows, size_t groups, size_t group, size_t gap)
{
    size_t stride = groups * (group + gap) + 7, n = groups * group, padded = (rows + 3) / 4 * 4;
    int8_t *w = malloc(50 * stride), *x = malloc(n);
    float *direction = malloc(4 * n), *scales = malloc(4 * groups);
    uint32_t offsets[32];
    int32_t sums[32 * 8], want[32 * 8];
    for (size_t i = 0; i < 50 * stride; i++)
        w[i] = (int8_t)(groups == 2 ? -128 : (int)(rnd() % 256) - 128);
    for (size_t i = 0; i < n; i++) {
        x[i] = (int8_t)(groups == 2 ? 127 : (int)(rnd() % 255) - 127);
        direction[i] = (float)((int)(rnd() % 17) - 8);
    }
    for (size_t g = 0; g < groups; g++)
        scales[g] = (float)(1 + rnd() % 4) * 0.0625f;
    for (size_t r = 0; r < 32; r++)
        offsets[r] = (uint32_t)(rnd() % 50 * stride);
    memset(sums, 0x55, sizeof sums);
    memset(want, 0x55, sizeof want);
    float products[2], squares[2] = {0, 0}; // of small integers, so exact in any order
    for (size_t g = 0; g < groups; g++) {
        for (size_t r = 0; r < padded; r++) {
            want[32 * g + r] = 0;
            for (size_t k = 0; k < group; k++)
                want[32 * g + r] += w[offsets[r] + g * (group + gap) + k] * x[g * group + k];
        }
    }
    dt_rvv07_i8_sums(sums, x, w, offsets, group, padded, groups, group + gap);
    same("i8_sums", rows, groups, sums, want, sizeof want);
    for (size_t i = 0; i < 50 * stride; i++)
        w[i] = (int8_t)(w[i] / 16);
    for (size_t i = 0; i < n; i++) {
        float v = (float)w[i / group * (group + gap) + i % group] * scales[i / group];
        squares[0] += v * v;
        squares[1] += v * direction[i];
    }
    dt_rvv07_row_products(products, w, scales, direction, groups, group, group + gap);
    same("row_products", groups, group, products, squares, sizeof squares);
    free(w), free(x), free(direction), free(scales);
}

static float from_half(uint32_t h)
{
    uint32_t exponent = h >> 10 & 31, bits = (h & 1023) << 13;
    float small = (float)(h & 1023) * 0x1p-24f, value;
    if (exponent == 0)
        memcpy(&bits, &small, 4);
    else
        bits |= (exponent == 31 ? 255 : exponent + 112) << 23;
    bits |= (h & 0x8000) << 16;
    memcpy(&value, &bits, 4);
    return value;
}

// The same for Q4_0 blocks, and their unpacking.
static void test_rows_q4(size_t rows, size_t groups, size_t gap)
{
    size_t step = 16 + gap, stride = groups * step + 7, padded = (rows + 3) / 4 * 4;
    unsigned char w[20 * (8 * 20 + 7)];
    int8_t x[8 * 32], plain[8 * 32], wanted[8 * 32];
    uint32_t offsets[32];
    int32_t sums[32 * 8], want[32 * 8];
    for (size_t i = 0; i < sizeof w; i++)
        w[i] = (unsigned char)(groups == 2 ? rows % 2 * 0xff : rnd());
    for (size_t i = 0; i < sizeof x; i++)
        x[i] = (int8_t)(groups == 2 ? 127 : (int)(rnd() % 255) - 127);
    for (size_t r = 0; r < 32; r++)
        offsets[r] = (uint32_t)(rnd() % 20 * stride);
    memset(sums, 0x55, sizeof sums);
    memset(want, 0x55, sizeof want);
    for (size_t g = 0; g < groups; g++) {
        for (size_t r = 0; r < padded; r++) {
            want[32 * g + r] = 0;
            for (size_t k = 0; k < 16; k++) {
                unsigned char both = w[offsets[r] + g * step + k];
                want[32 * g + r] +=
                    ((both & 15) - 8) * x[g * 32 + k] + ((both >> 4) - 8) * x[g * 32 + k + 16];
            }
        }
        for (size_t k = 0; k < 16; k++) {
            wanted[g * 32 + k] = (int8_t)((w[offsets[0] + g * step + k] & 15) - 8);
            wanted[g * 32 + k + 16] = (int8_t)((w[offsets[0] + g * step + k] >> 4) - 8);
        }
    }
    dt_rvv07_q4_sums(sums, x, w, offsets, padded, groups, step);
    same("q4_sums", rows, groups, sums, want, sizeof want);
    dt_rvv07_q4_unpack(plain, w + offsets[0], groups, step);
    same("q4_unpack", rows, groups, plain, wanted, groups * 32);
}

// Packing of rows with gaps between them.
static void test_columns(size_t rows, size_t columns)
{
    static unsigned char from[64 * 80], got[64 * 64 + 1], want[64 * 64 + 1];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)rnd();
    got[rows * columns] = want[rows * columns] = 99;
    for (size_t k = 0; k < columns; k++)
        for (size_t r = 0; r < rows; r++)
            want[k * rows + r] = from[r * 80 + k];
    dt_rvv07_i8_columns(got, from, 80, columns, rows);
    same("i8_columns", rows, columns, got, want, rows * columns + 1);
    got[rows * 16] = want[rows * 16] = 99;
    for (size_t k = 0; k < 16; k++)
        for (size_t r = 0; r < rows; r++) {
            const unsigned char *block = from + r * 80 + k * 2 % 16;
            int a = k < 8 ? block[0] & 15 : block[0] >> 4,
                b = k < 8 ? block[1] & 15 : block[1] >> 4;
            want[k * rows + r] = (unsigned char)(((a - 8) & 15) | (b - 8) * 16);
        }
    dt_rvv07_q4_columns(got, from, 80, rows);
    same("q4_columns", rows, columns, got, want, rows * 16 + 1);
}

// Every half there is, in strips of odd lengths.
static void test_halves(void)
{
    static uint16_t halves[65536];
    float out[32], want[32];
    uint32_t offsets[32];
    for (size_t i = 0; i < 65536; i++)
        halves[i] = (uint16_t)i;
    for (uint32_t i = 0, n; i < 65536; i += n) {
        n = 65536 - i < 29 ? 65536 - i : 29;
        for (uint32_t k = 0; k < n; k++) {
            offsets[k] = 2 * (i + k);
            want[k] = from_half(i + k);
        }
        dt_rvv07_gather_halves(out, halves, offsets, n);
        same("gather_halves", i, n, out, want, 4 * n);
    }
}

static void test_q4(size_t rows, size_t groups, int extreme)
{
    size_t n = groups * 32;
    int8_t *w = malloc(n * rows), *x = malloc(n);
    float *ws = malloc(4 * groups * rows), *xs = malloc(4 * groups), y[65], want[65];
    unsigned char *stream = malloc(groups * (16 * rows + 4 * rows)), *p = stream;
    for (size_t i = 0; i < n * rows; i++)
        w[i] = (int8_t)(extreme ? -8 : (int)(rnd() % 16) - 8);
    for (size_t i = 0; i < n; i++)
        x[i] = (int8_t)(extreme ? (extreme > 1 ? 127 : -127) : (int)(rnd() % 255) - 127);
    for (size_t i = 0; i < groups * rows; i++)
        ws[i] = unit();
    for (size_t i = 0; i < groups; i++)
        xs[i] = unit();
    for (size_t g = 0; g < groups; g++) {
        for (size_t k = 0; k < 32; k += 2)
            for (size_t r = 0; r < rows; r++)
                *p++ = (unsigned char)((w[r * n + g * 32 + k] & 15) |
                                       (w[r * n + g * 32 + k + 1] * 16));
        for (size_t r = 0; r < rows; r++, p += 4)
            memcpy(p, &ws[r * groups + g], 4);
    }
    for (size_t r = 0; r < rows; r++) {
        float val = 0.0f;
        for (size_t g = 0; g < groups; g++) {
            int32_t sum = 0;
            for (size_t k = 0; k < 32; k++)
                sum += w[r * n + g * 32 + k] * x[g * 32 + k];
            val += ((float)sum * ws[r * groups + g]) * xs[g];
        }
        want[r] = val;
    }
    want[rows] = y[rows] = 12345.0f;
    (rows == 64 ? dt_rvv07_q4_tile64 : dt_rvv07_q4_tile32)(y, x, xs, stream, groups);
    same(rows == 64 ? "q4_tile64" : "q4_tile32", groups, 32, y, want, 4 * (rows + 1));
    free(w), free(x), free(ws), free(xs), free(stream);
}

static void test_f32(size_t rows, size_t n)
{
    float *w = malloc(4 * n * rows), *x = malloc(4 * n), y[65], want[65];
    for (size_t i = 0; i < n * rows; i++)
        w[i] = unit();
    for (size_t i = 0; i < n; i++)
        x[i] = unit();
    for (size_t r = 0; r < rows; r++) {
        float val = 0.0f;
        for (size_t k = 0; k < n; k++)
            val += w[k * rows + r] * x[k];
        want[r] = val;
    }
    want[rows] = y[rows] = 12345.0f;
    (rows == 64 ? dt_rvv07_f32_tile64 : dt_rvv07_f32_tile32)(y, x, w, n);
    same("f32", rows, n, y, want, 4 * (rows + 1));
    free(w), free(x);
}

static void test_attention(size_t channels, size_t entries, size_t pad)
{
    size_t stride = entries + pad;
    float *keys = calloc(channels * stride, 4), *values = calloc(entries * (channels + pad), 4);
    float *q = malloc(4 * channels), *s = malloc(4 * entries + 4), *want = malloc(4 * entries + 4);
    float out[65], mix[65], divisor = sqrtf((float)channels);
    for (size_t i = 0; i < channels * stride; i++)
        keys[i] = unit();
    for (size_t i = 0; i < entries * (channels + pad); i++)
        values[i] = unit();
    for (size_t i = 0; i < channels; i++)
        q[i] = unit();
    for (size_t e = 0; e < entries; e++) {
        float val = 0.0f;
        for (size_t c = 0; c < channels; c++)
            val += q[c] * keys[c * stride + e];
        want[e] = val / divisor;
    }
    s[entries] = want[entries] = 77.0f;
    dt_rvv07_scores(s, q, keys, 4 * stride, channels, entries, divisor);
    same("scores", channels, entries, s, want, 4 * entries + 4);
    for (size_t c = 0; c < channels; c++) {
        float val = 0.0f;
        for (size_t e = 0; e < entries; e++)
            val += s[e] * values[e * (channels + pad) + c];
        mix[c] = val;
    }
    mix[channels] = out[channels] = 77.0f;
    if (channels <= 32) {
        dt_rvv07_mix(out, s, values, 4 * (channels + pad), channels, entries);
        same("mix", channels, entries, out, mix, 4 * channels + 4);
    }
    if (channels == 48) {
        dt_rvv07_mix48(out, s, values, 4 * (channels + pad), channels, entries);
        same("mix48", channels, entries, out, mix, 4 * channels + 4);
    }
    if (channels % 2 == 0) {
        dt_rvv07_mix2(out, s, values, 4 * (channels + pad), channels / 2, entries);
        same("mix2", channels, entries, out, mix, 4 * channels + 4);
    }
    free(keys), free(values), free(q), free(s), free(want);
}

// Attention over halves: of all kinds, also infinity and NaN if `any`.
static void test_attention_half(size_t channels, size_t entries, size_t pad, int any)
{
    size_t stride = entries + pad, step = channels + pad;
    uint16_t *keys = malloc(channels * stride * 2), *values = malloc(entries * step * 2);
    float *q = malloc(4 * channels), *s = malloc(4 * entries + 4), *want = malloc(4 * entries + 4);
    float out[33], mix[33], divisor = sqrtf((float)channels);
    for (size_t i = 0; i < channels * stride; i++)
        keys[i] = (uint16_t)(any ? rnd() : rnd() & 0xbfff);
    for (size_t i = 0; i < entries * step; i++)
        values[i] = (uint16_t)(any ? rnd() : rnd() % 4 ? rnd() & 0xbfff : rnd() & 0x83ff);
    for (size_t i = 0; i < channels; i++)
        q[i] = unit();
    for (size_t e = 0; e < entries; e++) {
        float val = 0.0f;
        for (size_t c = 0; c < channels; c++)
            val += q[c] * from_half(keys[c * stride + e]);
        want[e] = val / divisor;
    }
    s[entries] = want[entries] = 77.0f;
    dt_rvv07_scores_half(s, q, keys, 2 * stride, channels, entries, divisor);
    same("scores_half", channels, entries, s, want, 4 * entries + 4);
    for (size_t c = 0; c < channels && channels <= 32; c++) {
        float val = 0.0f;
        for (size_t e = 0; e < entries; e++)
            val += s[e] * from_half(values[e * step + c]);
        mix[c] = val;
    }
    if (channels <= 32) {
        mix[channels] = out[channels] = 77.0f;
        dt_rvv07_mix_half(out, s, values, 2 * step, channels, entries);
        same("mix_half", channels, entries, out, mix, 4 * channels + 4);
    }
    free(keys), free(values), free(q), free(s), free(want);
}

static void test_attention_i8(size_t channels, size_t entries, size_t pad)
{
    size_t stride = entries + pad, row = channels + pad;
    int8_t *keys = malloc(channels * stride), *values = malloc(entries * row);
    float *q = malloc(4 * channels), *scales = malloc(4 * entries + 4);
    float *s = malloc(4 * entries + 4), *want = malloc(4 * entries + 4);
    float out[65], mix[65], divisor = sqrtf((float)channels);
    for (size_t i = 0; i < channels * stride; i++)
        keys[i] = (int8_t)rnd();
    for (size_t i = 0; i < entries * row; i++)
        values[i] = (int8_t)rnd();
    for (size_t i = 0; i < channels; i++)
        q[i] = unit();
    for (size_t e = 0; e < entries; e++) {
        float val = 0.0f;
        for (size_t c = 0; c < channels; c++)
            val += q[c] * (float)keys[c * stride + e];
        scales[e] = unit();
        want[e] = val * scales[e] / divisor;
    }
    s[entries] = want[entries] = 77.0f;
    dt_rvv07_scores_i8(s, q, keys, stride, channels, entries, scales, divisor);
    same("scores_i8", channels, entries, s, want, 4 * entries + 4);
    for (size_t c = 0; c < channels; c++) {
        float val = 0.0f;
        for (size_t e = 0; e < entries; e++)
            val += s[e] * (float)values[e * row + c];
        mix[c] = val;
    }
    mix[channels] = out[channels] = 77.0f;
    if (channels <= 32) {
        dt_rvv07_mix_i8(out, s, values, row, channels, entries);
        same("mix_i8", channels, entries, out, mix, 4 * channels + 4);
    }
    if (channels == 48) {
        dt_rvv07_mix48_i8(out, s, values, row, channels, entries);
        same("mix48_i8", channels, entries, out, mix, 4 * channels + 4);
    }
    if (channels % 2 == 0) {
        dt_rvv07_mix2_i8(out, s, values, row, channels / 2, entries);
        same("mix2_i8", channels, entries, out, mix, 4 * channels + 4);
    }
    for (size_t e = 0; e < entries; e++)
        want[e] = s[e] * scales[e];
    dt_rvv07_multiply(s, scales, entries);
    same("multiply", channels, entries, s, want, 4 * entries + 4);
    free(keys), free(values), free(q), free(s), free(want), free(scales);
}

static void test_exp(void)
{
    static float x[4096], y[4097], want[4097];
    static const float hard[] = {0.0f,      -0.0f,  87.0f,   -87.0f,  87.1f,   -87.1f,
                                 88.72f,    88.73f, 89.0f,   -103.9f, -104.0f, -110.0f,
                                 1e10f,     -1e10f, 1e-30f,  -1e-30f, 1e-42f,  0.34657f,
                                 -0.34657f, 200.0f, -199.0f, 3.0e38f, -3.0e38f};
    for (unsigned round = 0; round < 8; round++) {
        size_t n = round == 0  ? sizeof hard / sizeof *hard
                   : round < 4 ? 1 + rnd() % 4095
                               : rnd() % 70;
        for (size_t i = 0; i < n; i++)
            x[i] = round == 0 ? hard[i]
                              : unit() * (round == 1   ? 100.0f
                                          : round == 2 ? 20.0f
                                                       : 2.0f);
        if (round == 0) {
            x[n++] = INFINITY;
            x[n++] = -INFINITY;
        }
        for (size_t i = 0; i < n; i++)
            want[i] = expf(-x[i]);
        y[n] = want[n] = 5.0f;
        dt_rvv07_exp_neg(y, x, n);
        same("exp_neg", n, round, y, want, 4 * n + 4);
        float m = round == 0 ? 0.0f : unit();
        for (size_t i = 0; i < n; i++)
            want[i] = expf(x[i] - m);
        memcpy(y, x, 4 * n);
        dt_rvv07_exp_sub(y, y, n, m);
        same("exp_sub", n, round, y, want, 4 * n + 4);
    }
    x[0] = NAN;
    dt_rvv07_exp_neg(y, x, 1);
    checks++;
    if (y[0] == y[0])
        failures++, printf("kernels: exp(NaN) is %g\n", (double)y[0]);
}

// y: n floats of scratch memory.
static void test_quantise(const float *x, float *y, size_t n)
{
    for (int kind = 0; kind < 7; kind++) {
        int8_t *qa = calloc(n + 1, 1), *qb = calloc(n + 1, 1);
        // kind 1: exact halves; 2: all zero; 3: one value below a half
        for (size_t i = 0; i < n; i++)
            y[i] = kind == 0   ? x[i] * 3.7f
                   : kind == 1 ? (float)((int)(rnd() % 255) - 127) * 0.5f
                   : kind == 2 ? -0.0f
                   : kind == 3 ? 0x1.fffffep-2f
                               : x[i] * (kind == 4 ? 3e-43f : 1e38f);
        if (kind == 1 || kind == 3)
            y[n / 2] = 127.0f;
        if (kind == 5)
            y[n / 2] = -INFINITY;
        if (kind == 6)
            y[n / 2] = NAN;
        float wmax = 0.0f;
        for (size_t i = 0; i < n; i++)
            if (fabsf(y[i]) > wmax)
                wmax = fabsf(y[i]);
        float scale = wmax / 127.0f;
        for (size_t i = 0; i < n; i++)
            qb[i] = (int8_t)(scale == 0.0f || !(fabsf(roundf(y[i] / scale)) <= 127.0f)
                                 ? 0
                                 : roundf(y[i] / scale));
        float s = dt_rvv07_quantise(qa, y, n);
        same("quantise scale", n, (size_t)kind, &s, &scale, 4);
        same("quantise", n, (size_t)kind, qa, qb, n + 1);
        free(qa), free(qb);
    }
}

static void test_search(const float *x, size_t n)
{
    uint32_t *ia = malloc(4 * n + 4), *ib = malloc(4 * n + 4);
    float target = x[rnd() % n];
    size_t at = 0;
    while (x[at] != target)
        at++;
    size_t found = dt_rvv07_find(x, n, target);
    same("find", n, 0, &found, &at, sizeof at);
    found = dt_rvv07_find(x, n, 9.0f);
    same("find none", n, 0, &found, &n, sizeof n);

    for (int kind = 0; kind < 3; kind++) {
        float threshold = kind == 0 ? 0.9f : kind == 1 ? -2.0f : 0.0f;
        size_t count = 0;
        memset(ia, 0, 4 * n + 4);
        memset(ib, 0, 4 * n + 4);
        for (size_t i = 0; i < n; i++)
            if (x[i] >= threshold)
                ib[count++] = (uint32_t)i;
        size_t k = dt_rvv07_select(ia, x, n, threshold);
        same("select count", n, (size_t)kind, &k, &count, sizeof k);
        same("select", n, (size_t)kind, ia, ib, 4 * n + 4);
    }
    free(ia), free(ib);
}

static void test_elementwise(size_t n)
{
    float *x = malloc(4 * n + 4), *y = malloc(4 * n + 4), *w = malloc(4 * n + 4),
          *want = malloc(4 * n + 4);
    for (size_t i = 0; i < n; i++) {
        x[i] = unit();
        w[i] = unit();
    }
    x[n] = y[n] = want[n] = 3.0f;
    float m = x[0], sum = 0.0f, sq = 0.0f;
    for (size_t i = 0; i < n; i++) {
        if (x[i] > m)
            m = x[i];
        sum += x[i];
        sq += x[i] * x[i];
    }
    float got = dt_rvv07_max(x, n);
    same("max", n, 0, &got, &m, 4);
    got = dt_rvv07_sum(x, n);
    same("sum", n, 0, &got, &sum, 4);
    got = dt_rvv07_sum_squares(x, n);
    same("sum_squares", n, 0, &got, &sq, 4);

    for (size_t i = 0; i < n; i++)
        want[i] = w[i] * (1.7f * x[i]);
    dt_rvv07_norm(y, x, w, n, 1.7f);
    same("norm", n, 0, y, want, 4 * n + 4);
    memcpy(y, x, 4 * n);
    for (size_t i = 0; i < n; i++)
        want[i] = x[i] + w[i];
    dt_rvv07_add(y, w, n);
    same("add", n, 0, y, want, 4 * n + 4);
    memcpy(y, x, 4 * n);
    for (size_t i = 0; i < n; i++)
        want[i] = x[i] / 1.3f;
    dt_rvv07_divide(y, n, 1.3f);
    same("divide", n, 0, y, want, 4 * n + 4);
    memcpy(y, x, 4 * n);
    float *e = malloc(4 * n + 4);
    for (size_t i = 0; i < n; i++) {
        e[i] = expf(-x[i]);
        float v = x[i];
        v *= (1.0f / (1.0f + expf(-v)));
        v *= w[i];
        want[i] = v;
    }
    dt_rvv07_silu(y, e, w, n);
    same("silu", n, 0, y, want, 4 * n + 4);

    // rotate: adjacent channels, and channels of the two halves
    if (n % 2 == 0)
        for (int halves = 0; halves < 2; halves++) {
            memcpy(y, x, 4 * n);
            memcpy(want, x, 4 * n);
            for (size_t i = 0; i < n / 2; i++) {
                size_t a = halves ? i : 2 * i, b = halves ? i + n / 2 : 2 * i + 1;
                float v0 = want[a], v1 = want[b];
                want[a] = v0 * w[i] - v1 * e[i];
                want[b] = v0 * e[i] + v1 * w[i];
            }
            dt_rvv07_rotate(y, halves ? y + n / 2 : y + 1, w, e, n / 2, halves ? 4 : 8);
            same("rotate", n, (size_t)halves, y, want, 4 * n + 4);
        }

    test_quantise(x, y, n);
    test_search(x, n);
    free(x), free(y), free(w), free(want), free(e);
}

int main(void)
{
    static const size_t groups[] = {32, 64, 4, 16, 48, 1, 3, 7, 17, 8, 40, 128};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        for (size_t g = 1; g < 5; g++) {
            test_i8(64, g, groups[i], 0);
            test_i8(32, g, groups[i], 0);
            test_i8(64, g, groups[i], 1);
            test_i8(32, g, groups[i], 1);
        }
    test_i8(64, 24, 32, 0);
    for (size_t g = 1; g < 10; g += 4)
        for (int e = 0; e < 3; e++) {
            test_q4(64, g, e);
            test_q4(32, g, e);
        }
    for (size_t rows = 1; rows <= 32; rows += 3)
        for (size_t g = 1; g < 150; g += 31)
            test_strided(rows, g);
    for (size_t rows = 1; rows <= 32; rows++)
        for (size_t g = 1; g < 9; g++)
            test_rows(rows, g, g % 3 ? 32 : 96, g % 2 * 2), test_rows_q4(rows, g, g % 3 * 2);
    for (size_t rows = 1; rows <= 64; rows++)
        test_columns(rows, 1 + rows % 64);
    test_halves();
    for (size_t n = 1; n < 300; n += 61) {
        test_f32(64, n);
        test_f32(32, n);
    }
    for (size_t c = 1; c <= 64; c += c < 8 ? 1 : 8)
        for (size_t e = 1; e < 260; e += e < 20 ? 3 : 31) {
            test_attention(c, e, rnd() % 5);
            test_attention_half(c, e, rnd() % 5, rnd() % 4 == 0);
            test_attention_i8(c, e, rnd() % 5);
        }
    test_attention_i8(48, 131, 16);
    test_attention(48, 64, 0);
    test_attention(48, 128, 16);
    test_exp();
    for (size_t n = 1; n < 70; n++)
        test_elementwise(n);
    test_elementwise(288);
    test_elementwise(32000);
    printf("%u passed, %u failed\n", checks - failures, failures);
    return failures != 0;
}
