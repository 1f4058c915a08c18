// SPDX-License-Identifier: MIT
// Eight rows of a quantised matrix, read in place with AVX2. Shared by int8 and int4.
#ifndef DT_BACKENDS_COMMON_TILE_AVX2_H
#define DT_BACKENDS_COMMON_TILE_AVX2_H

#include "common/weights.h"

// Finds the quants and scales of `count` rows: first, first + 1, ..., or index[first],
// index[first + 1], ... if index is not NULL. Fills up to eight with the last one.
KIT_INLINE void avx2_rows_at(const unsigned char **rows, const unsigned char **scales,
                             const struct dt_matrix *w, const uint32_t *index, uint32_t first,
                             uint32_t count)
{
    for (uint32_t k = 0; k < 8; k++) {
        uint32_t row = first + (k < count ? k : count - 1);
        row = index ? index[row] : row;
        rows[k] = (const unsigned char *)w->quants + row * w->row_stride;
        scales[k] = (const unsigned char *)w->scales + row * w->scale_row_stride;
    }
}

// The sum of the lanes of each of eight vectors.
KIT_INLINE __m256i avx2_lane_sums(const __m256i s[8])
{
    __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
    __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(s[4], s[5]), _mm256_hadd_epi32(s[6], s[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                            _mm256_permute2x128_si256(a, b, 0x31));
}

#endif
