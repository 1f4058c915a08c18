// SPDX-License-Identifier: MIT
// Little-endian fields at any alignment, and words, in the bytes of a file. Pure: any thread.
#ifndef DT_BASE_BYTES_H
#define DT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

// Whether text[0..length) is this word.
static inline bool dt_read_is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

// The first occurrence in text[0..n) of a word of length bytes; NULL if there is none, or if the
// word is empty.
const char *dt_read_find(const char *text, size_t n, const void *word, size_t length);

#endif
