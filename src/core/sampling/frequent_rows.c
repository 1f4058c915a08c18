// SPDX-License-Identifier: MIT
#include "core/sampling/frequent_rows.h"

#include <string.h>

#include "core/quant/packed.h"

#define SHARE      4u          // the copy has at most this part of all rows
#define BYTES_MOST (32u << 20) // and at most so many bytes

// The rows of `from` as a matrix that is not packed. A backend with row_products lists rows of its
// own layout, where they are contiguous.
static bool rows_of(const struct dt_matrix *from, const struct dt_instance *by,
                    struct dt_matrix *rows)
{
    *rows = *from;
    return from->form == DT_FORM_PACKED ? dt_packed_by_rows(from, rows) : !by->table.row_products;
}

uint32_t dt_frequent_rows_most(const struct dt_matrix *from, const struct dt_instance *by,
                               bool packed)
{
    struct dt_matrix plain;
    if (!packed || !by || !by->table.pack || !by->table.pack_bytes || !rows_of(from, by, &plain) ||
        by->table.pack_bytes(by->ctx, &plain) == 0)
        return 0;
    size_t rows = from->rows / SHARE, fit = BYTES_MOST / (from->bytes / from->rows + 1);
    return (uint32_t)(rows < fit ? rows : fit) / DT_FREQUENT_BLOCK * DT_FREQUENT_BLOCK;
}

// Bytes from one row's first byte to its last one's successor, and where they begin. Scales inside
// the blocks of a row go with it.
static size_t row_span(const struct dt_matrix *w, const unsigned char **base)
{
    const unsigned char *quants = w->quants, *scales = w->scales;
    bool inside = scales && scales < quants && (size_t)(quants - scales) < w->row_stride;
    *base = inside ? scales : quants;
    return w->row_stride;
}

static bool scales_apart(const struct dt_matrix *w)
{
    const unsigned char *base;
    size_t span = row_span(w, &base);
    const unsigned char *scales = w->scales;
    return scales && (scales < base || scales >= base + span);
}

static struct dt_matrix shape_of_block(const struct dt_matrix *w, uint32_t rows)
{
    struct dt_matrix block = *w;
    block.rows = rows;
    return block;
}

void dt_frequent_rows_alloc(struct dt_frequent_rows *f, const struct dt_linear *from, uint32_t most,
                            struct dt_arena *arena)
{
    memset(f, 0, sizeof *f);
    f->from = from;
    f->most = most;
    if (most == 0 || !rows_of(&from->matrix, from->by, &f->rows))
        return;
    const struct dt_matrix *w = &f->rows;
    struct dt_matrix block = shape_of_block(w, DT_FREQUENT_BLOCK);
    f->layout = from->by->table.layout;
    f->block_bytes = from->by->table.pack_bytes(from->by->ctx, &block);
    f->block_bytes = (f->block_bytes + DT_ALIGN - 1) / DT_ALIGN * DT_ALIGN;
    f->packed = dt_arena_alloc(arena, most / DT_FREQUENT_BLOCK, f->block_bytes);
    f->gathered = dt_arena_alloc(arena, DT_FREQUENT_BLOCK, w->row_stride + w->scale_row_stride);
    f->index = dt_arena_alloc(arena, most, sizeof *f->index);
    f->out = dt_arena_alloc(arena, most, sizeof *f->out);
}

// Copies rows index[0 .. count) to `gathered` and packs them.
static void set_block(struct dt_frequent_rows *f, uint32_t b, const uint32_t *index, uint32_t count)
{
    const struct dt_matrix *w = &f->rows;
    const struct dt_instance *by = f->from->by;
    struct dt_matrix block = shape_of_block(w, count);
    const unsigned char *base;
    size_t span = row_span(w, &base);
    bool apart = scales_apart(w);
    unsigned char *scales = f->gathered + DT_FREQUENT_BLOCK * span;
    for (uint32_t k = 0; k < count; k++) {
        memcpy(f->gathered + k * span, base + index[k] * span, span);
        if (apart)
            memcpy(scales + k * w->scale_row_stride,
                   (const unsigned char *)w->scales + index[k] * w->scale_row_stride,
                   w->scale_row_stride);
    }
    block.quants = f->gathered + ((const unsigned char *)w->quants - base);
    block.scales = apart       ? scales
                   : w->scales ? f->gathered + ((const unsigned char *)w->scales - base)
                               : NULL;
    by->table.pack(by->ctx, f->packed + b * f->block_bytes, &block, 0, count);
}

void dt_frequent_rows_set(struct dt_frequent_rows *f, const uint32_t *index, uint32_t count)
{
    memmove(f->index, index, count * sizeof *index);
    f->count = count;
    for (uint32_t b = 0; b < dt_frequent_rows_blocks(f); b++) {
        uint32_t begin = b * DT_FREQUENT_BLOCK, left = count - begin;
        set_block(f, b, f->index + begin, left < DT_FREQUENT_BLOCK ? left : DT_FREQUENT_BLOCK);
    }
}

uint32_t dt_frequent_rows_blocks(const struct dt_frequent_rows *f)
{
    return (f->count + DT_FREQUENT_BLOCK - 1) / DT_FREQUENT_BLOCK;
}

struct dt_matrix dt_frequent_rows_block(const struct dt_frequent_rows *f, uint32_t b)
{
    const struct dt_matrix *w = &f->rows;
    uint32_t left = f->count - b * DT_FREQUENT_BLOCK;
    struct dt_matrix block = shape_of_block(w, left < DT_FREQUENT_BLOCK ? left : DT_FREQUENT_BLOCK);
    block.form = DT_FORM_PACKED;
    block.layout = f->layout;
    block.quants = f->packed + b * f->block_bytes;
    block.bytes = f->block_bytes;
    return block;
}
