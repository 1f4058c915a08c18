// SPDX-License-Identifier: MIT
// Operations on the lanes of interleaved blocks (common/super.h), where a lane is a row: products
// of four levels, which are unsigned bytes, with four quants of a column; sums times scales; and
// the value of a block. All are exact but the last, which is rounded once.
#ifndef DT_BACKENDS_INT8_SUPER_LANES_H
#define DT_BACKENDS_INT8_SUPER_LANES_H

#include "abi/kit/vector.h"

typedef int16_t super_words_t __attribute__((vector_size(KIT_W * 4)));

KIT_INLINE kit_i super_load(const unsigned char *p)
{
    kit_i v;
    memcpy(&v, p, sizeof v);
    return v;
}

KIT_INLINE int32_t super_load_4(const void *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return four;
}

// super_sum: sums of products, before they are multiplied with a scale. super_most: the products
// of so many times four columns fit in a sum, for levels of 4, 5 and 6 bits.
#if defined(KIT_AVX512) && defined(__AVX512VNNI__)

enum { super_most_4 = 8, super_most_5 = 8, super_most_6 = 4 };
typedef kit_i super_sum;

KIT_INLINE super_sum super_zero(void)
{
    return kit_seti(0);
}

KIT_INLINE super_sum super_add(super_sum s, kit_i levels, const int8_t *x)
{
    return (kit_i)vnni_products((__m512i)s, (__m512i)levels, x);
}

// The lowest byte of each lane, for super_scaled.
KIT_INLINE kit_i super_scale(kit_i four, int is_signed)
{
    return is_signed ? (four << 24) >> 24 : four & 255;
}

KIT_INLINE kit_i super_scaled(kit_i total, super_sum s, kit_i scale)
{
    return total + s * scale;
}

// total + words[0] * x[0] + words[1] * x[1] in every lane.
KIT_INLINE kit_i super_pairs(kit_i total, super_words_t words, const int16_t *x)
{
    return (kit_i)_mm512_dpwssd_epi32((__m512i)total, (__m512i)words,
                                      _mm512_set1_epi32(super_load_4(x)));
}

#elif defined(KIT_AVX2)

// Pairs of products are added as 16 bits: at most 8 * 2 * 15 * 127, and so on.
enum { super_most_4 = 8, super_most_5 = 4, super_most_6 = 2 };
typedef __m256i super_sum;

KIT_INLINE super_sum super_zero(void)
{
    return _mm256_setzero_si256();
}

KIT_INLINE super_sum super_add(super_sum s, kit_i levels, const int8_t *x)
{
    __m256i v = _mm256_set1_epi32(super_load_4(x));
    return _mm256_add_epi16(s, _mm256_maddubs_epi16((__m256i)levels, v));
}

// In both halves of a lane.
KIT_INLINE kit_i super_scale(kit_i four, int is_signed)
{
    // bytes of the lanes; 0x80 gives 0
    const __m256i at =
        _mm256_setr_epi32((int)0x80008000, (int)0x80048004, (int)0x80088008, (int)0x800c800c,
                          (int)0x80008000, (int)0x80048004, (int)0x80088008, (int)0x800c800c);
    const __m256i above = _mm256_setr_epi32(0x00800080, 0x04800480, 0x08800880, 0x0c800c80,
                                            0x00800080, 0x04800480, 0x08800880, 0x0c800c80);
    if (is_signed)
        return (kit_i)_mm256_srai_epi16(_mm256_shuffle_epi8((__m256i)four, above), 8);
    return (kit_i)_mm256_shuffle_epi8((__m256i)four, at);
}

KIT_INLINE kit_i super_scaled(kit_i total, super_sum s, kit_i scale)
{
    return total + (kit_i)_mm256_madd_epi16(s, (__m256i)scale);
}

KIT_INLINE kit_i super_pairs(kit_i total, super_words_t words, const int16_t *x)
{
    return total + (kit_i)_mm256_madd_epi16((__m256i)words, _mm256_set1_epi32(super_load_4(x)));
}

