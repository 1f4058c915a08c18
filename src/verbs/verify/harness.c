// SPDX-License-Identifier: MIT
#include "verbs/verify/harness.h"
#include "core/quant/forms.h"
#include "core/quant/k_block.h"
#include "host/print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct dt_rig dt_rig;

// xorshift64*
static uint64_t random_bits(void)
{
    dt_rig.state ^= dt_rig.state >> 12;
    dt_rig.state ^= dt_rig.state << 25;
    dt_rig.state ^= dt_rig.state >> 27;
    return dt_rig.state * 0x2545f4914f6cdd1dull;
}

uint32_t dt_rig_below(uint32_t n)
{
    return (uint32_t)((random_bits() >> 32) * n >> 32);
}

uint32_t dt_rig_between(uint32_t from, uint32_t to)
{
    uint32_t span = to - from + 1;
    return dt_rig_below(3) ? from + dt_rig_below(span < 20 ? span : 20) : from + dt_rig_below(span);
}

float dt_rig_normal(void)
{
    float sum = 0.0f;
    for (int i = 0; i < 4; i++)
        sum += (float)(random_bits() >> 40) * 0x1p-24f - 0.5f;
    sum *= 1.7f;
    uint32_t kind = dt_rig_below(64);
    return kind == 0 ? 0.0f : kind == 1 ? sum * 30.0f : sum;
}

// ---- memory ----

// Blocks of memory whose last page cannot be touched. Small ones are used again by the next shapes:
// mapping them and touching their pages took two thirds of a check's time.
enum { KEPT_MAX = 1 << 20 };

static struct block {
    unsigned char *at; // NULL: none is mapped
    size_t bytes;      // with the last page
    bool used;
} blocks[128];

// The smallest block that is free and large enough, else a place for one, else NULL.
static struct block *block_for(size_t bytes)
{
    struct block *best = NULL, *empty = NULL, *spare = NULL;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        struct block *b = &blocks[i];
        if (!b->at)
            empty = b;
        else if (!b->used && b->bytes >= bytes && (!best || b->bytes < best->bytes))
            best = b;
        else if (!b->used)
            spare = b;
    }
    if (best || empty || !spare)
        return best ? best : empty;
    munmap(spare->at, spare->bytes);
    *spare = (struct block){0};
    return spare;
}

void *dt_rig_guarded(size_t bytes, size_t tail)
{
    size_t page = 4096, size = ((bytes + tail + page - 1) / page + 1) * page;
    struct block *b = block_for(size);
    bool fresh = b && !b->at;
    if (fresh) {
        void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *b = (struct block){.at = at == MAP_FAILED ? NULL : at, .bytes = size};
    }
    if (!b || !b->at) {
        dt_print(stderr, "duotale: not enough memory for a shape\n");
        abort();
    }
    b->used = true;
    unsigned char *end = b->at + b->bytes - page;
    if (fresh)
        mprotect(end, page, PROT_NONE);
    else
        memset(end - tail - bytes, 0, bytes + tail);
    return end - tail - bytes;
}

float *dt_rig_floats(size_t count)
{
    return dt_rig_guarded((count * sizeof(float) + 63) / 64 * 64, 0);
}

void dt_rig_free(void)
{
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        struct block *b = &blocks[i];
        b->used = false;
        if (b->at && b->bytes > KEPT_MAX) {
            munmap(b->at, b->bytes);
            *b = (struct block){0};
        }
    }
}

// ---- numbers of 16 bits ----

static float half_value(uint16_t h)
{
    int exponent = h >> 10 & 31;
    double value = exponent ? ldexp(1024 + (h & 1023), exponent - 25) : ldexp(h & 1023, -24);
    return (float)(h >> 15 ? -value : value);
}

uint16_t dt_rig_to_half(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    int exponent = (int)(bits >> 23 & 255) - 112;
    if (exponent <= 0)
        return (uint16_t)(bits >> 16 & 0x8000);
    return (uint16_t)((bits >> 16 & 0x8000) | (uint32_t)exponent << 10 | (bits >> 13 & 1023));
}

void dt_rig_fill(float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = dt_rig_normal() * scale;
}

// ---- comparing ----

void dt_rig_same_bits(const char *what, const float *got, const float *expected, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(got + i, expected + i, sizeof *got) != 0)
            dt_rig_fail("%s: value %zu of %zu is %.9g, the reference gives %.9g", what, i, n,
                        (double)got[i], (double)expected[i]);
    }
}

void dt_rig_near(const char *what, const float *got, const float *expected, size_t n,
                 double relative, double absolute)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)got[i] - expected[i]) <=
              fabs((double)expected[i]) * relative + absolute))
            dt_rig_fail("%s: value %zu of %zu is %.9g, the reference gives %.9g", what, i, n,
                        (double)got[i], (double)expected[i]);
    }
}

// ---- matrices ----

uint32_t dt_rig_form(void)
{
    uint32_t forms[64], count = 0;
    for (uint32_t i = 0; i < dt_rig.table.form_count; i++)
        forms[count++] = dt_rig.table.forms[i];
    for (uint32_t form = 0; form < 64 && count < 64; form++)
        if (dt_rig.table.more_forms & DT_FORM_BIT(form))
            forms[count++] = form;
    return forms[dt_rig_below(count)];
}

