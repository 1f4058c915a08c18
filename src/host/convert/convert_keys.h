// SPDX-License-Identifier: MIT
// The header of a GGUF file: its encoding of values, and the keys of a model.
#ifndef DT_HOST_CONVERT_KEYS_H
#define DT_HOST_CONVERT_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/formats/gguf.h"
#include "host/convert/convert.h"
#include "host/string_buffer.h"

#define DT_CONVERT_ALIGNMENT 64u // more than GGUF's default: packed matrices need it

// These append to a buffer; its `failed` is set if memory is short.
void dt_gguf_put_u32(struct dt_string_buffer *b, uint32_t v);
void dt_gguf_put_u64(struct dt_string_buffer *b, uint64_t v);
void dt_gguf_put_string(struct dt_string_buffer *b, const char *text, size_t n); // length, bytes

// The keys of a file, encoded. Zero it but for prefix.
struct dt_gguf_keys {
    struct dt_string_buffer bytes; // the caller frees it
    uint64_t count;
    const char *prefix; // the architecture's name, put before a key that begins with a dot
    uint64_t written[DT_GGUF_MAX_KEYS]; // hashes of the names
    uint32_t written_count;
};

// Remembers that a key is written, so that dt_gguf_key_metadata leaves it out.
void dt_gguf_keys_note(struct dt_gguf_keys *k, const char *name, size_t n);

// Appends the keys of a GGUF source that are not written yet, as they are; or the facts and named
// chat templates of another source.
void dt_gguf_key_metadata(struct dt_gguf_keys *k, const struct dt_model *m);

// Begins a key whose value the caller appends.
void dt_gguf_key_begin(struct dt_gguf_keys *k, const char *name, uint32_t type);
void dt_gguf_key_u32(struct dt_gguf_keys *k, const char *name, uint32_t v);
void dt_gguf_key_bool(struct dt_gguf_keys *k, const char *name, bool v);
void dt_gguf_key_text(struct dt_gguf_keys *k, const char *name, const char *text);

// Appends all keys of the model: hyperparameters, vocabulary, template, hints.
void dt_gguf_key_model(struct dt_gguf_keys *k, const struct dt_conversion *c);

#endif
