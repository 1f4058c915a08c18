// SPDX-License-Identifier: MIT
// Reads the packed layouts of duotale's backends, so that a packed file can be converted back on
// any machine: "rows16-1" (backends/common/rows16.h) and "rvv07-1" (backends/rvv07/layout.h).
// Pure: any thread.
#ifndef DT_CORE_PACKED_H
#define DT_CORE_PACKED_H

#include <stdbool.h>

#include "core/quant/forms.h"

// Whether matrices of this layout can be read here. The name ends in a version.
bool dt_packed_knows(const char *layout);

// The names of those layouts: "rows16-1, rvv07-1". Static.
const char *dt_packed_layouts(void);

// Describes the matrix that w, which is PACKED, was packed from: *plain as dt_quantise_matrix makes
// it, without memory. False if the layout is not known, or if the header is not valid for the shape
// and bytes of w. rvv07-1 keeps scales as floats, so its 8-bit matrices are described as I8.
bool dt_packed_plain(const struct dt_matrix *w, struct dt_matrix *plain);

// Describes the rows of w in place, as an I8 or Q4_0 matrix. False, unless they are contiguous: in
// rvv07-1, the classifier of a model that uses a part of its vocabulary.
bool dt_packed_by_rows(const struct dt_matrix *w, struct dt_matrix *plain);

// Writes rows [begin, end) of w to `plain`: the matrix that dt_packed_plain describes, with
// writable memory. They have the bits of the matrix that was packed.
void dt_packed_unpack(const struct dt_matrix *w, const struct dt_matrix *plain, uint32_t begin,
                      uint32_t end);

// Writes row r to out[0 .. cols) as floats. w is one that dt_packed_plain accepts.
void dt_packed_row(const struct dt_matrix *w, uint32_t r, float *out);

// The scale of a group of row r; 0 in a matrix without scales. Of a block of 256 values a number
// that is finite if its scales are. w as above.
float dt_packed_scale(const struct dt_matrix *w, uint32_t r, uint32_t group);

#endif
