// SPDX-License-Identifier: MIT
// What the modules int8 and int4 have in common: activations in 8 bits, and the table entries that
// go with them. The source of a module includes it behind its kernels (row_tile, weight_bias,
// rows_times_columns, listed_rows; with AMX tiles_times_columns besides).
#ifndef DT_BACKENDS_INT8_MODULE_H
#define DT_BACKENDS_INT8_MODULE_H

#include "abi/backend.h"
#include "abi/kit/table.h"
#include "common/act.h"
#include "probe.h"

#ifdef __AMX_INT8__

// ctx is NULL where the kernel grants no tiles: then many columns go the way of a few.
static int module_create(const struct dt_services *services, void **ctx, char *reason,
                         size_t reason_size)
{
    static char granted;
    (void)reason;
    (void)reason_size;
    if (amx_permitted())
        *ctx = &granted;
    else
        services->log(services->host, 1,
                      "the kernel grants no AMX tiles; prompts are computed without them");
    return 0;
}

#else
#define module_create NULL
#endif

static size_t module_act_bytes(void *ctx, const struct dt_matrix *w, uint32_t columns)
{
    (void)ctx;
    size_t bytes = act_layout_of(w).column * columns;
#ifdef __AMX_INT8__
    if (amx_act_bytes(w, columns) > bytes)
        bytes = amx_act_bytes(w, columns);
#endif
    return bytes;
}

static void module_act_prepare(void *ctx, void *act, const float *x, size_t x_stride,
                               uint32_t columns, const struct dt_matrix *w)
{
    (void)ctx;
#ifdef __AMX_INT8__
    if (ctx && amx_takes(w, columns)) {
        amx_prepare(act, x, x_stride, columns, w);
        return;
    }
#endif
    act_prepare_columns(act, x, x_stride, columns, w, weight_bias);
}

static void module_matmul(void *ctx, float *out, size_t out_stride, const struct dt_matrix *w,
                          uint32_t row_begin, uint32_t row_end, const void *act, size_t x_stride,
                          uint32_t columns)
{
    (void)ctx;
    (void)x_stride;
#ifdef __AMX_INT8__
    if (ctx && amx_takes(w, columns)) {
        tiles_times_columns(out, out_stride, w, row_begin, row_end, act, columns);
        return;
    }
#endif
    rows_times_columns(out, out_stride, w, row_begin, row_end, act, columns);
}

static void module_matmul_rows(void *ctx, float *out, const struct dt_matrix *w,
                               const uint32_t *index, uint32_t count, const void *act)
{
    (void)ctx;
    struct act_layout layout = act_layout_of(w);
    struct act_column x = act_column_at(act, &layout, 0);
    listed_rows(out, w, index, count, &x);
}

static float module_act_error(void *ctx, const void *act, const float *x, const struct dt_matrix *w)
{
    (void)ctx;
    struct act_layout layout = act_layout_of(w);
    struct act_column column = act_column_at(act, &layout, 0);
    return act_error_of(&column, x, w);
}

// Entries of a struct dt_backend: all but its name, description, forms, can_matmul and embed.
#define MODULE_ENTRIES                                                                             \
    .abi = DT_BACKEND_ABI, .size = sizeof(struct dt_backend), .variant = DT_MODULE_VARIANT,        \
    .row_tile = row_tile, .probe = DT_MODULE_PROBE, .create = module_create,                       \
    .act_bytes = module_act_bytes, .act_prepare = module_act_prepare, .matmul = module_matmul,     \
    .matmul_rows = module_matmul_rows, .act_error = module_act_error, .screen = kit_op_screen,     \
    .rmsnorm = kit_op_rmsnorm, .rope = kit_op_rope, .attention = kit_op_attention,                 \
    .softmax = kit_op_softmax, .silu_mul = kit_op_silu_mul, .add = kit_op_add,                     \
    .argmax = kit_op_argmax, .select = kit_op_select

#endif
