// SPDX-License-Identifier: MIT
// Rows of an 8-bit matrix times prepared columns with AVX-512 VNNI, sixteen rows at a time. The
// instruction multiplies unsigned with signed bytes: weights are passed as w + 128, and the
// correction of the group (activations.h) subtracts 128 times the sum of its activations.
#ifndef DT_BACKENDS_INT8_ROWS_VNNI_H
#define DT_BACKENDS_INT8_ROWS_VNNI_H

#include "common/activations.h"
#include "common/rows16_vnni.h"
#include "common/panel_vnni.h"
#include "common/tile_vnni.h"
#include "common/weights.h"

enum { weight_bias = 128 };

// Prefetches a part of a later tile, cache line by cache line: the rows of a tile are contiguous.
// Long rows: two tiles ahead, as the next one would arrive too late. Into L2, because the loads
// themselves need the few fill buffers of L1.
KIT_INLINE void vnni_prefetch_tile(const struct dt_matrix *w, const struct vnni_tile *t,
                                   uint32_t step)
{
    size_t rows = w->row_stride < 512 ? 16 : 32;
    const char *at = (const char *)t->rows[0] + rows * w->row_stride + (size_t)step * 1024;
    for (int i = 0; i < 16; i++)
        _mm_prefetch(at + i * 64, _MM_HINT_T1);
    at = (const char *)t->scales + rows * w->scale_row_stride + (size_t)step * 128;
    _mm_prefetch(at, _MM_HINT_T1);
    _mm_prefetch(at + 64, _MM_HINT_T1);
}

// The scales of groups g and g + 1, which are contiguous floats.
KIT_INLINE void vnni_scales_pair(__m512 out[2], const struct vnni_tile *t, uint32_t g)
{
    const unsigned char *at = t->scales + g * 4;
    __m512d low = _mm512_i32gather_pd(_mm512_castsi512_si256(t->offsets), at, 1);
    __m512d high = _mm512_i32gather_pd(_mm512_extracti32x8_epi32(t->offsets, 1), at, 1);
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    out[0] = _mm512_permutex2var_ps((__m512)low, even, (__m512)high);
    out[1] = _mm512_permutex2var_ps((__m512)low, _mm512_add_epi32(even, _mm512_set1_epi32(1)),
                                    (__m512)high);
}

// ---- one column, weights in place ----

// Sums the 128-bit parts of sixteen vectors: lane k of part p of out[i] is the sum of part p of
// s[4 * i + k].
KIT_INLINE void vnni_part_sums(__m512i out[4], const __m512i s[16])
{
    KIT_UNROLL
    for (int i = 0; i < 4; i++) {
        __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(s[4 * i], s[4 * i + 1]),
                                      _mm512_unpackhi_epi32(s[4 * i], s[4 * i + 1]));
        __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(s[4 * i + 2], s[4 * i + 3]),
                                      _mm512_unpackhi_epi32(s[4 * i + 2], s[4 * i + 3]));
        out[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
}

