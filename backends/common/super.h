// SPDX-License-Identifier: MIT
// Blocks of 256 values (Q4_K, Q5_K, Q6_K) of sixteen rows, interleaved: 32-bit word i of row r is
// at 64 * i + 4 * r. So the lanes of a vector are rows, and levels and scales keep the bits that
// they have in a file: no lane needs another one's bytes. Q6_K ends in 16 halves d.
#ifndef DT_BACKENDS_COMMON_SUPER_H
#define DT_BACKENDS_COMMON_SUPER_H

#include "abi/backend.h"
#include "abi/kit/vector.h"
#include "common/transpose.h"

enum {
    super_values = 256,
    super_bytes_most = 210,
};

// Bytes of a block; 0 for other forms.
KIT_INLINE uint32_t super_bytes(uint32_t form)
{
    return form == DT_FORM_Q4_K ? 144 : form == DT_FORM_Q5_K ? 176 : form == DT_FORM_Q6_K ? 210 : 0;
}

// Whether the kernels read the blocks of w in place.
KIT_INLINE int super_is(const struct dt_matrix *w)
{
    return super_bytes(w->form) > 0;
}

KIT_INLINE int super_valid(const struct dt_matrix *w)
{
    return w->group == super_values && w->cols % super_values == 0 &&
           w->group_stride == super_bytes(w->form);
}

#if defined(KIT_AVX512) || defined(KIT_AVX2)

// Transposes 4 x 4 lanes in each half.
KIT_INLINE void super_transpose_4(__m256i s[4])
{
    __m256i a = _mm256_unpacklo_epi32(s[0], s[1]), b = _mm256_unpackhi_epi32(s[0], s[1]);
    __m256i c = _mm256_unpacklo_epi32(s[2], s[3]), d = _mm256_unpackhi_epi32(s[2], s[3]);
    s[0] = _mm256_unpacklo_epi64(a, c);
    s[1] = _mm256_unpackhi_epi64(a, c);
    s[2] = _mm256_unpacklo_epi64(b, d);
    s[3] = _mm256_unpackhi_epi64(b, d);
}

// The words of eight rows from `at` bytes on: eight, and four at the end.
KIT_INLINE void super_words(unsigned char *to, const unsigned char *const *rows, size_t at,
                            uint32_t words)
{
    uint32_t i = 0;
    for (; i + 8 <= words; i += 8) {
        __m256i s[8];
        KIT_UNROLL
        for (int r = 0; r < 8; r++)
            s[r] = _mm256_loadu_si256((const void *)(rows[r] + at + (size_t)i * 4));
        avx2_transpose(s);
        KIT_UNROLL
        for (uint32_t k = 0; k < 8; k++)
            _mm256_storeu_si256((void *)(to + (size_t)(i + k) * 64), s[k]);
    }
    __m256i s[4];
    KIT_UNROLL
    for (int r = 0; r < 4; r++)
        s[r] = _mm256_loadu2_m128i((const void *)(rows[r + 4] + at + (size_t)i * 4),
                                   (const void *)(rows[r] + at + (size_t)i * 4));
    super_transpose_4(s);
    KIT_UNROLL
    for (uint32_t k = 0; k < 4; k++)
        _mm256_storeu_si256((void *)(to + (size_t)(i + k) * 64), s[k]);
}

enum { super_rows_at_once = 8 };

#else

// The words of four rows from `at` bytes on.
KIT_INLINE void super_words(unsigned char *to, const unsigned char *const *rows, size_t at,
                            uint32_t words)
{
    for (uint32_t i = 0; i < words; i += 4) {
        kit_f v[4];
        KIT_UNROLL
        for (int r = 0; r < 4; r++)
            memcpy(&v[r], rows[r] + at + (size_t)i * 4, sizeof v[r]);
        kit_transpose(v);
        KIT_UNROLL
        for (uint32_t k = 0; k < 4; k++)
            memcpy(to + (size_t)(i + k) * 64, &v[k], sizeof v[k]);
    }
}

