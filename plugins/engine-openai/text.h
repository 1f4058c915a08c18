// SPDX-License-Identifier: MIT
// Texts that grow, in the host's memory.
#ifndef DT_OPENAI_TEXT_H
#define DT_OPENAI_TEXT_H

#include "abi/engine.h"

struct text {
    const struct dt_remote_host *host;
    char *bytes; // NUL-terminated once something was added
    size_t length, capacity;
    int failed; // memory was short, or the limit reached: later additions are ignored
};

// Makes space for n more bytes and a NUL. 0: failed.
int text_reserve(struct text *text, size_t n);
void text_add(struct text *text, const char *bytes, size_t n);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Adds a JSON string.
void text_quote(struct text *text, const char *bytes, size_t n);
void text_free(struct text *text);

#endif