// The sums of parts 0 and 1 and of parts 2 and 3 of a, then of b.
KIT_INLINE __m512i vnni_add_parts(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

// The sums of the halves of sixteen vectors: out[0] the low halves, out[1] the high halves.
KIT_INLINE void vnni_half_sums(__m512i out[2], const __m512i s[16])
{
    __m512i parts[4];
    vnni_part_sums(parts, s);
    __m512i a = vnni_add_parts(parts[0], parts[1]), b = vnni_add_parts(parts[2], parts[3]);
    out[0] = _mm512_shuffle_i32x4(a, b, 0x88);
    out[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
}

// The sums of sixteen vectors.
KIT_INLINE __m512i vnni_sums(const __m512i s[16])
{
    __m512i parts[4];
    vnni_part_sums(parts, s);
    return vnni_add_parts(vnni_add_parts(parts[0], parts[1]), vnni_add_parts(parts[2], parts[3]));
}

KIT_INLINE __m512 vnni_add_group(__m512 value, __m512i sum, int32_t correction, __m512 scale,
                                 float x_scale)
{
    __m512 exact = _mm512_cvtepi32_ps(_mm512_add_epi32(sum, _mm512_set1_epi32(correction)));
    return _mm512_add_ps(value,
                         _mm512_mul_ps(_mm512_mul_ps(exact, scale), _mm512_set1_ps(x_scale)));
}

// Groups of 32, two at a time. gap: bytes between the groups of a row.
KIT_INLINE __m512 vnni_tile_32(const struct dt_matrix *w, const struct vnni_tile *t,
                               const struct act_column *x, size_t gap, bool ahead)
{
    const __m512i flip = _mm512_set1_epi8(-128);
    __m512 value = _mm512_setzero_ps(), scale[2];
    __m512i s[16], sums[2];
    uint32_t groups = w->cols / 32, g = 0;
    for (; g + 2 <= groups; g += 2) {
        __m512i v = _mm512_loadu_si512(x->quants + (size_t)g * 32);
        size_t at = g * (32 + gap);
        KIT_UNROLL
        for (int r = 0; r < 16; r++) {
            __m512i q;
            if (gap)
                q = _mm512_inserti64x4(
                    _mm512_castsi256_si512(_mm256_loadu_si256((const void *)(t->rows[r] + at))),
                    _mm256_loadu_si256((const void *)(t->rows[r] + at + 32 + gap)), 1);
            else
                q = _mm512_loadu_si512(t->rows[r] + at);
            s[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_xor_si512(q, flip), v);
        }
        if (ahead)
            vnni_prefetch_tile(w, t, g / 2);
        vnni_half_sums(sums, s);
        if (gap || w->scale_group_stride != 4) {
            scale[0] = vnni_scales(w, t, g);
            scale[1] = vnni_scales(w, t, g + 1);
        } else {
            vnni_scales_pair(scale, t, g);
        }
        value = vnni_add_group(value, sums[0], x->corrections[g], scale[0], x->scales[g]);
        value = vnni_add_group(value, sums[1], x->corrections[g + 1], scale[1], x->scales[g + 1]);
    }
    if (g < groups) {
        __m512i v =
            _mm512_castsi256_si512(_mm256_loadu_si256((const void *)(x->quants + (size_t)g * 32)));
        v = _mm512_inserti64x4(v, _mm256_setzero_si256(), 1);
        KIT_UNROLL
        for (int r = 0; r < 16; r++) {
            __m512i q = _mm512_castsi256_si512(
                _mm256_loadu_si256((const void *)(t->rows[r] + g * (32 + gap))));
            s[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_xor_si512(q, flip), v);
        }
        vnni_half_sums(sums, s);
        value =
            vnni_add_group(value, sums[0], x->corrections[g], vnni_scales(w, t, g), x->scales[g]);
    }
    return value;
}

// Groups of any size, one at a time, 64 quants in a step.
KIT_INLINE __m512 vnni_tile_any(const struct dt_matrix *w, const struct vnni_tile *t,
                                const struct act_column *x, uint32_t group, bool ahead)
{
    const __m512i flip = _mm512_set1_epi8(-128);
    __m512 value = _mm512_setzero_ps();
    for (uint32_t g = 0; g < w->cols / group; g++) {
        const int8_t *from = x->quants + (size_t)g * group;
        size_t at = g * w->group_stride;
        __m512i s[16];
        KIT_UNROLL
        for (int r = 0; r < 16; r++)
            s[r] = _mm512_setzero_si512();
        for (uint32_t i = 0; i < group; i += 64) {
            uint32_t left = group - i;
            if (ahead)
                vnni_prefetch_tile(w, t, (g * group + i) / 64);
            if (left >= 64) {
                __m512i v = _mm512_loadu_si512(from + i);
                KIT_UNROLL
                for (int r = 0; r < 16; r++) {
                    __m512i q = _mm512_loadu_si512(t->rows[r] + at + i);
                    s[r] = _mm512_dpbusd_epi32(s[r], _mm512_xor_si512(q, flip), v);
                }
                continue;
            }
            __mmask64 mask = (1ull << left) - 1;
            __m512i v = _mm512_maskz_loadu_epi8(mask, from + i);
            KIT_UNROLL
            for (int r = 0; r < 16; r++) {
                __m512i q = _mm512_maskz_loadu_epi8(mask, t->rows[r] + at + i);
                s[r] = _mm512_dpbusd_epi32(s[r], _mm512_xor_si512(q, flip), v);
            }
        }
        value = vnni_add_group(value, vnni_sums(s), x->corrections[g], vnni_scales(w, t, g),
                               x->scales[g]);
    }
    return value;
}

// Sixteen rows times one column. ahead: prefetch the rows after these.
KIT_ONCE __m512 vnni_tile_column(const struct dt_matrix *w, const struct vnni_tile *t,
                                 const struct act_column *x, bool ahead)
{
    if (w->group == 32 && w->group_stride == 32)
        return vnni_tile_32(w, t, x, 0, ahead);
    if (w->group == 32 && w->group_stride == 34)
        return vnni_tile_32(w, t, x, 2, ahead);
    return w->group == 64 ? vnni_tile_any(w, t, x, 64, ahead)
                          : vnni_tile_any(w, t, x, w->group, ahead);
}

KIT_INLINE void vnni_one_column(float *out, const struct dt_matrix *w, uint32_t begin, uint32_t end,
                                const struct act_column *x)
{
    for (uint32_t r = begin; r < end; r += 16) {
        uint32_t count = end - r < 16 ? end - r : 16;
        struct vnni_tile t = vnni_tile_at(w, r, count);
        kit_store_n(out + r, (kit_f)vnni_tile_column(w, &t, x, true), count);
    }
}

// ---- many columns: sixteen rows are unpacked into a panel, which each column is multiplied with
// ----

// Fills a panel with groups [g, g + count) of the tile's rows.
KIT_INLINE void vnni_fill(struct vnni_panel *p, const struct dt_matrix *w,
                          const struct vnni_tile *t, uint32_t g, uint32_t count)
{
    const __m512i flip = _mm512_set1_epi8(-128);
    for (uint32_t k = 0; k < count; k++)
        _mm512_store_ps(p->scales[k], vnni_scales(w, t, g + k));
    size_t bytes = (size_t)count * w->group;
    for (size_t i = 0; i < bytes; i += 64) {
        size_t left = bytes - i < 64 ? bytes - i : 64;
        __mmask64 mask = left == 64 ? ~0ull : (1ull << left) - 1;
        __m512i s[16];
        KIT_UNROLL
        for (int r = 0; r < 16; r++) {
            if (w->group_stride == w->group) {
                s[r] = _mm512_maskz_loadu_epi8(mask, t->rows[r] + (size_t)g * w->group + i);
            } else { // blocks of 32
                const unsigned char *at = t->rows[r] + (g + i / 32) * w->group_stride;
                s[r] = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)at));
                if (left == 64)
                    s[r] = _mm512_inserti64x4(
                        s[r], _mm256_loadu_si256((const void *)(at + w->group_stride)), 1);
            }
            s[r] = _mm512_xor_si512(s[r], flip);
        }
        vnni_transpose(s);
        for (size_t k = 0; k < (left + 3) / 4; k++)
            _mm512_store_si512(p->quants[i / 4 + k], s[k]);
    }
}

