// SPDX-License-Identifier: MIT
// Converts a float to its 32 bits (IEEE 754 binary32) and back. Pure: any thread.
#ifndef DT_BASE_BITS_H
#define DT_BASE_BITS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t dt_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float dt_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
