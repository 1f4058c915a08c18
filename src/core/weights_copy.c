// SPDX-License-Identifier: MIT
#include "core/weights_copy.h"

#include "base/bits.h"
#include "core/quant/quantise.h"

// A part of about this size is converted or packed between two calls of progress.
#define PART_BYTES (4u << 20)

// Rows that are converted at the same time, each with a row of floats.
#define ROWS_AT_ONCE 16u

size_t dt_copy_rows_bytes(uint32_t longest_row)
{
    size_t row = ((size_t)longest_row * sizeof(float) + DT_ALIGN - 1) / DT_ALIGN * DT_ALIGN;
    return row * ROWS_AT_ONCE;
}

// Rows [begin, end) of a matrix. Conversion divides them into ROWS_AT_ONCE pieces, packing into
// tiles.
struct part {
    const struct dt_matrix *from, *to;
    const struct dt_instance *by;
    void *packed;
    float *rows;
    size_t row_floats;
    uint32_t begin, end, tile;
    uint32_t damaged[ROWS_AT_ONCE]; // the first row of each piece with a value that is not finite
};

static void convert_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    struct part *p = arg;
    uint64_t count = p->end - p->begin;
    for (uint32_t piece = begin; piece < end; piece++) {
        float *row = p->rows + piece * p->row_floats;
        uint32_t r = p->begin + (uint32_t)(count * piece / ROWS_AT_ONCE);
        uint32_t last = p->begin + (uint32_t)(count * (piece + 1) / ROWS_AT_ONCE);
        p->damaged[piece] = UINT32_MAX;
        for (; r < last && p->damaged[piece] == UINT32_MAX; r++) {
            dt_matrix_row(p->from, r, row);
            if (dt_all_finite(row, p->from->cols))
                dt_quantise_row(p->to, r, row);
            else
                p->damaged[piece] = r;
        }
    }
}

static void pack_body(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    const struct part *p = arg;
    uint32_t last = end * p->tile < p->end - p->begin ? p->begin + end * p->tile : p->end;
    p->by->table.pack(p->by->ctx, p->packed, p->from, p->begin + begin * p->tile, last);
}

static void spread(const struct dt_copy *copy, dt_loop_body *body, struct part *p, uint32_t items)
{
    if (copy->services && copy->services->parallel_for)
        copy->services->parallel_for(copy->services->host, body, p, items, 1);
    else
        body(p, 0, items, 0);
}

// A value that is infinite or undefined would look like any other once it is quantised.
static dt_status check_finite(const struct part *p, struct dt_error *err)
{
    for (uint32_t i = 0; i < ROWS_AT_ONCE; i++)
        if (p->damaged[i] != UINT32_MAX)
            return dt_error_set(err, DT_BAD_INPUT, NULL,
                                "row %u of a matrix of %u x %u has a value that is infinite or "
                                "undefined: the model is damaged; get it again",
                                p->damaged[i], p->from->rows, p->from->cols);
    return DT_OK;
}

// Converts all rows of p, or packs them. `share` bytes count as done at the end.
static dt_status copy_rows(struct dt_copy *copy, struct part *p, bool packs, size_t share,
                           struct dt_error *err)
{
    uint32_t rows = p->from->rows;
    p->tile = packs ? p->by->table.row_tile : 1;
    size_t tile_bytes = (p->from->bytes / rows + 1) * p->tile;
    uint32_t step = (uint32_t)(PART_BYTES / tile_bytes + 1) * p->tile;
    for (uint32_t r = 0; r < rows; r += step) {
        p->begin = r;
        p->end = rows - r < step ? rows : r + step;
        spread(copy, packs ? pack_body : convert_body, p,
               packs ? (p->end - r + p->tile - 1) / p->tile : ROWS_AT_ONCE);
        dt_status status = packs ? DT_OK : check_finite(p, err);
        if (status != DT_OK)
            return status;
        size_t part = (size_t)((double)share * p->end / rows);
        if (copy->watch && copy->watch->progress &&
            copy->watch->progress(copy->watch->arg, copy->done + part, copy->total))
            return dt_error_set(err, DT_CANCELLED, NULL, "stopped while copying weights");
    }
    copy->done += share;
    return DT_OK;
}

dt_status dt_copy_matrix(struct dt_copy *copy, const struct dt_matrix *from,
                         const struct dt_copy_plan *plan, void *memory, struct dt_matrix *to,
                         struct dt_error *err)
{
    bool packs = plan->kind != DT_COPY_CONVERT, converts = plan->kind != DT_COPY_PACK;
    struct part p = {.from = from,
                     .by = plan->by,
                     .packed = memory,
                     .rows = copy->rows,
                     .row_floats =
                         dt_copy_rows_bytes(copy->longest_row) / ROWS_AT_ONCE / sizeof(float)};
    struct dt_matrix plain = *from;
    if (converts) {
        plain = dt_quantise_matrix(plan->form, from->rows, from->cols, plan->group,
                                   packs ? copy->plain : memory);
        p.to = &plain;
        size_t share = packs ? plan->bytes / 2 : plan->bytes;
        dt_status status = copy_rows(copy, &p, false, share, err);
        if (status != DT_OK)
            return status;
    }
    *to = plain;
    if (!packs)
        return DT_OK;
    p.from = &plain;
    to->form = DT_FORM_PACKED;
    to->layout = plan->by->table.layout;
    to->quants = memory;
    to->scales = NULL;
    to->bytes = plan->bytes;
    return copy_rows(copy, &p, true, converts ? plan->bytes - plan->bytes / 2 : plan->bytes, err);
}