static uint16_t random_scale(void)
{
    float scale = 0.001f + 0.02f * fabsf(dt_rig_normal());
    uint32_t kind = dt_rig_below(200);
    return kind == 0  ? (uint16_t)dt_rig_below(1024) // subnormal
           : kind < 5 ? 0
                      : dt_rig_to_half(dt_rig_below(8) ? scale : -scale);
}

// A block of Q4_K or Q5_K whose weights are exactly 0, except one: d * scale * level and m *
// minimum cancel out.
static void cancel_out(uint32_t form, unsigned char *block)
{
    size_t quants = form == DT_FORM_Q5_K ? 48 : 16, bytes = dt_form_block_bytes(form);
    memcpy(block + 2, block, 2);
    for (uint32_t r = 0; r < 4; r++) {
        block[8 + r] = block[4 + r];
        block[12 + r] = (unsigned char)((block[12 + r] & 15) * 17);
    }
    memset(block + 16, 0, quants - 16);
    memset(block + quants, 0x11, bytes - quants);
    block[quants + dt_rig_below(128)] ^= 0x20;
}

// Q4_K, Q5_K, Q6_K. Any bits are valid levels and scales of runs.
static struct dt_matrix k_matrix(uint32_t form, uint32_t rows, uint32_t cols)
{
    size_t bytes = dt_form_block_bytes(form), count = (size_t)rows * (cols / DT_K_VALUES);
    unsigned char *at = dt_rig_guarded(count * bytes, 0);
    struct dt_matrix w = dt_matrix_blocks(form, rows, cols, at);
    for (size_t b = 0; b < count; b++, at += bytes) {
        for (size_t i = 0; i < bytes; i++)
            at[i] = (unsigned char)(random_bits() >> 56);
        for (unsigned which = 0; which < 2 && dt_form_scale_at(form, which) >= 0; which++) {
            uint16_t scale = random_scale();
            memcpy(at + dt_form_scale_at(form, which), &scale, sizeof scale);
        }
        if (form != DT_FORM_Q6_K && dt_rig_below(30) == 0)
            cancel_out(form, at);
    }
    return w;
}

static void fill_blocks(unsigned char *at, size_t count, size_t block)
{
    for (size_t b = 0; b < count; b++, at += block) {
        uint16_t scale =
            dt_rig_below(40) ? dt_rig_to_half(0.001f + 0.02f * fabsf(dt_rig_normal())) : 0;
        if (dt_rig_below(200) == 0)
            scale = (uint16_t)dt_rig_below(1024); // subnormal
        memcpy(at, &scale, 2);
        for (size_t i = 2; i < block; i++)
            at[i] = (unsigned char)(random_bits() >> 56);
    }
}

struct dt_matrix dt_rig_matrix(uint32_t form, uint32_t rows, uint32_t cols, uint32_t group)
{
    struct dt_matrix w = {.form = form, .rows = rows, .cols = cols};
    size_t values = (size_t)rows * cols;
    if (form == DT_FORM_I8) {
        w.group = group;
        w.scale_type = DT_SCALE_F32;
        int8_t *q = dt_rig_guarded(values, 0);
        for (size_t i = 0; i < values; i++) // files of other programs may contain -128
            q[i] = (int8_t)(random_bits() >> 56);
        size_t scales = values / group;
        unsigned char *s = dt_rig_guarded(scales * 4, dt_rig_below(4));
        for (size_t i = 0; i < scales; i++) {
            float scale = 0.02f * fabsf(dt_rig_normal());
            memcpy(s + i * 4, &scale, 4);
        }
        w.quants = q;
        w.scales = s;
        w.row_stride = cols;
        w.group_stride = group;
        w.scale_row_stride = (size_t)cols / group * 4;
        w.scale_group_stride = 4;
        w.bytes = values + scales * 4;
        return w;
    }
    if (form == DT_FORM_Q8_0 || form == DT_FORM_Q4_0) {
        size_t block = form == DT_FORM_Q8_0 ? 34 : 18, count = values / 32;
        unsigned char *at = dt_rig_guarded(count * block, 0);
        fill_blocks(at, count, block);
        w.group = 32;
        w.scale_type = DT_SCALE_F16;
        w.quants = at + 2;
        w.scales = at;
        w.row_stride = w.scale_row_stride = cols / 32 * block;
        w.group_stride = w.scale_group_stride = block;
        w.bytes = count * block;
        return w;
    }
    if (dt_k_has(form))
        return k_matrix(form, rows, cols);
    size_t element = form == DT_FORM_F32 ? 4 : 2;
    unsigned char *at = dt_rig_guarded(values * element, 0);
    for (size_t i = 0; i < values; i++) {
        float value = 0.1f * dt_rig_normal();
        uint32_t bits;
        memcpy(&bits, &value, 4);
        uint16_t half = form == DT_FORM_F16 ? dt_rig_to_half(value) : (uint16_t)(bits >> 16);
        memcpy(at + i * element, form == DT_FORM_F32 ? (const void *)&value : (const void *)&half,
               element);
    }
    w.quants = at;
    w.row_stride = cols * element;
    w.bytes = values * element;
    return w;
}

double dt_rig_value(const struct dt_matrix *w, uint32_t row, uint32_t col)
{
    const unsigned char *at = (const unsigned char *)w->quants + row * w->row_stride;
    uint16_t half;
    if (w->form == DT_FORM_F32) {
        float value;
        memcpy(&value, at + (size_t)col * 4, 4);
        return value;
    }
    memcpy(&half, at + (size_t)col * 2, 2);
    if (w->form == DT_FORM_F16)
        return half_value(half);
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
