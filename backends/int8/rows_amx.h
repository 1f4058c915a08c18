// SPDX-License-Identifier: MIT
// Rows of an 8-bit matrix times many prepared columns with AMX. Rows are read in place, except the
// last ones if they are fewer than sixteen. Few columns are computed with VNNI.
#ifndef DT_BACKENDS_INT8_ROWS_AMX_H
#define DT_BACKENDS_INT8_ROWS_AMX_H

#include "int8/rows_vnni.h"
#include "common/tiles_amx.h"

// An amx_unpack_fn.
KIT_INLINE void amx_copy_rows(int8_t *quants, const struct dt_matrix *w, const struct vnni_tile *t,
                              uint32_t g, uint32_t n)
{
    for (uint32_t r = 0; r < 16; r++) {
        for (uint32_t k = 0; k < n; k++)
            memcpy(quants + r * amx_panel_stride + (size_t)k * w->group,
                   t->rows[r] + (g + k) * w->group_stride, w->group);
    }
}

static void tiles_times_columns(float *out, size_t out_stride, const struct dt_matrix *w,
                                uint32_t begin, uint32_t end, const void *act, uint32_t columns)
{
    amx_rows_times_columns(out, out_stride, w, begin, end, act, columns, true, amx_copy_rows);
}

#endif
