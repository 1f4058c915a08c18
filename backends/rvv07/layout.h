// SPDX-License-Identifier: MIT
// The packed layout "rvv07-1" and the matrices it describes.
//
// A packed matrix is a header of 64 bytes, then tiles of 64 rows (the last one of 32 where no more
// are left; rows that are missing are zeros), one after the other. A tile is read once, from its
// first byte to its last:
//   int8:  for each group: `group` columns of R int8, then R float scales
//   4-bit: for each group of 32: 16 pairs of columns of R bytes (even column in the low half), then
//   R float scales fp32:  for each column: R floats
// Vocabularies of which a model uses a part (rvv07_is_sparse) are kept by rows instead, for the
// classifier's shortlist: for each row cols int8, then its float scales. Of a tile every byte is
// read for any of its rows, as a line of memory holds one column of it.
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
};

struct rvv07_header {
    char layout[8]; // "rvv07-1"
    uint32_t kind;  // enum rvv07_kind
    uint32_t rows, cols, group;
    uint64_t bytes; // of the whole, this header included
    uint8_t reserved[32];
};

// Rows of the tile that begins at row `begin`: 64 or 32.
static inline uint32_t rvv07_tile_rows(uint32_t rows, uint32_t begin)
{
    return rows - begin > RVV07_TILE / 2 ? RVV07_TILE : RVV07_TILE / 2;
}

// Bytes that one row of a tile takes, padded rows included in the tile's count.
static inline size_t rvv07_row_bytes(uint32_t kind, uint32_t cols, uint32_t group)
{
    switch (kind) {
    case RVV07_I8:
    case RVV07_I8_ROWS:
        return (size_t)cols + (size_t)(cols / group) * 4;
    case RVV07_Q4:
        return (size_t)cols / 2 + (size_t)(cols / group) * 4;
    default:
        return (size_t)cols * 4;
    }
}

// What a matrix would be packed as; 0 if it cannot.
uint32_t rvv07_kind_of(const struct dt_matrix *w);

// Whether a matrix is a vocabulary of which most rows lie close together, as rows do that a model
// was never asked for: told by a sample of them. No for matrices of other shapes, and for those not
// in 8 bits.
int rvv07_is_sparse(const struct dt_matrix *w);

// w, or where it is packed by rows what describes it as lying in place, in *room.
const struct dt_matrix *rvv07_in_place(const struct dt_matrix *w, struct dt_matrix *capacity);

// The header in front of a PACKED matrix, or NULL if it is not a sound one of this layout and of
// w's shape.
const struct rvv07_header *rvv07_header_of(const struct dt_matrix *w);

size_t rvv07_pack_bytes(void *ctx, const struct dt_matrix *w);
void rvv07_pack(void *ctx, void *packed, const struct dt_matrix *w, uint32_t row_begin,
                uint32_t row_end);
// Row `row` of any matrix this backend takes, dequantised.
void rvv07_embed(void *ctx, float *out, const struct dt_matrix *w, uint32_t row);

// A prepared column is cols int8 padded to 64 bytes, then the scales, padded likewise.
static inline size_t rvv07_quants_bytes(const struct dt_matrix *w)
{
    return ((size_t)w->cols + 63) / 64 * 64;
}

float rvv07_half_to_float(uint16_t half); // exact

// The scale of group g of a row, as a float.
float rvv07_scale(const struct dt_matrix *w, uint32_t row, uint32_t g);

#endif
