// SPDX-License-Identifier: MIT
// Blocks of the GGUF formats to floats, as the format's description (gguf-py's quants, ggml's type
// tables) defines them: every product and difference is rounded to binary32 in the order that is
// written there, so any decoder gives these bits.
#ifndef DT_CORE_DEQUANT_H
#define DT_CORE_DEQUANT_H

#include <stdint.h>

// The floats of one block: dt_form_block(form) of them to out, from dt_form_block_bytes(form) bytes
// at block (any alignment). form is any block form but F32, F16 and BF16. Pure.
void dt_dequant_block(uint32_t form, const unsigned char *block, float *out);

// The sixteen levels of IQ4_NL.
extern const int8_t dt_iq4nl_levels[16];

#endif
