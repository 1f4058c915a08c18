// SPDX-License-Identifier: MIT
// Vectors of KIT_W floats for kernels: 16 with AVX-512, 8 with AVX2, else 4. Part of the kernel
// kit, which is header only, for modules written in C with gcc or clang. The types are the
// compiler's vector types, so that plain C covers every other CPU. On AArch64, -DKIT_NEON selects
// NEON intrinsics; without it the build uses plain C.
//
// Arithmetic uses operators and is exact IEEE: each operation is rounded separately. Build with
// -ffp-contract=off. Only kit_fma is fused, where the CPU can.
#ifndef DT_ABI_KIT_VECTOR_H
#define DT_ABI_KIT_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define KIT_AVX512 1
#define KIT_W      16
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define KIT_AVX2 1
#define KIT_W    8
#else
#define KIT_W 4
#endif

#if defined(KIT_AVX512) || defined(KIT_AVX2)
#include <immintrin.h>
#elif defined(KIT_NEON)
#include <arm_neon.h>
#endif

#define KIT_INLINE static inline __attribute__((always_inline, unused))

// A function that is compiled once: neither inlined nor copied for constant arguments.
#ifdef __clang__
#define KIT_ONCE static __attribute__((noinline, unused))
#else
#define KIT_ONCE static __attribute__((noinline, noclone, unused))
#endif

// Unrolls the loop behind it. For loops with a constant count over a small array of vectors, which
// the compiler then holds in registers.
#ifdef __clang__
#define KIT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define KIT_UNROLL _Pragma("GCC unroll 16")
#endif

typedef float kit_f __attribute__((vector_size(KIT_W * 4)));
typedef int32_t kit_i __attribute__((vector_size(KIT_W * 4)));
typedef float kit_f_unaligned __attribute__((vector_size(KIT_W * 4), aligned(4), may_alias));
typedef int32_t kit_i_unaligned __attribute__((vector_size(KIT_W * 4), aligned(4), may_alias));

// ---- loads, stores, constants ----

KIT_INLINE kit_f kit_load(const float *p)
{
    return *(const kit_f_unaligned *)p;
}

KIT_INLINE void kit_store(float *p, kit_f v)
{
    *(kit_f_unaligned *)p = v;
}

// Loads n values, 0 <= n <= KIT_W, followed by zeros. Reads nothing beyond them.
KIT_INLINE kit_f kit_load_n(const float *p, size_t n)
{
#ifdef KIT_AVX512
    return (kit_f)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    kit_f v = {0};
    memcpy(&v, p, n * sizeof(float));
    return v;
#endif
}

// Stores the first n lanes, 0 <= n <= KIT_W. Writes nothing beyond them.
KIT_INLINE void kit_store_n(float *p, kit_f v, size_t n)
{
#ifdef KIT_AVX512
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
    memcpy(p, &v, n * sizeof(float));
#endif
}

KIT_INLINE kit_f kit_set(float a)
{
#if defined(KIT_AVX512)
    return (kit_f)_mm512_set1_ps(a);
#elif defined(KIT_AVX2)
    return (kit_f)_mm256_set1_ps(a);
#else
    return (kit_f){a, a, a, a};
#endif
}

KIT_INLINE kit_i kit_seti(int32_t a)
{
    return (kit_i){0} + a;
}

// 0, 1, 2, ...
KIT_INLINE kit_i kit_iota(void)
{
    kit_i v = {0};
    for (int i = 0; i < KIT_W; i++)
        v[i] = i;
    return v;
}

// mask ? a : b for each lane. A lane of mask is all ones or all zeros, as comparisons give it.
KIT_INLINE kit_f kit_select(kit_i mask, kit_f a, kit_f b)
{
#if defined(KIT_AVX512)
    return (kit_f)_mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)mask), (__m512)b, (__m512)a);
#elif defined(KIT_AVX2)
    return (kit_f)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask);
#elif defined(KIT_NEON)
    return (kit_f)vbslq_f32((uint32x4_t)mask, (float32x4_t)a, (float32x4_t)b);
#else
    return (kit_f)((mask & (kit_i)a) | (~mask & (kit_i)b));
#endif
}

// Bit i is lane i of a mask.
KIT_INLINE uint32_t kit_bits(kit_i mask)
{
#if defined(KIT_AVX512)
    return _mm512_movepi32_mask((__m512i)mask);
#elif defined(KIT_AVX2)
    return (uint32_t)_mm256_movemask_ps((__m256)mask);
#elif defined(KIT_NEON)
    return vaddvq_u32((uint32x4_t)(mask & (kit_i){1, 2, 4, 8}));
#else
    return ((uint32_t)mask[0] & 1) | ((uint32_t)mask[1] & 2) | ((uint32_t)mask[2] & 4) |
           ((uint32_t)mask[3] & 8);
#endif
}

KIT_INLINE kit_f kit_abs(kit_f v)
{
    return (kit_f)((kit_i)v & 0x7fffffff);
}

// b > a ? b : a for each lane; so a where one is NaN.
KIT_INLINE kit_f kit_max(kit_f a, kit_f b)
{
#if defined(KIT_AVX512)
    return (kit_f)_mm512_max_ps((__m512)b, (__m512)a);
#elif defined(KIT_AVX2)
    return (kit_f)_mm256_max_ps((__m256)b, (__m256)a);
#else
    return kit_select(b > a, b, a);
#endif
}

