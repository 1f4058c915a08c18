// SPDX-License-Identifier: MIT
// Whether a character is a letter, a number or a space, for pre-tokenizers. Pure.
#ifndef DT_CORE_UNICODE_CLASSES_H
#define DT_CORE_UNICODE_CLASSES_H

#include <stdbool.h>
#include <stdint.h>

bool dt_unicode_letter(uint32_t code); // general categories L*
bool dt_unicode_number(uint32_t code); // N*
bool dt_unicode_space(uint32_t code);  // White_Space

#endif
