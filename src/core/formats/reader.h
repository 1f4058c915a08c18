// SPDX-License-Identifier: MIT
// What the readers of model files share: little-endian fields at any alignment, words, checks of
// floats. Private to the readers, and to what looks into their bytes later (core/text/vocab.c,
// core/text/tokenizer.c); where tensors go is in core/slots.h. Pure: any thread.
#ifndef DT_CORE_READER_H
#define DT_CORE_READER_H

#include "base/bytes.h"
#include "core/model.h"

// The index of the first of n floats (stride bytes apart, any alignment) that is infinite or NaN; n
// if none is.
size_t dt_reader_first_not_finite(const void *floats, size_t n, size_t stride);

// DT_BAD_INPUT naming tensor, index and value if one of n contiguous floats is not finite.
dt_status dt_reader_check_finite(const char *file, const char *tensor, const void *floats, size_t n,
                                 struct dt_error *err);

// The same for the scales of w: those that lie apart only, or (all) those inside blocks too.
dt_status dt_reader_check_scales(const char *file, const char *tensor, const struct dt_matrix *w,
                                 bool all, struct dt_error *err);

// The readers behind dt_model_open. With out NULL they only check the header and count in the
// arena.
dt_status dt_llama2c_open(const struct dt_model_part *file, struct dt_arena *arena,
                          struct dt_model *out, struct dt_error *err);
dt_status dt_gguf_open(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                       struct dt_model *out, struct dt_error *err);
// How many files a GGUF model is split into, by its first file; 0 if the header cannot be read.
uint32_t dt_gguf_split_count(const unsigned char *bytes, size_t n);
dt_status dt_hf_open(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                     struct dt_model *out, struct dt_error *err);

#endif
