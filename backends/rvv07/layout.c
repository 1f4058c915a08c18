// SPDX-License-Identifier: MIT
#include "layout.h"

#include <string.h>

#define SAMPLE_ROWS 256u
#define SAMPLE_COLS 2048u

float rvv07_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31,
             fraction = half & 1023u, bits;
    if (exponent == 0) { // zero and subnormals: fraction * 2^-24, exact
        float value = (float)fraction * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
    } else {
        bits = (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
    }
    bits |= sign;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float rvv07_scale(const struct dt_matrix *w, uint32_t row, uint32_t g)
{
    const unsigned char *at =
        (const unsigned char *)w->scales + row * w->scale_row_stride + g * w->scale_group_stride;
    if (w->scale_type == DT_SCALE_F32) {
        float scale;
        memcpy(&scale, at, sizeof scale);
        return scale;
    }
    uint16_t half;
    memcpy(&half, at, sizeof half);
    return rvv07_half_to_float(half);
}

uint32_t rvv07_kind_of(const struct dt_matrix *w)
{
    int scaled = w->group > 0 && w->cols % w->group == 0 &&
                 (w->scale_type == DT_SCALE_F32 || w->scale_type == DT_SCALE_F16);
    switch (w->form) {
    case DT_FORM_F32:
        return RVV07_F32;
    case DT_FORM_I8:
    case DT_FORM_Q8_0:
        return scaled ? RVV07_I8 : 0;
    case DT_FORM_Q4_0:
        return scaled && w->group == 32 ? RVV07_Q4 : 0;
    default:
        return 0;
    }
}

static int by_rows(uint32_t kind)
{
    return kind == RVV07_I8_ROWS || kind == RVV07_Q4_ROWS;
}

static size_t total_bytes(uint32_t kind, uint32_t rows, uint32_t cols, uint32_t group)
{
    size_t half = RVV07_TILE / 2, padded = by_rows(kind) ? rows : (rows + half - 1) / half * half;
    return sizeof(struct rvv07_header) + padded * rvv07_row_bytes(kind, cols, group);
}

const struct rvv07_header *rvv07_header_of(const struct dt_matrix *w)
{
    const struct rvv07_header *h = w->quants;
    if (w->form != DT_FORM_PACKED || !h || (uintptr_t)h % 4 != 0 || w->bytes < sizeof *h)
        return NULL;
    if (memcmp(h->layout, RVV07_LAYOUT, sizeof h->layout) != 0 || h->rows != w->rows ||
        h->cols != w->cols || h->rows == 0 || h->cols == 0)
        return NULL;
    if (h->kind < RVV07_I8 || h->kind > RVV07_Q4_ROWS)
        return NULL;
    if (h->kind != RVV07_F32 && (h->group == 0 || h->cols % h->group != 0))
        return NULL;
    if ((h->kind == RVV07_Q4 || h->kind == RVV07_Q4_ROWS) && h->group != 32)
        return NULL;
    // the host shares prepared activations among matrices of the same w->group
    if (w->group != h->group || w->bytes < total_bytes(h->kind, h->rows, h->cols, h->group))
        return NULL;
    return h;
}

size_t rvv07_pack_bytes(void *ctx, const struct dt_matrix *w)
{
    (void)ctx;
    uint32_t kind = rvv07_kind_of(w);
    return kind ? total_bytes(kind, w->rows, w->cols, w->group) : 0;
}

const struct dt_matrix *rvv07_in_place(const struct dt_matrix *w, struct dt_matrix *out)
{
    const struct rvv07_header *h = w->quants;
    if (w->form != DT_FORM_PACKED || !by_rows(h->kind))
        return w;
    int q4 = h->kind == RVV07_Q4_ROWS;
    const unsigned char *first = (const unsigned char *)(h + 1);
    *out = *w;
    out->form = q4 ? DT_FORM_Q4_0 : DT_FORM_I8;
    out->scale_type = DT_SCALE_F32;
    out->quants = first;
    out->scales = first + (q4 ? h->cols / 2 : h->cols);
    out->row_stride = out->scale_row_stride = rvv07_row_bytes(h->kind, h->cols, h->group);
    out->group_stride = q4 ? 16 : h->group;
    out->scale_group_stride = sizeof(float);
    out->layout = NULL;
    return out;
}

static int q4_value(const unsigned char *block, uint32_t i)
{
    return (i < 16 ? block[i] & 15 : block[i - 16] >> 4) - 8;
}

// Goes through blocks of columns, so that the source is read in contiguous runs and the tile is
// written from its first byte to its last.
static void pack_tile(unsigned char *to, const struct dt_matrix *w, uint32_t kind, uint32_t begin,
                      uint32_t tile)
{
    const unsigned char *from = (const unsigned char *)w->quants + begin * w->row_stride;
    uint32_t rows = w->rows - begin < tile ? w->rows - begin : tile;
    if (kind == RVV07_F32) {
        for (uint32_t k = 0; k < w->cols; k++, to += (size_t)tile * 4) {
            memset(to, 0, (size_t)tile * 4);
            for (uint32_t r = 0; r < rows; r++)
                memcpy(to + (size_t)r * 4, from + r * w->row_stride + (size_t)k * 4, 4);
        }
        return;
    }
    uint32_t step = kind == RVV07_Q4 ? 2 : 1;
    for (uint32_t g = 0; g < w->cols / w->group; g++) {
        const unsigned char *group = from + g * w->group_stride;
        for (uint32_t k = 0; k < w->group; k += step, to += tile) {
            memset(to, 0, tile);
            for (uint32_t r = 0; r < rows; r++) {
                const unsigned char *block = group + r * w->row_stride;
                to[r] = kind == RVV07_I8 ? block[k]
                                         : (unsigned char)((q4_value(block, k) & 15) |
                                                           (q4_value(block, k + 1) * 16));
            }
        }
        for (uint32_t r = 0; r < tile; r++, to += 4) {
            float scale = r < rows ? rvv07_scale(w, begin + r, g) : 0.0f;
            memcpy(to, &scale, 4);
        }
    }
}

static void pack_row(unsigned char *to, const struct dt_matrix *w, uint32_t row)
{
    const unsigned char *from = (const unsigned char *)w->quants + row * w->row_stride;
    uint32_t group = w->form == DT_FORM_Q4_0 ? 16 : w->group, groups = w->cols / w->group; // bytes
    for (uint32_t g = 0; g < groups; g++) {
        float scale = rvv07_scale(w, row, g);
        memcpy(to + (size_t)g * group, from + g * w->group_stride, group);
        memcpy(to + (size_t)groups * group + (size_t)g * 4, &scale, 4);
    }
}

void rvv07_pack(void *ctx, void *packed, const struct dt_matrix *w, uint32_t row_begin,
                uint32_t row_end)
{
    (void)ctx;
    uint32_t kind = !rvv07_is_sparse(w)       ? rvv07_kind_of(w)
                    : w->form == DT_FORM_Q4_0 ? RVV07_Q4_ROWS
                                              : RVV07_I8_ROWS;
    if (row_begin == 0) {
        struct rvv07_header h = {RVV07_LAYOUT,
                                 kind,
                                 w->rows,
                                 w->cols,
                                 kind == RVV07_F32 ? 0 : w->group,
                                 total_bytes(kind, w->rows, w->cols, w->group),
                                 {0}};
        memcpy(packed, &h, sizeof h);
    }
    unsigned char *to = (unsigned char *)packed + sizeof(struct rvv07_header);
    size_t row_bytes = rvv07_row_bytes(kind, w->cols, w->group);
    for (uint32_t r = row_begin, step = by_rows(kind) ? 1 : RVV07_TILE; r < row_end; r += step) {
        if (by_rows(kind))
            pack_row(to + r * row_bytes, w, r);
        else
            pack_tile(to + r * row_bytes, w, kind, r, rvv07_tile_rows(w->rows, r));
    }
}

static void embed_packed(float *out, const struct dt_matrix *w, uint32_t row)
{
    const struct rvv07_header *h = w->quants;
    uint32_t begin = row / RVV07_TILE * RVV07_TILE, tile = rvv07_tile_rows(h->rows, begin),
             r = row - begin;
    const unsigned char *at =
        (const unsigned char *)(h + 1) + begin * rvv07_row_bytes(h->kind, h->cols, h->group);
    if (h->kind == RVV07_F32) {
        for (uint32_t k = 0; k < h->cols; k++)
            out[k] = ((const float *)(const void *)at)[(size_t)k * tile + r];
        return;
    }
    uint32_t lines = h->kind == RVV07_Q4 ? h->group / 2 : h->group;
    for (uint32_t g = 0; g < h->cols / h->group; g++) {
        float scale;
        memcpy(&scale, at + (size_t)lines * tile + (size_t)r * 4, sizeof scale);
        for (uint32_t k = 0; k < lines; k++, at += tile) {
            if (h->kind == RVV07_I8) {
                *out++ = (float)(int8_t)at[r] * scale;
            } else {
                *out++ = (float)((int8_t)(at[r] << 4) >> 4) * scale;
                *out++ = (float)((int8_t)at[r] >> 4) * scale;
            }
        }
        at += (size_t)tile * 4;
    }
}

void rvv07_embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row)
{
    (void)ctx;
    struct dt_matrix by_rows;
    w = rvv07_in_place(w, &by_rows);
    if (w->form == DT_FORM_PACKED) {
        embed_packed(out, w, row);
        return;
    }
    const unsigned char *from = (const unsigned char *)w->quants + row * w->row_stride;
    if (w->form == DT_FORM_F32) {
        memcpy(out, from, (size_t)w->cols * sizeof *out);
        return;
    }
    for (uint32_t g = 0; g < w->cols / w->group; g++, from += w->group_stride) {
        float scale = rvv07_scale(w, row, g);
        for (uint32_t i = 0; i < w->group; i++)
            *out++ = (float)(w->form == DT_FORM_Q4_0 ? q4_value(from, i) : (int8_t)from[i]) * scale;
    }
}

