// SPDX-License-Identifier: MIT
#include "core/quantise.h"

#include <math.h>
#include <string.h>

uint32_t dt_quantise_group(uint32_t cols, uint32_t most)
{
    uint32_t group = most;
    while (group > 1 && cols % group != 0)
        group /= 2;
    return group;
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
    if (block == 0 || cols % block != 0)
        return 0;
    return values / block * dt_form_block_bytes(form);
}

struct dt_matrix dt_quantise_matrix(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group, void *data)
{
    if (form != DT_FORM_I8)
        return dt_matrix_blocks(form, rows, cols, data);
    size_t values = (size_t)rows * cols;
    return dt_matrix_i8(rows, cols, group, data, (const void *)((uintptr_t)data + (values + 3) / 4 * 4));
}

static float largest_magnitude(const float *x, uint32_t n)
{
    float largest = 0.0f;
    for (uint32_t i = 0; i < n; i++) {
        if (fabsf(x[i]) > largest)
            largest = fabsf(x[i]);
    }
    return largest;
}

static float clamp(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

void dt_quantise_row(const struct dt_matrix *w, uint32_t r, const float *x)
{
    unsigned char *row = (unsigned char *)(uintptr_t)w->quants + r * w->row_stride;
    for (uint32_t i = 0; !w->group && i < w->cols; i++) {
        uint16_t half = dt_float_to_half(x[i]);
        if (w->form == DT_FORM_F32) {
            memcpy(row + (size_t)i * 4, &x[i], 4);
        } else if (w->form == DT_FORM_F16) {
            memcpy(row + (size_t)i * 2, &half, 2);
        } else { // BF16: the upper half of the bits, rounded to nearest, ties to even
            uint32_t bits;
            memcpy(&bits, &x[i], 4);
            bits += 0x7fff + (bits >> 16 & 1);
            half = (uint16_t)(bits >> 16);
            memcpy(row + (size_t)i * 2, &half, 2);
        }
    }
    for (uint32_t g = 0; w->group && g < w->cols / w->group; g++) {
        const float *values = x + (size_t)g * w->group;
        unsigned char *quants = row + g * w->group_stride;
        unsigned char *scale_at = (unsigned char *)(uintptr_t)w->scales + r * w->scale_row_stride +
                                  g * w->scale_group_stride;
        float scale = largest_magnitude(values, w->group) / 127.0f;
        if (w->form == DT_FORM_Q4_0) {
            float extreme = 0.0f; // with its sign: it maps to -8, the end that has one more step
            for (uint32_t i = 0; i < w->group; i++) {
                if (fabsf(values[i]) > fabsf(extreme))
                    extreme = values[i];
            }
            scale = extreme / -8.0f;
        }
        float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
        if (w->scale_type == DT_SCALE_F16) {
            uint16_t half = dt_float_to_half(scale);
            memcpy(scale_at, &half, 2);
        } else {
            memcpy(scale_at, &scale, 4);
        }
        for (uint32_t i = 0; i < w->group; i++) {
            if (w->form == DT_FORM_I8)
                quants[i] = (unsigned char)(int8_t)(scale != 0.0f ? clamp(rintf(values[i] / scale), -127.0f, 127.0f) : 0.0f);
            else if (w->form == DT_FORM_Q8_0)
                quants[i] = (unsigned char)(int8_t)clamp(roundf(values[i] * inverse), -127.0f, 127.0f);
        }
        for (uint32_t i = 0; w->form == DT_FORM_Q4_0 && i < 16; i++) {
            unsigned low = (unsigned)clamp(values[i] * inverse + 8.5f, 0.0f, 15.0f);
            unsigned high = (unsigned)clamp(values[i + 16] * inverse + 8.5f, 0.0f, 15.0f);
            quants[i] = (unsigned char)(low | high << 4);
        }
    }
}
