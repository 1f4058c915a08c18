// SPDX-License-Identifier: MIT
// The general category of a character, for pre-tokenizers. Pure.
#ifndef DT_CORE_UNICODE_CLASSES_H
#define DT_CORE_UNICODE_CLASSES_H

#include <stdbool.h>
#include <stdint.h>

enum dt_unicode_category {
    DT_UNICODE_OTHER, // Z*, C*
    DT_UNICODE_LU,
    DT_UNICODE_LL,
    DT_UNICODE_LT,
    DT_UNICODE_LM,
    DT_UNICODE_LO,
    DT_UNICODE_M, // Mn, Mc, Me
    DT_UNICODE_N, // Nd, Nl, No
    DT_UNICODE_P,
    DT_UNICODE_S,
};

enum dt_unicode_category dt_unicode_category(uint32_t code);
bool dt_unicode_letter(uint32_t code); // L*
bool dt_unicode_number(uint32_t code); // N*
bool dt_unicode_space(uint32_t code);  // White_Space

#endif
