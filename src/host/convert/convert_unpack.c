// SPDX-License-Identifier: MIT
// Reads packed models as plain ones, so that they can be converted back.
#include <stdlib.h>
#include <string.h>

#include "core/quant/packed.h"
#include "core/quant/quantise.h"
#include "host/convert/convert_matrix.h"

// Describes *w as the matrix it was packed from, with the packed bytes as its quants.
static dt_status describe(struct dt_matrix *w, struct dt_error *err)
{
    struct dt_matrix plain;
    if (w->form != DT_FORM_PACKED)
        return DT_OK;
    if (!dt_packed_plain(w, &plain))
        return dt_error_set(err, DT_UNSUPPORTED, NULL,
                            "the weights are packed as %s, which this version does not read (it "
                            "reads %s); convert the file that it was packed from",
                            w->layout ? w->layout : "(unnamed)", dt_packed_layouts());
    plain.quants = w->quants;
    plain.layout = w->layout;
    *w = plain;
    return DT_OK;
}

dt_status dt_convert_unpacked(const struct dt_model *model, struct dt_model *out,
                              struct dt_layer **layers, struct dt_error *err)
{
    *out = *model;
    *layers = malloc(model->hp.layers * sizeof **layers);
    if (!*layers)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the table of %u layers",
                            model->hp.layers);
    memcpy(*layers, model->layers, model->hp.layers * sizeof **layers);
    out->layers = *layers;
    dt_status status = describe(&out->embedding, err);
    if (!status)
        status = describe(&out->classifier, err);
    for (uint32_t l = 0; l < model->hp.layers && !status; l++) {
        struct dt_layer *at = &out->layers[l];
        struct dt_matrix *const of[] = {&at->query, &at->key,  &at->value, &at->output,
                                        &at->gate,  &at->down, &at->up};
        for (size_t i = 0; i < sizeof of / sizeof *of && !status; i++)
            status = describe(of[i], err);
    }
    if (status) {
        free(*layers);
        *layers = NULL;
    }
    return status;
}

dt_status dt_convert_source(const struct dt_convert_matrix *m, struct dt_matrix *out, void **memory,
                            struct dt_error *err)
{
    const struct dt_matrix *w = m->source;
    *memory = NULL;
    *out = *w;
    if (!w->layout)
        return DT_OK;
    // its bytes were checked against its header when the file was opened
    struct dt_matrix packed = {.form = DT_FORM_PACKED,
                               .rows = w->rows,
                               .cols = w->cols,
                               .quants = w->quants,
                               .bytes = SIZE_MAX,
                               .layout = w->layout};
    uint32_t group = w->form == DT_FORM_I8 ? w->group : 0;
    size_t bytes = w->form == DT_FORM_I8
                       ? dt_quantise_bytes(w->form, w->rows, w->cols, group)
                       : dt_quantise_matrix(w->form, w->rows, w->cols, group, NULL).bytes;
    *memory = malloc(bytes);
    if (!*memory)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %zu bytes to unpack %s", bytes,
                            m->name);
    *out = dt_quantise_matrix(w->form, w->rows, w->cols, group, *memory);
    dt_packed_unpack(&packed, out, 0, w->rows);
    return DT_OK;
}
