// SPDX-License-Identifier: MIT
#include "core/quant/forms.h"

#include <string.h>

#include "core/quant/dequant.h"
#include "core/quant/k_block.h"
#include "core/quant/packed.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights of little-endian files are used in place: this needs a little-endian machine"
#endif

struct form {
    const char *name;
    uint16_t block, block_bytes; // 0: has no blocks
    int16_t scale_at[2];         // byte offsets of the f16 scales in a block; -1: none
};

static const struct form forms[] = {
    [DT_FORM_NONE] = {"none", 0, 0, {-1, -1}},      [DT_FORM_F32] = {"f32", 1, 4, {-1, -1}},
    [DT_FORM_F16] = {"f16", 1, 2, {-1, -1}},        [DT_FORM_BF16] = {"bf16", 1, 2, {-1, -1}},
    [DT_FORM_I8] = {"i8", 0, 0, {-1, -1}},          [DT_FORM_Q8_0] = {"q8_0", 32, 34, {0, -1}},
    [DT_FORM_Q4_0] = {"q4_0", 32, 18, {0, -1}},     [DT_FORM_PACKED] = {"packed", 0, 0, {-1, -1}},
    [DT_FORM_Q4_1] = {"q4_1", 32, 20, {0, 2}},      [DT_FORM_Q5_0] = {"q5_0", 32, 22, {0, -1}},
    [DT_FORM_Q5_1] = {"q5_1", 32, 24, {0, 2}},      [DT_FORM_Q2_K] = {"q2_k", 256, 84, {80, 82}},
    [DT_FORM_Q3_K] = {"q3_k", 256, 110, {108, -1}}, [DT_FORM_Q4_K] = {"q4_k", 256, 144, {0, 2}},
    [DT_FORM_Q5_K] = {"q5_k", 256, 176, {0, 2}},    [DT_FORM_Q6_K] = {"q6_k", 256, 210, {208, -1}},
    [DT_FORM_IQ4_NL] = {"iq4_nl", 32, 18, {0, -1}},
};

static const struct form *form_of(uint32_t form)
{
    return &forms[form < sizeof forms / sizeof *forms ? form : DT_FORM_NONE];
}

uint32_t dt_form_block(uint32_t form)
{
    return form_of(form)->block;
}

uint32_t dt_form_block_bytes(uint32_t form)
{
    return form_of(form)->block_bytes;
}

const char *dt_form_name(uint32_t form)
{
    return form_of(form)->name;
}

int dt_form_scale_at(uint32_t form, unsigned which)
{
    return which < 2 ? form_of(form)->scale_at[which] : -1;
}

struct dt_matrix dt_matrix_blocks(uint32_t form, uint32_t rows, uint32_t cols, const void *data)
{
    const struct form *f = form_of(form);
    struct dt_matrix w = {.form = form, .rows = rows, .cols = cols, .quants = data};
    w.row_stride = (size_t)(cols / f->block) * f->block_bytes;
    w.bytes = w.row_stride * rows;
    if (form == DT_FORM_Q8_0 || form == DT_FORM_Q4_0) {
        w.group = f->block;
        w.scale_type = DT_SCALE_F16;
        w.scales = data;
        w.quants = (const void *)((uintptr_t)data + 2); // even where data is NULL
        w.group_stride = w.scale_group_stride = f->block_bytes;
        w.scale_row_stride = w.row_stride;
    }
    if (dt_k_has(form)) { // scales are in the blocks
        w.group = f->block;
        w.group_stride = f->block_bytes;
    }
    return w;
}

struct dt_matrix dt_matrix_i8(uint32_t rows, uint32_t cols, uint32_t group, const void *quants,
                              const void *scales)
{
    struct dt_matrix w = {.form = DT_FORM_I8,
                          .rows = rows,
                          .cols = cols,
                          .group = group,
                          .scale_type = DT_SCALE_F32,
                          .quants = quants,
                          .scales = scales,
                          .row_stride = cols,
                          .group_stride = group,
                          .scale_group_stride = sizeof(float)};
    w.scale_row_stride = (size_t)(cols / group) * sizeof(float);
    w.bytes = (w.row_stride + w.scale_row_stride) * rows;
    return w;
}

// A row of a form with scales. Uses the strides, not the layout of blocks, so that it also works
// for views.
static void row_scaled(const struct dt_matrix *w, uint32_t r, float *out)
{
    const unsigned char *q = (const unsigned char *)w->quants + r * w->row_stride;
    const unsigned char *s = (const unsigned char *)w->scales + r * w->scale_row_stride;
    for (uint32_t g = 0; g < w->cols / w->group;
         g++, q += w->group_stride, s += w->scale_group_stride) {
        float scale;
        if (w->scale_type == DT_SCALE_F16) {
            uint16_t half;
            memcpy(&half, s, sizeof half);
            scale = dt_half_to_float(half);
        } else {
            memcpy(&scale, s, sizeof scale);
        }
        if (w->form == DT_FORM_Q4_0) {
            uint32_t half_group = w->group / 2;
            for (uint32_t i = 0; i < half_group; i++) {
                out[g * w->group + i] = (float)((q[i] & 15) - 8) * scale;
                out[g * w->group + half_group + i] = (float)((q[i] >> 4) - 8) * scale;
            }
        } else {
            for (uint32_t i = 0; i < w->group; i++)
                out[g * w->group + i] = (float)(int8_t)q[i] * scale;
        }
    }
}

void dt_matrix_row(const struct dt_matrix *w, uint32_t r, float *out)
{
    const unsigned char *row = (const unsigned char *)w->quants + r * w->row_stride;
    switch (w->form) {
    case DT_FORM_F32:
        memcpy(out, row, (size_t)w->cols * sizeof *out);
        break;
    case DT_FORM_F16:
        for (uint32_t i = 0; i < w->cols; i++) {
            uint16_t half;
            memcpy(&half, row + (size_t)i * 2, sizeof half);
            out[i] = dt_half_to_float(half);
        }
        break;
    case DT_FORM_BF16: // the upper half of a binary32
        for (uint32_t i = 0; i < w->cols; i++) {
            unsigned char bits[4] = {0, 0, row[(size_t)i * 2], row[(size_t)i * 2 + 1]};
            memcpy(&out[i], bits, sizeof bits);
        }
        break;
    case DT_FORM_I8:
    case DT_FORM_Q8_0:
    case DT_FORM_Q4_0:
        row_scaled(w, r, out);
        break;
    default: {
        const struct form *f = form_of(w->form);
        if (!f->block) {
            if (w->form == DT_FORM_PACKED)
                dt_packed_row(w, r, out);
            break;
        }
        for (uint32_t i = 0; i < w->cols; i += f->block, row += f->block_bytes)
            dt_dequant_block(w->form, row, out + i);
        break;
    }
    }
}
