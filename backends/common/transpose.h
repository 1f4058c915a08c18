// SPDX-License-Identifier: MIT
// Transposes squares of 32-bit lanes: vector i becomes lane i of every vector.
#ifndef DT_BACKENDS_COMMON_TRANSPOSE_H
#define DT_BACKENDS_COMMON_TRANSPOSE_H

#include "abi/kit/vector.h"

#if defined(KIT_AVX512)

// Transposes sixteen vectors of sixteen 32-bit lanes.
KIT_INLINE void vnni_transpose(__m512i s[16])
{
    __m512i a[16], b[16];
    KIT_UNROLL
    for (int i = 0; i < 8; i++) {
        a[2 * i] = _mm512_unpacklo_epi32(s[2 * i], s[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(s[2 * i], s[2 * i + 1]);
    }
    KIT_UNROLL
    for (int i = 0; i < 4; i++) { // b[4 * i + k]: lane k of each 128-bit part of rows 4 * i ..
        b[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    KIT_UNROLL
    for (int k = 0; k < 4; k++) {
        __m512i even = _mm512_shuffle_i32x4(b[k], b[4 + k], 0x88),
                odd = _mm512_shuffle_i32x4(b[k], b[4 + k], 0xdd);
        __m512i even2 = _mm512_shuffle_i32x4(b[8 + k], b[12 + k], 0x88);
        __m512i odd2 = _mm512_shuffle_i32x4(b[8 + k], b[12 + k], 0xdd);
        s[k] = _mm512_shuffle_i32x4(even, even2, 0x88);
        s[4 + k] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
        s[8 + k] = _mm512_shuffle_i32x4(even, even2, 0xdd);
        s[12 + k] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
    }
}

#endif

#if defined(KIT_AVX512) || defined(KIT_AVX2)

// Transposes eight vectors of eight 32-bit lanes.
KIT_INLINE void avx2_transpose(__m256i s[8])
{
    __m256i a[8], b[8];
    KIT_UNROLL
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm256_unpacklo_epi32(s[2 * i], s[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi32(s[2 * i], s[2 * i + 1]);
    }
    KIT_UNROLL
    for (int i = 0; i < 2; i++) { // b[4 * i + k]: lane k of both halves of rows 4 * i .. 4 * i + 3
        b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    KIT_UNROLL
    for (int k = 0; k < 4; k++) {
        s[k] = _mm256_permute2x128_si256(b[k], b[4 + k], 0x20);
        s[4 + k] = _mm256_permute2x128_si256(b[k], b[4 + k], 0x31);
    }
}

#endif

// Transposes KIT_W vectors.
KIT_INLINE void kit_transpose(kit_f v[KIT_W])
{
#if defined(KIT_AVX512)
    vnni_transpose((__m512i *)v);
#elif defined(KIT_AVX2)
    avx2_transpose((__m256i *)v);
#else
    kit_f t[4];
    for (int i = 0; i < 4; i++)
        t[i] = (kit_f){v[0][i], v[1][i], v[2][i], v[3][i]};
    for (int i = 0; i < 4; i++)
        v[i] = t[i];
#endif
}

#endif