int rvv07_is_sparse(const struct dt_matrix *w)
{
    if ((w->form != DT_FORM_I8 && w->form != DT_FORM_Q8_0 && w->form != DT_FORM_Q4_0) ||
        w->group == 0 || w->group % 32 != 0 || w->rows < 4096 || w->rows / 8 < w->cols ||
        w->cols > SAMPLE_COLS)
        return 0;
    float row[SAMPLE_COLS], direction[SAMPLE_COLS] = {0}, across[SAMPLE_ROWS];
    uint32_t step = w->rows / SAMPLE_ROWS, n = w->cols;
    double length = 0;
    for (uint32_t k = 0; k < SAMPLE_ROWS; k++) {
        rvv07_embed(NULL, row, w, k * step);
        for (uint32_t i = 0; i < n; i++)
            direction[i] += row[i];
    }
    for (uint32_t i = 0; i < n; i++)
        length += (double)direction[i] * (double)direction[i];
    for (uint32_t k = 0; k < SAMPLE_ROWS; k++) {
        double square = 0, along = 0;
        rvv07_embed(NULL, row, w, k * step);
        for (uint32_t i = 0; i < n; i++) {
            square += (double)row[i] * (double)row[i];
            along += (double)row[i] * (double)direction[i];
        }
        float b = (float)(length > 0 ? square - along * along / length : square);
        uint32_t at = k;
        for (; at > 0 && across[at - 1] > b; at--) // ascending
            across[at] = across[at - 1];
        across[at] = b;
    }
    // compares squares: the median length across the mean is less than half that of the ninth
    // decile
    return across[SAMPLE_ROWS / 2] * 4 < across[SAMPLE_ROWS - SAMPLE_ROWS / 10];
}
