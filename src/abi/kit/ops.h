// SPDX-License-Identifier: MIT
// The operators of a transformer other than matrix products, vectorised and bit-identical to the
// reference. Vector lanes are channels or positions, never the terms of one float sum; where a sum
// runs in sequence, several sums run side by side. Arguments are those of the entries of struct
// dt_backend.
#ifndef DT_ABI_KIT_OPS_H
#define DT_ABI_KIT_OPS_H

#include "../backend.h"
#include "expf.h"
#include "vector.h"

// The exponential of one vector. A constant argument of the functions below, so that it is inlined.
typedef kit_f kit_exp_fn(kit_f x);

// ---- rmsnorm, rope, add ----

KIT_INLINE void kit_rmsnorm_finish(float *out, const float *x, const float *weight, uint32_t n,
                                   float ss, float epsilon)
{
    ss /= (float)n;
    ss += epsilon;
    ss = 1.0f / __builtin_sqrtf(ss);
    uint32_t i = 0;
    for (; i + KIT_W <= n; i += KIT_W)
        kit_store(out + i, kit_load(weight + i) * (ss * kit_load(x + i)));
    for (; i < n; i++)
        out[i] = weight[i] * (ss * x[i]);
}

// The additions of a column depend on each other, so at_once columns are computed side by side.
// Returns the first column that is left.
KIT_INLINE uint32_t kit_rmsnorm_some(float *out, size_t out_stride, const float *x, size_t x_stride,
                                     const float *weight, uint32_t n, uint32_t c, uint32_t columns,
                                     float epsilon, int at_once)
{
    for (; c + (uint32_t)at_once <= columns; c += (uint32_t)at_once) {
        const float *at = x + c * x_stride;
        float ss[8] = {0};
        for (uint32_t i = 0; i < n; i++) {
            for (int k = 0; k < at_once; k++)
                ss[k] += at[k * x_stride + i] * at[k * x_stride + i];
        }
        for (int k = 0; k < at_once; k++)
            kit_rmsnorm_finish(out + (c + k) * out_stride, at + k * x_stride, weight, n, ss[k],
                               epsilon);
    }
    return c;
}

KIT_INLINE void kit_rmsnorm(float *out, size_t out_stride, const float *x, size_t x_stride,
                            const float *weight, uint32_t n, uint32_t columns, float epsilon)
{
    uint32_t c = kit_rmsnorm_some(out, out_stride, x, x_stride, weight, n, 0, columns, epsilon, 8);
    c = kit_rmsnorm_some(out, out_stride, x, x_stride, weight, n, c, columns, epsilon, 4);
    c = kit_rmsnorm_some(out, out_stride, x, x_stride, weight, n, c, columns, epsilon, 2);
    kit_rmsnorm_some(out, out_stride, x, x_stride, weight, n, c, columns, epsilon, 1);
}

// Both sums of a column are in sequence, so at_once columns are computed side by side. Returns the
// first column that is left.
KIT_INLINE uint32_t kit_layernorm_some(float *out, size_t out_stride, const float *x,
                                       size_t x_stride, const float *weight, const float *bias,
                                       uint32_t n, uint32_t c, uint32_t columns, float epsilon,
                                       int at_once)
{
    for (; c + (uint32_t)at_once <= columns; c += (uint32_t)at_once) {
        const float *at = x + c * x_stride;
        float mean[8] = {0}, variance[8] = {0};
        for (uint32_t i = 0; i < n; i++) {
            for (int k = 0; k < at_once; k++)
                mean[k] += at[k * x_stride + i];
        }
        for (int k = 0; k < at_once; k++)
            mean[k] /= (float)n;
        for (uint32_t i = 0; i < n; i++) {
            for (int k = 0; k < at_once; k++)
                variance[k] += (at[k * x_stride + i] - mean[k]) * (at[k * x_stride + i] - mean[k]);
        }
        for (int k = 0; k < at_once; k++) {
            const float *from = at + k * x_stride;
            float *to = out + (c + k) * out_stride;
            float r = 1.0f / __builtin_sqrtf(variance[k] / (float)n + epsilon);
            uint32_t i = 0;
            for (; i + KIT_W <= n; i += KIT_W)
                kit_store(to + i, kit_load(weight + i) * ((kit_load(from + i) - mean[k]) * r) +
                                      (bias ? kit_load(bias + i) : kit_set(0.0f)));
            for (; i < n; i++)
                to[i] = weight[i] * ((from[i] - mean[k]) * r) + (bias ? bias[i] : 0.0f);
        }
    }
    return c;
}