#else

enum { super_most_4 = 8, super_most_5 = 8, super_most_6 = 4 };

#if defined(KIT_NEON)

typedef struct rows16_sum super_sum;

KIT_INLINE super_sum super_zero(void)
{
    super_sum s;
    memset(&s, 0, sizeof s);
    return s;
}

KIT_INLINE super_sum super_add(super_sum s, kit_i levels, const int8_t *x)
{
    rows16_add(&s, (int8x16_t)levels, x);
    return s;
}

KIT_INLINE kit_i super_total(super_sum s)
{
    return (kit_i)rows16_total(&s);
}

#elif defined(__SSE2__)

typedef struct {
    __m128i low, high; // of two rows each, in two parts
} super_sum;

KIT_INLINE super_sum super_zero(void)
{
    return (super_sum){_mm_setzero_si128(), _mm_setzero_si128()};
}

KIT_INLINE super_sum super_add(super_sum s, kit_i levels, const int8_t *x)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i v = _mm_set1_epi32(super_load_4(x));
    v = _mm_srai_epi16(_mm_unpacklo_epi8(v, v), 8);
    s.low = _mm_add_epi32(s.low, _mm_madd_epi16(_mm_unpacklo_epi8((__m128i)levels, zero), v));
    s.high = _mm_add_epi32(s.high, _mm_madd_epi16(_mm_unpackhi_epi8((__m128i)levels, zero), v));
    return s;
}

KIT_INLINE kit_i super_total(super_sum s)
{
    __m128 a = _mm_castsi128_ps(s.low), b = _mm_castsi128_ps(s.high);
    return (kit_i)_mm_castps_si128(_mm_shuffle_ps(a, b, 0x88)) +
           (kit_i)_mm_castps_si128(_mm_shuffle_ps(a, b, 0xdd));
}

#else

typedef kit_i super_sum;

KIT_INLINE super_sum super_zero(void)
{
    return kit_seti(0);
}

KIT_INLINE super_sum super_add(super_sum s, kit_i levels, const int8_t *x)
{
    return s + (levels & 255) * x[0] + ((levels >> 8) & 255) * x[1] +
           ((levels >> 16) & 255) * x[2] + ((levels >> 24) & 255) * x[3];
}

KIT_INLINE kit_i super_total(super_sum s)
{
    return s;
}

#endif

KIT_INLINE kit_i super_scale(kit_i four, int is_signed)
{
    return is_signed ? (four << 24) >> 24 : four & 255;
}

KIT_INLINE kit_i super_scaled(kit_i total, super_sum s, kit_i scale)
{
    return total + super_total(s) * scale;
}

KIT_INLINE kit_i super_pairs(kit_i total, super_words_t words, const int16_t *x)
{
    return total + (((kit_i)words << 16) >> 16) * x[0] + ((kit_i)words >> 16) * x[1];
}

#endif

// ---- the value of a block ----

// d * a - m * b, rounded to a float once.
#if defined(KIT_AVX512)

struct super_factors {
    __m512d d[2], m[2];
};

KIT_INLINE struct super_factors super_factors_of(kit_f d, kit_f m)
{
    __m512 df = (__m512)d, mf = (__m512)m;
    return (struct super_factors){{_mm512_cvtps_pd(_mm512_castps512_ps256(df)),
                                   _mm512_cvtps_pd(_mm512_extractf32x8_ps(df, 1))},
                                  {_mm512_cvtps_pd(_mm512_castps512_ps256(mf)),
                                   _mm512_cvtps_pd(_mm512_extractf32x8_ps(mf, 1))}};
}

