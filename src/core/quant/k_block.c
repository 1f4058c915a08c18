// SPDX-License-Identifier: MIT
#include "core/quant/k_block.h"

#include <string.h>

#include "abi/backend.h"
#include "core/quant/half.h"

bool dt_k_has(uint32_t form)
{
    return form == DT_FORM_Q4_K || form == DT_FORM_Q5_K || form == DT_FORM_Q6_K;
}

static float half_at(const unsigned char *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return dt_half_to_float(half);
}

// 12 bytes: four scales of 6 bits, four minimums; their upper bit pairs belong to the last four,
// whose lower halves follow.
static void read_scales(const unsigned char *p, struct dt_k_block *out)
{
    for (uint32_t r = 0; r < 4; r++) {
        out->scale[r] = (int8_t)(p[r] & 63);
        out->minimum[r] = p[4 + r] & 63;
        out->scale[4 + r] = (int8_t)((p[8 + r] & 15) | p[r] >> 6 << 4);
        out->minimum[4 + r] = (uint8_t)(p[8 + r] >> 4 | p[4 + r] >> 6 << 4);
    }
}

// Two runs share 32 bytes: the low halves are the first one's levels. Q5_K: bit r of byte i of the
// 32 bytes before them is the fifth bit of value i of run r.
static void read_4_or_5(bool five, const unsigned char *block, struct dt_k_block *out)
{
    const unsigned char *fifth = block + 16, *quants = five ? block + 48 : block + 16;
    out->d = half_at(block);
    out->m = half_at(block + 2);
    out->run = 32;
    read_scales(block + 4, out);
    for (uint32_t i = 0; i < DT_K_VALUES; i++) {
        uint32_t r = i / 32, level = quants[r / 2 * 32 + i % 32] >> (r % 2 * 4) & 15;
        if (five)
            level |= (uint32_t)(fifth[i % 32] >> r & 1) << 4;
        out->level[i] = (int8_t)level;
    }
}

// In each half of the block, byte i of 64 has the lower bits of values i and i + 64, and byte i of
// 32 the upper ones of values i, i + 32, i + 64 and i + 96.
static void read_6(const unsigned char *block, struct dt_k_block *out)
{
    out->d = half_at(block + 208);
    out->m = 0;
    out->run = 16;
    memcpy(out->scale, block + 192, sizeof out->scale);
    memset(out->minimum, 0, sizeof out->minimum);
    for (uint32_t i = 0; i < DT_K_VALUES; i++) {
        const unsigned char *lower = block + i / 128 * 64, *upper = block + 128 + i / 128 * 32;
        uint32_t in = i % 128, low = lower[in % 64] >> (in / 64 * 4) & 15;
        out->level[i] = (int8_t)((int)(low | (upper[in % 32] >> (in / 32 * 2) & 3) << 4) - 32);
    }
}

void dt_k_block_read(uint32_t form, const unsigned char *block, struct dt_k_block *out)
{
    if (form == DT_FORM_Q6_K)
        read_6(block, out);
    else
        read_4_or_5(form == DT_FORM_Q5_K, block, out);
}

float dt_k_block_dot(const struct dt_k_block *block, const int8_t *x)
{
    int32_t a = 0, b = 0;
    for (uint32_t i = 0; i < DT_K_VALUES; i += block->run) {
        int32_t products = 0, sum = 0;
        for (uint32_t k = i; k < i + block->run; k++) {
            products += block->level[k] * x[k];
            sum += x[k];
        }
        a += products * block->scale[i / block->run];
        b += sum * block->minimum[i / block->run];
    }
    return (float)((double)block->d * a - (double)block->m * b);
}
