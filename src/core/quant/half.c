// SPDX-License-Identifier: MIT
// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 mantissa bits; binary32: 1, 8 (bias 127), 23.
#include "core/quant/half.h"

#include "base/bits.h"

float dt_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31,
             mantissa = half & 1023;
    uint32_t bits;
    if (exponent == 31) { // infinity and NaN
        bits = sign | 0x7f800000 | mantissa << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    } else { // zero and subnormals: mantissa * 2^-24, exact in binary32
        bits = sign | dt_bits_of((float)mantissa * 0x1p-24f);
    }
    return dt_float_of(bits);
}

uint16_t dt_float_to_half(float value)
{
    uint32_t bits = dt_bits_of(value);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x7f800000) // infinity and NaN, made quiet
        return (uint16_t)(sign | 0x7c00 |
                          (magnitude > 0x7f800000 ? 0x200 | (magnitude >> 13 & 1023) : 0));
    if (magnitude >= 0x47800000) // 65536 and more
        return (uint16_t)(sign | 0x7c00);
    uint32_t keep, rest, half;
    if (magnitude >= 0x38800000) { // normal: drops 13 bits
        keep = (magnitude >> 13) - (112 << 10);
        rest = magnitude & 0x1fff;
        half = 0x1000;
    } else {                                      // subnormal: the value in units of 2^-24
        uint32_t shift = 126 - (magnitude >> 23); // 14 .. 126
        if (shift > 24)
            return (uint16_t)sign;
        uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
        keep = mantissa >> shift;
        rest = mantissa & ((1u << shift) - 1);
        half = 1u << (shift - 1);
    }
    keep += rest > half ||
            (rest == half && (keep & 1)); // a carry into the exponent gives the right result
    return (uint16_t)(sign | keep);
}
