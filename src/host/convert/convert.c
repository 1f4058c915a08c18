// SPDX-License-Identifier: MIT
// Converts one matrix between weight forms and measures the error.
#include "host/convert/convert_matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/quant/quantise.h"
#include "host/array.h"
#include "host/file.h"

// The first byte of a row, in forms without separate scales.
static const unsigned char *row_bytes(const struct dt_matrix *w, uint32_t r)
{
    const unsigned char *first =
        w->form == DT_FORM_Q8_0 || w->form == DT_FORM_Q4_0 ? w->scales : w->quants;
    return first + r * w->row_stride;
}

uint32_t dt_convert_row(const struct dt_convert_matrix *m, uint32_t r)
{
    if (!m->pairs_of)
        return r;
    // The two channels of a pair are half a head apart in the source.
    uint32_t in_head = r % m->pairs_of;
    return r - in_head + in_head / 2 + in_head % 2 * (m->pairs_of / 2);
}

uint32_t dt_convert_form(const struct dt_conversion *c, enum dt_slot slot,
                         const struct dt_matrix *w, uint32_t *group)
{
    bool embedding = slot == DT_SLOT_EMBEDDING || slot == DT_SLOT_CLASSIFIER;
    uint32_t form = embedding && c->embedding ? c->embedding : c->form ? c->form : w->form;
    *group = 0;
    if (form == DT_FORM_I8) {
        *group = !c->form ? w->group : dt_quantise_group(w->cols, c->group ? c->group : 64);
        return form;
    }
    if (form == DT_FORM_Q4_K && w->cols % dt_form_block(form) != 0)
        form = DT_FORM_Q4_1;
    uint32_t block = dt_form_block(form);
    return block && w->cols % block == 0 ? form : DT_FORM_F16;
}

bool dt_convert_copies(const struct dt_convert_matrix *m)
{
    return m->form == m->source->form && m->group == (m->form == DT_FORM_I8 ? m->source->group : 0);
}

size_t dt_convert_bytes(const struct dt_convert_matrix *m)
{
    const struct dt_matrix *w = m->source;
    size_t values = (size_t)w->rows * w->cols;
    if (m->form == DT_FORM_I8)
        return values + values / m->group * sizeof(float);
    return values / dt_form_block(m->form) * dt_form_block_bytes(m->form);
}

static bool stop(const struct dt_conversion *c, struct dt_convert_work *work, size_t bytes)
{
    work->done += bytes;
    return c->progress && c->progress(c->progress_arg, work->done, work->total);
}

dt_status dt_convert_begin(struct dt_convert_work *work, const struct dt_model *model, size_t total,
                           struct dt_error *err)
{
    const struct dt_hparams *hp = &model->hp;
    size_t widest = hp->dim > hp->hidden ? hp->dim : hp->hidden;
    if ((size_t)hp->heads * hp->head_size > widest)
        widest = (size_t)hp->heads * hp->head_size;
    memset(work, 0, sizeof *work);
    work->total = total;
    work->exact = malloc(widest * sizeof *work->exact);
    work->back = malloc(widest * sizeof *work->back);
    work->row = malloc(widest * 2 * sizeof(float));
    if (work->exact && work->back && work->row)
        return DT_OK;
    dt_convert_end(work);
    return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for three rows of %zu values", widest);
}

void dt_convert_end(struct dt_convert_work *work)
{
    free(work->exact);
    free(work->back);
    free(work->row);
    memset(work, 0, sizeof *work);
}

// Weights in floats may hold anything; the scales of other forms have been checked.
dt_status dt_convert_check_finite(const char *name, const struct dt_matrix *w, uint32_t row,
                                  float *exact, struct dt_error *err)
{
    if (w->form != DT_FORM_F32 && w->form != DT_FORM_F16 && w->form != DT_FORM_BF16)
        return DT_OK;
    dt_matrix_row(w, row, exact);
    for (uint32_t i = 0; i < w->cols; i++)
        if (!isfinite(exact[i]))
            return dt_error_set(err, DT_BAD_INPUT, NULL,
                                "%s: value %u of row %u is %g, so the model is damaged; get it "
                                "again",
                                name, i, row, (double)exact[i]);
    return DT_OK;
}

