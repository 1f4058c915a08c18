// SPDX-License-Identifier: MIT
#include "host/stream/plan.h"

#include <stdlib.h>
#include <string.h>

// Large enough for a disk's full speed, small enough for short waits and for little memory.
#define PIECE_LEAST   (128u << 10)
#define PIECE_MOST    (1u << 20)
#define BUDGET_PIECES 24u // a budget holds at least so many pieces where PIECE_LEAST allows it
#define BUFFERS_LEAST 3u
#define BUFFERS_FEW   4u
#define BUFFERS_MANY  8u // from MANY_BUDGET on
#define MANY_BUDGET   (128u << 20)

uint64_t dt_stream_page_of(const struct dt_stream_extent *extent)
{
    return extent->at / DT_STREAM_PAGE * DT_STREAM_PAGE;
}

size_t dt_stream_span(const struct dt_stream_extent *extent)
{
    uint64_t end = extent->at + extent->bytes;
    end = (end + DT_STREAM_PAGE - 1) / DT_STREAM_PAGE * DT_STREAM_PAGE;
    return (size_t)(end - dt_stream_page_of(extent));
}

struct dt_matrix dt_stream_rows(const struct dt_matrix *w, uint32_t begin, uint32_t end,
                                const void *quants, const void *scales)
{
    struct dt_matrix range = *w;
    range.rows = end - begin;
    range.quants = quants;
    range.scales = w->scales ? scales : NULL;
    if (range.rows != w->rows)
        range.bytes = w->bytes / w->rows * range.rows;
    return range;
}

// Bytes of a row, without scales that are apart.
static size_t row_bytes(const struct dt_matrix *w)
{
    return w->form == DT_FORM_PACKED ? w->bytes / w->rows : w->row_stride;
}

static bool set_extent(const struct dt_model_files *files, const void *at, size_t bytes,
                       struct dt_stream_extent *out)
{
    size_t offset;
    const struct dt_file *file = dt_model_files_find(files, at, &offset);
    if (!file || bytes > file->size - offset)
        return false;
    *out = (struct dt_stream_extent){(uint32_t)(file - files->file), offset, bytes};
    return true;
}

// The extents of rows [begin, end). A block's scale may be before its quants or among them.
static bool set_extents(const struct dt_model_files *files, const struct dt_matrix *w,
                        struct dt_stream_piece *piece)
{
    uint32_t rows = piece->end - piece->begin;
    const unsigned char *quants = w->quants, *scales = w->scales;
    bool apart = w->form == DT_FORM_I8;
    piece->extents = apart ? 2 : 1;
    if (w->form == DT_FORM_PACKED)
        return set_extent(files, quants, w->bytes, &piece->extent[0]);
    if (apart)
        return set_extent(files, quants + piece->begin * w->row_stride, rows * w->row_stride,
                          &piece->extent[0]) &&
               set_extent(files, scales + piece->begin * w->scale_row_stride,
                          rows * w->scale_row_stride, &piece->extent[1]);
    const unsigned char *first = scales && scales < quants ? scales : quants;
    return set_extent(files, first + piece->begin * w->row_stride, rows * w->row_stride,
                      &piece->extent[0]);
}

// How many rows the pieces of a matrix have. A packed matrix has a header, and is one piece.
static uint32_t rows_of_piece(const struct dt_matrix *w, size_t piece_bytes)
{
    size_t bytes = w->bytes;
    if (w->form == DT_FORM_PACKED || bytes <= piece_bytes + piece_bytes / 2)
        return w->rows;
    size_t count = (bytes + piece_bytes - 1) / piece_bytes, rows = (w->rows + count - 1) / count;
    return (uint32_t)((rows + DT_STREAM_ROWS - 1) / DT_STREAM_ROWS * DT_STREAM_ROWS);
}

static size_t pages_of(const struct dt_stream_piece *piece)
{
    size_t bytes = 0;
    for (uint32_t k = 0; k < piece->extents; k++)
        bytes += dt_stream_span(&piece->extent[k]);
    return bytes;
}

static size_t bytes_of(const struct dt_stream_piece *piece)
{
    return piece->extent[0].bytes + (piece->extents == 2 ? piece->extent[1].bytes : 0);
}

