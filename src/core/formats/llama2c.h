// SPDX-License-Identifier: MIT
// The headers of llama2.c's three formats.
#ifndef DT_CORE_LLAMA2C_H
#define DT_CORE_LLAMA2C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define DT_LLAMA2C_MAGIC  0x616b3432u // "ak42"
#define DT_LLAMA2C_HEADER 256u        // bytes of a header with magic; a legacy header has 28

struct dt_llama2c_header {
    uint32_t version; // 0: legacy (fp32), 1: fp32, 2: int8 groups
    uint32_t dim, hidden, layers, heads, kv_heads, vocab, context;
    bool shared;    // the classifier is the embedding
    uint32_t group; // version 2: values for each scale
    uint32_t bytes; // where the weights begin
};

// Reads and checks a header. DT_BAD_INPUT or DT_UNSUPPORTED: the message names the field, its value
// and the valid range. name is for messages; err may be NULL. Pure.
dt_status dt_llama2c_read_header(const unsigned char *bytes, size_t n, const char *name,
                                 struct dt_llama2c_header *out, struct dt_error *err);

#endif
