// SPDX-License-Identifier: MIT
// Writes models: conversion between file formats and weight forms.
#ifndef DT_HOST_CONVERT_H
#define DT_HOST_CONVERT_H

#include "core/model.h"
#include "core/weights.h"

// The result for one tensor.
struct dt_convert_tensor {
    const char *name;
    uint32_t form, rows, cols, group;
    bool copied;        // bytes as in the source
    double mean, worst; // mean and largest absolute error of a value against the source
};

typedef void dt_convert_report(void *arg, const struct dt_convert_tensor *tensor);

struct dt_calibration;

struct dt_conversion {
    const struct dt_model *model;
    uint32_t form; // of the matrices; DT_FORM_NONE: each keeps its form if the file format has it
    uint32_t embedding; // of the embedding and the classifier; DT_FORM_NONE: as `form`
    uint32_t group; // I8: values a scale; halved until it divides a row, as in llama2.c's exporter
    const char *name;                   // general.name; NULL: the model's
    const struct dt_instance *pack_for; // GGUF: pack matrices in this backend's layout; or NULL
    struct dt_calibration *calibration; // GGUF, not shards: matrices of 4 and 5 bits are fitted
                                        // (host/convert/calibrate.h); NULL: rounded
    dt_progress *progress; // receives bytes done and total; non-zero cancels. May be NULL
    void *progress_arg;
    dt_convert_report *report; // may be NULL
    void *report_arg;
};

// All functions leave no file behind when they fail or are cancelled (DT_CANCELLED).

// Writes a GGUF file (version 3) with everything the model file contains. A matrix whose rows the
// form's blocks do not divide becomes F16, or Q4_1 where the form is Q4_K. The query and key rows
// of a llama are written in GGUF's order (pairs).
dt_status dt_convert_gguf(const struct dt_conversion *c, const char *path, struct dt_error *err);

// Writes a GGUF split into a new folder, as model-00001-of-NNNNN.gguf: one file for the keys,
// embedding and classifier, and one for each layer. The folder appears when it is complete.
dt_status dt_convert_shards(const struct dt_conversion *c, const char *folder,
                            struct dt_error *err);

// Writes a llama2.c file: version 0 (legacy) or 1 (form F32), 2 (I8). DT_UNSUPPORTED if the format
// cannot represent the model (other RoPE, biases, heads of another width, an epsilon that is not
// 1e-5).
dt_status dt_convert_llama2c(const struct dt_conversion *c, int version, const char *path,
                             struct dt_error *err);

// Writes the model's vocabulary as llama2.c's tokenizer.bin. DT_UNSUPPORTED if it is not a
// SentencePiece vocabulary.
dt_status dt_convert_tokenizer(const struct dt_model *model, const char *path,
                               struct dt_error *err);

#endif
