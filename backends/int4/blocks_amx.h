// SPDX-License-Identifier: MIT
// Rows of Q4_0 blocks times many prepared columns with AMX: sixteen rows at a time are unpacked to
// bytes. Few columns are computed with VNNI.
#ifndef DT_BACKENDS_INT4_BLOCKS_AMX_H
#define DT_BACKENDS_INT4_BLOCKS_AMX_H

#include "int4/blocks_vnni.h"
#include "common/tiles_amx.h"

// An amx_unpack_fn.
KIT_INLINE void amx_unpack_blocks(int8_t *quants, const struct dt_matrix *w,
                                  const struct vnni_tile *t, uint32_t g, uint32_t n)
{
    const __m256i low = _mm256_set1_epi8(15), eight = _mm256_set1_epi8(8);
    for (uint32_t r = 0; r < 16; r++) {
        for (uint32_t k = 0; k < n; k++) {
            __m128i both = _mm_loadu_si128((const void *)(t->rows[r] + (g + k) * w->group_stride));
            __m256i wide = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(both, 4), both), low);
            _mm256_store_si256((void *)(quants + r * amx_panel_stride + (size_t)k * 32),
                               _mm256_sub_epi8(wide, eight));
        }
    }
}

static void tiles_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                                uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    amx_rows_times_columns(out, out_stride, w, begin, end, act, columns, false, amx_unpack_blocks);
}

#endif
