// SPDX-License-Identifier: MIT
// What the readers of model files share: little-endian fields at any alignment, words, checks of
// floats. Private to the readers, and to what looks into their bytes later (core/text/vocab.c,
// core/text/tokenizer.c); where tensors go is in core/formats/slots.h. Pure: any thread.
#ifndef DT_CORE_READER_H
#define DT_CORE_READER_H

#include <string.h>

#include "core/model.h"

static inline uint32_t dt_read_u32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t dt_read_u64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline float dt_read_f32(const unsigned char *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Whether text, of so many bytes, is this word.
static inline bool dt_read_is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

// The first place in text[0..n) where the word stands, length bytes of it; NULL if it does not, or
// if it is empty.
const char *dt_read_find(const char *text, size_t n, const void *word, size_t length);

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
dt_status dt_hf_open(const struct dt_model_part *parts, uint32_t count, struct dt_arena *arena,
                     struct dt_model *out, struct dt_error *err);

#endif