KIT_INLINE float kit_max_lane(kit_f v)
{
#if defined(KIT_AVX512)
    return _mm512_reduce_max_ps((__m512)v);
#elif defined(KIT_NEON)
    return vmaxvq_f32((float32x4_t)v);
#elif defined(KIT_AVX2)
    __m128 most =
        _mm_max_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
#else
    float most = v[0];
    for (int i = 1; i < KIT_W; i++)
        most = v[i] > most ? v[i] : most;
    return most;
#endif
}

KIT_INLINE int32_t kit_sum_lanes(kit_i v)
{
#if defined(KIT_AVX512)
    return _mm512_reduce_add_epi32((__m512i)v);
#elif defined(KIT_NEON)
    return vaddvq_s32((int32x4_t)v);
#elif defined(KIT_AVX2)
    __m128i sum =
        _mm_add_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
#else
    int32_t sum = 0;
    for (int i = 0; i < KIT_W; i++)
        sum += v[i];
    return sum;
#endif
}

// a * b + c; fused where the CPU can.
KIT_INLINE kit_f kit_fma(kit_f a, kit_f b, kit_f c)
{
#if defined(KIT_AVX512)
    return (kit_f)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(KIT_AVX2)
    return (kit_f)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(KIT_NEON)
    return (kit_f)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

KIT_INLINE kit_f kit_to_float(kit_i v)
{
    return __builtin_convertvector(v, kit_f);
}

// Rounds towards zero; for |v| < 2^31.
KIT_INLINE kit_i kit_to_int(kit_f v)
{
    return __builtin_convertvector(v, kit_i);
}

// ---- binary16 and bfloat16 ----

// IEEE binary16 to binary32; exact, including subnormals and infinities.
KIT_INLINE float kit_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023,
             bits;
    float value;
    if (exponent == 31) {
        bits = sign | 0x7f800000 | fraction << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        value = (float)fraction * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

// The binary16 at p, which may be unaligned.
KIT_INLINE float kit_load_half(const void *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
#if defined(KIT_AVX512) || defined(KIT_AVX2)
    return _cvtsh_ss(h);
#elif defined(KIT_NEON)
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
#else
    return kit_half(h);
#endif
}

// The float at p, which may be unaligned.
KIT_INLINE float kit_load_float(const void *p)
{
    float f;
    memcpy(&f, p, sizeof f);
    return f;
}

// Loads n binary16 values, 0 <= n <= KIT_W, followed by zeros. Reads nothing beyond them.
KIT_INLINE kit_f kit_load_f16_n(const uint16_t *p, size_t n)
{
#if defined(KIT_AVX512)
    return (kit_f)_mm512_cvtph_ps(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
#else
    kit_f v = {0};
    for (size_t i = 0; i < n; i++)
        v[i] = kit_load_half(p + i);
    return v;
#endif
}

KIT_INLINE kit_f kit_load_f16(const uint16_t *p)
{
#if defined(KIT_AVX512)
    return (kit_f)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
#elif defined(KIT_AVX2)
    return (kit_f)_mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
#elif defined(KIT_NEON)
    return (kit_f)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    return kit_load_f16_n(p, KIT_W);
#endif
}

// Loads KIT_W int8 as floats. kit_load_i8_n: n of them, 0 <= n <= KIT_W, followed by zeros; reads
// nothing beyond them.
KIT_INLINE kit_f kit_load_i8_n(const int8_t *p, size_t n)
{
#if defined(KIT_AVX512)
    return (kit_f)_mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p)));
#else
    kit_i v = {0};
    for (size_t i = 0; i < n; i++)
        v[i] = p[i];
    return kit_to_float(v);
#endif
}

KIT_INLINE kit_f kit_load_i8(const int8_t *p)
{
#if defined(KIT_AVX512)
    return (kit_f)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
#elif defined(KIT_AVX2)
    return (kit_f)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
#elif defined(KIT_NEON)
    int32_t four;
    memcpy(&four, p, sizeof four);
    int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return (kit_f)vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
#else
    return kit_load_i8_n(p, KIT_W);
#endif
}

// As kit_load_f16_n, for bfloat16.
KIT_INLINE kit_f kit_load_bf16_n(const uint16_t *p, size_t n)
{
#if defined(KIT_AVX512)
    __m256i top = _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p);
    return (kit_f)_mm512_slli_epi32(_mm512_cvtepu16_epi32(top), 16);
#else
    kit_i v = {0};
    for (size_t i = 0; i < n; i++) {
        uint16_t top;
        memcpy(&top, p + i, sizeof top);
        v[i] = (int32_t)((uint32_t)top << 16);
    }
    return (kit_f)v;
#endif
}

KIT_INLINE kit_f kit_load_bf16(const uint16_t *p)
{
#if defined(KIT_AVX2)
    return (kit_f)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16);
#elif defined(KIT_NEON)
    return (kit_f)vshll_n_u16(vld1_u16(p), 16);
#else
    return kit_load_bf16_n(p, KIT_W);
#endif
}

#endif
