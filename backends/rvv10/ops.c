// SPDX-License-Identifier: MIT
// The operators other than matrix products, for RVV 1.0. Vector lanes are elements; float sums run
// in sequence.
#include <math.h>
#include <riscv_vector.h>

#include "rvv10.h"

// ---- exp with the bits of the C library's expf: the same steps in double ----

// Entry i: the bits of the double 2^(i/32), minus i << 47.

static const uint64_t exp_table[32] = {
    0x3ff0000000000000, 0x3fefd9b0d3158574, 0x3fefb5586cf9890f, 0x3fef9301d0125b51,
    0x3fef72b83c7d517b, 0x3fef54873168b9aa, 0x3fef387a6e756238, 0x3fef1e9df51fdee1,
    0x3fef06fe0a31b715, 0x3feef1a7373aa9cb, 0x3feedea64c123422, 0x3feece086061892d,
    0x3feebfdad5362a27, 0x3feeb42b569d4f82, 0x3feeab07dd485429, 0x3feea47eb03a5585,
    0x3feea09e667f3bcd, 0x3fee9f75e8ec5f74, 0x3feea11473eb0187, 0x3feea589994cce13,
    0x3feeace5422aa0db, 0x3feeb737b0cdc5e5, 0x3feec49182a3f090, 0x3feed503b23e255d,
    0x3feee89f995ad3ad, 0x3feeff76f2fb5e47, 0x3fef199bdd85529c, 0x3fef3720dcef9069,
    0x3fef5818dcfba487, 0x3fef7c97337b9b5f, 0x3fefa4afa2a490da, 0x3fefd0765b6e4540,
};

// e^x of vl lanes.
static inline vfloat32m2_t exp_lanes(vfloat32m2_t x, size_t vl)
{
    const double shift = 0x1.8p+52;
    vbool16_t number = __riscv_vmfeq_vv_f32m2_b16(x, x, vl);
    // beyond +-200 the result is infinity or zero, as at +-200
    vfloat32m2_t clamped =
        __riscv_vfmin_vf_f32m2(__riscv_vfmax_vf_f32m2(x, -200.0f, vl), 200.0f, vl);
    vfloat64m4_t z = __riscv_vfmul_vf_f64m4(__riscv_vfwcvt_f_f_v_f64m4(clamped, vl),
                                            0x1.71547652b82fep+0 * 32, vl);
    vfloat64m4_t kd = __riscv_vfadd_vf_f64m4(z, shift, vl);
    vuint64m4_t k = __riscv_vreinterpret_v_f64m4_u64m4(kd);
    vfloat64m4_t r = __riscv_vfsub_vv_f64m4(z, __riscv_vfsub_vf_f64m4(kd, shift, vl), vl);
    vuint64m4_t offset = __riscv_vsll_vx_u64m4(__riscv_vand_vx_u64m4(k, 31, vl), 3, vl);
    vuint64m4_t bits = __riscv_vluxei64_v_u64m4(exp_table, offset, vl);
    bits = __riscv_vadd_vv_u64m4(bits, __riscv_vsll_vx_u64m4(k, 47, vl), vl);
    vfloat64m4_t high = __riscv_vfmul_vf_f64m4(r, 0x1.c6af84b912394p-5 / 32 / 32 / 32, vl);
    high = __riscv_vfadd_vf_f64m4(high, 0x1.ebfce50fac4f3p-3 / 32 / 32, vl);
    vfloat64m4_t low = __riscv_vfmul_vf_f64m4(r, 0x1.62e42ff0c52d6p-1 / 32, vl);
    low = __riscv_vfadd_vf_f64m4(low, 1.0, vl);
    high = __riscv_vfmul_vv_f64m4(high, __riscv_vfmul_vv_f64m4(r, r, vl), vl);
    low = __riscv_vfadd_vv_f64m4(high, low, vl);
    low = __riscv_vfmul_vv_f64m4(low, __riscv_vreinterpret_v_u64m4_f64m4(bits), vl);
    return __riscv_vmerge_vvm_f32m2(x, __riscv_vfncvt_f_f_w_f32m2(low, vl), number, vl);
}

// ---- operators ----

void rvv10_rmsnorm(void *ctx, float *out, size_t out_stride, const float *x, size_t x_stride,
                   const float *weight, uint32_t n, uint32_t columns, float epsilon)
{
    (void)ctx;
    for (uint32_t c = 0; c < columns; c++, out += out_stride, x += x_stride) {
        float ss = 0.0f;
        for (uint32_t i = 0; i < n; i++)
            ss += x[i] * x[i];
        ss /= (float)n;
        ss += epsilon;
        ss = 1.0f / sqrtf(ss);
        for (size_t i = 0, vl; i < n; i += vl) {
            vl = __riscv_vsetvl_e32m8(n - i);
            vfloat32m8_t v = __riscv_vfmul_vf_f32m8(__riscv_vle32_v_f32m8(x + i, vl), ss, vl);
            __riscv_vse32_v_f32m8(
                out + i, __riscv_vfmul_vv_f32m8(__riscv_vle32_v_f32m8(weight + i, vl), v, vl), vl);
        }
    }
}

