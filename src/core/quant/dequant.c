// SPDX-License-Identifier: MIT
#include "core/quant/dequant.h"

#include <string.h>

#include "abi/backend.h"
#include "core/quant/half.h"

static const int8_t iq4nl_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};

static float half_at(const unsigned char *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return dt_half_to_float(half);
}

// Blocks of 32 values: byte i has value i in its low half and value i + 16 in its high half.

static void q8_0(const unsigned char *b, float *out)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++)
        out[i] = (float)(int8_t)b[2 + i] * d;
}

static void q4_0(const unsigned char *b, float *out)
{
    float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((b[2 + i] & 15) - 8) * d;
        out[i + 16] = (float)((b[2 + i] >> 4) - 8) * d;
    }
}

static void q4_1(const unsigned char *b, float *out)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)(b[4 + i] & 15) * d + m;
        out[i + 16] = (float)(b[4 + i] >> 4) * d + m;
    }
}

static int fifth_bit(const unsigned char *high, int i)
{
    return (high[i / 8] >> (i % 8) & 1) << 4;
}

static void q5_0(const unsigned char *b, float *out)
{
    float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)(((b[6 + i] & 15) | fifth_bit(b + 2, i)) - 16) * d;
        out[i + 16] = (float)(((b[6 + i] >> 4) | fifth_bit(b + 2, i + 16)) - 16) * d;
    }
}

static void q5_1(const unsigned char *b, float *out)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((b[8 + i] & 15) | fifth_bit(b + 4, i)) * d + m;
        out[i + 16] = (float)((b[8 + i] >> 4) | fifth_bit(b + 4, i + 16)) * d + m;
    }
}

static void iq4_nl(const unsigned char *b, float *out)
{
    float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)iq4nl_levels[b[2 + i] & 15];
        out[i + 16] = d * (float)iq4nl_levels[b[2 + i] >> 4];
    }
}

// Super-blocks of 256 values.

// 16 bytes with scale (low half) and minimum (high half) of 16 values each; 64 bytes of 2-bit
// quants; d, dmin.
static void q2_k(const unsigned char *b, float *out)
{
    const unsigned char *scales = b, *quants = b + 16;
    float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int i = 0; i < 256; i++) {
        int chunk = i / 128, shift = i % 128 / 32 * 2;
        unsigned char scale = scales[i / 16];
        int q = quants[chunk * 32 + i % 32] >> shift & 3;
        float step = d * (float)(scale & 15), low = dmin * (float)(scale >> 4);
        out[i] = step * (float)q - low;
    }
}

// 32 bytes of high bits (inverted: 0 subtracts 4), 64 bytes of 2-bit quants, 12 bytes of 6-bit
// scales, d.
static void q3_k(const unsigned char *b, float *out)
{
    const unsigned char *high = b, *quants = b + 32, *packed = b + 96;
    float d = half_at(b + 108);
    for (int i = 0; i < 256; i++) {
        int g = i / 16;
        int low4 = g < 8 ? packed[g] & 15 : packed[g - 8] >> 4;
        int scale = (low4 | (packed[8 + g % 4] >> (g / 4 * 2) & 3) << 4) - 32;
        int q = quants[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
        int high_bit = high[i % 32] >> (i / 32) & 1;
        float step = d * (float)scale;
        out[i] = step * (float)(q - (high_bit ? 0 : 4));
    }
}

// The j-th 6-bit scale and minimum in the 12 bytes of Q4_K and Q5_K.
static void scale_and_minimum(const unsigned char *p, int j, int *scale, int *minimum)
{
    if (j < 4) {
        *scale = p[j] & 63;
        *minimum = p[j + 4] & 63;
    } else {
        *scale = (p[j + 4] & 15) | (p[j - 4] >> 6) << 4;
        *minimum = p[j + 4] >> 4 | (p[j] >> 6) << 4;
    }
}

static void q4_k(const unsigned char *b, float *out)
{
    float d = half_at(b), dmin = half_at(b + 2);
    const unsigned char *quants = b + 16;
    for (int j = 0; j < 8; j++) {
        int scale, minimum;
        scale_and_minimum(b + 4, j, &scale, &minimum);
        float step = d * (float)scale, low = dmin * (float)minimum;
        for (int i = 0; i < 32; i++)
            out[j * 32 + i] = step * (float)(quants[j / 2 * 32 + i] >> (j % 2 * 4) & 15) - low;
    }
}

static void q5_k(const unsigned char *b, float *out)
{
    float d = half_at(b), dmin = half_at(b + 2);
    const unsigned char *high = b + 16, *quants = b + 48;
    for (int j = 0; j < 8; j++) {
        int scale, minimum;
        scale_and_minimum(b + 4, j, &scale, &minimum);
        float step = d * (float)scale, low = dmin * (float)minimum;
        for (int i = 0; i < 32; i++) {
            int q = (quants[j / 2 * 32 + i] >> (j % 2 * 4) & 15) | (high[i] >> j & 1) << 4;
            out[j * 32 + i] = step * (float)q - low;
        }
    }
}

// 128 bytes of low halves, 64 bytes of upper bit pairs, 16 int8 scales, d.
static void q6_k(const unsigned char *b, float *out)
{
    float d = half_at(b + 208);
    for (int i = 0; i < 256; i++) {
        int chunk = i / 128, part = i % 128 / 32, lane = i % 32; // part 0 to 3 of 128 values
        int low = b[chunk * 64 + part % 2 * 32 + lane] >> (part / 2 * 4) & 15;
        int high = b[128 + chunk * 32 + lane] >> (part * 2) & 3;
        float step = d * (float)(int8_t)b[192 + i / 16];
        out[i] = step * (float)((low | high << 4) - 32);
    }
}

void dt_dequant_block(uint32_t form, const unsigned char *block, float *out)
{
    switch (form) {
    case DT_FORM_Q8_0:
        q8_0(block, out);
        break;
    case DT_FORM_Q4_0:
        q4_0(block, out);
        break;
    case DT_FORM_Q4_1:
        q4_1(block, out);
        break;
    case DT_FORM_Q5_0:
        q5_0(block, out);
        break;
    case DT_FORM_Q5_1:
        q5_1(block, out);
        break;
    case DT_FORM_Q2_K:
        q2_k(block, out);
        break;
    case DT_FORM_Q3_K:
        q3_k(block, out);
        break;
    case DT_FORM_Q4_K:
        q4_k(block, out);
        break;
    case DT_FORM_Q5_K:
        q5_k(block, out);
        break;
    case DT_FORM_Q6_K:
        q6_k(block, out);
        break;
    case DT_FORM_IQ4_NL:
        iq4_nl(block, out);
        break;
    default:
        break;
    }
}