KIT_INLINE kit_f super_value(const struct super_factors *f, kit_i a, kit_i b)
{
    __m256 part[2];
    KIT_UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i ah =
            h ? _mm512_extracti32x8_epi32((__m512i)a, 1) : _mm512_castsi512_si256((__m512i)a);
        __m256i bh =
            h ? _mm512_extracti32x8_epi32((__m512i)b, 1) : _mm512_castsi512_si256((__m512i)b);
        __m512d left = _mm512_mul_pd(f->d[h], _mm512_cvtepi32_pd(ah));
        part[h] =
            _mm512_cvtpd_ps(_mm512_sub_pd(left, _mm512_mul_pd(f->m[h], _mm512_cvtepi32_pd(bh))));
    }
    return (kit_f)_mm512_insertf32x8(_mm512_castps256_ps512(part[0]), part[1], 1);
}

#elif defined(KIT_AVX2)

struct super_factors {
    __m256d d[2], m[2];
};

KIT_INLINE struct super_factors super_factors_of(kit_f d, kit_f m)
{
    __m256 df = (__m256)d, mf = (__m256)m;
    return (struct super_factors){{_mm256_cvtps_pd(_mm256_castps256_ps128(df)),
                                   _mm256_cvtps_pd(_mm256_extractf128_ps(df, 1))},
                                  {_mm256_cvtps_pd(_mm256_castps256_ps128(mf)),
                                   _mm256_cvtps_pd(_mm256_extractf128_ps(mf, 1))}};
}

KIT_INLINE kit_f super_value(const struct super_factors *f, kit_i a, kit_i b)
{
    __m128 part[2];
    KIT_UNROLL
    for (int h = 0; h < 2; h++) {
        __m128i ah =
            h ? _mm256_extracti128_si256((__m256i)a, 1) : _mm256_castsi256_si128((__m256i)a);
        __m128i bh =
            h ? _mm256_extracti128_si256((__m256i)b, 1) : _mm256_castsi256_si128((__m256i)b);
        __m256d left = _mm256_mul_pd(f->d[h], _mm256_cvtepi32_pd(ah));
        part[h] =
            _mm256_cvtpd_ps(_mm256_sub_pd(left, _mm256_mul_pd(f->m[h], _mm256_cvtepi32_pd(bh))));
    }
    return (kit_f)_mm256_set_m128(part[1], part[0]);
}

#else

struct super_factors {
    kit_f d, m;
};

KIT_INLINE struct super_factors super_factors_of(kit_f d, kit_f m)
{
    return (struct super_factors){d, m};
}

KIT_INLINE kit_f super_value(const struct super_factors *f, kit_i a, kit_i b)
{
    kit_f value;
    KIT_UNROLL
    for (int l = 0; l < KIT_W; l++)
        value[l] = (float)((double)f->d[l] * a[l] - (double)f->m[l] * b[l]);
    return value;
}

#endif

// The halves in the lower and upper parts of the lanes.
KIT_INLINE void super_halves(kit_i both, kit_f *lower, kit_f *upper)
{
#if defined(KIT_AVX512)
    *lower = (kit_f)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)both));
    *upper = (kit_f)_mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32((__m512i)both, 16)));
#elif defined(KIT_AVX2)
    const __m256i apart = _mm256_set_epi8(15, 14, 11, 10, 7, 6, 3, 2, 13, 12, 9, 8, 5, 4, 1, 0, 15,
                                          14, 11, 10, 7, 6, 3, 2, 13, 12, 9, 8, 5, 4, 1, 0);
    __m256i v = _mm256_shuffle_epi8((__m256i)both, apart);
    v = _mm256_permute4x64_epi64(v, 0xd8);
    *lower = (kit_f)_mm256_cvtph_ps(_mm256_castsi256_si128(v));
    *upper = (kit_f)_mm256_cvtph_ps(_mm256_extracti128_si256(v, 1));
#else
    uint16_t half[2 * KIT_W];
    memcpy(half, &both, sizeof half);
    for (int l = 0; l < KIT_W; l++) {
        (*lower)[l] = kit_load_half(half + 2 * l);
        (*upper)[l] = kit_load_half(half + 2 * l + 1);
    }
#endif
}

#endif
