// SPDX-License-Identifier: MIT
// Opening a model: recognises the format of a file, measures and reads it.
#ifndef DT_CORE_OPEN_MODEL_H
#define DT_CORE_OPEN_MODEL_H

#include "core/model.h"

// Which reader takes these bytes: by magic ("GGUF", "ak42"), by what begins a safetensors file or a
// config.json, else llama2.c's legacy header if it is plausible. Returns the format's name, static;
// NULL if no reader knows them (dt_model_open says why). Pure.
const char *dt_model_recognise(const unsigned char *bytes, size_t n);

// How many files the model that begins with these bytes is split into: 1 for most, 0 where the
// bytes are no readable header.
uint32_t dt_model_split_count(const unsigned char *bytes, size_t n);

// Arena bytes dt_model_open will take, or 0 with *err when the file is so broken that it cannot be
// told.
size_t dt_model_measure(const unsigned char *bytes, size_t n, const char *name,
                        struct dt_error *err);
size_t dt_model_measure_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_error *err);

// Reads a whole model from bytes[0..n), which outlive *out and are never written; name is for
// messages. Trusts nothing: every count is capped, every product overflow-checked, every offset
// inside the file. DT_BAD_INPUT (or DT_UNSUPPORTED for what is sound but not for us) with field,
// found and wanted; DT_NO_MEMORY if the arena is too small. Norms and biases are checked to be
// finite, and so are scales that lie apart from their quants (llama2.c version 2: a ninth of the
// file); scales inside blocks are not, for that reads the whole file. Any thread.
dt_status dt_model_open(const unsigned char *bytes, size_t n, const char *name,
                        struct dt_arena *arena, struct dt_model *out, struct dt_error *err);

// The same for a model of several files, in their order (split.no). DT_BAD_INPUT where they do not
// belong together.
dt_status dt_model_open_parts(const struct dt_model_part *parts, uint32_t count,
                              struct dt_arena *arena, struct dt_model *out, struct dt_error *err);

// Looks at every scale, blocks included: DT_BAD_INPUT names the tensor, row and value of the first
// one that is no finite number.
dt_status dt_model_check_scales(const struct dt_model *model, const char *name,
                                struct dt_error *err);

// Visits every matrix in the order of evaluation, under its GGUF name ("blk.3.attn_q.weight"); a
// tied classifier is not visited again. Stops at the first result that is not DT_OK and returns it.
typedef dt_status dt_model_visit(void *arg, const char *tensor, const struct dt_matrix *w);
dt_status dt_model_each_matrix(const struct dt_model *model, dt_model_visit *visit, void *arg);

#endif
