// SPDX-License-Identifier: MIT
// FNV-1a, for tables and names: not against chosen input.
#ifndef DT_BASE_HASH_H
#define DT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define DT_HASH_BEGIN UINT64_C(0xcbf29ce484222325)

// Continues a hash over n more bytes. Pure.
static inline uint64_t dt_hash(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
