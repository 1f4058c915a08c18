// SPDX-License-Identifier: MIT
// Half floats: IEEE 754 binary16 as bits. Pure: any thread.
#ifndef DT_CORE_HALF_H
#define DT_CORE_HALF_H

#include <stdint.h>

// Exact; NaN stays NaN.
float dt_half_to_float(uint16_t half);

// Rounds to nearest, ties to even; 65520 and more is infinity; NaN stays NaN.
uint16_t dt_float_to_half(float value);

#endif
