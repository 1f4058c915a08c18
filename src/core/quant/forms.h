// SPDX-License-Identifier: MIT
// Weight forms (enum dt_form): sizes, matrix descriptions, and rows as floats. Pure: any thread.
#ifndef DT_CORE_FORMS_H
#define DT_CORE_FORMS_H

#include <stdint.h>

#include "abi/backend.h"
#include "core/quant/half.h"

// The values in a block of a form, and the bytes of the block: F32 1 and 4, Q8_0 32 and 34 ... 0
// for I8, PACKED and invalid forms.
uint32_t dt_form_block(uint32_t form);
uint32_t dt_form_block_bytes(uint32_t form);

// "f32", "i8", "q8_0" ...; "none" for invalid forms. Static.
const char *dt_form_name(uint32_t form);

// The byte offset in a block of its first (which 0) or second f16 scale; -1: none.
int dt_form_scale_at(uint32_t form, unsigned which);

// Describes a contiguous (rows, cols) matrix at data in a block form (all except I8 and PACKED).
// cols is a multiple of the block. data NULL describes the shape only. Does not own data.
struct dt_matrix dt_matrix_blocks(uint32_t form, uint32_t rows, uint32_t cols, const void *data);

// Describes an I8 matrix: rows * cols int8 at quants, rows * cols / group floats at scales. cols is
// a multiple of group.
struct dt_matrix dt_matrix_i8(uint32_t rows, uint32_t cols, uint32_t group, const void *quants,
                              const void *scales);

// Writes row r of w as floats to out[0..cols): scale * quant, or as core/quant/dequant.h. PACKED:
// as core/quant/packed.h; writes nothing for a layout that is not known there.
void dt_matrix_row(const struct dt_matrix *w, uint32_t r, float *out);

#endif
