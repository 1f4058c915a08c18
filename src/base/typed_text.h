// SPDX-License-Identifier: MIT
// Prompts as people type and save them, and texts at which generation stops. Pure.
#ifndef DT_BASE_TYPED_TEXT_H
#define DT_BASE_TYPED_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// Cleans text[0..*n) in place: drops a byte order mark, makes "\r\n" a newline. DT_BAD_INPUT: it is
// UTF-16; where: the file or option, for the message.
dt_status dt_typed_text_clean(char *text, size_t *n, const char *where, struct dt_error *err);

// Finds the first of some texts in a stream.
#define DT_STOP_TEXTS    8u
#define DT_STOP_TEXT_MAX 256u // bytes of one

struct dt_stop_text {
    const char *text[DT_STOP_TEXTS]; // not empty, at most DT_STOP_TEXT_MAX bytes
    size_t count;
    char held[DT_STOP_TEXT_MAX]; // the end of the stream that may begin a text
    size_t held_count;
};

// Adds n bytes of the stream. Writes those that are certainly before any text to out, at most
// DT_STOP_TEXT_MAX + n bytes, and their number to *written. True: a text was found; it and what is
// behind it are dropped. All zero but text and count: the start of a stream.
bool dt_stop_text_push(struct dt_stop_text *s, const char *bytes, size_t n, char *out,
                       size_t *written);

// Ends the stream: writes the bytes that are still held to out, and returns how many.
size_t dt_stop_text_flush(struct dt_stop_text *s, char *out);

#endif
