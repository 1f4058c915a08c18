// SPDX-License-Identifier: MIT
// e^x on vectors, with the bits of expf in glibc and musl, for every finite x, infinities and NaN.
// The published algorithm of ARM's optimized routines, in doubles: x * 32/ln2 = k + r with a whole
// k; 2^(k/32) from a table of 32 entries and an addition to the exponent; a cubic polynomial in r.
// r must be rounded once; fusing the other operations changes no result.
#ifndef DT_ABI_KIT_EXPF_H
#define DT_ABI_KIT_EXPF_H

#include "vector.h"

// Entry i: the bits of the double 2^(i/32), minus i << 47.
static const uint64_t kit_exp_table[32] __attribute__((aligned(64))) = {
    0x3ff0000000000000, 0x3fefd9b0d3158574, 0x3fefb5586cf9890f, 0x3fef9301d0125b51,
    0x3fef72b83c7d517b, 0x3fef54873168b9aa, 0x3fef387a6e756238, 0x3fef1e9df51fdee1,
    0x3fef06fe0a31b715, 0x3feef1a7373aa9cb, 0x3feedea64c123422, 0x3feece086061892d,
    0x3feebfdad5362a27, 0x3feeb42b569d4f82, 0x3feeab07dd485429, 0x3feea47eb03a5585,
    0x3feea09e667f3bcd, 0x3fee9f75e8ec5f74, 0x3feea11473eb0187, 0x3feea589994cce13,
    0x3feeace5422aa0db, 0x3feeb737b0cdc5e5, 0x3feec49182a3f090, 0x3feed503b23e255d,
    0x3feee89f995ad3ad, 0x3feeff76f2fb5e47, 0x3fef199bdd85529c, 0x3fef3720dcef9069,
    0x3fef5818dcfba487, 0x3fef7c97337b9b5f, 0x3fefa4afa2a490da, 0x3fefd0765b6e4540,
};

#define KIT_EXP_SCALE      0x1.71547652b82fep+5 // 32 / ln 2
#define KIT_EXP_SCALE_HIGH 0x1.7154765p+5 // its upper 29 bits; exact in a double times a float
#define KIT_EXP_SCALE_LOW  0x1.5c17fp-26  // its lower bits
#define KIT_EXP_SHIFT      0x1.8p+52
#define KIT_EXP_C0         (0x1.c6af84b912394p-5 / 32768)
#define KIT_EXP_C1         (0x1.ebfce50fac4f3p-3 / 1024)
#define KIT_EXP_C2         (0x1.62e42ff0c52d6p-1 / 32)
#define KIT_EXP_MAX        0x1.62e42ep6f    // above: infinity
#define KIT_EXP_MIN        (-0x1.9fe368p6f) // below: 0

#define KIT_WD (KIT_W / 2)
typedef double kit_d __attribute__((vector_size(KIT_W * 4)));
typedef uint64_t kit_u64 __attribute__((vector_size(KIT_W * 4)));

// table[k % 32] for each lane
KIT_INLINE kit_u64 kit_exp_lookup(kit_u64 k)
{
#if defined(KIT_AVX512)
    const __m512i *t = (const __m512i *)(const void *)kit_exp_table;
    __m512i low = _mm512_permutex2var_epi64(t[0], (__m512i)k, t[1]);
    __m512i high = _mm512_permutex2var_epi64(t[2], (__m512i)k, t[3]);
    return (kit_u64)_mm512_mask_blend_epi64(
        _mm512_test_epi64_mask((__m512i)k, _mm512_set1_epi64(16)), low, high);
#elif defined(KIT_AVX2)
    return (kit_u64)_mm256_i64gather_epi64((const long long *)(const void *)kit_exp_table,
                                           (__m256i)(k & 31), 8);
#else
    kit_u64 r = {0};
    for (int i = 0; i < KIT_WD; i++)
        r[i] = kit_exp_table[k[i] & 31];
    return r;
#endif
}

// a * b + c; fused where the CPU can
KIT_INLINE kit_d kit_fma_d(kit_d a, kit_d b, kit_d c)
{
#if defined(KIT_AVX512)
    return (kit_d)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(KIT_AVX2)
    return (kit_d)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(KIT_NEON)
    return (kit_d)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

KIT_INLINE kit_d kit_set_d(double a)
{
    return (kit_d){0} + a;
}

KIT_INLINE kit_d kit_exp_double(kit_d x)
{
    kit_d shifted = x * KIT_EXP_SCALE + KIT_EXP_SHIFT;
    kit_u64 k = (kit_u64)shifted;
    kit_d whole = shifted - KIT_EXP_SHIFT;
#if defined(KIT_AVX512) || defined(KIT_AVX2) || defined(KIT_NEON)
    kit_d r = kit_fma_d(kit_set_d(KIT_EXP_SCALE), x, -whole);
#else
    kit_d r = (x * KIT_EXP_SCALE_HIGH - whole) + x * KIT_EXP_SCALE_LOW;
#endif
    kit_d scale = (kit_d)(kit_exp_lookup(k) + (k << 47));
    kit_d high = kit_fma_d(r, kit_set_d(KIT_EXP_C0), kit_set_d(KIT_EXP_C1));
    kit_d low = kit_fma_d(r, kit_set_d(KIT_EXP_C2), kit_set_d(1.0));
    return kit_fma_d(high, r * r, low) * scale;
}

// The lanes in doubles: the lower half in out[0].
KIT_INLINE void kit_widen(kit_d out[2], kit_f x)
{
#if defined(KIT_AVX512)
    out[0] = (kit_d)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x));
    out[1] = (kit_d)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
#elif defined(KIT_AVX2)
    out[0] = (kit_d)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x));
    out[1] = (kit_d)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1));
#elif defined(KIT_NEON)
    out[0] = (kit_d)vcvt_f64_f32(vget_low_f32((float32x4_t)x));
    out[1] = (kit_d)vcvt_high_f64_f32((float32x4_t)x);
#else
    out[0] = (kit_d){x[0], x[1]};
    out[1] = (kit_d){x[2], x[3]};
#endif
}

KIT_INLINE kit_f kit_narrow(kit_d low, kit_d high)
{
#if defined(KIT_AVX512)
    return (kit_f)_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)low)),
                                     _mm512_cvtpd_ps((__m512d)high), 1);
#elif defined(KIT_AVX2)
    return (kit_f)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)high), _mm256_cvtpd_ps((__m256d)low));
#elif defined(KIT_NEON)
    return (kit_f)vcvt_high_f32_f64(vcvt_f32_f64((float64x2_t)low), (float64x2_t)high);
#else
    return (kit_f){(float)low[0], (float)low[1], (float)high[0], (float)high[1]};
#endif
}

KIT_INLINE kit_f kit_expf(kit_f x)
{
    kit_d wide[2];
    kit_widen(wide, x);
    kit_f y = kit_narrow(kit_exp_double(wide[0]), kit_exp_double(wide[1]));
    y = kit_select(x > KIT_EXP_MAX, kit_set(__builtin_inff()), y);
    y = kit_select(x < KIT_EXP_MIN, kit_set(0.0f), y);
    return kit_select(x != x, x, y);
}

#endif