KIT_INLINE void vnni_many_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                                  uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    struct vnni_panel panel;
    uint32_t groups = w->cols / w->group, fit = vnni_panel_cols / w->group;
    size_t step = (64 * w->row_stride + w->cols - 1) / w->cols;
    for (uint32_t r = begin; r < end; r += 16) {
        uint32_t count = end - r < 16 ? end - r : 16;
        struct vnni_tile t = vnni_tile_at(w, r, count);
        for (uint32_t g = 0; g < groups; g += fit) {
            uint32_t n = groups - g < fit ? groups - g : fit;
            struct vnni_prefetch next = {
                .quants = t.rows[0] + 16 * w->row_stride + (size_t)g * w->group / 4 * step,
                .scales = t.scales + 16 * w->scale_row_stride + (size_t)g * 64,
                .step = step,
            };
            vnni_fill(&panel, w, &t, g, n);
            vnni_panel_times_columns(out + r, out_stride, count, &panel, w->group, g, n, act,
                                     &layout, next, columns);
        }
    }
}

static void rows_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                               uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    bool contiguous =
        w->group_stride == w->group && w->group % 4 == 0 && w->group <= vnni_panel_cols;
    if (columns > 2 && (contiguous || w->group == 32)) {
        vnni_many_columns(out, out_stride, w, begin, end, act, columns);
        return;
    }
    for (uint32_t c = 0; c < columns; c++) {
        struct act_column x = act_column_at(act, &layout, c);
        vnni_one_column(out + c * out_stride, w, begin, end, &x);
    }
}

#include "common/listed_vnni.h"

#endif
