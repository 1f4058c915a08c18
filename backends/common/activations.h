// SPDX-License-Identifier: MIT
// Activations quantised to 8 bits in groups, the second operand of int8 and int4. A prepared column
// has three parts, each padded to 64 bytes: the quants, padded with zeros; a float scale for each
// group; and an int32 correction for each group. A kernel that adds a bias to its weights, to make
// them unsigned, adds the correction to its sum: minus the bias times the sum of the group's
// quants. Groups of 256 have a fourth part, for the blocks of super.h: for each group the sums of
// its runs of 32 quants, in the order 0, 2, 1, 3, 4, 6, 5, 7, and of those of 16 in the same order.
#ifndef DT_BACKENDS_COMMON_ACTIVATIONS_H
#define DT_BACKENDS_COMMON_ACTIVATIONS_H

#include "abi/backend.h"
#include "abi/kit/vector.h"

struct act_layout {
    size_t scales, corrections, sums; // byte offsets in a column
    size_t column;                    // bytes of a column
};

enum {
    act_sums_group = 256, // groups of so many values have sums
    act_sums_bytes = 48,  // of one group: 8 and 16 int16
};

// The parts of one prepared column.
struct act_column {
    const int8_t *quants;
    const float *scales;
    const int32_t *corrections;
};

KIT_INLINE struct act_layout act_layout_of(const struct dt_matrix *w)
{
    size_t groups = ((size_t)(w->cols / w->group) * 4 + 63) / 64 * 64;
    struct act_layout l = {.scales = ((size_t)w->cols + 63) / 64 * 64};
    l.corrections = l.scales + groups;
    l.sums = l.column = l.corrections + groups;
    if (w->group == act_sums_group)
        l.column += ((size_t)(w->cols / w->group) * act_sums_bytes + 63) / 64 * 64;
    return l;
}

KIT_INLINE struct act_column act_column_at(const void *act, const struct act_layout *l,
                                           uint32_t column)
{
    const unsigned char *at = (const unsigned char *)act + column * l->column;
    return (struct act_column){(const int8_t *)at, (const float *)(const void *)(at + l->scales),
                               (const int32_t *)(const void *)(at + l->corrections)};
}

// round(x / scale), halves away from zero; 0 if the result is outside -127 .. 127, which happens
// only if the scale is subnormal or not finite.
KIT_INLINE kit_i act_quantise(kit_f x, kit_f scale)
{
    kit_f v = x / scale;
    kit_i valid = kit_abs(v) < 127.5f; // false for NaN
#ifdef KIT_NEON
    return (kit_i)vcvtaq_s32_f32((float32x4_t)v) & valid; // rounds halves away from zero
#else
    kit_i q = kit_to_int(kit_select(valid, v, kit_set(0.0f)));
    kit_f rest = v - kit_to_float(q);   // exact
    q -= (kit_i)(rest >= 0.5f) & valid; // a true comparison is -1
    q += (kit_i)(rest <= -0.5f) & valid;
    return q;
#endif
}

// The same result, mostly without a division: x * inverse is within 2.3e-5 of x / scale, so both
// round to the same number unless the quotient is that close to a half. inverse: from act_inverse.
KIT_INLINE kit_i act_quantise_by(kit_f x, kit_f scale, kit_f inverse)
{
    const float shift = 0x1.8p+23f; // adding and subtracting it rounds to a whole number
    kit_f v = x * inverse, whole = (v + shift) - shift;
    kit_i clear = kit_abs(v - whole) < 0.49996f; // false for NaN
    return kit_bits(clear) == (1u << KIT_W) - 1 ? kit_to_int(whole) : act_quantise(x, scale);
}

// 1 / scale; NaN for a scale so small or large that the bound of act_quantise_by does not hold.
KIT_INLINE float act_inverse(float scale)
{
    return scale >= 0x1p-100f && scale <= 0x1p+100f ? 1.0f / scale : __builtin_nanf("");
}

// Stores the first n lanes of q as int8, n <= KIT_W.
KIT_INLINE void act_store(int8_t *to, kit_i q, size_t n)
{
#if defined(KIT_AVX512)
    _mm_mask_storeu_epi8(to, (__mmask16)((1u << n) - 1), _mm512_cvtepi32_epi8((__m512i)q));
#elif defined(KIT_AVX2)
    __m256i words = _mm256_packs_epi32((__m256i)q, (__m256i)q);
    __m256i bytes = _mm256_packs_epi16(words, words);
    int32_t parts[2] = {_mm256_extract_epi32(bytes, 0), _mm256_extract_epi32(bytes, 4)};
    memcpy(to, parts, n);
#elif defined(KIT_NEON)
    int16x4_t words = vmovn_s32((int32x4_t)q);
    int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    memcpy(to, &bytes, n);
#else
    for (size_t i = 0; i < n; i++)
        to[i] = (int8_t)q[i];
#endif
}

