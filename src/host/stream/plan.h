// SPDX-License-Identifier: MIT
// The plan for weights that do not fit into memory: which row ranges of matrices stay there, and
// which are read for every token. A pass uses all of them in the same order, so a cache that keeps
// what was used last would miss nearly always; ranges that always stay are never read again.
#ifndef DT_HOST_STREAM_PLAN_H
#define DT_HOST_STREAM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/weights.h"
#include "host/model_files.h"

// Offsets and lengths of reads are multiples of it, as O_DIRECT requires.
#define DT_STREAM_PAGE 4096u

// Where a range of rows, or its scales, are.
struct dt_stream_extent {
    uint32_t file; // of the model
    uint64_t at;
    size_t bytes;
};

// A range of rows of a matrix.
struct dt_stream_piece {
    uint32_t index;      // of the matrix (dt_weights_matrix)
    uint32_t begin, end; // rows
    uint32_t extents;    // 1; 2 where the scales are apart
    struct dt_stream_extent extent[2];
    bool pinned;    // stays in memory
    uint32_t place; // of those that are not: its number in the order of use
};

struct dt_stream_limits {
    uint64_t budget;    // bytes for pinned pieces and buffers
    size_t piece_bytes; // about so many in a piece; 0: chosen
    uint32_t buffers;   // pieces that are read ahead, at least 3; 0: chosen
};

struct dt_stream_plan {
    bool streamed;          // false: the rest is zero, and the weights are mapped
    uint64_t budget;        // of the limits
    size_t weight_bytes;    // of all matrices of products
    size_t pinned_bytes;    // memory for those that stay
    size_t pinned_weights;  // their bytes
    size_t read_bytes;      // of the others: a pass reads as many
    size_t buffer_bytes;    // of one buffer
    uint32_t buffers;       // 0: all pieces stay
    bool cached;            // read through the page cache, which can hold the file
    uint32_t pieces, reads; // how many there are, and are not pinned
};

// Makes the plan for weights in the model's files. *pieces (malloc'ed; may be NULL) becomes
// plan->pieces of them, in the order of use. DT_NO_MEMORY: even the buffers do not fit, or no
// memory for the table. DT_UNSUPPORTED: a matrix is not in the files.
dt_status dt_stream_make_plan(const struct dt_model *model, const struct dt_model_files *files,
                              const struct dt_stream_limits *limits, struct dt_stream_plan *plan,
                              struct dt_stream_piece **pieces, struct dt_error *err);

// Every range begins at a multiple of so many rows.
#define DT_STREAM_ROWS 64u

// The page that an extent begins in, and the bytes from there to the end of its last page.
uint64_t dt_stream_page_of(const struct dt_stream_extent *extent);
size_t dt_stream_span(const struct dt_stream_extent *extent);

// The rows [begin, end) of a matrix, whose bytes were moved from `quants` and `scales` to other
// places: `quants` and `scales` are those of row `begin` there.
struct dt_matrix dt_stream_rows(const struct dt_matrix *w, uint32_t begin, uint32_t end,
                                const void *quants, const void *scales);

#endif