// Whether row r, read back from the target's form, is the row `exact` but for rounding.
// DT_BAD_INPUT if the form holds no number that large: an infinity came back, or in Q4_K, whose
// scales are clamped, a limit is exceeded.
static dt_status check_held(const struct dt_convert_matrix *m, uint32_t r, const float *exact,
                            const float *back, struct dt_error *err)
{
    static const float half = 65504.0f; // the largest f16
    uint32_t block = m->form == DT_FORM_I8 ? m->group : dt_form_block(m->form), i = 0, begin;
    bool k = m->form == DT_FORM_Q4_K; // from -d * 63 to d * 63 * 15
    while (i < m->source->cols && isfinite(back[i]) &&
           !(k && (exact[i] > half * 63 * 15 || exact[i] < -half * 63)))
        i++;
    if (i == m->source->cols)
        return DT_OK;
    begin = i / block * block;
    for (uint32_t other = begin; other < begin + block; other++) // the one that the scale is for
        i = fabsf(exact[other]) > fabsf(exact[i]) ? other : i;
    return dt_error_set(err, DT_BAD_INPUT, NULL,
                        "%s: value %u of row %u is %g, which is too large for %s; f32, bf16 and i8 "
                        "hold larger numbers",
                        m->name, i, r, (double)exact[i], dt_form_name(m->form));
}

dt_status dt_convert_write(const struct dt_conversion *c, const struct dt_convert_matrix *m,
                           struct dt_convert_work *work, struct dt_atomic_file *out,
                           struct dt_scale_buffer *scales, struct dt_error *err)
{
    struct dt_matrix from;
    const struct dt_matrix *w = &from;
    void *unpacked;
    dt_status status = dt_convert_source(m, &from, &unpacked, err);
    if (status)
        return status;
    bool copies = dt_convert_copies(m);
    struct dt_convert_tensor tensor = {.name = m->name,
                                       .form = m->form,
                                       .rows = w->rows,
                                       .cols = w->cols,
                                       .group = m->group,
                                       .copied = copies};
    // One row at a time. The scales of I8 are collected in `scales`.
    struct dt_matrix row = dt_quantise_matrix(m->form, 1, w->cols, m->group, work->row);
    size_t quants = m->form == DT_FORM_I8 ? w->cols : row.bytes, scale_bytes = row.bytes - quants;
    double sum = 0;
    for (uint32_t r = 0; r < w->rows && !status; r++) {
        uint32_t at = dt_convert_row(m, r);
        if ((status = dt_convert_check_finite(m->name, w, at, work->exact, err)))
            break;
        const void *bytes = work->row;
        const void *row_scales = row.scales;
        if (copies && m->form == DT_FORM_I8) {
            bytes = (const unsigned char *)w->quants + at * w->row_stride;
            row_scales = (const unsigned char *)w->scales + at * w->scale_row_stride;
        } else if (copies) {
            bytes = row_bytes(w, at);
        } else {
            dt_matrix_row(w, at, work->exact);
            if (m->blocks)
                memcpy(work->row, m->blocks + at * row.bytes, row.bytes);
            else
                dt_quantise_row(&row, 0, work->exact);
            dt_matrix_row(&row, 0, work->back);
            for (uint32_t i = 0; i < w->cols; i++) {
                double off = fabs((double)work->back[i] - (double)work->exact[i]);
                sum += off;
                tensor.worst = off > tensor.worst ? off : tensor.worst;
            }
            status = check_held(m, at, work->exact, work->back, err);
        }
        if (!status)
            status = dt_atomic_file_write(out, bytes, quants, err);
        if (scale_bytes)
            memcpy(scales->floats + r * scale_bytes, row_scales, scale_bytes);
        if (!status && stop(c, work, row.bytes))
            status = dt_error_set(err, DT_CANCELLED, NULL, "stopped; no file was written");
    }
    tensor.mean = sum / ((double)w->rows * w->cols);
    if (!status && c->report)
        c->report(c->report_arg, &tensor);
    free(unpacked);
    return status;
}

dt_status dt_convert_commit(struct dt_atomic_file *out, struct dt_error *err)
{
    dt_status status = dt_file_check_all(err);
    return status == DT_OK ? dt_atomic_file_commit(out, err) : status;
}

dt_status dt_convert_scales(struct dt_scale_buffer *scales, const struct dt_convert_matrix *m,
                            struct dt_error *err)
{
    size_t bytes = m->form == DT_FORM_I8
                       ? (size_t)m->source->rows * (m->source->cols / m->group) * sizeof(float)
                       : 0;
    scales->bytes = bytes;
    if (dt_array_grow(&scales->floats, &scales->capacity, bytes, 1))
        return DT_OK;
    return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %zu bytes of scales of %s", bytes,
                        m->name);
}
