// SPDX-License-Identifier: MIT
// Decodes blocks of the GGUF formats to floats. Source: gguf-py's quants and ggml's type tables.
// Every product and difference is rounded to binary32 in the order given there, so that any decoder
// gives the same bits.
#ifndef DT_CORE_DEQUANT_H
#define DT_CORE_DEQUANT_H

#include <stdint.h>

// Writes the floats of one block to out: dt_form_block(form) floats from dt_form_block_bytes(form)
// bytes at block (any alignment). form is any block form except F32, F16 and BF16. Pure.
void dt_dequant_block(uint32_t form, const unsigned char *block, float *out);

#endif
