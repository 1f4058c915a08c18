// SPDX-License-Identifier: MIT
// Rows of Q4_0 blocks times prepared columns with AVX-512 VNNI, sixteen rows at a time. Weights are
// passed as w + 8, unsigned; the correction of the group (activations.h) subtracts eight times the
// sum of its activations.
#ifndef DT_BACKENDS_INT4_BLOCKS_VNNI_H
#define DT_BACKENDS_INT4_BLOCKS_VNNI_H

#include "common/activations.h"
#include "common/rows16_vnni.h"
#include "common/panel_vnni.h"
#include "common/tile_vnni.h"

enum { weight_bias = 8 };

// Prefetches a part of the next sixteen rows, cache line by cache line: rows are contiguous.
KIT_INLINE void vnni_prefetch_tile(const struct dt_matrix *w, const struct vnni_tile *t,
                                   uint32_t block)
{
    const char *at = (const char *)t->scales + 16 * w->scale_row_stride + (size_t)block * 288;
    for (int i = 0; i < 5; i++)
        _mm_prefetch(at + i * 64, _MM_HINT_T0);
}

// One block of rows i, i + 4, i + 8 and i + 12, each in a 128-bit part.
KIT_INLINE __m512i vnni_blocks(const struct vnni_tile *t, int i, size_t at)
{
    __m512i q = _mm512_castsi128_si512(_mm_loadu_si128((const void *)(t->rows[i] + at)));
    q = _mm512_inserti32x4(q, _mm_loadu_si128((const void *)(t->rows[i + 4] + at)), 1);
    q = _mm512_inserti32x4(q, _mm_loadu_si128((const void *)(t->rows[i + 8] + at)), 2);
    return _mm512_inserti32x4(q, _mm_loadu_si128((const void *)(t->rows[i + 12] + at)), 3);
}

// Sixteen rows times one column. ahead: prefetch the rows after these.
KIT_INLINE __m512 vnni_tile_column(const struct dt_matrix *w, const struct vnni_tile *t,
                                   const struct act_column *x, bool ahead)
{
    const __m512i low = _mm512_set1_epi8(15), ones = _mm512_set1_epi16(1);
    __m512 value = _mm512_setzero_ps();
    for (uint32_t g = 0; g < w->cols / 32; g++) {
        __m512i first =
            _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(x->quants + (size_t)g * 32)));
        __m512i second = _mm512_broadcast_i32x4(
            _mm_loadu_si128((const void *)(x->quants + (size_t)g * 32 + 16)));
        __m512i s[4];
        if (ahead)
            vnni_prefetch_tile(w, t, g);
        KIT_UNROLL
        for (int i = 0; i < 4; i++) {
            __m512i q = vnni_blocks(t, i, g * w->group_stride);
            s[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_and_si512(q, low), first);
            s[i] =
                _mm512_dpbusd_epi32(s[i], _mm512_and_si512(_mm512_srli_epi16(q, 4), low), second);
        }
        // a lane is at most 8 * 15 * 127; it and the sum of two fit in 16 bits
        __m512i ab = _mm512_madd_epi16(_mm512_packs_epi32(s[0], s[1]), ones);
        __m512i cd = _mm512_madd_epi16(_mm512_packs_epi32(s[2], s[3]), ones);
        __m512i sum = _mm512_dpwssd_epi32(_mm512_set1_epi32(x->corrections[g]),
                                          _mm512_packs_epi32(ab, cd), ones);
        __m512 part =
            _mm512_mul_ps(_mm512_cvtepi32_ps(sum), vnni_block_scales(t, g * w->scale_group_stride));
        value = _mm512_add_ps(value, _mm512_mul_ps(part, _mm512_set1_ps(x->scales[g])));
    }
    return value;
}

// Fills a panel with blocks [g, g + count) of the tile's rows.
KIT_INLINE void vnni_fill(struct vnni_panel *p, const struct dt_matrix *w,
                          const struct vnni_tile *t, uint32_t g, uint32_t count)
{
    const __m256i low = _mm256_set1_epi8(15);
    for (uint32_t k = 0; k < count; k++)
        _mm512_store_ps(p->scales[k], vnni_scales(w, t, g + k));
    for (uint32_t k = 0; k < count; k += 2) { // two blocks, 64 quants
        uint32_t next = k + 1 < count ? k + 1 : k;
        __m512i s[16];
        for (int r = 0; r < 16; r++) {
            __m128i a = _mm_loadu_si128((const void *)(t->rows[r] + (g + k) * w->group_stride));
            __m128i b = _mm_loadu_si128((const void *)(t->rows[r] + (g + next) * w->group_stride));
            __m256i wide_a = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(a, 4), a), low);
            __m256i wide_b = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(b, 4), b), low);
            s[r] = _mm512_inserti64x4(_mm512_castsi256_si512(wide_a), wide_b, 1);
        }
        vnni_transpose(s);
        for (uint32_t i = 0; i < (next > k ? 16u : 8u); i++)
            _mm512_store_si512(p->quants[k * 8 + i], s[i]);
    }
}

static void rows_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                               uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    struct act_layout layout = act_layout_of(w);
    struct vnni_panel panel;
    uint32_t blocks = w->cols / 32, fit = vnni_panel_cols / 32;
    for (uint32_t r = begin; r < end; r += 16) {
        uint32_t count = end - r < 16 ? end - r : 16;
        struct vnni_tile t = vnni_tile_at(w, r, count);
        if (columns > 2) {
            for (uint32_t g = 0; g < blocks; g += fit) {
                uint32_t n = blocks - g < fit ? blocks - g : fit;
                struct vnni_prefetch next = {.quants =
                                                 t.scales + 16 * w->row_stride + (size_t)g * 288,
                                             .scales = t.scales,
                                             .step = 36}; // 16 rows of 18 bytes for 32 columns
                vnni_fill(&panel, w, &t, g, n);
                vnni_panel_times_columns(out + r, out_stride, count, &panel, 32, g, n, act, &layout,
                                         next, columns);
            }
            continue;
        }
        for (uint32_t c = 0; c < columns; c++) {
            struct act_column x = act_column_at(act, &layout, c);
            kit_store_n(out + c * out_stride + r, (kit_f)vnni_tile_column(w, &t, &x, true), count);
        }
    }
}

#include "common/listed_vnni.h"

#endif