// Divides all matrices; out NULL only counts. SIZE_MAX if one is not in the files.
static size_t divide(const struct dt_model *model, const struct dt_model_files *files,
                     size_t piece_bytes, struct dt_stream_piece *out)
{
    size_t n = 0;
    uint32_t count = dt_weights_count(model);
    for (uint32_t i = 0; i < count; i++) {
        const struct dt_matrix *w = dt_weights_matrix(model, i);
        if (!w->rows || row_bytes(w) == 0)
            continue;
        uint32_t step = rows_of_piece(w, piece_bytes);
        for (uint32_t begin = 0; begin < w->rows; begin += step, n++) {
            if (!out)
                continue;
            memset(&out[n], 0, sizeof out[n]);
            out[n].index = i;
            out[n].begin = begin;
            out[n].end = w->rows - begin < step ? w->rows : begin + step;
            if (!set_extents(files, w, &out[n]))
                return SIZE_MAX;
        }
    }
    return n;
}

// Pins pieces of at most `budget` bytes of pages, evenly over the order of use: then the others are
// read while the pinned ones are computed.
static void pin(struct dt_stream_piece *pieces, size_t n, uint64_t budget,
                struct dt_stream_plan *plan)
{
    double total = 0, before = 0;
    for (size_t i = 0; i < n; i++)
        total += (double)pages_of(&pieces[i]);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < n; i++) {
            size_t pages = pages_of(&pieces[i]);
            before += (double)pages;
            // the second round uses what is left
            double due = round ? (double)budget : (double)budget * (before / total);
            if (pieces[i].pinned || plan->pinned_bytes + pages > budget ||
                (double)plan->pinned_bytes + (double)pages > due)
                continue;
            pieces[i].pinned = true;
            plan->pinned_bytes += pages;
            plan->pinned_weights += bytes_of(&pieces[i]);
        }
    }
}

dt_status dt_stream_make_plan(const struct dt_model *model, const struct dt_model_files *files,
                              const struct dt_stream_limits *limits, struct dt_stream_plan *plan,
                              struct dt_stream_piece **pieces, struct dt_error *err)
{
    uint64_t share = limits->budget / BUDGET_PIECES;
    size_t piece_bytes = limits->piece_bytes   ? limits->piece_bytes
                         : share > PIECE_MOST  ? PIECE_MOST
                         : share < PIECE_LEAST ? PIECE_LEAST
                                               : (size_t)share;
    size_t n = divide(model, files, piece_bytes, NULL), all = 0;
    struct dt_stream_piece *made = calloc(n + 1, sizeof *made);
    memset(plan, 0, sizeof *plan);
    if (!made)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the table of weights");
    if (divide(model, files, piece_bytes, made) == SIZE_MAX) {
        free(made);
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "the weights are not in the file as they are computed with, so they "
                            "cannot be streamed");
    }
    plan->streamed = true;
    plan->budget = limits->budget;
    plan->pieces = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        size_t pages = pages_of(&made[i]);
        all += pages;
        plan->buffer_bytes = pages > plan->buffer_bytes ? pages : plan->buffer_bytes;
        plan->weight_bytes += bytes_of(&made[i]);
    }
    uint64_t budget = limits->budget;
    if (all > budget) {
        plan->buffers = limits->buffers                                 ? limits->buffers
                        : budget >= MANY_BUDGET                         ? BUFFERS_MANY
                        : budget / 8 / BUFFERS_FEW < plan->buffer_bytes ? BUFFERS_LEAST
                                                                        : BUFFERS_FEW;
        uint64_t buffers = (uint64_t)plan->buffers * plan->buffer_bytes;
        if (buffers > budget) {
            free(made);
            return dt_error_set(err, DT_NO_MEMORY, NULL,
                                "the buffers for streaming the weights need %llu bytes; %llu are "
                                "left for them",
                                (unsigned long long)buffers, (unsigned long long)budget);
        }
        budget -= buffers;
    }
    pin(made, n, budget, plan);
    for (size_t i = 0; i < n; i++)
        made[i].place = made[i].pinned ? UINT32_MAX : plan->reads++;
    plan->read_bytes = plan->weight_bytes - plan->pinned_weights;
    if (pieces)
        *pieces = made;
    else
        free(made);
    return DT_OK;
}
