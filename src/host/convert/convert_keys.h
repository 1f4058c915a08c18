// SPDX-License-Identifier: MIT
// Between the writers of GGUF: bytes that grow, and the keys of a file.
#ifndef DT_HOST_CONVERT_KEYS_H
#define DT_HOST_CONVERT_KEYS_H

#include "host/convert/convert.h"

#define DT_CONVERT_ALIGNMENT 64u // more than GGUF's own: packed matrices want it

// Begins zeroed; at is freed by whoever made it. After a failed allocation nothing more is put.
struct dt_bytes {
    unsigned char *at;
    size_t n, capacity;
    bool failed;
};

void dt_bytes_put(struct dt_bytes *b, const void *from, size_t n);
void dt_bytes_u32(struct dt_bytes *b, uint32_t v);
void dt_bytes_u64(struct dt_bytes *b, uint64_t v);
void dt_bytes_string(struct dt_bytes *b, const char *text,
                     size_t n); // length and text, as GGUF has them

// Keys as they are written. prefix is the architecture's name: a key that begins with a dot belongs
// to it.
struct dt_gguf_keys {
    struct dt_bytes bytes;
    uint64_t count;
    const char *prefix;
};

void dt_gguf_key_u32(struct dt_gguf_keys *k, const char *name, uint32_t v);
void dt_gguf_key_text(struct dt_gguf_keys *k, const char *name, const char *text,
                      size_t n); // nothing for NULL

// Everything the model says of itself: hyperparameters, vocabulary, template, hints.
void dt_gguf_key_model(struct dt_gguf_keys *k, const struct dt_conversion *c);

#endif
