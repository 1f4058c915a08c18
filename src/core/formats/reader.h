// SPDX-License-Identifier: MIT
// Shared by the readers of model files: checks of floats, and the readers' entry points. Private to
// core/formats. Pure: any thread.
#ifndef DT_CORE_READER_H
#define DT_CORE_READER_H

#include "base/bytes.h"
#include "core/model.h"

// DT_BAD_INPUT if one of n contiguous floats is not finite; names tensor, index and value.
dt_status dt_reader_check_finite(const char *file, const char *tensor, const void *floats, size_t n,
                                 struct dt_error *err);

// The same for the scales of w. Scales inside blocks are checked only if `all` is set.
dt_status dt_reader_check_scales(const char *file, const char *tensor, const struct dt_matrix *w,
                                 bool all, struct dt_error *err);

// Adds a line to the model's notes by dt_format's rules; ignored if there are DT_NOTES_MAX.
void dt_reader_note(struct dt_model *model, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// The readers behind dt_model_open. With out NULL they only check the header and count the memory
// in the arena.
dt_status dt_llama2c_open(const struct dt_model_part *file, struct dt_arena *arena,
                          struct dt_model *out, struct dt_error *err);
dt_status dt_gguf_open(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                       struct dt_model *out, struct dt_error *err);
// How many files a GGUF model is split into, by its first file; 0 if the header cannot be read.
uint32_t dt_gguf_split_count(const unsigned char *bytes, size_t n);
struct dt_model_found; // open_model.h; may be NULL
dt_status dt_hf_open(const struct dt_model_part *parts, uint32_t count,
                     struct dt_model_found *found, struct dt_arena *arena, struct dt_model *out,
                     struct dt_error *err);

// The same for the vocabulary and the chat template only: no weights or hyperparameters are needed.
dt_status dt_gguf_open_vocabulary(const struct dt_model_part *part, struct dt_arena *arena,
                                  struct dt_model *out, struct dt_error *err);
dt_status dt_hf_open_vocabulary(const struct dt_model_part *parts, uint32_t count,
                                struct dt_model_found *found, struct dt_arena *arena,
                                struct dt_model *out, struct dt_error *err);

#endif