KIT_INLINE void kit_layernorm(float *out, size_t out_stride, const float *x, size_t x_stride,
                              const float *weight, const float *bias, uint32_t n, uint32_t columns,
                              float epsilon)
{
    uint32_t c =
        kit_layernorm_some(out, out_stride, x, x_stride, weight, bias, n, 0, columns, epsilon, 8);
    c = kit_layernorm_some(out, out_stride, x, x_stride, weight, bias, n, c, columns, epsilon, 2);
    kit_layernorm_some(out, out_stride, x, x_stride, weight, bias, n, c, columns, epsilon, 1);
}

KIT_INLINE void kit_rope(float *x, uint32_t heads, uint32_t head_size, uint32_t rotated,
                         const float *cosine, const float *sine, uint32_t style)
{
    uint32_t half = rotated / 2;
    for (uint32_t h = 0; h < heads; h++, x += head_size) {
        uint32_t i = 0;
        if (style == DT_ROPE_HALVES) {
            for (; i + KIT_W <= half; i += KIT_W) {
                kit_f a = kit_load(x + i), b = kit_load(x + half + i);
                kit_f c = kit_load(cosine + i), s = kit_load(sine + i);
                kit_store(x + i, a * c - b * s);
                kit_store(x + half + i, a * s + b * c);
            }
            for (; i < half; i++) {
                float a = x[i], b = x[half + i];
                x[i] = a * cosine[i] - b * sine[i];
                x[half + i] = a * sine[i] + b * cosine[i];
            }
            continue;
        }
#ifdef KIT_AVX512
        const __m512i even =
            _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        const __m512i first =
            _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
        for (; i + 16 <= half; i += 16) {
            __m512 l = _mm512_loadu_ps(x + 2 * i), m = _mm512_loadu_ps(x + 2 * i + 16);
            kit_f a = (kit_f)_mm512_permutex2var_ps(l, even, m),
                  b = (kit_f)_mm512_permutex2var_ps(l, odd, m);
            kit_f c = kit_load(cosine + i), s = kit_load(sine + i);
            kit_f u = a * c - b * s, v = a * s + b * c;
            _mm512_storeu_ps(x + 2 * i, _mm512_permutex2var_ps((__m512)u, first, (__m512)v));
            _mm512_storeu_ps(x + 2 * i + 16, _mm512_permutex2var_ps((__m512)u, second, (__m512)v));
        }
#elif defined(KIT_NEON)
        for (; i + 4 <= half; i += 4) {
            float32x4x2_t pairs = vld2q_f32(x + 2 * i);
            kit_f a = (kit_f)pairs.val[0], b = (kit_f)pairs.val[1], c = kit_load(cosine + i),
                  s = kit_load(sine + i);
            pairs.val[0] = (float32x4_t)(a * c - b * s);
            pairs.val[1] = (float32x4_t)(a * s + b * c);
            vst2q_f32(x + 2 * i, pairs);
        }
#endif
        for (; i < half; i++) {
            float a = x[2 * i], b = x[2 * i + 1];
            x[2 * i] = a * cosine[i] - b * sine[i];
            x[2 * i + 1] = a * sine[i] + b * cosine[i];
        }
    }
}

