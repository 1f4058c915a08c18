// SPDX-License-Identifier: MIT
#include "listed.h"

#include <stdbool.h>
#include <string.h>

#include "kernels.h"

#define GROUPS_MOST    256u
#define GROUPS_AT_ONCE 32u

// ---- scales ----

static void scales_begin(struct rvv07_scales *s, const struct dt_matrix *w, const uint32_t *index,
                         uint32_t first, uint32_t rows)
{
    size_t unit = w->scale_type == DT_SCALE_F32 ? 4 : 2;
    s->w = w;
    s->index = index;
    s->first = first;
    s->rows = rows;
    s->base = (const unsigned char *)w->scales + (index ? 0 : first * w->scale_row_stride);
    s->aligned = ((uintptr_t)w->scales | w->scale_row_stride | w->scale_group_stride) % unit == 0 &&
                 w->rows * (uint64_t)w->scale_row_stride < 1u << 31;
    for (uint32_t r = 0; s->aligned && r < rows; r++)
        s->offsets[r] = (uint32_t)((index ? index[r] : r) * w->scale_row_stride);
}

void rvv07_scales_of_range(struct rvv07_scales *s, const struct dt_matrix *w, uint32_t first,
                           uint32_t rows)
{
    scales_begin(s, w, NULL, first, rows);
}

const float *rvv07_scales_at(struct rvv07_scales *s, uint32_t g)
{
    const unsigned char *at = s->base + g * s->w->scale_group_stride;
    if (s->aligned && s->w->scale_type == DT_SCALE_F32)
        dt_rvv07_gather_floats(s->of, at, s->offsets, s->rows);
    else if (s->aligned)
        dt_rvv07_gather_halves(s->of, at, s->offsets, s->rows);
    for (uint32_t r = 0; !s->aligned && r < s->rows; r++)
        s->of[r] = rvv07_scale(s->w, s->index ? s->index[r] : s->first + r, g);
    return s->of;
}

// ---- rows ----

static bool has_rows(const struct dt_matrix *w)
{
    uint32_t kind = rvv07_kind_of(w);
    return (kind == RVV07_I8 || kind == RVV07_Q4) && w->group % 32 == 0;
}

int rvv07_listed(float *out, const struct dt_matrix *w, const uint32_t *index, uint32_t first,
                 uint32_t count, const void *act)
{
    if (!has_rows(w) || w->rows * (uint64_t)w->row_stride >= 1u << 31)
        return 0;
    bool q4 = w->form == DT_FORM_Q4_0;
    const unsigned char *quants = w->quants;
    const float *xs = (const float *)(const void *)((const int8_t *)act + rvv07_quants_bytes(w));
    uint32_t groups = w->cols / w->group, offsets[32];
    int32_t sums[GROUPS_AT_ONCE * 32];
    struct rvv07_scales scales;
    for (uint32_t rows; count > 0;
         count -= rows, first += rows, index = index ? index + rows : NULL, out += rows) {
        rows = count < 32 ? count : 32;
        for (uint32_t r = 0; r < rows; r++)
            offsets[r] = (uint32_t)((index ? index[r] : first + r) * w->row_stride);
        for (uint32_t r = rows; r % 4 != 0; r++) // unused rows, up to a multiple of 4
            offsets[r] = offsets[0];
        scales_begin(&scales, w, index, first, rows);
        memset(out, 0, rows * sizeof *out);
        for (uint32_t g = 0; g < groups; g++) {
            uint32_t at = g % GROUPS_AT_ONCE,
                     left = groups - g < GROUPS_AT_ONCE ? groups - g : GROUPS_AT_ONCE;
            if (at == 0 && q4)
                dt_rvv07_q4_sums(sums, (const int8_t *)act + (size_t)g * 32,
                                 quants + g * w->group_stride, offsets, (rows + 3) & ~3u, left,
                                 w->group_stride);
            else if (at == 0)
                dt_rvv07_i8_sums(sums, (const int8_t *)act + (size_t)g * w->group,
                                 quants + g * w->group_stride, offsets, w->group, (rows + 3) & ~3u,
                                 left, w->group_stride);
            dt_rvv07_add_sums(out, sums + at * 32, rvv07_scales_at(&scales, g), rows, xs[g]);
        }
    }
    return 1;
}

// ---- bounds and screening ----

int rvv07_row_products(void *ctx, float *products, const struct dt_matrix *w, uint32_t row_begin,
                       uint32_t row_end, const float *direction)
{
    (void)ctx;
    struct dt_matrix by_rows;
    w = rvv07_in_place(w, &by_rows);
    if (!has_rows(w) || w->cols / w->group > GROUPS_MOST)
        return 0;
    uint32_t groups = w->cols / w->group;
    for (uint32_t r = row_begin; r < row_end; r++, products += 2) {
        const unsigned char *scales = (const unsigned char *)w->scales + r * w->scale_row_stride;
        float copy[GROUPS_MOST];
        if (w->scale_type == DT_SCALE_F32 && w->scale_group_stride == 4) {
            memcpy(copy, scales, groups * sizeof *copy);
        } else {
            for (uint32_t g = 0; g < groups; g++)
                copy[g] = rvv07_scale(w, r, g);
        }
        const unsigned char *row = (const unsigned char *)w->quants + r * w->row_stride;
        if (w->form == DT_FORM_Q4_0) {
            int8_t quants[GROUPS_MOST * 32];
            dt_rvv07_q4_unpack(quants, row, groups, w->group_stride);
            dt_rvv07_row_products(products, quants, copy, direction, groups, 32, 32);
            continue;
        }
        dt_rvv07_row_products(products, row, copy, direction, groups, w->group, w->group_stride);
    }
    return 1;
}

uint32_t rvv07_screen(void *ctx, const uint32_t *bounds, uint32_t n, float along, float across,
                      float threshold, float scale, uint32_t *index, double *rest)
{
    (void)ctx;
    enum { most = 4096 }; // each of 16 lanes sums 256 terms
    uint32_t count = 0;
    double sum = 0;
    for (uint32_t i = 0; i < n; i += most) {
        float part;
        count += (uint32_t)dt_rvv07_screen(index + count, bounds + i, n - i < most ? n - i : most,
                                           i, &part, along, across, threshold, scale * 0x1p23f);
        sum += (double)part;
    }
    *rest = sum * (1 + 0x1p-11) + n * 0x1p-126; // the bounds of kit_screen, abi/kit/ops.h
    return count;
}
