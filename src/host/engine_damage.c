// SPDX-License-Identifier: MIT
#include <stdlib.h>

#include "base/bits.h"
#include "base/format.h"
#include "core/formats/open_model.h"
#include "core/quant/packed.h"
#include "host/engine_state.h"

struct scan {
    const char *file;
    float *row;
    size_t capacity;
    struct dt_error *err;
};

// DT_BAD_INPUT, with the error, if a value of the matrix is not finite.
static dt_status scan_matrix(void *arg, const char *tensor, const struct dt_matrix *w)
{
    struct scan *scan = arg;
    if (w->form == DT_FORM_PACKED && !dt_packed_knows(w->layout)) // only its backend can read it
        return DT_OK;
    if (w->cols > scan->capacity) {
        free(scan->row);
        scan->row = malloc(w->cols * sizeof *scan->row);
        scan->capacity = scan->row ? w->cols : 0;
        if (!scan->row)
            return DT_NO_MEMORY;
    }
    for (uint32_t r = 0; r < w->rows; r++) {
        dt_matrix_row(w, r, scan->row);
        if (!dt_all_finite(scan->row, w->cols))
            return dt_error_set(scan->err, DT_BAD_INPUT, scan->file,
                                "row %u of tensor %s has a value that is infinite or undefined: "
                                "the model is damaged; get it again",
                                r, tensor);
    }
    return DT_OK;
}

void dt_engine_name_damage(struct dt_engine *e, struct dt_error *err)
{
    struct scan scan = {.file = dt_engine_path(e), .err = err};
    if (!err)
        return;
    if (dt_model_each_matrix(&e->model, scan_matrix, &scan) != DT_BAD_INPUT)
        dt_format(err->file, sizeof err->file, "%s", scan.file);
    free(scan.row);
}