KIT_INLINE void kit_add(float *x, const float *y, uint32_t n)
{
    uint32_t i = 0;
    for (; i + KIT_W <= n; i += KIT_W)
        kit_store(x + i, kit_load(x + i) + kit_load(y + i));
    for (; i < n; i++)
        x[i] += y[i];
}

// ---- exponentials ----

KIT_INLINE void kit_silu_mul(float *gate, const float *up, uint32_t n, kit_exp_fn *exp)
{
    for (uint32_t i = 0; i < n; i += KIT_W) {
        size_t left = n - i < KIT_W ? n - i : KIT_W;
        kit_f a = left == KIT_W ? kit_load(gate + i) : kit_load_n(gate + i, left);
        kit_f b = left == KIT_W ? kit_load(up + i) : kit_load_n(up + i, left);
        kit_f y = a * (1.0f / (1.0f + exp(-a))) * b;
        if (left == KIT_W)
            kit_store(gate + i, y);
        else
            kit_store_n(gate + i, y, left);
    }
}

// gate = gelu(gate) * up; up NULL: gate = gelu(gate)
KIT_INLINE void kit_gelu_mul(float *gate, const float *up, uint32_t n, kit_exp_fn *exp)
{
    for (uint32_t i = 0; i < n; i += KIT_W) {
        size_t left = n - i < KIT_W ? n - i : KIT_W;
        kit_f a = left == KIT_W ? kit_load(gate + i) : kit_load_n(gate + i, left);
        kit_f y = a * (1.0f / (1.0f + exp(-(a * (1.5957691216f + 0.0713548163f * (a * a))))));
        if (up)
            y *= left == KIT_W ? kit_load(up + i) : kit_load_n(up + i, left);
        if (left == KIT_W)
            kit_store(gate + i, y);
        else
            kit_store_n(gate + i, y, left);
    }
}

// x = cap * tanh(x / cap)
KIT_INLINE void kit_softcap(float *x, uint32_t n, float cap, kit_exp_fn *exp)
{
    for (uint32_t i = 0; i < n; i += KIT_W) {
        size_t left = n - i < KIT_W ? n - i : KIT_W;
        kit_f a = left == KIT_W ? kit_load(x + i) : kit_load_n(x + i, left);
        kit_f y = cap * (1.0f - 2.0f / (1.0f + exp(2.0f * (a / cap))));
        if (left == KIT_W)
            kit_store(x + i, y);
        else
            kit_store_n(x + i, y, left);
    }
}

