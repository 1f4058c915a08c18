// SPDX-License-Identifier: MIT
// SHA-256 (FIPS 180-4).
#ifndef DT_BASE_SHA256_H
#define DT_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct dt_sha256 {
    uint32_t state[8];
    uint64_t length; // bytes so far
    unsigned char block[64];
};

void dt_sha256_begin(struct dt_sha256 *hash);
void dt_sha256_add(struct dt_sha256 *hash, const void *bytes, size_t n);
// Writes the hash as 64 lower-case hexadecimal digits and a NUL. The struct is used up.
void dt_sha256_end(struct dt_sha256 *hash, char out[65]);

#endif
