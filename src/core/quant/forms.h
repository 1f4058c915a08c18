// SPDX-License-Identifier: MIT
// Weight forms (enum dt_form): their sizes, matrices that lie in them, and one row as floats. All
// of it is pure: any thread.
#ifndef DT_CORE_FORMS_H
#define DT_CORE_FORMS_H

#include <stdint.h>

#include "abi/backend.h"
#include "core/quant/half.h"

// Values of a form in one block, and the bytes of the block: F32 1 and 4, Q8_0 32 and 34 ... 0 for
// I8, PACKED and what is no form.
uint32_t dt_form_block(uint32_t form);
uint32_t dt_form_block_bytes(uint32_t form);

// "f32", "i8", "q8_0" ...: static; "none" for what is no form.
const char *dt_form_name(uint32_t form);

// Where in a block its first (which 0) or second f16 scale lies, in bytes; -1 where there is none.
int dt_form_scale_at(uint32_t form, unsigned which);

// Describes a (rows, cols) matrix that lies contiguously at data in a block form (all but I8 and
// PACKED), whose blocks divide cols. data NULL describes the shape alone.
struct dt_matrix dt_matrix_blocks(uint32_t form, uint32_t rows, uint32_t cols, const void *data);

// Describes an I8 matrix: rows * cols int8 at quants, rows * cols / group floats at scales; group
// divides cols.
struct dt_matrix dt_matrix_i8(uint32_t rows, uint32_t cols, uint32_t group, const void *quants,
                              const void *scales);

// out[0..cols) = row r of w in fp32, for every form but PACKED, for which it writes nothing. The
// arithmetic is the format's own: scale * quant, or what core/quant/dequant.h says.
void dt_matrix_row(const struct dt_matrix *w, uint32_t r, float *out);

#endif
