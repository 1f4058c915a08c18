// SPDX-License-Identifier: MIT
// The packed layout "rvv07-1" and the matrices it describes.
//
// A packed matrix is a header of 64 bytes, then tiles of R = 64 rows. The last tile has R = 32 if
// no more rows are left; missing rows are zeros. A tile is read once, from its first byte to its
// last:
//   int8:  for each group: `group` columns of R int8, then R float scales
//   4-bit: for each group of 32: 16 pairs of columns of R bytes (the even column in the low half),
//          then R float scales
//   fp32:  for each column: R floats
// The classifier of a large vocabulary of which the model uses a part (rvv07_is_sparse) is packed
// by rows instead, for the shortlist: for each row, cols int8, or 16 bytes for each group of 32 as
// in Q4_0, then its float scales. To read one row of a tile, all its bytes must be read, because a
// cache line holds one column.
#ifndef DT_RVV07_LAYOUT_H
#define DT_RVV07_LAYOUT_H

#include "abi/backend.h"

#define RVV07_LAYOUT "rvv07-1"
#define RVV07_TILE   64u

enum rvv07_kind {
    RVV07_I8 = 1,
    RVV07_Q4 = 2,
    RVV07_F32 = 3,
    RVV07_I8_ROWS = 4,
    RVV07_Q4_ROWS = 5,
};

struct rvv07_header {
    char layout[8]; // "rvv07-1"
    uint32_t kind;  // enum rvv07_kind
    uint32_t rows, cols, group;
    uint64_t bytes; // of the packed matrix, with this header
    uint8_t reserved[32];
};

// The number of rows, 64 or 32, of the tile that starts at row `begin`.
static inline uint32_t rvv07_tile_rows(uint32_t rows, uint32_t begin)
{
    return rows - begin > RVV07_TILE / 2 ? RVV07_TILE : RVV07_TILE / 2;
}

// Bytes of one row of a tile.
static inline size_t rvv07_row_bytes(uint32_t kind, uint32_t cols, uint32_t group)
{
    switch (kind) {
    case RVV07_I8:
    case RVV07_I8_ROWS:
        return (size_t)cols + (size_t)(cols / group) * 4;
    case RVV07_Q4:
    case RVV07_Q4_ROWS:
        return (size_t)cols / 2 + (size_t)(cols / group) * 4;
    default:
        return (size_t)cols * 4;
    }
}

// The enum rvv07_kind of the tiles that a matrix is packed to; 0 if it cannot be packed.
uint32_t rvv07_kind_of(const struct dt_matrix *w);

// Whether an 8-bit or 4-bit matrix has the shape of a vocabulary, and most of its rows are close
// together, as rows of unused tokens are. Decides by a sample of the rows.
int rvv07_is_sparse(const struct dt_matrix *w);

// For a matrix that is packed by rows, fills *out with an equal I8 or Q4_0 matrix and returns out;
// else returns w.
const struct dt_matrix *rvv07_in_place(const struct dt_matrix *w, struct dt_matrix *out);

// The header of a PACKED matrix; NULL if it is not valid, not of this layout or not of w's shape.
const struct rvv07_header *rvv07_header_of(const struct dt_matrix *w);

// Entries of struct dt_backend.
size_t rvv07_pack_bytes(void *ctx, const struct dt_matrix *w);
void rvv07_pack(void *ctx, void *packed, const struct dt_matrix *w, uint32_t row_begin,
                uint32_t row_end);
void rvv07_embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row);

// Bytes of the quants of a prepared column: cols int8, padded to 64. The scales follow, padded too.
static inline size_t rvv07_quants_bytes(const struct dt_matrix *w)
{
    return ((size_t)w->cols + 63) / 64 * 64;
}

float rvv07_half_to_float(uint16_t half); // exact

// The scale of group g of a row, as a float.
float rvv07_scale(const struct dt_matrix *w, uint32_t row, uint32_t g);

#endif
