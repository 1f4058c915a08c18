// SPDX-License-Identifier: MIT
// Models from one file format and weight form to another.
#ifndef DT_HOST_CONVERT_H
#define DT_HOST_CONVERT_H

#include "core/model.h"
#include "core/weights.h"

// What became of one tensor.
struct dt_convert_tensor {
    const char *name;
    uint32_t form, rows, cols, group;
    bool copied;        // the bytes of the source, untouched
    double mean, worst; // error of a value against the source: mean magnitude, and the largest
};

typedef void dt_convert_report(void *arg, const struct dt_convert_tensor *tensor);

struct dt_conversion {
    const struct dt_model *model;
    uint32_t form; // of the matrices; DT_FORM_NONE: each keeps its own where the file format has it
    uint32_t group;   // I8: values a scale; halved where it does not divide a row, as llama2.c's
                      // exporter does
    const char *name; // general.name; NULL: the model's own
    // GGUF: matrices in this backend's own layout, where it has one for them; or NULL
    const struct dt_instance *pack_for;
    dt_progress *progress; // bytes done and in all; non-zero stops. May be NULL
    void *progress_arg;
    dt_convert_report *report; // may be NULL
    void *report_arg;
};

// Writes a GGUF file (version 3) that holds everything the model says of itself. A matrix whose
// rows the form's blocks do not divide becomes F16. llama's query and key rows are put into the
// order that GGUF has (pairs), whatever the source's. DT_CANCELLED when progress said so; nothing
// is left then, nor after any failure.
dt_status dt_convert_gguf(const struct dt_conversion *c, const char *path, struct dt_error *err);

// The same as one file for the keys, embedding and output, and one for each layer:
// NAME-00001-of-NNNNN.gguf in a new folder, which appears when all are there.
dt_status dt_convert_shards(const struct dt_conversion *c, const char *folder,
                            struct dt_error *err);

// Writes a llama2.c file: version 0 (legacy) or 1 (form F32), 2 (I8). DT_UNSUPPORTED for what that
// format cannot say (other RoPE, biases, heads of another width, an epsilon that is not 1e-5).
dt_status dt_convert_llama2c(const struct dt_conversion *c, int version, const char *path,
                             struct dt_error *err);

// Writes the model's vocabulary as llama2.c's tokenizer.bin; SentencePiece ones only.
dt_status dt_convert_tokenizer(const struct dt_model *model, const char *path,
                               struct dt_error *err);

#endif
