// SPDX-License-Identifier: MIT
// Text that is put together in pieces.
#ifndef DT_HOST_STRING_BUFFER_H
#define DT_HOST_STRING_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

// A growing string. A zeroed struct is an empty one. If memory runs out, `failed` is set and all
// later appends are ignored, so that a caller can append everything and check once.
struct dt_string_buffer {
    char *text; // NUL-terminated; NULL while nothing has been appended
    size_t length;
    size_t capacity;
    bool failed;
};

// Appends as printf does, without a limit on the length. False if memory is short.
bool dt_string_buffer_printf(struct dt_string_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Appends bytes[0..n), NUL bytes included. False if memory is short.
bool dt_string_buffer_append(struct dt_string_buffer *buffer, const char *bytes, size_t n);

// Hands the text over: the caller releases it with free(). "" for an empty buffer; NULL if an
// append or this call failed for lack of memory. The buffer is empty afterwards.
char *dt_string_buffer_detach(struct dt_string_buffer *buffer);

// Frees the text and zeroes the struct.
void dt_string_buffer_free(struct dt_string_buffer *buffer);

#endif