// Quantises one group of n values. whole: n is a multiple of KIT_W (a constant, to be inlined).
KIT_INLINE void act_group_of(const float *x, uint32_t n, int8_t *quants, float *scale_out,
                             int32_t *correction, int32_t bias, int whole)
{
    kit_f most = kit_set(0.0f);
    for (uint32_t i = 0; i < n; i += KIT_W)
        most = kit_max(most, kit_abs(kit_load_n(x + i, whole || n - i >= KIT_W ? KIT_W : n - i)));
    float scale = kit_max_lane(most) / 127.0f, inverse = act_inverse(scale);
    kit_i sums = kit_seti(0);
    for (uint32_t i = 0; i < n; i += KIT_W) {
        size_t left = whole || n - i >= KIT_W ? KIT_W : n - i;
        kit_i q = act_quantise_by(kit_load_n(x + i, left), kit_set(scale), kit_set(inverse));
        act_store(quants + i, q, left);
        sums += q; // lanes past the end are 0
    }
    *scale_out = scale;
    *correction = -bias * kit_sum_lanes(sums);
}

KIT_INLINE void act_group(const float *x, uint32_t n, int8_t *quants, float *scale,
                          int32_t *correction, int32_t bias)
{
    if (n % KIT_W == 0)
        act_group_of(x, n, quants, scale, correction, bias, 1);
    else
        act_group_of(x, n, quants, scale, correction, bias, 0);
}

// The sums of the runs of a group of 256 quants.
KIT_INLINE void act_sums(unsigned char *to, const int8_t *quants)
{
    int16_t sums[24], run[16];
    for (int r = 0; r < 16; r++) {
        int16_t sum = 0;
        for (int i = 0; i < 16; i++)
            sum = (int16_t)(sum + quants[r * 16 + i]);
        run[r] = sum;
    }
    for (int r = 0; r < 16; r++) { // the middle two of each four change places
        int place = (r & ~3) | (r & 1) << 1 | (r >> 1 & 1);
        sums[8 + place] = run[r];
        if (r < 8)
            sums[place] = (int16_t)(run[2 * r] + run[2 * r + 1]);
    }
    memcpy(to, sums, sizeof sums);
}

// dt_backend.act_prepare, for kernels that add `bias` to their weights.
KIT_INLINE void act_prepare_columns(void *act, const float *x, size_t x_stride, uint32_t columns,
                                    const struct dt_matrix *w, int32_t bias)
{
    struct act_layout l = act_layout_of(w);
    for (uint32_t c = 0; c < columns; c++, x += x_stride) {
        unsigned char *at = (unsigned char *)act + c * l.column;
        float *scales = (float *)(void *)(at + l.scales);
        int32_t *corrections = (int32_t *)(void *)(at + l.corrections);
        for (uint32_t g = 0; g < w->cols / w->group; g++)
            act_group(x + (size_t)g * w->group, w->group, (int8_t *)at + (size_t)g * w->group,
                      scales + g, corrections + g, bias);
        memset(at + w->cols, 0, l.scales - w->cols);
        for (uint32_t g = 0; w->group == act_sums_group && g < w->cols / act_sums_group; g++)
            act_sums(at + l.sums + (size_t)g * act_sums_bytes, (const int8_t *)at + g * 256ul);
    }
}

// dt_backend.act_error. Let x + d be the dequantised column. The bound is |d|, the
// error of quantising, plus (groups + 4) 2^-24 |x + d|, for the rounding of one conversion, two
// multiplications and one addition in each group. The factor 1.01 covers the rounding of the sums
// of squares here, which are floats within a group.
KIT_INLINE float act_error_of(const struct act_column *column, const float *x,
                              const struct dt_matrix *w)
{
    double changed = 0, norm = 0;
    uint32_t groups = w->cols / w->group;
    for (uint32_t g = 0; g < groups; g++) {
        float difference = 0, magnitude = 0, scale = column->scales[g];
        for (uint32_t i = g * w->group; i < (g + 1) * w->group; i++) {
            float value = (float)column->quants[i] * scale, d = x[i] - value;
            difference += d * d;
            magnitude += value * value;
        }
        changed += (double)difference;
        norm += (double)magnitude;
    }
    return (float)(1.01 *
                   (__builtin_sqrt(changed) + (groups + 4) * 0x1p-24 * __builtin_sqrt(norm)));
}

#endif
