// SPDX-License-Identifier: MIT
#include "core/quant/quantise.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/bits.h"
#include "core/quant/levels.h"

uint32_t dt_quantise_group(uint32_t cols, uint32_t most)
{
    uint32_t group = most;
    while (group > 1 && cols % group != 0)
        group /= 2;
    return group;
}

// Whether a form has blocks of 32 values of 4 or 5 bits.
static bool is_small(uint32_t form)
{
    return form == DT_FORM_Q4_0 || form == DT_FORM_Q4_1 || form == DT_FORM_Q5_0 ||
           form == DT_FORM_Q5_1;
}

size_t dt_quantise_bytes(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group)
{
    size_t values = (size_t)rows * cols;
    if (form == DT_FORM_I8) {
        if (group == 0 || cols % group != 0)
            return 0;
        return (values + 3) / 4 * 4 + values / group * sizeof(float);
    }
    uint32_t block = dt_form_block(form);
    bool written = form == DT_FORM_F32 || form == DT_FORM_F16 || form == DT_FORM_BF16 ||
                   form == DT_FORM_Q8_0 || form == DT_FORM_Q4_K || is_small(form);
    if (!written || cols % block != 0)
        return 0;
    return values / block * dt_form_block_bytes(form);
}

struct dt_matrix dt_quantise_matrix(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group,
                                    void *data)
{
    if (form != DT_FORM_I8)
        return dt_matrix_blocks(form, rows, cols, data);
    size_t values = (size_t)rows * cols;
    return dt_matrix_i8(rows, cols, group, data,
                        (const void *)((uintptr_t)data + (values + 3) / 4 * 4));
}

// NaN becomes low.
static float clamp(float value, float low, float high)
{
    return !(value > low) ? low : value > high ? high : value;
}

// The value of largest magnitude with its sign; the first of equal ones.
static float extreme_of(const float *x, uint32_t n)
{
    float extreme = 0.0f;
    for (uint32_t i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    return extreme;
}

static void put_half(unsigned char *at, float value)
{
    uint16_t half = dt_float_to_half(value);
    memcpy(at, &half, sizeof half);
}

// Rounds to nearest, ties to even.
static void put_bf16(unsigned char *at, float value)
{
    uint32_t bits = dt_bits_of(value);
    bits += 0x7fff + (bits >> 16 & 1);
    uint16_t upper = (uint16_t)(bits >> 16);
    memcpy(at, &upper, sizeof upper);
}

static void i8_group(const float *x, uint32_t n, unsigned char *quants, unsigned char *scale_at)
{
    float scale = fabsf(extreme_of(x, n)) / 127.0f;
    memcpy(scale_at, &scale, sizeof scale);
    for (uint32_t i = 0; i < n; i++)
        quants[i] =
            (unsigned char)(int8_t)(scale != 0.0f ? clamp(rintf(x[i] / scale), -127, 127) : 0.0f);
}

static void q8_0_block(const float *x, unsigned char *quants, unsigned char *scale_at)
{
    float scale = fabsf(extreme_of(x, 32)) / 127.0f, inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    put_half(scale_at, scale);
    for (uint32_t i = 0; i < 32; i++)
        quants[i] = (unsigned char)(int8_t)clamp(roundf(x[i] * inverse), -127, 127);
}

// Forms that end in 1: levels 0 to 15 or 31 begin at the block's minimum. Others: levels are around
// 0, with the extreme value at level 0, the side with one more step. A block is the scale, the
// minimum (if any), the fifth bits (if any), and 16 bytes with value i in the low half and value i
// + 16 in the high half.
static void small_block(uint32_t form, const float *x, unsigned char *scale_at, unsigned char *rest)
{
    bool from_minimum = form == DT_FORM_Q4_1 || form == DT_FORM_Q5_1;
    bool five = form == DT_FORM_Q5_0 || form == DT_FORM_Q5_1;
    float most = five ? 31.0f : 15.0f, middle = five ? 16.0f : 8.0f;
    float low = 0.0f, scale;
    if (from_minimum) {
        float high = low = x[0];
        for (uint32_t i = 1; i < 32; i++) {
            low = x[i] < low ? x[i] : low;
            high = x[i] > high ? x[i] : high;
        }
        scale = (high - low) / most;
        put_half(rest, low);
        rest += 2;
    } else {
        scale = extreme_of(x, 32) / -middle;
    }
    put_half(scale_at, scale);
    float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    float round = from_minimum ? 0.5f : middle + 0.5f;
    unsigned char *nibbles = five ? rest + 4 : rest;
    uint32_t fifth = 0;
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t a = (uint32_t)clamp((x[i] - low) * inverse + round, 0, most);
        uint32_t b = (uint32_t)clamp((x[i + 16] - low) * inverse + round, 0, most);
        nibbles[i] = (unsigned char)((a & 15) | (b & 15) << 4);
        fifth |= a >> 4 << i | b >> 4 << (i + 16);
    }
    if (five)
        memcpy(rest, &fifth, sizeof fifth);
}

static void q4_k_block(const float *x, unsigned char *block)
{
    struct dt_levels levels;
    double level[256], scale, low;
    dt_levels_plain_k(x, &levels);
    for (uint32_t i = 0; i < 256; i++) {
        dt_levels_run(DT_FORM_Q4_K, &levels, i / 32, &scale, &low);
        level[i] = dt_levels_nearest(DT_FORM_Q4_K, scale, low, (double)x[i]);
    }
    dt_levels_encode(DT_FORM_Q4_K, &levels, level, block);
}

// A row of a form with scales, by the strides.
static void scaled_row(const struct dt_matrix *w, uint32_t r, const float *x)
{
    unsigned char *quants = (unsigned char *)(uintptr_t)w->quants + r * w->row_stride;
    unsigned char *scale_at = (unsigned char *)(uintptr_t)w->scales + r * w->scale_row_stride;
    for (uint32_t i = 0; i < w->cols; i += w->group) {
        if (w->form == DT_FORM_I8)
            i8_group(x + i, w->group, quants, scale_at);
        else if (w->form == DT_FORM_Q8_0)
            q8_0_block(x + i, quants, scale_at);
        else
            small_block(w->form, x + i, scale_at, quants);
        quants += w->group_stride;
        scale_at += w->scale_group_stride;
    }
}

void dt_quantise_row(const struct dt_matrix *w, uint32_t r, const float *x)
{
    unsigned char *row = (unsigned char *)(uintptr_t)w->quants + r * w->row_stride;
    switch (w->form) {
    case DT_FORM_F32:
        memcpy(row, x, w->cols * sizeof *x);
        break;
    case DT_FORM_F16:
        for (uint32_t i = 0; i < w->cols; i++, row += 2)
            put_half(row, x[i]);
        break;
    case DT_FORM_BF16:
        for (uint32_t i = 0; i < w->cols; i++, row += 2)
            put_bf16(row, x[i]);
        break;
    case DT_FORM_I8:
    case DT_FORM_Q8_0:
    case DT_FORM_Q4_0:
        scaled_row(w, r, x);
        break;
    case DT_FORM_Q4_K:
        for (uint32_t i = 0; i < w->cols; i += 256, row += dt_form_block_bytes(w->form))
            q4_k_block(x + i, row);
        break;
    default:
        for (uint32_t i = 0; is_small(w->form) && i < w->cols; i += 32) {
            small_block(w->form, x + i, row, row + 2);
            row += dt_form_block_bytes(w->form);
        }
    }
}