enum { super_rows_at_once = 4 };

#endif

// Interleaves one block of each of sixteen rows; it is `at` bytes after rows[r]. to: 16 * bytes.
KIT_INLINE void super_interleave(unsigned char *to, const unsigned char *const *rows, size_t at,
                                 uint32_t bytes)
{
    for (uint32_t r = 0; r < 16; r += super_rows_at_once)
        super_words(to + (size_t)r * 4, rows + r, at, bytes / 4);
    for (uint32_t r = 0; bytes % 4 && r < 16; r++)
        memcpy(to + (size_t)(bytes - 2) * 16 + (size_t)r * 2, rows[r] + at + bytes - 2, 2);
}

// Takes the block of row r out of sixteen interleaved ones.
KIT_INLINE void super_block_of(unsigned char *block, const unsigned char *from, uint32_t r,
                               uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes / 4; i++)
        memcpy(block + (size_t)i * 4, from + (size_t)i * 64 + (size_t)r * 4, 4);
    if (bytes % 4)
        memcpy(block + bytes - 2, from + (size_t)(bytes - 2) * 16 + (size_t)r * 2, 2);
}

// ---- one block as floats ----

// The scale and minimum of run r, 0 to 7, of Q4_K and Q5_K.
KIT_INLINE void super_run(const unsigned char *p, uint32_t r, float *scale, float *minimum)
{
    if (r < 4) {
        *scale = (float)(p[r] & 63);
        *minimum = (float)(p[4 + r] & 63);
    } else {
        *scale = (float)((p[4 + r] & 15) | p[r - 4] >> 6 << 4);
        *minimum = (float)(p[4 + r] >> 4 | p[r] >> 6 << 4);
    }
}

// 32 values of Q6_K, in two runs; constants, so that the loops become vectors.
KIT_INLINE void super_floats_6(float *out, const unsigned char *low, const unsigned char *high,
                               const unsigned char *scales, float d, int shift, int high_shift)
{
    for (int run = 0; run < 2; run++, low += 16, high += 16) {
        float step = d * (float)(int8_t)scales[run];
        for (int i = 0; i < 16; i++) {
            int level = (low[i] >> shift & 15) | (high[i] >> high_shift & 3) << 4;
            *out++ = step * (float)(level - 32);
        }
    }
}

// out[0 .. 256) = the block's weights, with the roundings of the reference's embed.
KIT_INLINE void super_floats(float *out, const unsigned char *b, uint32_t form)
{
    if (form == DT_FORM_Q6_K) {
        float d = kit_load_half(b + 208);
        for (int half = 0; half < 2; half++, out += 128) {
            const unsigned char *low = b + half * 64, *high = b + 128 + half * 32,
                                *scales = b + 192 + half * 8;
            super_floats_6(out, low, high, scales, d, 0, 0);
            super_floats_6(out + 32, low + 32, high, scales + 2, d, 0, 2);
            super_floats_6(out + 64, low, high, scales + 4, d, 4, 4);
            super_floats_6(out + 96, low + 32, high, scales + 6, d, 4, 6);
        }
        return;
    }
    float d = kit_load_half(b), m = kit_load_half(b + 2);
    const unsigned char *fifth = b + 16, *quants = form == DT_FORM_Q5_K ? b + 48 : b + 16;
    for (uint32_t r = 0; r < 8; r++, out += 32) {
        float scale, minimum;
        super_run(b + 4, r, &scale, &minimum);
        float step = d * scale, low = m * minimum;
        const unsigned char *from = quants + r / 2 * 32;
        if (form == DT_FORM_Q5_K)
            for (int i = 0; i < 32; i++)
                out[i] =
                    step * (float)((from[i] >> (r % 2 * 4) & 15) | (fifth[i] >> r & 1) << 4) - low;
        else
            for (int i = 0; i < 32; i++)
                out[i] = step * (float)(from[i] >> (r % 2 * 4) & 15) - low;
    }
}

#endif