void rvv10_softmax(void *ctx, float *x, uint32_t n)
{
    (void)ctx;
    float largest = x[0], sum = 0.0f;
    for (uint32_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m2(n - i);
        vfloat32m2_t v = __riscv_vfsub_vf_f32m2(__riscv_vle32_v_f32m2(x + i, vl), largest, vl);
        __riscv_vse32_v_f32m2(x + i, exp_lanes(v, vl), vl);
    }
    for (uint32_t i = 0; i < n; i++)
        sum += x[i];
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m8(n - i);
        __riscv_vse32_v_f32m8(
            x + i, __riscv_vfdiv_vf_f32m8(__riscv_vle32_v_f32m8(x + i, vl), sum, vl), vl);
    }
}

void rvv10_silu_mul(void *ctx, float *gate, const float *up, uint32_t n)
{
    (void)ctx;
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m2(n - i);
        vfloat32m2_t x = __riscv_vle32_v_f32m2(gate + i, vl);
        vfloat32m2_t e = exp_lanes(__riscv_vfneg_v_f32m2(x, vl), vl);
        e = __riscv_vfrdiv_vf_f32m2(__riscv_vfadd_vf_f32m2(e, 1.0f, vl), 1.0f, vl);
        x = __riscv_vfmul_vv_f32m2(x, e, vl);
        __riscv_vse32_v_f32m2(gate + i,
                              __riscv_vfmul_vv_f32m2(x, __riscv_vle32_v_f32m2(up + i, vl), vl), vl);
    }
}

void rvv10_add(void *ctx, float *x, const float *y, uint32_t n)
{
    (void)ctx;
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m8(n - i);
        vfloat32m8_t v = __riscv_vfadd_vv_f32m8(__riscv_vle32_v_f32m8(x + i, vl),
                                                __riscv_vle32_v_f32m8(y + i, vl), vl);
        __riscv_vse32_v_f32m8(x + i, v, vl);
    }
}

uint32_t rvv10_argmax(void *ctx, const float *x, uint32_t n)
{
    (void)ctx;
    if (n == 0 || x[0] != x[0]) // in the reference, no value is larger than a NaN at index 0
        return 0;
    float largest = x[0];
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m8(n - i);
        vfloat32m1_t seed = __riscv_vfmv_s_f_f32m1(largest, 1);
        largest = __riscv_vfmv_f_s_f32m1_f32(
            __riscv_vfredmax_vs_f32m8_f32m1(__riscv_vle32_v_f32m8(x + i, vl), seed, vl));
    }
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m8(n - i);
        long at = __riscv_vfirst_m_b4(
            __riscv_vmfeq_vf_f32m8_b4(__riscv_vle32_v_f32m8(x + i, vl), largest, vl), vl);
        if (at >= 0)
            return (uint32_t)(i + (size_t)at);
    }
    return 0;
}

uint32_t rvv10_select(void *ctx, const float *x, uint32_t n, float threshold, uint32_t *index)
{
    (void)ctx;
    uint32_t count = 0;
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m8(n - i);
        vbool4_t above = __riscv_vmfge_vf_f32m8_b4(__riscv_vle32_v_f32m8(x + i, vl), threshold, vl);
        size_t found = __riscv_vcpop_m_b4(above, vl);
        if (!found)
            continue;
        vuint32m8_t ids = __riscv_vadd_vx_u32m8(__riscv_vid_v_u32m8(vl), (uint32_t)i, vl);
        __riscv_vse32_v_u32m8(index + count, __riscv_vcompress_vm_u32m8(ids, above, vl), found);
        count += (uint32_t)found;
    }
    return count;
}

void rvv10_rope(void *ctx, float *x, uint32_t heads, uint32_t head_size, uint32_t rotated,
                const float *cosine, const float *sine, uint32_t style)
{
    (void)ctx;
    size_t half = rotated / 2, apart = style == DT_ROPE_HALVES ? half : 1,
           step = style == DT_ROPE_HALVES ? 1 : 2;
    ptrdiff_t stride = (ptrdiff_t)(step * sizeof *x);
    for (uint32_t h = 0; h < heads; h++, x += head_size) {
        for (size_t i = 0, vl; i < half; i += vl) {
            vl = __riscv_vsetvl_e32m4(half - i);
            float *first = x + i * step, *second = first + apart;
            vfloat32m4_t a = __riscv_vlse32_v_f32m4(first, stride, vl),
                         b = __riscv_vlse32_v_f32m4(second, stride, vl);
            vfloat32m4_t c = __riscv_vle32_v_f32m4(cosine + i, vl),
                         s = __riscv_vle32_v_f32m4(sine + i, vl);
            vfloat32m4_t p = __riscv_vfmul_vv_f32m4(a, c, vl), q = __riscv_vfmul_vv_f32m4(a, s, vl);
            p = __riscv_vfsub_vv_f32m4(p, __riscv_vfmul_vv_f32m4(b, s, vl), vl);
            q = __riscv_vfadd_vv_f32m4(q, __riscv_vfmul_vv_f32m4(b, c, vl), vl);
            __riscv_vsse32_v_f32m4(first, stride, p, vl);
            __riscv_vsse32_v_f32m4(second, stride, q, vl);
        }
    }
}
