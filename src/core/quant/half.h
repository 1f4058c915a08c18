// SPDX-License-Identifier: MIT
// Halves: IEEE 754 binary16 as bits. Pure: any thread.
#ifndef DT_CORE_HALF_H
#define DT_CORE_HALF_H

#include <stdint.h>

// Exact; a NaN stays one.
float dt_half_to_float(uint16_t half);

// To nearest, ties to even; infinity from 65520 on, a NaN stays one.
uint16_t dt_float_to_half(float value);

#endif
