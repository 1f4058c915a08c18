// SPDX-License-Identifier: MIT
// The table entries that int8 and int4 share: all that use 8-bit activations, and the operators of
// the kit. A module includes this file after its kernels: weight_bias, rows_times_columns,
// listed_rows, rows16_tile_columns, and with AMX tiles_times_columns; and after rows16_four.
#ifndef DT_BACKENDS_COMMON_QUANTISED_ENTRIES_H
#define DT_BACKENDS_COMMON_QUANTISED_ENTRIES_H

#include "abi/backend.h"
#include "common/activations.h"
#include "common/operators.h"
#include "common/rows16_quantised.h"
#include "probe.h"

#ifdef __AMX_INT8__
#include "common/rows16_amx.h"

// ctx is NULL if the kernel does not permit AMX; many columns are then computed as a few are.
static int quantised_create(const struct dt_services *services, void **ctx, char *reason,
                            size_t reason_size)
{
    static char permitted;
    (void)reason;
    (void)reason_size;
    if (amx_permitted())
        *ctx = &permitted;
    else
        services->log(services->host, DT_BACKEND_LOG_INFO,
                      "AMX: the kernel does not permit it; prompts are computed without it");
    return 0;
}

#else
#define quantised_create NULL
#endif

static size_t quantised_act_bytes(void *ctx, const struct dt_matrix *w, uint32_t columns)
{
    (void)ctx;
    size_t bytes = act_layout_of(w).column * columns;
#ifdef __AMX_INT8__
    if (amx_act_bytes(w, columns) > bytes)
        bytes = amx_act_bytes(w, columns);
#endif
    return bytes;
}

static void quantised_act_prepare(void *ctx, void *act, const float *x, size_t x_stride,
                                  uint32_t columns, const struct dt_matrix *w)
{
    (void)ctx;
#ifdef __AMX_INT8__
    if (ctx && amx_supports(w, columns)) {
        amx_prepare(act, x, x_stride, columns, w);
        return;
    }
#endif
    act_prepare_columns(act, x, x_stride, columns, w, weight_bias);
}

static void quantised_matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                             uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                             uint32_t columns)
{
    (void)ctx;
    (void)x_stride;
#ifdef __AMX_INT8__
    if (ctx && w->form == DT_FORM_PACKED && rows16_amx_supports(w->quants, columns)) {
        rows16_amx_range(out + row_begin, out_stride, w, row_begin, row_end, act, columns,
                         rows16_four);
        return;
    }
#endif
    if (w->form == DT_FORM_PACKED) {
        rows16_times_columns(out, out_stride, w, row_begin, row_end, act, columns);
        return;
    }
#ifdef __AMX_INT8__
    if (ctx && amx_supports(w, columns)) {
        tiles_times_columns(out, out_stride, w, row_begin, row_end, act, columns);
        return;
    }
#endif
    rows_times_columns(out, out_stride, w, row_begin, row_end, act, columns);
}

static void quantised_matmul_rows(void *ctx, float *out, const struct dt_matrix *w,
                                  const uint32_t *index, uint32_t count, const void *act)
{
    (void)ctx;
    if (w->form == DT_FORM_PACKED) {
        rows16_listed_rows(out, w, index, count, act);
        return;
    }
    struct act_layout layout = act_layout_of(w);
    struct act_column x = act_column_at(act, &layout, 0);
    listed_rows(out, w, index, count, &x);
}

static float quantised_act_error(void *ctx, const void *act, const float *x,
                                 const struct dt_matrix *w)
{
    (void)ctx;
    struct act_layout layout = act_layout_of(w);
    struct act_column column = act_column_at(act, &layout, 0);
    return act_error_of(&column, x, w);
}

// The entries of a struct dt_backend, except name, description, forms, can_matmul, embed, matmul,
// matmul_rows and OPERATOR_ENTRIES.
#define QUANTISED_ENTRIES                                                                          \
    .abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend), .variant = DT_MODULE_VARIANT,        \
    .row_tile = rows16_tile, .layout = ROWS16_LAYOUT, .probe = DT_MODULE_PROBE,                    \
    .create = quantised_create, .pack_bytes = rows16_pack_bytes, .pack = rows16_pack,              \
    .act_bytes = quantised_act_bytes, .act_prepare = quantised_act_prepare,                        \
    .act_error = quantised_act_error

#endif