// The largest of x[0 .. n), n >= 1: the result of `if (x[i] > largest) largest = x[i]` in sequence.
KIT_INLINE float kit_largest(const float *x, uint32_t n)
{
    kit_f most = kit_set(x[0]);
    uint32_t i = 0;
    for (; i + KIT_W <= n; i += KIT_W)
        most = kit_max(most, kit_load(x + i));
    float largest = kit_max_lane(most);
    for (; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

// x = exp(x - largest)
KIT_INLINE void kit_exp_less(float *x, uint32_t n, float largest, kit_exp_fn *exp)
{
    for (uint32_t i = 0; i < n; i += KIT_W) {
        size_t left = n - i;
        if (left >= KIT_W)
            kit_store(x + i, exp(kit_load(x + i) - largest));
        else
            kit_store_n(x + i, exp(kit_load_n(x + i, left) - largest), left);
    }
}

KIT_INLINE void kit_divide(float *x, uint32_t n, float by)
{
    uint32_t i = 0;
    for (; i + KIT_W <= n; i += KIT_W)
        kit_store(x + i, kit_load(x + i) / by);
    for (; i < n; i++)
        x[i] /= by;
}

KIT_INLINE void kit_softmax(float *x, uint32_t n, kit_exp_fn *exp)
{
    kit_exp_less(x, n, kit_largest(x, n), exp);
    float sum = 0.0f;
    for (uint32_t i = 0; i < n; i++)
        sum += x[i];
    kit_divide(x, n, sum);
}

// ---- choosing ----

// A block whose maximum is not greater than the best value so far is skipped.
KIT_INLINE uint32_t kit_argmax(const float *x, uint32_t n)
{
    enum { block = 8 * KIT_W };
    uint32_t best = 0, i = 0;
    for (; i + block <= n; i += block) {
        kit_f most = kit_load(x + i);
        for (uint32_t k = KIT_W; k < block; k += KIT_W)
            most = kit_max(most, kit_load(x + i + k));
        if (!kit_bits(most > kit_set(x[best])))
            continue;
        for (uint32_t k = i; k < i + block; k++)
            best = x[k] > x[best] ? k : best;
    }
    for (; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

KIT_INLINE uint32_t kit_select_above(const float *x, uint32_t n, float threshold, uint32_t *index)
{
    uint32_t count = 0, i = 0;
    kit_f limit = kit_set(threshold);
    for (; i + 4 * KIT_W <= n; i += 4 * KIT_W) {
        kit_i any = (kit_load(x + i) >= limit) | (kit_load(x + i + KIT_W) >= limit) |
                    (kit_load(x + i + 2 * KIT_W) >= limit) | (kit_load(x + i + 3 * KIT_W) >= limit);
        if (!kit_bits(any))
            continue;
        for (uint32_t k = i; k < i + 4 * KIT_W; k += KIT_W) {
            for (uint32_t bits = kit_bits(kit_load(x + k) >= limit); bits; bits &= bits - 1)
                index[count++] = k + (uint32_t)__builtin_ctz(bits);
        }
    }
    for (; i < n; i++) {
        if (x[i] >= threshold)
            index[count++] = i;
    }
    return count;
}

// dt_backend.screen. 2^z is approximated by straight lines between whole z, which are the bits of a
// float: at most 6.15 % too much. The rounding of a lane's sum of at most 256 of them and of their
// arguments is less than 2^-11, relative.
KIT_INLINE uint32_t kit_screen(const uint32_t *bounds, uint32_t n, float along, float across,
                               float threshold, float scale, uint32_t *index, double *rest)
{
    kit_f sums = kit_set(0.0f);
    double sum = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i += KIT_W) {
        uint32_t pairs[KIT_W], left = n - i < KIT_W ? n - i : KIT_W,
                               real = left == KIT_W ? ~0u : (1u << left) - 1;
        kit_i pair;
        if (left < KIT_W) {
            memset(pairs, 0xff, sizeof pairs); // NaN: not below the threshold, adds nothing
            memcpy(pairs, bounds + i, left * sizeof *pairs);
            memcpy(&pair, pairs, sizeof pair);
        } else {
            memcpy(&pair, bounds + i, sizeof pair);
        }
        kit_f u = (kit_f)(pair & (int32_t)0xffff0000) * along + (kit_f)(pair << 16) * across;
        kit_i below = u < threshold;
        kit_f z = (u - threshold) * (scale * 0x1p23f) + 127 * 0x1p23f;
        kit_i line = kit_to_int((kit_f)((kit_i)z & (kit_i)(z > 0.0f) & below));
        sums += (kit_f)line;
        for (uint32_t bits = ~kit_bits(below) & real & ((1ull << KIT_W) - 1); bits;
             bits &= bits - 1)
            index[count++] = i + (uint32_t)__builtin_ctz(bits);
        if ((i / KIT_W) % 256 == 255) { // a lane sums at most 256 terms, for the bound above
            for (uint32_t k = 0; k < KIT_W; k++)
                sum += (double)sums[k];
            sums = kit_set(0.0f);
        }
    }
    for (uint32_t k = 0; k < KIT_W; k++)
        sum += (double)sums[k];
    *rest = sum * (1 + 0x1p-11) + n * 0x1p-126;
    return count;
}

#endif
