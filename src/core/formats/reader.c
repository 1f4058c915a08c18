// SPDX-License-Identifier: MIT
#include "core/formats/reader.h"

#include <stdarg.h>

#include "base/format.h"
#include "core/quant/packed.h"

void dt_reader_note(struct dt_model *model, const char *format, ...)
{
    va_list args;
    if (model->notes == DT_NOTES_MAX)
        return;
    va_start(args, format);
    dt_vformat(model->note[model->notes++], DT_NOTE_SIZE, format, args);
    va_end(args);
}

static bool not_finite(uint32_t bits)
{
    return (bits & 0x7f800000) == 0x7f800000;
}

// The index of the first of n contiguous floats (any alignment) that is infinite or NaN; n if none
// is.
static size_t first_not_finite(const void *floats, size_t n)
{
    const unsigned char *p = floats;
    size_t i = 0;
    // Runs without branches, which compilers vectorise: this is part of the start-up time.
    for (; i + 256 <= n; i += 256) {
        uint32_t any = 0;
        for (size_t k = 0; k < 256; k++)
            any |= not_finite(dt_read_u32(p + (i + k) * sizeof(float)));
        if (any)
            break;
    }
    while (i < n && !not_finite(dt_read_u32(p + i * sizeof(float))))
        i++;
    return i;
}

dt_status dt_reader_check_finite(const char *file, const char *tensor, const void *floats, size_t n,
                                 struct dt_error *err)
{
    size_t i = first_not_finite(floats, n);
    if (i == n)
        return DT_OK;
    return dt_error_set(err, DT_BAD_INPUT, file, "%s: value %zu is %g; expected a finite number",
                        tensor, i,
                        (double)dt_read_f32((const unsigned char *)floats + i * sizeof(float)));
}

static dt_status bad_scale(const char *file, const char *tensor, uint32_t row, uint32_t group,
                           float value, struct dt_error *err)
{
    return dt_error_set(err, DT_BAD_INPUT, file,
                        "%s: scale %u of row %u is %g; expected a finite number", tensor, group,
                        row, (double)value);
}

static dt_status check_packed_scales(const char *file, const char *tensor,
                                     const struct dt_matrix *w, struct dt_error *err)
{
    struct dt_matrix plain;
    if (!dt_packed_plain(w, &plain) || !plain.group)
        return DT_OK;
    for (uint32_t r = 0; r < w->rows; r++)
        for (uint32_t g = 0; g < w->cols / plain.group; g++) {
            float scale = dt_packed_scale(w, r, g);
            uint32_t bits;
            memcpy(&bits, &scale, sizeof bits);
            if (not_finite(bits))
                return bad_scale(file, tensor, r, g, scale, err);
        }
    return DT_OK;
}

dt_status dt_reader_check_scales(const char *file, const char *tensor, const struct dt_matrix *w,
                                 bool all, struct dt_error *err)
{
    if (w->form == DT_FORM_I8) {
        uint32_t groups = w->cols / w->group;
        size_t i = first_not_finite(w->scales, (size_t)w->rows * groups);
        if (i == (size_t)w->rows * groups)
            return DT_OK;
        return bad_scale(file, tensor, (uint32_t)(i / groups), (uint32_t)(i % groups),
                         dt_read_f32((const unsigned char *)w->scales + i * sizeof(float)), err);
    }
    if (all && w->form == DT_FORM_PACKED)
        return check_packed_scales(file, tensor, w, err);
    if (!all || dt_form_scale_at(w->form, 0) < 0)
        return DT_OK;
    uint32_t blocks = w->cols / dt_form_block(w->form), stride = dt_form_block_bytes(w->form);
    // Blocks begin at the quants, except where the matrix describes scales separately (Q8_0, Q4_0).
    const unsigned char *first = w->scales ? w->scales : w->quants;
    for (uint32_t r = 0; r < w->rows; r++) {
        const unsigned char *block = first + r * w->row_stride;
        for (uint32_t b = 0; b < blocks; b++, block += stride)
            for (unsigned which = 0; which < 2 && dt_form_scale_at(w->form, which) >= 0; which++) {
                uint16_t half;
                memcpy(&half, block + dt_form_scale_at(w->form, which), sizeof half);
                if ((half & 0x7c00) == 0x7c00)
                    return bad_scale(file, tensor, r, b, dt_half_to_float(half), err);
            }
    }
    return DT_OK;
}
