// SPDX-License-Identifier: MIT
// A packed copy of those rows of a classifier that the shortlist lists at nearly every token. A
// list of single rows reads them one by one from all over the matrix; the copy is read from its
// first byte to its last, as all packed weights are, in about a third of the time for each row.
#ifndef DT_CORE_FREQUENT_ROWS_H
#define DT_CORE_FREQUENT_ROWS_H

#include "base/arena.h"
#include "core/linear.h"

#define DT_FREQUENT_BLOCK 128u // rows of a block; each block is a packed matrix of its own

struct dt_frequent_rows {
    const struct dt_linear *from; // the whole matrix
    struct dt_matrix rows;        // the same, not packed
    uint32_t most, count;         // rows there is memory for; rows of the copy
    const char *layout;
    size_t block_bytes;
    unsigned char *packed, *gathered;
    uint32_t *index; // of the rows, ascending
    float *out;      // for their products
};

// How many rows of a matrix the copy may have: 0 where a copy is not possible, or does not pay.
// packed: whether the backend `by` computes from packed weights now.
uint32_t dt_frequent_rows_most(const struct dt_matrix *from, const struct dt_instance *by,
                               bool packed);

// Allocates the copy of at most `most` rows, which has none yet. from outlives it.
void dt_frequent_rows_alloc(struct dt_frequent_rows *f, const struct dt_linear *from, uint32_t most,
                            struct dt_arena *arena);

// Makes the copy one of rows index[0 .. count), ascending; count is at most f->most. Reads those
// rows once.
void dt_frequent_rows_set(struct dt_frequent_rows *f, const uint32_t *index, uint32_t count);

// The number of blocks, and block b as a matrix of f->from's backend. Its products belong to f->out
// from b * DT_FREQUENT_BLOCK on.
uint32_t dt_frequent_rows_blocks(const struct dt_frequent_rows *f);
struct dt_matrix dt_frequent_rows_block(const struct dt_frequent_rows *f, uint32_t b);

#endif
